import { createAccess } from './access.ts';
import type { Context, GlobalOptions } from './context.ts';

/** One run of the program: its context, its access to the service, and how answers are shown. */
export function createSession(context: Context, options: () => GlobalOptions) {
  const { terminal } = context;
  const json = () => options().json === true;
  return {
    ...context,
    ...createAccess(context, options),
    json,
    profileName: () => options().profile,
    /** The address that `--url` names, if it does. */
    urlOption: () => options().url,

    /** Shows a result: the document with `--json`, else the lines. */
    show(document: unknown, lines: () => readonly string[]): void {
      if (json()) terminal.out(JSON.stringify(document, null, 2));
      else for (const line of lines()) terminal.out(line);
    },

    /** A hint for a person; scripts that asked for JSON are not bothered. */
    hint(text: string): void {
      if (!json()) terminal.hint(text);
    },
  };
}

export type Session = ReturnType<typeof createSession>;
