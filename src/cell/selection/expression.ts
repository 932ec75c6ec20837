import { isWildcard, matchesWildcard } from './wildcard.ts';

/** A tag by key and value, both with `*` for any run of characters; without a value, any value. */
export type TagPattern = { key: string; value?: string | undefined };

/** A boolean expression over instances. Exactly one field is there; the contract sees to it. */
export type Expression = {
  and?: Expression[] | undefined;
  or?: Expression[] | undefined;
  not?: Expression | undefined;
  tag?: TagPattern | undefined;
  /** One of the ids in a list is enough; so in the three lists below. */
  instanceIds?: string[] | undefined;
  vpcIds?: string[] | undefined;
  awsRegions?: string[] | undefined;
  connectionIds?: string[] | undefined;
};

/** What an expression can ask of an instance. */
export type Facts = {
  connectionId: string;
  instanceId: string;
  awsRegion: string;
  vpcId: string | null;
  tags: Record<string, string>;
};

/** A part of a selection that decided, by its JSON pointer in the selection, and the fact in words. */
export type Reason = { pointer: string; detail: string };
/** Does it hold, and which of its parts made it so: those that came out the same way. */
export type Verdict = { holds: boolean; because: Reason[] };

const decided = (holds: boolean, parts: readonly Verdict[]): Verdict => ({
  holds,
  because: parts.filter((part) => part.holds === holds).flatMap((part) => part.because),
});
export const every = (parts: readonly Verdict[]): Verdict =>
  decided(
    parts.every((part) => part.holds),
    parts,
  );
export const some = (parts: readonly Verdict[]): Verdict =>
  decided(
    parts.some((part) => part.holds),
    parts,
  );

/** Something asked of an instance: what is the case, what was asked for, and whether that is so. */
type Finding = { fact: string; wanted: string; unwanted?: string; met: boolean };
/** Where a question stands, and whether it is to be met, or (below an odd number of `not`) not. */
type Place = { pointer: string; wish: boolean };

function verdictOf({ fact, wanted, unwanted, met }: Finding, { pointer, wish }: Place): Verdict {
  const holds = met === wish;
  const hoped = wish ? wanted : (unwanted ?? `not ${wanted}`);
  return { holds, because: [{ pointer, detail: holds ? fact : `${fact}, wanted ${hoped}` }] };
}

const NAMED_MAX = 3;
const anyOf = (names: readonly string[]) =>
  names.length <= NAMED_MAX ? names.join(' or ') : `one of ${names.length} that are named`;

function listed(what: string, actual: string | null, names: readonly string[]): Finding {
  const met = actual !== null && names.includes(actual);
  return { fact: `${what} is ${actual ?? 'none'}`, wanted: anyOf(names), met };
}

const quoted = (pattern: string) => (isWildcard(pattern) ? `like "${pattern}"` : `"${pattern}"`);

/** What the tags of something say to a pattern. */
export function tagFinding(tags: Record<string, string>, { key, value }: TagPattern): Finding {
  const ofKey = Object.entries(tags).filter(([name]) => matchesWildcard(key, name));
  const match = ofKey.find(([, text]) => value === undefined || matchesWildcard(value, text));
  const [name, text] = match ?? ofKey[0] ?? [];
  const missing = isWildcard(key) ? `no tag is like ${key}` : `tag ${key} is missing`;
  return {
    fact: name === undefined ? missing : `tag ${name} is "${text ?? ''}"`,
    wanted: value === undefined ? 'any value' : quoted(value),
    ...(value === undefined ? { unwanted: 'no such tag' } : {}),
    met: match !== undefined,
  };
}

function findingOf(node: Expression, facts: Facts): Finding {
  if (node.tag) return tagFinding(facts.tags, node.tag);
  if (node.instanceIds) return listed('instance', facts.instanceId, node.instanceIds);
  if (node.vpcIds) return listed('VPC', facts.vpcId, node.vpcIds);
  if (node.awsRegions) return listed('region', facts.awsRegion, node.awsRegions);
  return listed('connection', facts.connectionId, node.connectionIds ?? []);
}

/**
 * Weighs an expression against one instance. A `not` is carried down to what is asked, so that every reason is said the
 * way round that decided: `tag env is "prod", wanted not "prod"`.
 */
export function weigh(node: Expression, facts: Facts, place: Place): Verdict {
  const { pointer, wish } = place;
  if (node.not) return weigh(node.not, facts, { pointer: `${pointer}/not`, wish: !wish });
  const children = node.and ?? node.or;
  if (!children) return verdictOf(findingOf(node, facts), place);
  const name = node.and ? 'and' : 'or';
  const parts = children.map((child, n) => weigh(child, facts, { pointer: `${pointer}/${name}/${n}`, wish }));
  return (name === 'and') === wish ? every(parts) : some(parts);
}
