import type { AwsResponse } from '../service.ts';
import type { Settings } from '../settings.ts';
import type { Faults } from './registry.ts';
import { parseRule, type Violation } from './rule.ts';

const json = (status: number, value: unknown): AwsResponse => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
});
const refused = (violations: Violation[]) => json(400, { message: 'The request is not valid.', violations });

/** `POST faults`, `GET faults`, `DELETE faults`, `DELETE faults/{id}`. */
export function handleFaults(
  faults: Faults,
  ask: { method: string; id: string; input: Record<string, unknown> },
): AwsResponse {
  const { method, id, input } = ask;
  if (method === 'GET') return json(200, { items: faults.list() });
  if (method === 'DELETE' && id === '') {
    faults.clear();
    return { status: 204 };
  }
  if (method === 'DELETE')
    return faults.remove(id) ? { status: 204 } : json(404, { message: 'There is no such fault.' });
  if (method !== 'POST') return json(405, { message: 'Faults take GET, POST and DELETE.' });
  const rule = parseRule(input);
  return 'violations' in rule ? refused(rule.violations) : json(201, faults.add(rule));
}

/** `GET settings` and `PUT settings`. */
export function handleSettings(
  settings: Settings,
  ask: { method: string; input: Record<string, unknown> },
): AwsResponse {
  if (ask.method !== 'GET' && ask.method !== 'PUT') return json(405, { message: 'Settings take GET and PUT.' });
  const violations = ask.method === 'PUT' ? settings.change(ask.input) : [];
  return violations.length > 0 ? refused(violations) : json(200, settings.values());
}
