import type { Answer } from './api-client.ts';

type Selection = Answer<'GET /v1/backup-plans/{id}'>['selections'][number];
type Expression = NonNullable<Selection['match']>;
type VolumeRule = Selection['excludeVolumes'][number];

const tagText = ({ key, value }: { key: string; value?: string | undefined }) =>
  value === undefined ? `tag ${key}` : `${key}=${value}`;

const oneOf = (what: string, names: readonly string[] = []) => `${what} ${names.join('|')}`;

function leafText({ tag, instanceIds, vpcIds, awsRegions, connectionIds }: Expression): string {
  if (tag) return tagText(tag);
  if (instanceIds) return oneOf('instance', instanceIds);
  if (vpcIds) return oneOf('VPC', vpcIds);
  return awsRegions ? oneOf('region', awsRegions) : oneOf('connection', connectionIds);
}

/** An expression as a person writes it: `env=prod-* and not (tag scratch or region eu-west-1)`. */
function expressionText(node: Expression, inner = false): string {
  if (node.not) return `not ${expressionText(node.not, true)}`;
  const children = node.and ?? node.or;
  if (!children) return leafText(node);
  const text = children.map((child) => expressionText(child, true)).join(node.and ? ' and ' : ' or ');
  return inner && children.length > 1 ? `(${text})` : text;
}

function volumeRuleText({ volumeId, deviceName, tag }: VolumeRule): string {
  if (volumeId !== undefined) return volumeId;
  if (deviceName !== undefined) return deviceName;
  return tag ? `volumes with ${tagText(tag)}` : 'the root volume';
}

/** What a selection selects, and what not, in one line. */
export function selectionText(selection: Selection): string {
  const { connectionId, match, tags, instanceIds, excludeInstanceIds, excludeVolumeIds, excludeVolumes } = selection;
  const simple = [...tags.map(tagText), ...instanceIds].join(', ') || 'every instance';
  const chosen = match ? expressionText(match) : simple;
  const excluded = [...excludeInstanceIds, ...excludeVolumeIds, ...excludeVolumes.map(volumeRuleText)].join(', ');
  return `${chosen}${connectionId === null ? '' : ` of ${connectionId}`}${excluded === '' ? '' : ` except ${excluded}`}`;
}
