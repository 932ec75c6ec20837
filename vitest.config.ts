import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';

// workerd runs offline, tells nobody that it does, and leaves no logs in the home directory.
process.env['CLOUDFLARE_CF_FETCH_ENABLED'] = 'false';
process.env['WRANGLER_SEND_METRICS'] = 'false';
process.env['WRANGLER_WRITE_LOGS'] = 'false';

/**
 * `unit` and `worker` (the router inside workerd) are `npm test`; `slow` holds suites that need installed third-party parts
 * or minutes; `.ci/run` runs all three.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          globalSetup: ['test/support/postgres-server.ts'],
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.slow.test.ts', 'test/**/*.worker.test.ts'],
          // One worker less than there are cores, the default, leaves a core of two idle.
          maxWorkers: 2,
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        // The flag is the test runner's need; the worker itself is deployed without it.
        plugins: [
          cloudflareTest({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: { compatibilityFlags: ['nodejs_compat'] },
          }),
        ],
        test: { name: 'worker', include: ['test/**/*.worker.test.ts'], testTimeout: 30_000 },
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
