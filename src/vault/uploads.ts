/** Puts under way: at most `limit`; the first failure is thrown by whatever is called next. */
export function createUploads(limit: number) {
  const flying = new Set<Promise<void>>();
  let failure: { error: unknown } | null = null;
  const check = () => {
    if (failure) throw failure.error;
  };
  return {
    /** Takes over an upload, and returns as soon as another one may begin. */
    async start(upload: Promise<void>): Promise<void> {
      const done = (error?: { error: unknown }) => {
        failure ??= error ?? null;
        flying.delete(tracked);
      };
      const tracked: Promise<void> = upload.then(
        () => done(),
        (error: unknown) => done({ error }),
      );
      flying.add(tracked);
      if (flying.size >= limit) await Promise.race(flying);
      check();
    },
    async finish(): Promise<void> {
      await Promise.all(flying);
      check();
    },
    async settle(): Promise<void> {
      await Promise.all(flying);
    },
  };
}
