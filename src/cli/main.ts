#!/usr/bin/env node
import { homedir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { systemClock } from '../core/clock.ts';
import { run } from './run.ts';
import { askSecret, createTerminal } from './terminal.ts';

const { env } = process;
const interruption = new AbortController();
process.once('SIGINT', () => {
  interruption.abort();
  process.once('SIGINT', () => process.exit(130)); // a second Ctrl-C waits for nothing
});
// A reader that has seen enough (`| head`) closes the pipe: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

await run(process.argv.slice(2), {
  terminal: createTerminal(process.stdout, process.stderr),
  clock: systemClock,
  signal: interruption.signal,
  folder: process.cwd(),
  configPath: join(env['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'domicile', 'config.json'),
  invocation: env['npm_command'] === 'exec' ? 'npm exec domicile --' : 'domicile',
  environment: {
    aws: env,
    ...(env['DOMICILE_URL'] ? { url: env['DOMICILE_URL'] } : {}),
    ...(env['DOMICILE_API_KEY'] ? { apiKey: env['DOMICILE_API_KEY'] } : {}),
    ...(env['DOMICILE_OPERATOR_KEY'] ? { operatorKey: env['DOMICILE_OPERATOR_KEY'] } : {}),
    ...(env['DOMICILE_CA_FILE'] ? { caFile: env['DOMICILE_CA_FILE'] } : {}),
  },
  readStdin: () => text(process.stdin),
  askSecret: (question) => askSecret(question, process.stdin, process.stderr),
  setExitCode: (code) => {
    process.exitCode = code;
  },
});
