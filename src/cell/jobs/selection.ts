/** The part of a selection, and of an instance, that decides. */
export type SelectionRule = {
  connectionId: string;
  tags: readonly { key: string; value: string }[];
  instanceIds: readonly string[];
  excludeInstanceIds: readonly string[];
  excludeVolumeIds: readonly string[];
};
export type Candidate = { connectionId: string; instanceId: string; state: string; tags: Record<string, string> };

export type Selected<T> = { instance: T; excludeVolumeIds: string[] };

function selects(selection: SelectionRule, instance: Candidate): boolean {
  if (selection.connectionId !== instance.connectionId || selection.excludeInstanceIds.includes(instance.instanceId))
    return false;
  const named = selection.instanceIds.includes(instance.instanceId);
  if (selection.tags.length === 0) return named || selection.instanceIds.length === 0;
  return named || selection.tags.every(({ key, value }) => instance.tags[key] === value);
}

/**
 * The instances that a plan's selections choose, each once: those with all tags, and those named; neither given means every
 * instance of the connection. An exclusion wins over every selection; excluded volumes of all selections are left out.
 */
export function selectInstances<T extends Candidate>(
  selections: readonly SelectionRule[],
  candidates: readonly T[],
): Selected<T>[] {
  const excluded = new Set(
    selections.flatMap((selection) => selection.excludeInstanceIds.map((id) => `${selection.connectionId}/${id}`)),
  );
  return candidates.flatMap((instance) => {
    if (instance.state === 'terminated' || excluded.has(`${instance.connectionId}/${instance.instanceId}`)) return [];
    const choosing = selections.filter((selection) => selects(selection, instance));
    if (choosing.length === 0) return [];
    return [{ instance, excludeVolumeIds: [...new Set(choosing.flatMap((selection) => selection.excludeVolumeIds))] }];
  });
}
