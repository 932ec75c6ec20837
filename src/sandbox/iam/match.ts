const GLOBS = new Map<string, RegExp>();
const GLOBS_MAX = 10_000;

/** Does the text match an IAM pattern, in which `*` is any run of characters and `?` any one? */
export function globMatches(pattern: string, text: string, ignoreCase = false): boolean {
  if (pattern === '*') return true;
  const key = `${ignoreCase ? 'i' : 's'}:${pattern}`;
  let compiled = GLOBS.get(key);
  if (!compiled) {
    const source = pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '[\\s\\S]*')
      .replaceAll('?', '[\\s\\S]');
    compiled = new RegExp(`^${source}$`, ignoreCase ? 'i' : '');
    if (GLOBS.size >= GLOBS_MAX) GLOBS.clear();
    GLOBS.set(key, compiled);
  }
  return compiled.test(text);
}

/** ARNs match part by part: a `*` in one of the first five parts does not reach across a colon. */
export function arnMatches(pattern: string, arn: string): boolean {
  if (pattern === '*') return true;
  const [want, have] = [pattern.split(':'), arn.split(':')];
  if (want.length < 6 || have.length < 6) return globMatches(pattern, arn);
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

/** Replaces `${aws:PrincipalTag/x}` and the like. A variable without a value makes the text match nothing. */
export function substitute(text: string, context: Context): string | null {
  if (!text.includes('${')) return text;
  let missing = false;
  const result = text.replace(/\$\{([^}]+)\}/g, (_, name: string) => {
    if (name === '*' || name === '?' || name === '$') return name;
    const [key = '', fallback] = name.split(',').map((part) => part.trim());
    const values = context.get(key.toLowerCase());
    const value = values?.length === 1 ? values[0] : fallback?.replace(/^'|'$/g, '');
    if (value === undefined) missing = true;
    return value ?? '';
  });
  return missing ? null : result;
}
