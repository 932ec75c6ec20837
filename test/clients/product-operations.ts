import { globSync, readFileSync } from 'node:fs';

/** Every AWS operation that the product's own code sends, sorted. */
export function productOperations(): string[] {
  const names = globSync('src/aws/**/*.ts').flatMap((path) =>
    [...readFileSync(path, 'utf8').matchAll(/\bnew ([A-Z]\w+)Command\(/g)].map((match) => match[1] ?? ''),
  );
  return [...new Set(names)].toSorted();
}
