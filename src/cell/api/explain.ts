import * as contract from '../../contract/explain.ts';
import type { Instances } from '../services/instances.ts';
import { mapPage } from '../services/pages.ts';
import type { Protection } from '../services/protection.ts';
import type { Operations } from './operations.ts';
import { orNull } from './views.ts';

const subjectOf = ({ instance }: Protection) => ({
  id: instance.id,
  instanceId: instance.instanceId,
  name: instance.name,
  connectionId: instance.connectionId,
  awsRegion: instance.awsRegion,
  state: instance.state,
});

function planView({ instance, obstacles }: Protection, { plan, rules, decision }: Protection['plans'][number]) {
  const starts = decision.selected && obstacles.length === 0;
  const excluded = new Set(decision.excludedVolumes.map(({ volumeId }) => volumeId));
  const included = decision.selected ? instance.volumes.filter(({ volumeId }) => !excluded.has(volumeId)) : [];
  return {
    planId: plan.id,
    name: plan.name,
    paused: plan.paused,
    selected: decision.selected,
    why: decision.why,
    rules: rules.map((rule) => ({
      ruleId: rule.id,
      name: rule.name,
      nextRunAt: starts ? orNull(rule.nextRunAt) : null,
    })),
    selections: decision.selections,
    includedVolumeIds: included.map(({ volumeId }) => volumeId),
    excludedVolumes: decision.excludedVolumes,
  };
}

const explanationView = (protection: Protection) => ({
  ...subjectOf(protection),
  discoveredAt: protection.instance.discoveredAt.toISOString(),
  protected: protection.protected,
  why: protection.why,
  obstacles: protection.obstacles,
  plans: protection.plans.map((plan) => planView(protection, plan)),
});

/** Registered before `/v1/instances/{id}`, whose pattern `unprotected` would meet too. */
export function explainRoutes(operations: Operations, { instances }: { instances: Instances }): void {
  operations.tenant(contract.listUnprotectedInstances, async (scope, { query }) =>
    mapPage(await instances.listUnprotected(scope, query), (one) => ({ ...subjectOf(one), why: one.why })),
  );
  operations.tenant(contract.explainInstance, async (scope, { params }) =>
    explanationView(await instances.explain(scope, params.id)),
  );
}
