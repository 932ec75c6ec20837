/** Exit codes from sysexits.h, where they fit. */
export const EXIT = { ok: 0, failed: 1, usage: 64, noSpace: 69, alreadyRunning: 73, configuration: 78 } as const;

/** Ends the program with a sentence for the user and a code for scripts. */
export class Exit extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'Exit';
    this.code = code;
  }
}
