import { AwsError, type AwsRequest, type AwsResponse } from '../service.ts';
import { bool, nestedList, type Params, text, textList } from '../wire/query.ts';
import { toXml, type Xml } from '../wire/xml.ts';
import type { Instance, Tags, Volume } from './model.ts';
import { settleInstance, type World } from './world-state.ts';

/** One EC2 request on its way: what every operation is given. */
export type Ask = { world: World; request: AwsRequest; params: Params };
/** What EC2 needs of a key to make or use a volume, for the caller. Source: EBS guide, "Required permissions". */
export const KEY_ACTIONS = [
  'kms:DescribeKey',
  'kms:CreateGrant',
  'kms:GenerateDataKeyWithoutPlaintext',
  'kms:Decrypt',
] as const;

export type Operation = (ask: Ask) => { [name: string]: Xml } | Promise<{ [name: string]: Xml }>;

export const ec2Error = (code: string, message: string, status = 400) => new AwsError(code, status, message);
export const missingParameter = (name: string) =>
  ec2Error('MissingParameter', `The request must contain the parameter ${name}`);

export function required(params: Params, name: string): string {
  const value = text(params, name);
  if (value === undefined || value === '') throw missingParameter(name);
  return value;
}

/** Ends a dry run that passed every check of rights: AWS answers with an error in either case. */
export function endDryRun({ params }: Ask): void {
  if (bool(params, 'DryRun'))
    throw ec2Error('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.', 412);
}

/** Tags that a request wants on what it makes, for one kind of resource. */
export function tagsFor(params: Params, resourceType: string): Tags {
  const wanted = nestedList(params, 'TagSpecification').filter((spec) => text(spec, 'ResourceType') === resourceType);
  return Object.fromEntries(
    wanted.flatMap((spec) => nestedList(spec, 'Tag')).map((tag) => [text(tag, 'Key') ?? '', text(tag, 'Value') ?? '']),
  );
}

export const tagSet = (tags: Tags) => ({ item: Object.entries(tags).map(([key, value]) => ({ key, value })) });

/** Filters of a Describe call. All must match; within one, any value. */
export function filtersOf(
  params: Params,
): (item: { id: string; tags: Tags; fields: Record<string, string | readonly string[] | null> }) => boolean {
  const filters = nestedList(params, 'Filter').map((filter) => ({
    name: text(filter, 'Name') ?? '',
    values: textList(filter, 'Value'),
  }));
  const matches = (value: string, patterns: readonly string[]) =>
    patterns.some((pattern) =>
      new RegExp(
        `^${pattern
          .replace(/[.+^${}()|[\]\\]/g, '\\$&')
          .replaceAll('*', '.*')
          .replaceAll('?', '.')}$`,
        's',
      ).test(value),
    );
  return ({ tags, fields }) =>
    filters.every(({ name, values }) => {
      if (name.startsWith('tag:')) return matches(tags[name.slice(4)] ?? '\0', values);
      if (name === 'tag-key') return Object.keys(tags).some((key) => matches(key, values));
      const field = fields[name];
      if (field === undefined) throw ec2Error('InvalidParameterValue', `The filter '${name}' is invalid`);
      return (typeof field === 'string' ? [field] : (field ?? [])).some((value) => matches(value, values));
    });
}

/** A page of a Describe call: NextToken is the position, opaque to the caller. */
export function paged<T>(
  params: Params,
  items: readonly T[],
  fallback = 1000,
): { page: readonly T[]; nextToken: string | undefined } {
  const size = Math.max(5, Number(text(params, 'MaxResults') ?? fallback));
  const token = text(params, 'NextToken');
  const from = token === undefined ? 0 : Number(Buffer.from(token, 'base64').toString('utf8'));
  if (!Number.isInteger(from)) throw ec2Error('InvalidParameterValue', 'Invalid value for nextToken');
  const next = from + size < items.length ? Buffer.from(String(from + size)).toString('base64') : undefined;
  return { page: items.slice(from, from + size), nextToken: next };
}

/** Everything of one kind that the caller's account has in the request's region. */
export function own<T extends { accountId: string; awsRegion: string }>(
  items: Iterable<T>,
  { caller, awsRegion }: AwsRequest,
): T[] {
  return [...items].filter((item) => item.accountId === caller.accountId && item.awsRegion === awsRegion);
}

function find<T extends { accountId: string; awsRegion: string }>(
  items: Map<string, T>,
  request: AwsRequest,
  id: string,
): T | undefined {
  const item = items.get(id);
  return item && item.accountId === request.caller.accountId && item.awsRegion === request.awsRegion ? item : undefined;
}

export function volumeOf({ world, request }: Ask, id: string): Volume {
  if (!/^vol-[0-9a-f]{8,17}$/.test(id))
    throw ec2Error('InvalidParameterValue', `Value (${id}) for parameter volumeId is invalid.`);
  const volume = find(world.volumes, request, id);
  if (!volume) throw ec2Error('InvalidVolume.NotFound', `The volume '${id}' does not exist.`);
  return volume;
}

export function instanceOf({ world, request }: Ask, id: string): Instance {
  if (!/^i-[0-9a-f]{8,17}$/.test(id)) throw ec2Error('InvalidInstanceID.Malformed', `Invalid id: "${id}"`);
  const instance = find(world.instances, request, id);
  if (!instance) throw ec2Error('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
  return settleInstance(world, instance);
}

export function respond(action: string, requestId: string, result: { [name: string]: Xml }): AwsResponse {
  const body = `<requestId>${requestId}</requestId>${toXml(result)}`;
  return {
    status: 200,
    headers: { 'content-type': 'text/xml;charset=UTF-8' },
    body: `<?xml version="1.0" encoding="UTF-8"?><${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">${body}</${action}Response>`,
  };
}
