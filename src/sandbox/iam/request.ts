import type { Account, AccountStore, ManagedPolicy, Role, User } from '../accounts/store.ts';
import { AwsError, type AwsRequest, type ServiceDeps } from '../service.ts';
import { nestedList, type Params, text } from '../wire/query.ts';
import type { Xml } from '../wire/xml.ts';
import { awsManagedPolicy } from './aws-managed.ts';

export type Iam = ServiceDeps & { store: AccountStore };
export type Ask = { request: AwsRequest; params: Params; account: Account; iam: Iam };
export type Result = { [name: string]: Xml };
export type Operation = (ask: Ask) => Result;

/** Names of roles and users, and of policies. Source: IAM API reference. */
export const NAME = /^[\w+=,.@-]{1,64}$/;
export const POLICY_NAME = /^[\w+=,.@-]{1,128}$/;
const PATH = /^\/([!-~]{0,510}\/)?$/;
const TAGS_MAX = 50;

const noSuchEntity = (message: string) => new AwsError('NoSuchEntity', 404, message);
export const missing = (what: string) => noSuchEntity(`${what} cannot be found.`);
export const missingPolicy = (arn: string) => noSuchEntity(`Policy ${arn} was not found.`);
export const exists = (what: string) => new AwsError('EntityAlreadyExists', 409, `${what} already exists.`);
export const conflict = (what: string) =>
  new AwsError('DeleteConflict', 409, `Cannot delete entity, must ${what} first.`);
export const exceeded = (quota: string, max: number) =>
  new AwsError('LimitExceeded', 409, `Cannot exceed quota for ${quota}: ${max}`);
export const invalid = (message: string) => new AwsError('ValidationError', 400, message);

export function required(params: Params, name: string, pattern = /^[\s\S]+$/): string {
  const value = text(params, name);
  if (value === undefined)
    throw invalid(
      `1 validation error detected: Value null at '${name}' failed to satisfy constraint: Member must not be null`,
    );
  if (!pattern.test(value)) throw invalid(`The specified value for ${name} is invalid.`);
  return value;
}

export const partitionOf = ({ awsRegion }: AwsRequest) => (awsRegion.startsWith('eusc-') ? 'aws-eusc' : 'aws');
export const iamArn = ({ request, account }: Ask, rest: string) =>
  `arn:${partitionOf(request)}:iam::${account.id}:${rest}`;
/** Policies come back percent-encoded, as IAM's do (RFC 3986). */
export const encoded = (document: string) => encodeURIComponent(document);

export function pathOf(params: Params): string {
  const path = text(params, 'Path') ?? '/';
  if (!PATH.test(path)) throw invalid('The specified value for path is invalid.');
  return path;
}

export function roleOf({ account, params }: Ask): Role {
  const name = required(params, 'RoleName', NAME);
  const role = account.roles[name];
  if (!role) throw missing(`The role with name ${name}`);
  return role;
}

export function userOf({ account, params }: Ask): User {
  const name = required(params, 'UserName', NAME);
  const user = account.users[name];
  if (!user) throw missing(`The user with name ${name}`);
  return user;
}

/** A managed policy of the account or of AWS. */
export function managedOf({ account }: Ask, arn: string): ManagedPolicy {
  const policy = account.policies[arn] ?? awsManagedPolicy(arn);
  if (!policy) throw noSuchEntity(`Policy ${arn} does not exist or is not attachable.`);
  return policy;
}

/** Tags of a request. Source: IAM guide, "Tagging IAM resources". */
export function tagsOf(params: Params): Record<string, string> {
  const list = nestedList(params, 'Tags').map((tag) => [text(tag, 'Key') ?? '', text(tag, 'Value') ?? ''] as const);
  const keys = list.map(([key]) => key.toLowerCase());
  if (new Set(keys).size < keys.length)
    throw new AwsError(
      'InvalidInput',
      400,
      'Duplicate tag keys found. Please note that Tag keys are case insensitive.',
    );
  if (keys.some((key) => key.startsWith('aws:')))
    throw new AwsError('InvalidInput', 400, "Tag keys may not start with 'aws:'.");
  if (list.some(([key, value]) => !/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u.test(key) || value.length > 256))
    throw invalid("1 validation error detected: Value at 'tags' failed to satisfy constraint");
  return Object.fromEntries(list);
}

export function limitTags(tags: Record<string, string>): Record<string, string> {
  if (Object.keys(tags).length > TAGS_MAX) throw exceeded('TagsPerResource', TAGS_MAX);
  return tags;
}

export const tagsXml = (tags: Record<string, string> = {}): Xml => ({
  member: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
});

export const boundaryXml = (arn: string | undefined): Xml =>
  arn === undefined ? undefined : { PermissionsBoundaryType: 'Policy', PermissionsBoundaryArn: arn };
