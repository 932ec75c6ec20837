import { dirname, join, normalize } from 'node:path';

/** A Markdown page: its path from the project's root, and its text. */
export type Page = { path: string; text: string };

const FENCE = /^( *)```(\w*)\n([\s\S]*?)^\1```/gm;

/** The text of a page's fenced blocks in one language. */
export function blocksOf({ text }: Page, language: string): string[] {
  return [...text.matchAll(FENCE)].flatMap(([, , named, body]) => (named === language && body ? [body] : []));
}

const prose = ({ text }: Page) => text.replace(FENCE, '');

/** Anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: Page): string[] {
  const headings = [...prose(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** Links of a page, to files and headings of the project, that lead nowhere. `exists` is asked for paths from the root. */
export function brokenLinks(page: Page, pages: readonly Page[], exists: (path: string) => boolean): string[] {
  const targets = [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [file = '', anchor] = target.split('#');
      const path = file === '' ? page.path : normalize(join(dirname(page.path), file));
      if (!exists(path)) return true;
      const there = pages.find((candidate) => candidate.path === path);
      return anchor !== undefined && there !== undefined && !anchorsOf(there).includes(anchor);
    })
    .map((target) => `${page.path}: ${target}`);
}

/** Names of TypeScript files in a page (`router/app.ts`) that are the end of no file's path. */
export function unknownFiles(page: Page, files: readonly string[]): string[] {
  const named = [...prose(page).matchAll(/`([\w./-]+\.ts)`/g)].map(([, name = '']) => name);
  return named
    .filter((name) => !files.some((file) => file === name || file.endsWith(`/${name}`)))
    .map((name) => `${page.path}: ${name}`);
}

/** Commands of a page's shell blocks, one a line, without comments; continued lines are joined. */
export function commandsOf(page: Page): string[] {
  return blocksOf(page, 'sh').flatMap((block) =>
    block
      .replaceAll(/\\\n\s*/g, '')
      .split('\n')
      .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
      .filter((line) => line !== ''),
  );
}

/** Rows of the table below a heading, cells without back-ticks and asterisks; head and rule left out. */
export function tableBelow({ text }: Page, heading: string): string[][] {
  const section = text.split(/^(?=#+ )/m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('|'));
  return rows.slice(2).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.replace(/[`*]/g, '').trim()),
  );
}
