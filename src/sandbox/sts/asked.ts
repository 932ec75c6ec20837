import type { Session } from '../accounts/store.ts';
import { AwsError } from '../service.ts';
import { nestedList, type Params, text, textList } from '../wire/query.ts';

/** Limits of session tags. Source: STS API reference, "AssumeRole". */
const TAGS_MAX = 50;
const TAG_KEY = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u;
const TAG_VALUE_CHARACTERS_MAX = 256;

export type AskContext = Record<string, string | string[]>;
const invalid = (message: string) => new AwsError('ValidationError', 400, message);
const refused = (message: string) => new AwsError('InvalidParameterValue', 400, message);

/** What one AssumeRole asks for, and what its session will carry. */
export type Asked = {
  /** Each must be allowed by trust policy and caller. */
  actions: string[];
  context: AskContext;
  tags: Record<string, string>;
  transitive: string[];
  sourceIdentity: string | undefined;
};

/** Tags that a session passes on to those assumed from it. */
const inherited = (session: Session | undefined) =>
  Object.fromEntries(Object.entries(session?.tags ?? {}).filter(([key]) => session?.transitive?.includes(key)));

/**
 * What the request asks to do, each with the condition keys that its policies may test. Tags and source identity that come
 * from the session before need the same rights as new ones. Source: IAM guide, "Pass session tags in AWS STS", "Monitor and
 * control actions taken with assumed roles".
 */
export function asked(params: Params, before: Session | undefined): Asked {
  const externalId = text(params, 'ExternalId');
  const sourceIdentity = text(params, 'SourceIdentity') ?? before?.sourceIdentity;
  const given = tagsOf(params);
  const passed = inherited(before);
  const twice = Object.keys(given).find((key) => Object.hasOwn(passed, key));
  if (twice !== undefined)
    throw refused(
      `One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.`,
    );
  const tags = { ...given, ...passed };
  const transitive = [...textList(params, 'TransitiveTagKeys'), ...Object.keys(passed)];
  const tagged = Object.keys(tags).length > 0;
  const context: AskContext = {
    'sts:RoleSessionName': text(params, 'RoleSessionName') ?? '',
    ...(externalId === undefined ? {} : { 'sts:ExternalId': externalId }),
    ...(sourceIdentity === undefined ? {} : { 'sts:SourceIdentity': sourceIdentity }),
    ...Object.fromEntries(Object.entries(tags).map(([key, value]) => [`aws:RequestTag/${key}`, value])),
    ...(tagged ? { 'aws:TagKeys': Object.keys(tags) } : {}),
    ...(transitive.length > 0 ? { 'sts:TransitiveTagKeys': transitive } : {}),
  };
  const also = [
    ...(tagged ? ['sts:TagSession'] : []),
    ...(sourceIdentity === undefined ? [] : ['sts:SetSourceIdentity']),
  ];
  return { actions: ['sts:AssumeRole', ...also], context, tags, transitive, sourceIdentity };
}

function tagsOf(params: Params): Record<string, string> {
  const tags = nestedList(params, 'Tags').map((tag) => [text(tag, 'Key') ?? '', text(tag, 'Value') ?? ''] as const);
  const keys = tags.map(([key]) => key.toLowerCase());
  if (
    tags.length > TAGS_MAX ||
    tags.some(([key, value]) => !TAG_KEY.test(key) || value.length > TAG_VALUE_CHARACTERS_MAX)
  )
    throw invalid("1 validation error detected: Value at 'tags' failed to satisfy constraint");
  if (new Set(keys).size < keys.length)
    throw refused('Duplicate tag keys found. Please note that Tag keys are case insensitive.');
  const unknown = textList(params, 'TransitiveTagKeys').find((key) => !keys.includes(key.toLowerCase()));
  if (unknown !== undefined) throw refused('The specified transitive tag key must be included in the requested tags.');
  return Object.fromEntries(tags);
}
