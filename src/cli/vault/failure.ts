import { PROBLEMS } from '../../contract/problems.ts';
import { type Fault, type FaultCode, isFault } from '../../core/faults.ts';
import { EXIT, exitCodeOf } from '../exit-codes.ts';
import { Failure } from '../failure.ts';

/** Classes of what can be wrong with stored data (docs/format.md): no other try ends otherwise. */
const STORED: readonly FaultCode[] = ['object_missing', 'object_corrupt', 'wrong_key', 'unsupported_format'];

const NEXT: Partial<Record<FaultCode, string>> = {
  object_missing:
    'Take another point (domicile vault ls), or another copy of the bucket. Of a key: it may have been shredded.',
  object_corrupt: 'Take another point (domicile vault ls), or another copy of the bucket.',
  wrong_key: 'Give the keys of this tenant: --keys, --recovery-key, or AWS credentials that may use its key.',
  unsupported_format: 'Use a newer version of this program.',
  not_found: 'The points that are there: domicile vault ls',
  store_unavailable: 'Check the place, the network and your rights, and run it again.',
  key_unavailable: 'Check your rights to the key, or give --recovery-key or --keys.',
  residency_violation: 'Name the cell and one of its regions: --cell, --region.',
};

/** The messages of a fault and of what caused it, each once. */
function detailOf(fault: Fault): string {
  const messages: string[] = [];
  for (let error: unknown = fault; error instanceof Error; error = error.cause)
    if (!messages.includes(error.message)) messages.push(error.message);
  return messages.join(' ');
}

function exitCodeFor(fault: Fault): number {
  if (STORED.includes(fault.code)) return EXIT.jobFailed;
  if (fault.code === 'invalid_request') return EXIT.usage;
  // A store or key service that refuses is not one that is away.
  const away = fault.code === 'store_unavailable' || fault.code === 'key_unavailable';
  const { code } = away && isFault(fault.cause) ? fault.cause : fault;
  return exitCodeOf(PROBLEMS[code].status);
}

/** A fault of the engine, or of the file that is written, as the end of a command: its class is the code. */
export function failureOfFault(fault: Fault): Failure {
  const { code, facts } = fault;
  if (code === 'unavailable' && typeof facts['file'] === 'string')
    return new Failure(EXIT.jobFailed, `${facts['file']} cannot be written`, {
      detail: fault.message,
      next: 'Make room, or correct the path or its rights, and run it again: it goes on where it ended.',
    });
  return new Failure(exitCodeFor(fault), PROBLEMS[code].title, {
    detail: detailOf(fault),
    next: NEXT[code],
    code,
    facts,
  });
}
