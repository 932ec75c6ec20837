import type { AccountStore } from '../accounts/store.ts';
import { AwsError, type AwsResponse, type AwsService, type ServiceDeps } from '../service.ts';
import { parseForm, text } from '../wire/query.ts';
import { toXml } from '../wire/xml.ts';
import { sessionOf } from './authorizer.ts';
import { MANAGED_POLICY_OPERATIONS } from './managed-policies.ts';
import { type Ask, type Iam, iamArn, type Operation, pathOf, tagsOf } from './request.ts';
import { ROLE_OPERATIONS } from './roles.ts';
import { USER_OPERATIONS } from './users.ts';

const OPERATIONS: Record<string, Operation> = { ...ROLE_OPERATIONS, ...MANAGED_POLICY_OPERATIONS, ...USER_OPERATIONS };

/** Source: STS API reference, "GetSessionToken": no IAM operations unless the request carried MFA information. */
const withoutMfa = () =>
  new AwsError('InvalidClientTokenId', 403, 'The security token included in the request is invalid');

/** What an operation is about, for policies. Source: service authorization reference, IAM. */
function resourceOf(ask: Ask, action: string): string {
  const { params, account } = ask;
  const [roleName, userName, policyName] = ['RoleName', 'UserName', 'PolicyName'].map((name) => text(params, name));
  if (roleName !== undefined) return account.roles[roleName]?.arn ?? iamArn(ask, `role${pathOf(params)}${roleName}`);
  if (userName !== undefined) return account.users[userName]?.arn ?? iamArn(ask, `user/${userName}`);
  if (action === 'CreatePolicy') return iamArn(ask, `policy${pathOf(params)}${policyName ?? ''}`);
  return text(params, 'PolicyArn') ?? '*';
}

/** Condition keys of IAM's own operations. Source: as above. */
function contextOf(ask: Ask): Record<string, string | string[]> {
  const { params, account } = ask;
  const role = account.roles[text(params, 'RoleName') ?? ''];
  const user = account.users[text(params, 'UserName') ?? ''];
  const boundary = text(params, 'PermissionsBoundary') ?? role?.boundary ?? user?.boundary;
  const policyArn = text(params, 'PolicyArn');
  const tags = tagsOf(params);
  return {
    ...(boundary === undefined ? {} : { 'iam:PermissionsBoundary': boundary }),
    ...(policyArn === undefined ? {} : { 'iam:PolicyARN': policyArn }),
    ...Object.fromEntries(Object.entries(tags).map(([key, value]) => [`aws:RequestTag/${key}`, value])),
    ...(Object.keys(tags).length === 0 ? {} : { 'aws:TagKeys': Object.keys(tags) }),
    ...Object.fromEntries(
      Object.entries(role?.tags ?? {}).flatMap(([key, value]) => [
        [`aws:ResourceTag/${key}`, value],
        [`iam:ResourceTag/${key}`, value],
      ]),
    ),
  };
}

function authorize(ask: Ask, action: string): void {
  const { caller } = ask.request;
  const tagging = action === 'CreateRole' && Object.keys(tagsOf(ask.params)).length > 0 ? ['TagRole'] : [];
  for (const asked of [action, ...tagging]) {
    const question = { action: `iam:${asked}`, resource: resourceOf(ask, action), context: contextOf(ask) };
    const decision = ask.iam.authorize(caller, question, ask.request);
    if (!decision.allowed) throw new AwsError('AccessDenied', 403, decision.reason);
  }
}

/** IAM: roles, inline and managed policies, boundaries, tags, users and their keys. */
export function createIam(deps: ServiceDeps, store: AccountStore): AwsService {
  const iam: Iam = { ...deps, store };
  return {
    async handle(request): Promise<AwsResponse> {
      const params = parseForm(request.body);
      const action = text(params, 'Action') ?? '';
      const operation = Object.hasOwn(OPERATIONS, action) ? OPERATIONS[action] : undefined;
      if (!operation) throw new AwsError('InvalidAction', 400, `The action ${action} is not valid for this endpoint.`);
      if (sessionOf(store, request)?.userName !== undefined) throw withoutMfa();
      const ask: Ask = { request, params, account: store.ensureAccount(request.caller.accountId), iam };
      authorize(ask, action);
      if (!/^(Get|List)/.test(action)) store.delayChange(ask.account.id, deps.settings.values().iamEffectiveAfterMs);
      const result = operation(ask);
      store.changed();
      const body = toXml({ [`${action}Result`]: result, ResponseMetadata: { RequestId: request.requestId } });
      const xml = `<${action}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/">${body}</${action}Response>`;
      return { status: 200, headers: { 'content-type': 'text/xml' }, body: xml };
    },
    async save() {},
  };
}
