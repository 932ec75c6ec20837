import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';

/** The two output streams, as commands see them. */
export type Terminal = {
  /** A line of result on standard output. */
  out(line: string): void;
  /** A hint, warning or error on standard error. */
  hint(line: string): void;
  /** Redraws the current line of standard error; only when `interactive`. */
  draw(line: string): void;
  /** Is a person watching both streams? Then waiting shows a bar. */
  interactive: boolean;
  columns(): number;
};

const KEY = /\b[do]k_[a-z][a-z0-9]{0,15}_[0-9A-Za-z_]{16,}/g;

/**
 * Text that came from elsewhere (names, tags, the service's words) without control characters, so that it cannot
 * steer the terminal.
 */
function clean(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n]/gu, '\u{fffd}');
}

/** Text in which every API key is replaced: hints and errors may quote what was typed. */
export function withoutKeys(text: string): string {
  return text.replaceAll(KEY, '[API key removed]');
}

/** The terminal of a process. */
export function createTerminal(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): Terminal {
  return {
    out: (line) => void stdout.write(`${clean(line)}\n`),
    hint: (line) => void stderr.write(`${withoutKeys(clean(line))}\n`),
    draw: (line) => void stderr.write(`\r\u001b[2K${clean(line)}`),
    interactive: Boolean(stdout.isTTY && stderr.isTTY),
    columns: () => stderr.columns || 80,
  };
}

/** Asks for something that is not shown while it is typed; null: nobody is there to ask. */
export async function askSecret(
  question: string,
  stdin: NodeJS.ReadStream,
  stderr: NodeJS.WriteStream,
): Promise<string | null> {
  if (!stdin.isTTY || !stderr.isTTY) return null;
  const nothing = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: nothing, terminal: true });
  stderr.write(clean(question));
  try {
    return await lines.question('');
  } finally {
    lines.close();
    stderr.write('\n');
  }
}
