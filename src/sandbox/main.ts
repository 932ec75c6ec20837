import { parseArgs } from 'node:util';
import { createSandbox } from './server.ts';

const { values } = parseArgs({
  options: { port: { type: 'string', default: '0' }, dir: { type: 'string', default: '.sandbox' } },
});
const sandbox = await createSandbox({ dir: values.dir, port: Number(values.port) });
process.stdout.write(`${JSON.stringify({ url: sandbox.url })}\n`);

const stop = () => {
  sandbox.close().then(
    () => process.exit(0),
    () => process.exit(1),
  );
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
