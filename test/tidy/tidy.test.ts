import { globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Source, violations } from './rules.ts';

const ROOT = new URL('../../', import.meta.url);
const files = globSync(['src/**/*.ts', 'regions/**/*.ts', 'test/**/*.ts', '*.config.ts'], { cwd: ROOT });
const sources: Source[] = files.map((path) => ({ path, text: readFileSync(new URL(path, ROOT), 'utf8') }));

/** Each is a file that must be refused, and a word of the refusal: a gate that refuses nothing is no gate. */
const PLANTED: [string, Source, string][] = [
  [
    'core importing the cell',
    { path: 'src/core/x.ts', text: "import { a } from '../cell/main.ts';" },
    'core may not import cell',
  ],
  [
    'a type import that crosses',
    { path: 'src/vault/x.ts', text: "import type { A } from '../aws/ec2.ts';" },
    'vault may not import aws',
  ],
  [
    'a dynamic import that crosses',
    { path: 'src/vault/x.ts', text: "await import('../aws/ec2.ts')" },
    'vault may not import aws',
  ],
  [
    'the sandbox sharing code with aws',
    { path: 'src/sandbox/x.ts', text: "import '../aws/ec2.ts';" },
    'sandbox may not import aws',
  ],
  [
    'the router taking zod along',
    { path: 'src/router/x.ts', text: "import { a } from '../contract/common.ts';" },
    'no zod',
  ],
  [
    'the API tier reaching for AWS',
    { path: 'src/cell/api/x.ts', text: "import { a } from '../../aws/ec2.ts';" },
    'touches no AWS',
  ],
  [
    'the API tier running jobs',
    { path: 'src/cell/services/x.ts', text: "import { a } from '../jobs/backup.ts';" },
    'only enqueues',
  ],
  [
    'the operator taking our clients along',
    { path: 'src/local/x.ts', text: "import { a } from '../aws/clients.ts';" },
    'documents, not our clients',
  ],
  ['an SDK outside aws', { path: 'src/cell/x.ts', text: "import { S3 } from '@aws-sdk/client-s3';" }, 'AWS SDK'],
  ['a clock of its own', { path: 'src/cell/x.ts', text: 'const t = Date.now();' }, 'Clock'],
  ['randomness of its own', { path: 'src/cell/x.ts', text: 'const r = Math.random();' }, 'crypto'],
  ['the environment anywhere', { path: 'src/cell/jobs/x.ts', text: 'process.env.HOME' }, 'config.ts'],
  ['an AWS host in code', { path: 'src/aws/x.ts', text: "const host = 'sts.amazonaws.com';" }, 'regions/'],
  ['the engine on the network', { path: 'src/vault/x.ts', text: "await fetch('https://x')" }, 'no network'],
  ['work left in code', { path: 'src/core/x.ts', text: '// TODO later' }, 'issue'],
  ['an any', { path: 'src/core/x.ts', text: 'const x: any = 1;' }, 'types'],
  ['a default export', { path: 'src/core/x.ts', text: 'export default 1;' }, 'names'],
  ['a barrel', { path: 'src/core/x.ts', text: "export * from './y.ts';" }, 'barrels'],
  ['a file that is too long', { path: 'src/core/x.ts', text: '\n'.repeat(401) }, 'longer'],
  ['the product importing a test', { path: 'src/core/x.ts', text: "import '../../test/tidy/rules.ts';" }, 'no test'],
  ['a folder nobody planned', { path: 'src/utils/x.ts', text: '' }, 'house plan'],
];

describe('the house is tidy', () => {
  test('there are files to look at', () => {
    expect(sources.filter((source) => source.path.startsWith('src/')).length).toBeGreaterThan(20);
  });

  test('no file breaks a rule', () => {
    expect(violations(sources)).toEqual([]);
  });

  test.each(PLANTED)('%s is refused', (_name, planted, word) => {
    expect(violations([planted]).join('\n')).toContain(word);
  });

  test('an import cycle is refused', () => {
    const a = { path: 'src/core/a.ts', text: "import './b.ts';" };
    const b = { path: 'src/core/b.ts', text: "import './a.ts';" };
    expect(violations([a, b]).join('\n')).toContain('src/core/a.ts → src/core/b.ts → src/core/a.ts');
  });
});
