const NAMED: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

const unescaped = (text: string) =>
  text.replace(/&(?:(amp|lt|gt|quot|apos)|#(x?)([0-9a-fA-F]+));/g, (_, name: string, hex: string, code: string) =>
    name ? (NAMED[name] ?? '') : String.fromCodePoint(Number.parseInt(code, hex ? 16 : 10)),
  );

/** The insides of every element of that name. Requests of S3 are small and flat: elements do not nest in their own. */
export function elements(xml: string, name: string): string[] {
  const found = xml.matchAll(new RegExp(`<${name}(?:\\s[^>]*)?(?:/>|>([\\s\\S]*?)</${name}>)`, 'g'));
  return [...found].map((match) => match[1] ?? '');
}

/** The text of the first element of that name, or undefined. */
export function elementText(xml: string, name: string): string | undefined {
  const [first] = elements(xml, name);
  return first === undefined ? undefined : unescaped(first);
}
