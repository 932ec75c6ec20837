import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectionBody } from './fixtures.ts';
import { type Cell, startCell, type Tenant } from './harness.ts';

let cell: Cell;
let tenant: Tenant;
beforeAll(async () => {
  cell = await startCell();
  tenant = await cell.newTenant();
});
afterAll(() => cell.close());

test("a connection's template holds the very documents that the API returned, without a key", async () => {
  const { json } = await tenant.call('POST', '/v1/connections', { body: connectionBody({ restore: true }) });
  const { pathname } = new URL(json.templateUrl);
  const answer = await cell.anonymous('GET', `/templates${pathname}`);
  expect(answer.status).toBe(200);
  const role = answer.json.Resources.Role.Properties;
  expect(role.RoleName).toBe(json.roleName);
  expect(role.AssumeRolePolicyDocument).toEqual(json.trustPolicy);
  // Each with the choice that leaves out every right to blocks.
  const [backup, restore] = role.Policies;
  expect(backup.PolicyDocument['Fn::If'][2]).toEqual(json.backupPolicy);
  expect(restore['Fn::If'][1].PolicyDocument['Fn::If'][2]).toEqual(json.restorePolicy);
  for (const policy of [backup, restore['Fn::If'][1]])
    expect(JSON.stringify(policy.PolicyDocument['Fn::If'][1])).not.toMatch(/"ebs:[A-Z]/);
});

test("another tenant's connection, a deleted one and nonsense have no template", async () => {
  const { json } = await tenant.call('POST', '/v1/connections', { body: connectionBody() });
  const other = await cell.newTenant('Other');
  await tenant.call('DELETE', `/v1/connections/${json.id}`);
  for (const path of [
    `${other.tenantId}/${json.id}.json`,
    `${tenant.tenantId}/${json.id}.json`,
    'x/y.json',
    `${tenant.tenantId}/none.json`,
  ]) {
    expect((await cell.anonymous('GET', `/templates/${path}`)).status).toBe(404);
  }
});
