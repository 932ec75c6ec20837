import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import type { Listing } from '../listing.ts';
import type { Session } from '../session.ts';
import { type Column, table } from '../table.ts';

const LIMIT_DEFAULT = 100;

/**
 * A whole number from the command line, at least 1.
 *
 * @throws InvalidArgumentError, which commander shows with the option's name
 */
export function positiveInteger(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return Number(text);
}

/** Collects an option that may be given more than once. */
export function collect(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), text];
}

/**
 * A tag written `key=value`; the value may itself hold `=`.
 *
 * @throws InvalidArgumentError without a key or `=`
 */
export function parseTag(text: string): { key: string; value: string } {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be key=value.');
  return { key: text.slice(0, at), value: text.slice(at + 1) };
}

/** Collects tags. */
export function collectTags(text: string, before: { key: string; value: string }[] | undefined) {
  return [...(before ?? []), parseTag(text)];
}

/** `--limit` of every list. */
export function limitOption() {
  return new Option('--limit <n>', 'show at most this many').argParser(positiveInteger).default(LIMIT_DEFAULT);
}

/** Shows a list as a table, or with `--json` as `{items, more}`. */
export function showList<T>(session: Session, noun: string, listing: Listing<T>, columns: readonly Column<T>[]): void {
  session.show(listing, () => (listing.items.length > 0 ? table(columns, listing.items) : []));
  if (listing.items.length === 0) session.hint(`No ${noun}.`);
  if (listing.more) session.hint(`There are more ${noun}: raise --limit.`);
}
