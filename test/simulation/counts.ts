/** How often things happened, by group and name. */
export type Counts = Map<string, number>;

export type Group = 'operation' | 'fault' | 'crash' | 'sometimes';

export function count(counts: Counts, group: Group, name: string, times = 1): void {
  const key = `${group}: ${name}`;
  counts.set(key, (counts.get(key) ?? 0) + times);
}

export function addCounts(into: Counts, more: Iterable<readonly [string, number]>): void {
  for (const [key, times] of more) into.set(key, (into.get(key) ?? 0) + times);
}
