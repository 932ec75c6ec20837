import type { Clock } from '../core/clock.ts';
import type { Terminal } from './terminal.ts';

/** What a command may use of the process it runs in; `main.ts` fills it from the environment. */
export type Context = {
  terminal: Terminal;
  clock: Clock;
  /** Aborts on Ctrl-C. */
  signal: AbortSignal;
  folder: string;
  configPath: string;
  /** How the user called us, for the commands that hints name. */
  invocation: string;
  /** `aws`: the whole environment, for the addresses that every AWS SDK honours. */
  environment: {
    url?: string;
    apiKey?: string;
    operatorKey?: string;
    caFile?: string;
    aws?: Record<string, string | undefined>;
  };
  readStdin(): Promise<string>;
  /** Asks a person for something that is not shown while it is typed; null: there is nobody to ask. */
  askSecret(question: string): Promise<string | null>;
  setExitCode(code: number): void;
};

/** The options that every command takes. */
export type GlobalOptions = {
  profile?: string | undefined;
  url?: string | undefined;
  caFile?: string | undefined;
  json?: true | undefined;
};
