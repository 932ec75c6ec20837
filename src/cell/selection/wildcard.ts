const ESCAPABLE = '\\*';

/** The literal texts between the stars of a pattern: `a*b` → `['a', 'b']`. `\*` is a star and `\\` a backslash. */
function segmentsOf(pattern: string): string[] {
  const segments = [''];
  for (let at = 0; at < pattern.length; at += 1) {
    if (pattern[at] === '*') {
      segments.push('');
      continue;
    }
    const next = pattern[at + 1];
    if (pattern[at] === '\\' && next !== undefined && ESCAPABLE.includes(next)) at += 1;
    segments.push(`${segments.pop() ?? ''}${pattern[at] ?? ''}`);
  }
  return segments;
}

/** Does the pattern hold a `*` that stands for any run of characters? */
export const isWildcard = (pattern: string): boolean => segmentsOf(pattern).length > 1;

/**
 * Is the text what the pattern says? `*` stands for any run of characters, none included, as in AWS Backup's selections;
 * letters are told apart by case, as AWS does in tags. Takes the leftmost place for each segment, so that no pattern is
 * slow: a tenant writes patterns, and a regular expression could be made to run for ever.
 */
export function matchesWildcard(pattern: string, text: string): boolean {
  const segments = segmentsOf(pattern);
  const [first = '', ...rest] = segments;
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const segment of rest) {
    const found = text.indexOf(segment, at);
    if (found < 0) return false;
    at = found + segment.length;
  }
  return text.length - at >= last.length && text.endsWith(last);
}
