/** Text as XML content. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);
}

/** A value that becomes an element's content: text, numbers, nested objects, or a list (one element for each). */
export type Xml = string | number | boolean | Date | null | undefined | Xml[] | { [name: string]: Xml };

/** Elements for an object's members, in order; absent ones are left out, lists repeat their element. */
export function toXml(members: { [name: string]: Xml }): string {
  return Object.entries(members)
    .map(([name, value]) => element(name, value))
    .join('');
}

function element(name: string, value: Xml): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map((item) => element(name, item)).join('');
  if (value instanceof Date) return `<${name}>${value.toISOString()}</${name}>`;
  if (typeof value === 'object') return `<${name}>${toXml(value)}</${name}>`;
  return `<${name}>${escapeXml(String(value))}</${name}>`;
}
