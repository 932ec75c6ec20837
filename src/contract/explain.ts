import { createRoute, z } from '@hono/zod-openapi';
import {
  awsRegion,
  idParam,
  idSchema,
  json,
  listQuery,
  pageOf,
  problemResponse,
  security,
  timestamp,
} from './common.ts';
import { excludedVolume } from './selections.ts';

const subject = {
  id: idSchema('instance'),
  instanceId: z.string(),
  name: z.string().nullable(),
  connectionId: idSchema('connection'),
  awsRegion: z.string(),
  state: z.string(),
};

const reason = z.object({ pointer: z.string(), detail: z.string() }).openapi('SelectionReason', {
  description: 'A part of a selection that decided, as a JSON pointer into the selection, and why in words.',
  example: { pointer: '/match/and/0', detail: 'tag env is "prod", wanted "test"' },
});

const selectionVerdict = z.object({
  selectionId: idSchema('selection'),
  outcome: z.enum(['selected', 'not_selected', 'excluded']),
  because: z.array(reason),
});

const planVerdict = z.object({
  planId: idSchema('backupPlan'),
  name: z.string(),
  paused: z.boolean(),
  selected: z.boolean(),
  why: z.string(),
  rules: z.array(
    z.object({
      ruleId: idSchema('rule'),
      name: z.string(),
      nextRunAt: timestamp.nullable().openapi({ description: 'When it starts this instance next; null: it does not' }),
    }),
  ),
  selections: z.array(selectionVerdict),
  includedVolumeIds: z.array(z.string()),
  excludedVolumes: z.array(excludedVolume),
});

const explanation = z
  .object({
    ...subject,
    discoveredAt: timestamp,
    protected: z.boolean().openapi({ description: 'A plan that is not paused selects it, and nothing is in the way' }),
    why: z.string(),
    obstacles: z
      .array(z.object({ code: z.string(), detail: z.string() }))
      .openapi({ description: 'What keeps every plan from backing it up; `code` is the problem a job would end with' }),
    plans: z.array(planVerdict),
  })
  .openapi('InstanceExplanation');

const unprotectedInstance = z
  .object({ ...subject, why: z.string().openapi({ description: 'Why no plan backs it up, in one line' }) })
  .openapi('UnprotectedInstance');

export const explainInstance = createRoute({
  method: 'get',
  path: '/v1/instances/{id}/explain',
  operationId: 'explainInstance',
  tags: ['Instances'],
  summary: 'Which plans back up an instance, and why or why not',
  description: 'Decided by the same function as the schedule, on what was last discovered.',
  security,
  request: { params: idParam },
  responses: { 200: json(explanation, 'Every plan with what it says about the instance'), ...problemResponse },
});

export const listUnprotectedInstances = createRoute({
  method: 'get',
  path: '/v1/instances/unprotected',
  operationId: 'listUnprotectedInstances',
  tags: ['Instances'],
  summary: 'Instances that no plan backs up',
  description:
    'No plan that is not paused selects them, or their connection cannot be used. Terminated instances, and those that left the limits of their connection, are not listed.',
  security,
  request: {
    query: z.strictObject({ ...listQuery, connectionId: z.string().optional(), awsRegion: awsRegion.optional() }),
  },
  responses: { 200: json(pageOf(unprotectedInstance), 'A page of instances'), ...problemResponse },
});
