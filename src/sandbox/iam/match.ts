const GLOBS = new Map<string, RegExp>();
const GLOBS_MAX = 10_000;

/** Wildcards that a policy variable brought in, or `${*}`, stand for themselves: marked by characters of private use. */
const LITERAL_STAR = '\u{E000}';
const LITERAL_MARK = '\u{E001}';
const asLiteral = (value: string) => value.replaceAll('*', LITERAL_STAR).replaceAll('?', LITERAL_MARK);
/** A substituted text for operators that know no wildcards. */
export const plain = (text: string) => text.replaceAll(LITERAL_STAR, '*').replaceAll(LITERAL_MARK, '?');

/** Does the text match an IAM pattern, in which `*` is any run of characters and `?` any one? */
export function globMatches(pattern: string, text: string, ignoreCase = false): boolean {
  if (pattern === '*') return true;
  const key = `${ignoreCase ? 'i' : 's'}:${pattern}`;
  let compiled = GLOBS.get(key);
  if (!compiled) {
    const source = pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '[\\s\\S]*')
      .replaceAll('?', '[\\s\\S]')
      .replaceAll(LITERAL_STAR, '\\*')
      .replaceAll(LITERAL_MARK, '\\?');
    compiled = new RegExp(`^${source}$`, ignoreCase ? 'i' : '');
    if (GLOBS.size >= GLOBS_MAX) GLOBS.clear();
    GLOBS.set(key, compiled);
  }
  return compiled.test(text);
}

/** ARNs match part by part, six of them: a `*` in one of the first five parts does not reach across a colon. */
export function arnMatches(pattern: string, arn: string): boolean {
  if (pattern === '*') return true;
  const [want, have] = [pattern.split(':'), arn.split(':')];
  if (want.length < 6 || have.length < 6) return false;
  const head = want.slice(0, 5).every((part, i) => globMatches(part, have[i] ?? ''));
  return head && globMatches(want.slice(5).join(':'), have.slice(5).join(':'));
}

/** Condition keys of a request: lower-cased names, one or more values each. */
export type Context = ReadonlyMap<string, readonly string[]>;

export function toContext(entries: Iterable<readonly [string, string | readonly string[] | undefined]>): Context {
  const context = new Map<string, readonly string[]>();
  for (const [key, value] of entries) {
    if (value !== undefined) context.set(key.toLowerCase(), typeof value === 'string' ? [value] : value);
  }
  return context;
}

/**
 * Replaces `${aws:PrincipalTag/x}` and `${aws:PrincipalTag/x, 'default'}`. A variable without a single value makes the
 * text match nothing. Source: IAM guide, "Policy variables".
 */
export function substitute(text: string, context: Context): string | null {
  if (!text.includes('${')) return text;
  let missing = false;
  const result = text.replace(/\$\{([^}]+)\}/g, (_, name: string) => {
    if (name === '*' || name === '?') return asLiteral(name);
    if (name === '$') return name;
    const [, key = '', fallback] = /^\s*([^,]*?)\s*(?:,\s*'([^']*)')?\s*$/.exec(name) ?? [];
    const values = context.get(key.toLowerCase());
    const value = values?.length === 1 ? values[0] : fallback;
    if (value === undefined) missing = true;
    return asLiteral(value ?? '');
  });
  return missing ? null : result;
}

/** An element that may be one text or a list of them; numbers and booleans count as their text. */
export function texts(value: unknown): string[] {
  const list: unknown[] = Array.isArray(value) ? value : value === undefined ? [] : [value];
  return list.map((item) => (typeof item === 'string' ? item : JSON.stringify(item)));
}
