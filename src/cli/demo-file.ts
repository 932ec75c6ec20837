import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT } from './exit-codes.ts';
import { Failure, usageError } from './failure.ts';

/** The part of `.domicile/demo.json` that the command line uses; `npm start` writes it. */
type DemoFile = {
  routerUrl: string;
  cells: Record<string, { url: string; operatorKey: string }>;
  tenants: readonly { cell: string; apiKey: string }[];
};

/** The access to one cell of the running demo. */
export type DemoAccess = { url: string; apiKey: string; operatorKey: string };

/**
 * Reads the demo of a folder.
 *
 * @throws Failure when no demo was started there, or when it has no such cell
 */
export function readDemo(folder: string, cell: string): DemoAccess {
  const path = join(folder, '.domicile', 'demo.json');
  let demo: DemoFile;
  try {
    demo = JSON.parse(readFileSync(path, 'utf8')) as DemoFile;
  } catch (error) {
    throw new Failure(EXIT.usage, `There is no demo in ${folder}`, {
      detail: error instanceof SyntaxError ? `${path} is not JSON` : `${path} cannot be read`,
      next: 'Start it with: npm start',
    });
  }
  const apiKey = demo.tenants.find((tenant) => tenant.cell === cell)?.apiKey;
  const operatorKey = demo.cells[cell]?.operatorKey;
  if (!apiKey || !operatorKey) {
    throw usageError(`The demo has no cell ${cell}`, `Its cells are: ${Object.keys(demo.cells).join(', ')}`);
  }
  return { url: demo.routerUrl, apiKey, operatorKey };
}
