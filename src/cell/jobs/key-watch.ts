import { unusableState } from '../../aws/kms-keys.ts';
import { Fault } from '../../core/faults.ts';
import type { Worker } from './worker.ts';

/** How long work with data keys that are open already may go on after their key was taken out of use. */
const LOOK_EVERY_MS = 60_000;

/**
 * Does work that holds open data keys, and ends it when their key of KMS is disabled meanwhile: without looking it would go on until
 * it needs another key. A key service that cannot be reached ends nothing.
 *
 * @param work is to stop when the signal it is given is aborted, and to throw its reason
 * @throws Fault `key_unavailable`, and what the work throws
 */
export async function whileKeyIsEnabled<T>(
  { aws, clock, region, vault }: Pick<Worker, 'aws' | 'clock' | 'region' | 'vault'>,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { homeAwsRegion } = region;
  const { kms } = aws.for(homeAwsRegion);
  const key = { keyArn: vault.dataKeyArn, awsRegion: homeAwsRegion };
  const [done, disabled] = [new AbortController(), new AbortController()];
  async function watch(): Promise<void> {
    for (;;) {
      await clock.sleep(LOOK_EVERY_MS, done.signal);
      if (done.signal.aborted) return;
      const state = await unusableState(kms, key, done.signal).catch(() => null);
      if (state === null) continue;
      return disabled.abort(
        new Fault('key_unavailable', `The cell's data key is ${state}. The job goes on when it is enabled.`),
      );
    }
  }
  const watching = watch();
  try {
    return await work(AbortSignal.any([signal, disabled.signal]));
  } finally {
    done.abort();
    await watching;
  }
}
