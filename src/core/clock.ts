/** Time as a dependency: services take a clock, tests hand in one that they move. All instants are UTC. */
export type Clock = {
  now(): Date;
  /** Resolves after `ms` milliseconds, or at once when `signal` aborts (it does not reject: callers check the signal). */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
};

/** The machine's clock: the only place outside tests that reads it. */
export const systemClock: Clock = {
  now: () => new Date(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done, { once: true });
    }),
};
