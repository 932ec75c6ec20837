import { defineConfig } from 'vitest/config';

/** `unit` is `npm test`; `slow` holds suites that need installed third-party parts or minutes; `.ci/run` runs both. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          globalSetup: ['test/support/postgres-server.ts'],
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.slow.test.ts', 'test/**/*.worker.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'slow',
          globalSetup: ['test/support/postgres-server.ts'],
          include: ['test/**/*.slow.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
