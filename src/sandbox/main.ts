import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createSandbox } from './server.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    dir: { type: 'string', default: '.sandbox' },
    quotas: { type: 'boolean', default: false },
    'snapshot-visible-after-ms': { type: 'string', default: '0' },
    'snapshot-completes-after-ms': { type: 'string' },
    'iam-effective-after-ms': { type: 'string', default: '0' },
  },
});
const completes = values['snapshot-completes-after-ms'];
const sandbox = await createSandbox({
  dir: values.dir,
  port: Number(values.port),
  settings: {
    quotas: values.quotas,
    snapshotVisibleAfterMs: Number(values['snapshot-visible-after-ms']),
    snapshotCompletesAfterMs: completes === undefined ? null : Number(completes),
    iamEffectiveAfterMs: Number(values['iam-effective-after-ms']),
  },
});
// Tools on this machine find the sandbox by its folder.
const urlFile = join(values.dir, 'url');
writeFileSync(urlFile, `${sandbox.url}\n`);
process.stdout.write(`${JSON.stringify({ url: sandbox.url })}\n`);

const stop = () => {
  rmSync(urlFile, { force: true });
  sandbox.close().then(
    () => process.exit(0),
    () => process.exit(1),
  );
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
