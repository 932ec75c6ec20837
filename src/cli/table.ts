/** A column: its heading and the text of a row in it. */
export type Column<T> = { title: string; text: (row: T) => string | number | null };

/** Rows under headings, each column as wide as its widest cell; nothing is cut off. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[]): string[] {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ text }) => String(text(row) ?? '-').replaceAll('\n', ' '))),
  ];
  const widths = columns.map((_, n) => Math.max(...cells.map((line) => line[n]?.length ?? 0)));
  return cells.map((line) =>
    line
      .map((cell, n) => cell.padEnd(widths[n] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** One thing as `name  value` lines; what is null is left out. */
export function facts(values: Record<string, string | number | boolean | null | undefined>): string[] {
  const shown = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `1536` → `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  const step = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** step).toFixed(step === 0 ? 0 : 1)} ${UNITS[step]}`;
}

/** `2026-11-23T03:00:00.000Z` → `2026-11-23 03:00:00Z`. */
export function formatTime(time: string | null): string | null {
  return time === null ? null : time.replace('T', ' ').replace(/\.\d+Z$/, 'Z');
}
