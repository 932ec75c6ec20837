import { every, type Expression, type Facts, type Reason, some, type Verdict, weigh } from './expression.ts';
import { type ExcludedVolume, type Exclusion, excludedVolumes, type VolumeRule, type VolumesOf } from './volumes.ts';

/** A selection as it is stored. Without `match`, the simple form: `tags` and `instanceIds` of one connection. */
export type Selection = {
  id: string;
  connectionId: string | null;
  match: Expression | null;
  tags: readonly { key: string; value: string }[];
  instanceIds: readonly string[];
  excludeInstanceIds: readonly string[];
  excludeVolumeIds: readonly string[];
  excludeVolumes: readonly VolumeRule[];
};
export type Candidate = Facts & VolumesOf & { state: string };

type Outcome = 'selected' | 'not_selected' | 'excluded';
export type SelectionVerdict = { selectionId: string; outcome: Outcome; because: Reason[] };

/** What the selections of one plan say about one instance. */
export type Decision = {
  selected: boolean;
  /** The same in one line. */
  why: string;
  selections: SelectionVerdict[];
  /** Of the selections that choose it: what a backup evaluates again, on the volumes that the instance then has. */
  exclusions: Exclusion[];
  excludedVolumes: ExcludedVolume[];
};

/** The simple form is sugar: all tags, or one of the ids; neither is every instance of the connection. */
function weighSimple({ tags, instanceIds }: Selection, facts: Facts): Verdict {
  const tagged = tags.map((tag, n) => weigh({ tag }, facts, { pointer: `/tags/${n}`, wish: true }));
  if (instanceIds.length === 0) return every(tagged);
  const named = weigh({ instanceIds: [...instanceIds] }, facts, { pointer: '/instanceIds', wish: true });
  return tags.length === 0 ? named : some([every(tagged), named]);
}

function weighSelection(selection: Selection, facts: Facts): Verdict {
  const { connectionId, match } = selection;
  const chosen = match ? weigh(match, facts, { pointer: '/match', wish: true }) : weighSimple(selection, facts);
  if (connectionId === null) return chosen;
  const ofConnection = weigh({ connectionIds: [connectionId] }, facts, { pointer: '/connectionId', wish: true });
  // What else an instance of another account lacks is beside the point.
  return ofConnection.holds ? every([ofConnection, chosen]) : ofConnection;
}

/** An exclusion is of the selection's connection: ids of another account mean other instances. */
function excludedBy(selection: Selection, facts: Facts): Reason | null {
  const at = selection.excludeInstanceIds.indexOf(facts.instanceId);
  if (at < 0 || (selection.connectionId !== null && selection.connectionId !== facts.connectionId)) return null;
  return { pointer: `/excludeInstanceIds/${at}`, detail: `instance ${facts.instanceId} is excluded` };
}

function verdictOn(selection: Selection, facts: Facts): SelectionVerdict {
  const excluded = excludedBy(selection, facts);
  if (excluded) return { selectionId: selection.id, outcome: 'excluded', because: [excluded] };
  const { holds, because } = weighSelection(selection, facts);
  return { selectionId: selection.id, outcome: holds ? 'selected' : 'not_selected', because };
}

function exclusionsOf({ id: selectionId, excludeVolumeIds, excludeVolumes }: Selection): Exclusion[] {
  return [
    ...excludeVolumeIds.map((volumeId, n) => ({ selectionId, pointer: `/excludeVolumeIds/${n}`, rule: { volumeId } })),
    ...excludeVolumes.map((rule, n) => ({ selectionId, pointer: `/excludeVolumes/${n}`, rule })),
  ];
}

const line = ({ selectionId, because }: SelectionVerdict) =>
  `${selectionId}: ${because.map(({ detail }) => detail).join('; ')}`;

function inOneLine(verdicts: readonly SelectionVerdict[], nothingLeft: boolean): string {
  const excluding = verdicts.find(({ outcome }) => outcome === 'excluded');
  if (excluding) return `excluded by ${line(excluding)}`;
  if (nothingLeft) return 'selected, but each of its volumes is excluded';
  const choosing = verdicts.find(({ outcome }) => outcome === 'selected');
  if (choosing) return `selected by ${line(choosing)}`;
  return verdicts.map(line).join(' | ') || 'the plan has no selection';
}

/**
 * Do a plan's selections choose an instance, and why? The one place where this is decided: the scheduler, `explain` and
 * the list of unprotected instances all ask here, so that they cannot differ. Any selection may choose; an exclusion of
 * the instance in any selection wins. The volumes excluded are those of every selection that chooses; where none is left,
 * there is nothing to back up.
 */
export function decide(selections: readonly Selection[], instance: Candidate): Decision {
  const verdicts = selections.map((selection) => verdictOn(selection, instance));
  const chosen =
    verdicts.some(({ outcome }) => outcome === 'selected') && !verdicts.some(({ outcome }) => outcome === 'excluded');
  const exclusions = chosen
    ? selections.filter((_, n) => verdicts[n]?.outcome === 'selected').flatMap(exclusionsOf)
    : [];
  const out = excludedVolumes(instance, exclusions);
  const nothingLeft = out.length > 0 && out.length === instance.volumes.length;
  return {
    selected: chosen && !nothingLeft,
    why: inOneLine(verdicts, nothingLeft),
    selections: verdicts,
    exclusions,
    excludedVolumes: out,
  };
}
