import { CommanderError } from '@commander-js/extra-typings';
import { isFault } from '../core/faults.ts';
import { EXIT } from './exit-codes.ts';
import { Failure, failureDocument, failureLines, usageError } from './failure.ts';
import { createProgram } from './program.ts';
import type { Context } from './context.ts';
import { withoutKeys } from './terminal.ts';
import { failureOfFault } from './vault/failure.ts';

/** A key that was typed as an argument is known to the process list and the shell's history: say so, use it for nothing. */
function refuseKeys(args: readonly string[]): void {
  if (args.every((arg) => withoutKeys(arg) === arg)) return;
  throw usageError(
    'An API key was given as an argument, where other users and the shell history see it',
    'Revoke this key, make another, and hand it over with --api-key-stdin or in the environment.',
  );
}

function exitCodeFor(error: unknown, context: Context, json: boolean): number {
  if (context.signal.aborted) return EXIT.interrupted;
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const failure = isFault(error) ? failureOfFault(error) : error;
  if (!(failure instanceof Failure)) throw failure;
  if (json) context.terminal.out(JSON.stringify(failureDocument(failure), null, 2));
  for (const line of failureLines(failure, context.invocation)) context.terminal.hint(line);
  return failure.exitCode;
}

/** Runs one command line to its end; sets the exit code, and throws only what is a defect of ours. */
export async function run(args: readonly string[], context: Context): Promise<void> {
  const { program, session } = createProgram(context);
  try {
    refuseKeys(args);
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    context.setExitCode(exitCodeFor(error, context, session.json()));
  } finally {
    await session.close();
  }
}
