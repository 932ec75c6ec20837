import { execFile } from 'node:child_process';
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
/** Tests of the engine need no database: its server is not started for them. */
const CONFIG =
  "export default { test: { include: ['test/**/*.test.ts'], testTimeout: 120_000, fileParallelism: false } };\n";
const PARTS = ['src', 'test', 'regions', 'scripts', 'tools', 'docs', 'package.json', 'tsconfig.json'];

/** A bug to be seeded: what of the engine it breaks, and the test that must notice. */
export type Mutant = { name: string; file: string; killedBy: string };

/** The bugs, as patches with two lines of heading each. */
export function mutants(): Mutant[] {
  return globSync('*.patch', { cwd: import.meta.dirname })
    .toSorted()
    .map((name) => {
      const file = join(import.meta.dirname, name);
      const killedBy = /^# killed by: (\S+)$/m.exec(readFileSync(file, 'utf8'))?.[1];
      if (killedBy === undefined) throw new Error(`${name} does not say which test notices it`);
      return { name: basename(name, '.patch'), file, killedBy };
    });
}

/** A copy of the project that tests can be run in. */
export function createCopy() {
  const dir = mkdtempSync(join(tmpdir(), 'mutants-'));
  for (const part of PARTS) cpSync(join(ROOT, part), join(dir, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  writeFileSync(join(dir, 'vitest.config.ts'), CONFIG);
  const patch = (file: string, ...how: string[]) => run('git', ['apply', ...how, file], { cwd: dir });

  /** How a test file ends here. `failed` is the number of tests that failed; an error beside tests is thrown. */
  async function runTests(file: string): Promise<{ passed: number; failed: number }> {
    const report = join(dir, 'report.json');
    const args = ['node_modules/vitest/vitest.mjs', 'run', file, '--reporter=json', `--outputFile=${report}`];
    const { stderr } = await run(process.execPath, args, { cwd: dir, maxBuffer: 2 ** 26 }).catch((error: unknown) => {
      return error as { stderr: string };
    });
    const { numPassedTests: passed, numFailedTests: failed } = JSON.parse(readFileSync(report, 'utf8')) as {
      numPassedTests: number;
      numFailedTests: number;
    };
    rmSync(report);
    if (passed + failed === 0) throw new Error(`${file} ran no test: ${stderr}`);
    return { passed, failed };
  }
  return {
    runTests,
    /** Runs a mutant's test with its bug in place. @throws when the patch no longer applies */
    async play({ file, killedBy }: Mutant) {
      await patch(file);
      try {
        return await runTests(killedBy);
      } finally {
        await patch(file, '-R');
      }
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
