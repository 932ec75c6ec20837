import { AwsError, type AwsRequest, type AwsService } from '../service.ts';

type Properties = Record<string, unknown>;
export type Made = { physicalId: string; attributes: Record<string, string> };

/** How one type of resource is made, changed and deleted: by calls of the service's own API, as the caller. */
export type ResourceKind = {
  create(call: Call, properties: Properties, fallbackName: string): Promise<Made>;
  update(call: Call, made: Made, before: Properties, after: Properties): Promise<Made>;
  remove(call: Call, made: Made, properties: Properties): Promise<void>;
  /** Properties whose change takes a new resource. */
  replacedBy: readonly string[];
};
export type Call = (action: string, params: Record<string, string>) => Promise<string>;

/** Calls IAM with the rights of whoever called CloudFormation: a stack can do no more than its maker. */
export function iamCaller(iam: AwsService, request: AwsRequest): Call {
  return async (action, params) => {
    const form = new URLSearchParams({ Action: action, Version: '2010-05-08', ...params });
    const answer = await iam.handle({ ...request, service: 'iam', body: Buffer.from(form.toString()) });
    return String(answer.body ?? '');
  };
}

const elementOf = (xml: string, name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? '';
const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
const document = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value ?? {}));

type Inline = { PolicyName: string; PolicyDocument: unknown };
const inlineOf = ({ Policies }: Properties) => (Array.isArray(Policies) ? (Policies as Inline[]) : []);
const managedOf = ({ ManagedPolicyArns }: Properties) =>
  Array.isArray(ManagedPolicyArns) ? (ManagedPolicyArns as string[]) : [];

const ROLE_PROPERTIES = [
  'RoleName',
  'AssumeRolePolicyDocument',
  'Policies',
  'ManagedPolicyArns',
  'Path',
  'Description',
  'MaxSessionDuration',
  'Tags',
];

function checkProperties(type: string, properties: Properties, known: readonly string[]): void {
  const unknown = Object.keys(properties).filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new AwsError('ValidationError', 400, `${type}: extraneous key [${unknown.join(', ')}] is not permitted`);
}

async function putPolicies(call: Call, RoleName: string, before: Properties, after: Properties): Promise<void> {
  for (const { PolicyName, PolicyDocument } of inlineOf(after))
    await call('PutRolePolicy', { RoleName, PolicyName, PolicyDocument: document(PolicyDocument) });
  const kept = inlineOf(after).map(({ PolicyName }) => PolicyName);
  for (const { PolicyName } of inlineOf(before))
    if (!kept.includes(PolicyName)) await call('DeleteRolePolicy', { RoleName, PolicyName });
  for (const PolicyArn of managedOf(after)) await call('AttachRolePolicy', { RoleName, PolicyArn });
  for (const PolicyArn of managedOf(before))
    if (!managedOf(after).includes(PolicyArn)) await call('DetachRolePolicy', { RoleName, PolicyArn });
}

/** `AWS::IAM::Role`. Source: CloudFormation template reference. */
const role: ResourceKind = {
  replacedBy: ['RoleName', 'Path'],
  async create(call, properties, fallbackName) {
    checkProperties('AWS::IAM::Role', properties, ROLE_PROPERTIES);
    const RoleName = text(properties['RoleName']) ?? fallbackName;
    const path = text(properties['Path']);
    const description = text(properties['Description']);
    const seconds = Number(properties['MaxSessionDuration'] ?? 3_600);
    const xml = await call('CreateRole', {
      RoleName,
      AssumeRolePolicyDocument: document(properties['AssumeRolePolicyDocument']),
      ...(path === undefined ? {} : { Path: path }),
      ...(description === undefined ? {} : { Description: description }),
      MaxSessionDuration: String(seconds),
    });
    const made = { physicalId: RoleName, attributes: { Arn: elementOf(xml, 'Arn'), RoleId: elementOf(xml, 'RoleId') } };
    try {
      await putPolicies(call, RoleName, {}, properties);
    } catch (error) {
      // What failed half way is taken back at once: the stack does not know it yet.
      await role.remove(call, made, properties).catch(() => {});
      throw error;
    }
    return made;
  },
  async update(call, made, before, after) {
    checkProperties('AWS::IAM::Role', after, ROLE_PROPERTIES);
    const RoleName = made.physicalId;
    await call('UpdateAssumeRolePolicy', {
      RoleName,
      PolicyDocument: document(after['AssumeRolePolicyDocument']),
    });
    await putPolicies(call, RoleName, before, after);
    return made;
  },
  async remove(call, { physicalId: RoleName }, properties) {
    const gone = (error: unknown) => {
      if (!(error instanceof AwsError && error.code === 'NoSuchEntity')) throw error;
    };
    for (const { PolicyName } of inlineOf(properties))
      await call('DeleteRolePolicy', { RoleName, PolicyName }).catch(gone);
    for (const PolicyArn of managedOf(properties)) await call('DetachRolePolicy', { RoleName, PolicyArn }).catch(gone);
    await call('DeleteRole', { RoleName }).catch(gone);
  },
};

export const RESOURCE_KINDS: Record<string, ResourceKind> = { 'AWS::IAM::Role': role };
