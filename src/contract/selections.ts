import { z } from '@hono/zod-openapi';
import { awsInstanceId, awsRegion, awsTag, awsVolumeId, idReference, idSchema, timestamp } from './common.ts';

const DEPTH_MAX = 5;
const NODES_MAX = 100;
const NAMES_MAX = 500;
const VOLUME_RULES_MAX = 50;

const PATTERN = '`*` stands for any run of characters, `\\*` for itself; case counts.';
const awsVpcId = z.string().regex(/^vpc-[0-9a-f]{8,17}$/, 'must be a VPC id such as vpc-0abc…');
const names = <T extends z.ZodType>(name: T) => z.array(name).min(1).max(NAMES_MAX).optional();

const tagPattern = z
  .strictObject({
    key: z.string().min(1).max(128).openapi({ example: 'env' }),
    value: z.string().max(256).optional().openapi({ example: 'prod-*' }),
  })
  .openapi('TagPattern', { description: `A tag by key and value; any value when none is given. In both, ${PATTERN}` });

type Expression = {
  and?: Expression[] | undefined;
  or?: Expression[] | undefined;
  not?: Expression | undefined;
  tag?: z.output<typeof tagPattern> | undefined;
  instanceIds?: string[] | undefined;
  vpcIds?: string[] | undefined;
  awsRegions?: string[] | undefined;
  connectionIds?: string[] | undefined;
};

/** Refuses none and several of an object's fields; said beside whatever else is wrong with it, not instead. */
function exactlyOne(fields: readonly string[]) {
  return z.superRefine<unknown>(
    (value, context) => {
      if (typeof value !== 'object' || value === null) return;
      const count = fields.filter((field) => field in value).length;
      if (count !== 1) context.addIssue({ code: 'custom', message: `needs exactly one of ${fields.join(', ')}` });
    },
    { when: () => true },
  );
}

/** Its parts without a bound on their number: `selectionExpression` has that. */
const expressionNode: z.ZodType<Expression, Expression> = z
  .strictObject({
    get and() {
      return z.array(expressionNode).min(1).optional();
    },
    get or() {
      return z.array(expressionNode).min(1).optional();
    },
    get not() {
      return expressionNode.optional();
    },
    tag: tagPattern.optional(),
    instanceIds: names(awsInstanceId),
    vpcIds: names(awsVpcId),
    awsRegions: names(awsRegion),
    connectionIds: names(idReference('connection')),
  })
  .check(exactlyOne(['and', 'or', 'not', 'tag', 'instanceIds', 'vpcIds', 'awsRegions', 'connectionIds']))
  .openapi('SelectionExpression', {
    description: `Exactly one field: \`and\`, \`or\` and \`not\` take expressions; \`tag\` takes a pattern; a list is met by any of its names. At most ${DEPTH_MAX} levels and ${NODES_MAX} parts.`,
    example: { and: [{ tag: { key: 'env', value: 'prod-*' } }, { not: { tag: { key: 'backup', value: 'no' } } }] },
  });

const childrenOf = ({ and = [], or = [], not }: Expression) => [...and, ...or, ...(not ? [not] : [])];

function sizeOf(node: Expression): { depth: number; nodes: number } {
  const sizes = childrenOf(node).map(sizeOf);
  return {
    depth: 1 + Math.max(0, ...sizes.map(({ depth }) => depth)),
    nodes: 1 + sizes.reduce((sum, { nodes }) => sum + nodes, 0),
  };
}

const selectionExpression = expressionNode.superRefine((value, context) => {
  const { depth, nodes } = sizeOf(value);
  if (depth > DEPTH_MAX) context.addIssue({ code: 'custom', message: `has ${depth} levels; ${DEPTH_MAX} are allowed` });
  if (nodes > NODES_MAX) context.addIssue({ code: 'custom', message: `has ${nodes} parts; ${NODES_MAX} are allowed` });
});

const volumeRule = z
  .strictObject({
    volumeId: awsVolumeId.optional(),
    deviceName: z
      .string()
      .min(1)
      .max(64)
      .optional()
      .openapi({ description: `Device name; ${PATTERN}` }),
    tag: tagPattern.optional(),
    root: z.literal(true).optional().openapi({ description: 'The root volume' }),
  })
  .check(exactlyOne(['volumeId', 'deviceName', 'tag', 'root']))
  .openapi('VolumeRule', {
    description:
      'Exactly one field: which volumes are left out. It is applied to the volumes at the time of the backup.',
    example: { deviceName: '/dev/sdf' },
  });

export const selectionInput = z
  .strictObject({
    connectionId: idReference('connection').optional(),
    match: selectionExpression.optional(),
    tags: z
      .array(awsTag)
      .max(20)
      .optional()
      .openapi({ description: `All must match; ${PATTERN}` }),
    instanceIds: z.array(awsInstanceId).max(NAMES_MAX).optional(),
    excludeInstanceIds: z.array(awsInstanceId).max(NAMES_MAX).optional(),
    excludeVolumeIds: z.array(awsVolumeId).max(NAMES_MAX).optional(),
    excludeVolumes: z.array(volumeRule).max(VOLUME_RULES_MAX).optional(),
  })
  .superRefine(({ connectionId, match, tags, instanceIds }, context) => {
    const refuse = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message });
    if (!match && connectionId === undefined) refuse('connectionId', 'is needed without match');
    if (match && tags) refuse('tags', 'belongs into match when there is one');
    if (match && instanceIds) refuse('instanceIds', 'belongs into match when there is one');
  })
  .openapi('SelectionCreate', {
    example: { match: { tag: { key: 'env', value: 'prod-*' } }, excludeVolumes: [{ deviceName: '/dev/sdf' }] },
    description:
      'Either `match`, an expression over every instance of the tenant (with `connectionId`: of that connection), or the simple form: instances of a connection with all `tags`, plus those named; neither given means every instance within the limits. Exclusions win.',
  });

export const selectionSchema = z
  .object({
    id: idSchema('selection'),
    connectionId: idSchema('connection').nullable(),
    match: z.union([expressionNode, z.null()]),
    tags: z.array(awsTag),
    instanceIds: z.array(z.string()),
    excludeInstanceIds: z.array(z.string()),
    excludeVolumeIds: z.array(z.string()),
    excludeVolumes: z.array(volumeRule),
    createdAt: timestamp,
  })
  .openapi('Selection');

export const excludedVolume = z
  .object({
    volumeId: z.string(),
    deviceName: z.string(),
    selectionId: idReference('selection'),
    pointer: z.string().openapi({ description: 'JSON pointer of the rule in the selection as it then was' }),
    detail: z.string().openapi({ example: 'device is /dev/sdf, like /dev/sd*' }),
  })
  .openapi('ExcludedVolume', { description: 'A volume that was left out of a backup, and by which rule.' });
