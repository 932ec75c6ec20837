import { type Clock, systemClock } from './clock.ts';

export type LogFields = Record<string, string | number | boolean | null | undefined | readonly string[]>;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Structured log lines, one JSON object each. Fields are ids, counts and codes: never secrets, bodies or names. */
export type Logger = {
  log(level: LogLevel, event: string, fields?: LogFields, error?: unknown): void;
  with(fields: LogFields): Logger;
};

const ORDER: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/** The chain of an error's causes on one line, outermost first: `a ← b ← c`. */
export function errorChain(error: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = error, depth = 0; at !== undefined && at !== null && depth < 8; depth += 1) {
    parts.push(
      at instanceof Error
        ? `${at.name}: ${at.message}`
        : typeof at === 'string'
          ? at
          : 'a thrown value that is no Error',
    );
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join(' ← ');
}

/** A logger that writes to `write` (standard error by default) every line of at least `level`. */
export function createLogger(
  options: { level?: LogLevel; write?: (line: string) => void; clock?: Clock; fields?: LogFields } = {},
): Logger {
  const { level = 'info', clock = systemClock, fields: base = {} } = options;
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  return {
    log(at, event, fields = {}, error) {
      if (ORDER[at] < ORDER[level]) return;
      const cause = error === undefined ? {} : { error: errorChain(error) };
      write(`${JSON.stringify({ time: clock.now().toISOString(), level: at, event, ...base, ...fields, ...cause })}\n`);
    },
    with: (fields) => createLogger({ ...options, fields: { ...base, ...fields } }),
  };
}

/** A logger for tests and one-shot commands that keeps quiet. */
export const silentLogger: Logger = { log: () => {}, with: () => silentLogger };
