import { randomBytes, randomUUID } from 'node:crypto';
import { AwsError } from '../service.ts';
import { type Call, type Made, RESOURCE_KINDS } from './iam-resources.ts';
import type { Stack, StackResource } from './stacks.ts';
import { creationOrder, isTrue, parameterValues, resolve, type Scope, type Template } from './template.ts';

export type Deployment = {
  stack: Stack;
  template: Template;
  call: Call;
  now: () => Date;
  pseudo: Record<string, string>;
};

/** One line of a stack's history. */
export function note(
  { stack, now }: Pick<Deployment, 'stack' | 'now'>,
  what: { logicalId: string; physicalId: string; type: string; status: string },
  reason: string | null = null,
): void {
  stack.events.push({ id: randomUUID(), time: now().toISOString(), reason, ...what });
}

function scopeOf({ stack, template, pseudo }: Deployment): Scope {
  const made = new Map<string, Made>(stack.resources.map((resource) => [resource.logicalId, resource]));
  return { values: parameterValues(template, new Map(Object.entries(stack.parameters))), pseudo, made };
}

/** Name of a resource that the template does not name: stack, logical id, and a random part. */
const generatedName = (stack: Stack, logicalId: string) =>
  `${stack.name}-${logicalId}-${randomBytes(6).toString('hex').toUpperCase()}`.slice(-64);

async function apply(
  deployment: Deployment,
  logicalId: string,
  type: string,
  properties: Record<string, unknown>,
): Promise<void> {
  const { stack, call } = deployment;
  const kind = RESOURCE_KINDS[type];
  if (!kind) throw new AwsError('ValidationError', 400, `Unrecognized resource types: [${type}]`);
  const before = stack.resources.find((resource) => resource.logicalId === logicalId);
  if (before && JSON.stringify(before.properties) === JSON.stringify(properties)) return;
  const verb = before ? 'UPDATE' : 'CREATE';
  const physicalId = before?.physicalId ?? '';
  note(deployment, { logicalId, physicalId, type, status: `${verb}_IN_PROGRESS` });
  const replaced = before && kind.replacedBy.some((name) => before.properties[name] !== properties[name]);
  const made =
    before && !replaced
      ? await kind.update(call, before, before.properties, properties)
      : await kind.create(call, properties, generatedName(stack, logicalId));
  if (before && replaced) await kind.remove(call, before, before.properties);
  const resource: StackResource = { ...made, logicalId, type, properties };
  stack.resources = [...stack.resources.filter((one) => one.logicalId !== logicalId), resource];
  note(deployment, { logicalId, physicalId: made.physicalId, type, status: `${verb}_COMPLETE` });
}

/** Deletes resources, the last made first. */
export async function remove(deployment: Deployment, which: (resource: StackResource) => boolean): Promise<void> {
  const { stack, call } = deployment;
  for (const resource of stack.resources.filter(which).toReversed()) {
    const { logicalId, physicalId, type } = resource;
    note(deployment, { logicalId, physicalId, type, status: 'DELETE_IN_PROGRESS' });
    await RESOURCE_KINDS[type]?.remove(call, resource, resource.properties);
    stack.resources = stack.resources.filter((one) => one !== resource);
    note(deployment, { logicalId, physicalId, type, status: 'DELETE_COMPLETE' });
  }
}

/**
 * Makes a stack what its template says: creates and updates in order, then removes what is no longer in it. Throws the
 * first refusal, with the resource's event written.
 */
export async function deploy(deployment: Deployment): Promise<void> {
  const { stack, template } = deployment;
  const wanted = creationOrder(template).filter((name) => {
    const condition = template.Resources[name]?.Condition;
    return condition === undefined || isTrue(template, scopeOf(deployment), condition);
  });
  for (const logicalId of wanted) {
    const { Type: type = '', Properties = {} } = template.Resources[logicalId] ?? {};
    try {
      const properties = resolve(template, scopeOf(deployment), Properties) as Record<string, unknown>;
      await apply(deployment, logicalId, type, properties);
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      note(deployment, { logicalId, physicalId: '', type, status: 'CREATE_FAILED' }, reason);
      throw error;
    }
  }
  await remove(deployment, ({ logicalId }) => !wanted.includes(logicalId));
  const scope = scopeOf(deployment);
  stack.outputs = Object.entries(template.Outputs)
    .filter(([, { Condition }]) => Condition === undefined || isTrue(template, scope, Condition))
    .map(([key, { Value, Description }]) => ({
      key,
      value: String(resolve(template, scope, Value)),
      description: Description ?? null,
    }));
}
