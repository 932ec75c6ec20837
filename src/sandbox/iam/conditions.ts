import { BlockList, isIP } from 'node:net';
import { arnMatches, type Context, globMatches, plain, substitute, texts } from './match.ts';

type Test = (want: string, have: string) => boolean;

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const number =
  (compare: (have: number, want: number) => boolean): Test =>
  (want, have) =>
    DECIMAL.test(have) && DECIMAL.test(want) && compare(Number(have), Number(want));
const truth: Test = (want, have) => /^(true|false)$/i.test(want) && want.toLowerCase() === have.toLowerCase();
const instant = (text: string) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text));
const date =
  (compare: (have: number, want: number) => boolean): Test =>
  (want, have) => {
    const [a, b] = [instant(have), instant(want)];
    return !Number.isNaN(a) && !Number.isNaN(b) && compare(a, b);
  };

function inNetwork(network: string, address: string): boolean {
  const [base = '', prefix] = network.split('/');
  const version = isIP(base);
  if (version === 0 || version !== isIP(address)) return false;
  const [family, bits] = version === 6 ? (['ipv6', 128] as const) : (['ipv4', 32] as const);
  const length = prefix === undefined ? bits : Number(prefix);
  if (!Number.isInteger(length) || length < 0 || length > bits) return false;
  const list = new BlockList();
  list.addSubnet(base, length, family);
  return list.check(address, family);
}

/** Positive operators; the negated ones are built from them. Source: IAM guide, "Condition operators". */
const POSITIVE: Record<string, Test> = {
  stringequals: (want, have) => want === have,
  stringequalsignorecase: (want, have) => want.toLowerCase() === have.toLowerCase(),
  stringlike: (want, have) => globMatches(want, have),
  numericequals: number((a, b) => a === b),
  numericlessthan: number((a, b) => a < b),
  numericlessthanequals: number((a, b) => a <= b),
  numericgreaterthan: number((a, b) => a > b),
  numericgreaterthanequals: number((a, b) => a >= b),
  dateequals: date((a, b) => a === b),
  datelessthan: date((a, b) => a < b),
  datelessthanequals: date((a, b) => a <= b),
  dategreaterthan: date((a, b) => a > b),
  dategreaterthanequals: date((a, b) => a >= b),
  bool: truth,
  binaryequals: (want, have) => want === have,
  ipaddress: inNetwork,
  arnequals: arnMatches,
  arnlike: arnMatches,
};
const TAKES_WILDCARDS = new Set(['stringlike', 'arnequals', 'arnlike']);
const NEGATED: Record<string, string> = {
  stringnotequals: 'stringequals',
  stringnotequalsignorecase: 'stringequalsignorecase',
  stringnotlike: 'stringlike',
  numericnotequals: 'numericequals',
  datenotequals: 'dateequals',
  notipaddress: 'ipaddress',
  arnnotequals: 'arnequals',
  arnnotlike: 'arnlike',
};

type Parsed = { test: Test; negated: boolean; ifExists: boolean; set: 'all' | 'any' | null };

/** Is this the name of an operator, with its prefix and suffix? */
export const isOperator = (name: string): boolean => /^null$/i.test(name) || parseOperator(name) !== null;

function parseOperator(text: string): Parsed | null {
  const match = /^(?:(forallvalues|foranyvalue):)?([a-z]+?)(ifexists)?$/.exec(text.toLowerCase());
  const name = match?.[2] ?? '';
  const positive = NEGATED[name] ?? name;
  const compare = Object.hasOwn(POSITIVE, positive) ? POSITIVE[positive] : undefined;
  if (!compare) return null;
  const test: Test = TAKES_WILDCARDS.has(positive) ? compare : (want, have) => compare(plain(want), have);
  const set = match?.[1] === 'forallvalues' ? 'all' : match?.[1] === 'foranyvalue' ? 'any' : null;
  return { test, negated: name in NEGATED, ifExists: match?.[3] !== undefined, set };
}

function keyHolds(operator: Parsed, wanted: readonly string[], values: readonly string[] | undefined): boolean {
  const { test, negated, ifExists, set } = operator;
  if (values === undefined || values.length === 0) {
    // Absent: ForAllValues and IfExists are true, a negated operator is true, everything else is false.
    return set === 'all' || ifExists || (negated && set !== 'any');
  }
  const one = (have: string) => wanted.some((want) => test(want, have)) !== negated;
  return set === 'all' ? values.every(one) : set === 'any' ? values.some(one) : values.every(one);
}

/**
 * Do all conditions of a statement hold? An operator that we do not know is never satisfied: the sandbox would rather
 * refuse what AWS allows than the other way round. `fill` replaces policy variables, or gives null where one has no value.
 */
export function conditionsHold(
  condition: unknown,
  context: Context,
  fill: (text: string) => string | null = (text) => substitute(text, context),
): boolean {
  if (condition === undefined) return true;
  for (const [name, keys] of Object.entries(condition as Record<string, Record<string, unknown>>)) {
    for (const [key, value] of Object.entries(keys)) {
      const have = context.get(key.toLowerCase());
      if (name.toLowerCase() === 'null') {
        const absent = have === undefined || have.length === 0;
        if (!texts(value).some((text) => truth(text, String(absent)))) return false;
        continue;
      }
      const operator = parseOperator(name);
      const wanted = texts(value).flatMap((text) => fill(text) ?? []);
      if (!operator || !keyHolds(operator, wanted, have)) return false;
    }
  }
  return true;
}
