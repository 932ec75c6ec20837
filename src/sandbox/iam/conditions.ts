import { BlockList, isIP } from 'node:net';
import { arnMatches, type Context, globMatches, substitute } from './match.ts';
import { texts } from './policy.ts';

type Test = (want: string, have: string) => boolean;

const number =
  (compare: (have: number, want: number) => boolean): Test =>
  (want, have) => {
    const [a, b] = [Number(have), Number(want)];
    return have !== '' && !Number.isNaN(a) && !Number.isNaN(b) && compare(a, b);
  };
const instant = (text: string) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text));
const date =
  (compare: (have: number, want: number) => boolean): Test =>
  (want, have) => {
    const [a, b] = [instant(have), instant(want)];
    return !Number.isNaN(a) && !Number.isNaN(b) && compare(a, b);
  };

function inNetwork(network: string, address: string): boolean {
  const [base = '', prefix] = network.split('/');
  const family = isIP(base) === 6 ? 'ipv6' : 'ipv4';
  if (isIP(base) === 0 || isIP(address) === 0) return false;
  const list = new BlockList();
  list.addSubnet(base, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
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
  bool: (want, have) => want.toLowerCase() === have.toLowerCase(),
  binaryequals: (want, have) => want === have,
  ipaddress: inNetwork,
  arnequals: arnMatches,
  arnlike: arnMatches,
};
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

function parseOperator(text: string): Parsed | null {
  const match = /^(?:(forallvalues|foranyvalue):)?([a-z]+?)(ifexists)?$/.exec(text.toLowerCase());
  const name = match?.[2] ?? '';
  const test = POSITIVE[NEGATED[name] ?? name];
  if (!test) return null;
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
 * refuse what AWS allows than the other way round.
 */
export function conditionsHold(condition: unknown, context: Context): boolean {
  if (condition === undefined) return true;
  for (const [name, keys] of Object.entries(condition as Record<string, Record<string, unknown>>)) {
    for (const [key, value] of Object.entries(keys)) {
      const have = context.get(key.toLowerCase());
      if (name.toLowerCase() === 'null') {
        if ((have === undefined) !== texts(value).includes('true')) return false;
        continue;
      }
      const operator = parseOperator(name);
      const wanted = texts(value).flatMap((text) => substitute(text, context) ?? []);
      if (!operator || !keyHolds(operator, wanted, have)) return false;
    }
  }
  return true;
}
