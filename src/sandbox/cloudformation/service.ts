import { randomUUID } from 'node:crypto';
import { AwsError, type AwsRequest, type AwsResponse, type AwsService, type ServiceDeps } from '../service.ts';
import { nestedList, type Params, parseForm, text, textList } from '../wire/query.ts';
import { toXml, type Xml } from '../wire/xml.ts';
import { deploy, type Deployment, note, remove } from './deployment.ts';
import { iamCaller, RESOURCE_KINDS } from './iam-resources.ts';
import { openStacks, type Stack, type Stacks } from './stacks.ts';
import { invalid, parameterValues, parseTemplate, type Template } from './template.ts';

const TEMPLATE_BYTES_MAX = 51_200;
const NAME = /^[A-Za-z][A-Za-z0-9-]{0,127}$/;

type Cloud = ServiceDeps & { stacks: Stacks; iam: AwsService };
type Ask = { cloud: Cloud; request: AwsRequest; params: Params };
type Result = { [name: string]: Xml };

const partitionOf = (awsRegion: string) => (awsRegion.startsWith('eusc-') ? 'aws-eusc' : 'aws');
const stackArn = ({ caller, awsRegion }: AwsRequest, rest: string) =>
  `arn:${partitionOf(awsRegion)}:cloudformation:${awsRegion}:${caller.accountId}:stack/${rest}`;

function required(params: Params, name: string): string {
  const value = text(params, name);
  if (value === undefined || value === '')
    throw invalid(
      `1 validation error detected: Value null at '${name}' failed to satisfy constraint: Member must not be null`,
    );
  return value;
}

function requireRight({ cloud, request }: Ask, action: string, resource: string): void {
  const decision = cloud.authorize(request.caller, { action: `cloudformation:${action}`, resource }, request);
  if (!decision.allowed) throw new AwsError('AccessDenied', 403, decision.reason);
}

function templateOf({ params }: Ask): string {
  const body = text(params, 'TemplateBody');
  if (body === undefined) {
    if (text(params, 'TemplateURL') === undefined)
      throw invalid('Either Template URL or Template Body must be specified.');
    throw invalid('The sandbox takes a TemplateBody only: it fetches nothing.');
  }
  if (Buffer.byteLength(body) > TEMPLATE_BYTES_MAX)
    throw invalid(
      `1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to ${TEMPLATE_BYTES_MAX}`,
    );
  return body;
}

/** What can be said of a template without making anything. */
function check(body: string): Template {
  const template = parseTemplate(body);
  const unknown = [...new Set(Object.values(template.Resources).map(({ Type }) => Type))].filter(
    (type) => !Object.hasOwn(RESOURCE_KINDS, type),
  );
  if (unknown.length > 0) throw invalid(`Template format error: Unrecognized resource types: [${unknown.join(', ')}]`);
  return template;
}

const isNamed = ({ Properties = {} }: Template['Resources'][string]) => Properties['RoleName'] !== undefined;

/** Whoever makes roles has to say so. Source: CreateStack, Capabilities. */
function requireCapabilities({ params }: Ask, template: Template): string[] {
  const given = textList(params, 'Capabilities');
  const roles = Object.values(template.Resources).filter(({ Type }) => Type.startsWith('AWS::IAM::'));
  const needed = roles.some(isNamed) ? 'CAPABILITY_NAMED_IAM' : 'CAPABILITY_IAM';
  if (roles.length === 0 || given.includes('CAPABILITY_NAMED_IAM') || given.includes(needed)) return given;
  throw new AwsError('InsufficientCapabilitiesException', 400, `Requires capabilities : [${needed}]`);
}

const givenParameters = (params: Params, before: Record<string, string> = {}) =>
  new Map(
    nestedList(params, 'Parameters').map((one) => {
      const name = text(one, 'ParameterKey') ?? '';
      const previous = text(one, 'UsePreviousValue') === 'true';
      return [name, (previous ? before[name] : text(one, 'ParameterValue')) ?? ''];
    }),
  );

function stackOf({ cloud, request, params }: Ask): Stack {
  const name = required(params, 'StackName');
  const stack = cloud.stacks.find(request.caller.accountId, request.awsRegion, name);
  if (!stack) throw invalid(`Stack with id ${name} does not exist`);
  return stack;
}

function deploymentOf({ cloud, request }: Ask, stack: Stack, template: Template): Deployment {
  const pseudo = {
    'AWS::AccountId': request.caller.accountId,
    'AWS::Region': request.awsRegion,
    'AWS::Partition': partitionOf(request.awsRegion),
    'AWS::StackName': stack.name,
    'AWS::StackId': stack.id,
    'AWS::URLSuffix': request.awsRegion.startsWith('eusc-') ? 'amazonaws.eu' : 'amazonaws.com',
  };
  return { stack, template, pseudo, call: iamCaller(cloud.iam, request), now: () => cloud.clock.now() };
}

function begin({ cloud }: Ask, stack: Stack, underway: string, status: string): void {
  Object.assign(stack, { underway, status, settlesAt: cloud.stacks.settlesAt(), reason: null });
  cloud.stacks.changed();
}

const ofStack = (stack: Stack, status: string) => ({
  logicalId: stack.name,
  physicalId: stack.id,
  type: 'AWS::CloudFormation::Stack',
  status,
});

async function createStack(ask: Ask): Promise<Result> {
  const { cloud, request, params } = ask;
  const name = required(params, 'StackName');
  if (!NAME.test(name)) throw invalid(`Value '${name}' at 'stackName' failed to satisfy constraint`);
  requireRight(ask, 'CreateStack', stackArn(request, `${name}/*`));
  const { accountId } = request.caller;
  if (cloud.stacks.find(accountId, request.awsRegion, name))
    throw new AwsError('AlreadyExistsException', 400, `Stack [${name}] already exists`);
  const body = templateOf(ask);
  const template = check(body);
  const capabilities = requireCapabilities(ask, template);
  const parameters = parameterValues(template, givenParameters(params));
  const stack: Stack = {
    accountId,
    awsRegion: request.awsRegion,
    name,
    id: stackArn(request, `${name}/${randomUUID()}`),
    status: 'CREATE_COMPLETE',
    underway: 'CREATE_IN_PROGRESS',
    settlesAt: cloud.stacks.settlesAt(),
    reason: null,
    description: template.Description ?? null,
    template: body,
    parameters,
    capabilities,
    outputs: [],
    resources: [],
    events: [],
    tags: Object.fromEntries(
      nestedList(params, 'Tags').map((tag) => [text(tag, 'Key') ?? '', text(tag, 'Value') ?? '']),
    ),
    createdAt: cloud.clock.now().toISOString(),
    updatedAt: null,
    deletedAt: null,
  };
  cloud.stacks.all.push(stack);
  const deployment = deploymentOf(ask, stack, template);
  note(deployment, ofStack(stack, 'CREATE_IN_PROGRESS'), 'User Initiated');
  try {
    await deploy(deployment);
  } catch (error) {
    await remove(deployment, () => true);
    begin(ask, stack, 'ROLLBACK_IN_PROGRESS', 'ROLLBACK_COMPLETE');
    stack.reason = error instanceof Error ? error.message : 'The following resource(s) failed to create.';
  }
  note(deployment, ofStack(stack, stack.status), stack.reason);
  cloud.stacks.changed();
  return { StackId: stack.id };
}

async function updateStack(ask: Ask): Promise<Result> {
  const { cloud, params } = ask;
  const stack = stackOf(ask);
  requireRight(ask, 'UpdateStack', stack.id);
  if (!/^(CREATE|UPDATE|UPDATE_ROLLBACK)_COMPLETE$/.test(cloud.stacks.statusOf(stack)))
    throw invalid(`Stack:${stack.id} is in ${cloud.stacks.statusOf(stack)} state and can not be updated.`);
  const body = text(params, 'UsePreviousTemplate') === 'true' ? stack.template : templateOf(ask);
  const template = check(body);
  const capabilities = requireCapabilities(ask, template);
  const parameters = parameterValues(template, givenParameters(params, stack.parameters));
  const before = { template: stack.template, parameters: stack.parameters };
  if (before.template === body && JSON.stringify(before.parameters) === JSON.stringify(parameters))
    throw invalid('No updates are to be performed.');
  Object.assign(stack, { template: body, parameters, capabilities, updatedAt: cloud.clock.now().toISOString() });
  begin(ask, stack, 'UPDATE_IN_PROGRESS', 'UPDATE_COMPLETE');
  const deployment = deploymentOf(ask, stack, template);
  note(deployment, ofStack(stack, 'UPDATE_IN_PROGRESS'), 'User Initiated');
  try {
    await deploy(deployment);
  } catch (error) {
    Object.assign(stack, before);
    await deploy(deploymentOf(ask, stack, parseTemplate(before.template)));
    begin(ask, stack, 'UPDATE_ROLLBACK_IN_PROGRESS', 'UPDATE_ROLLBACK_COMPLETE');
    stack.reason = error instanceof Error ? error.message : null;
  }
  note(deployment, ofStack(stack, stack.status), stack.reason);
  return { StackId: stack.id };
}

async function deleteStack(ask: Ask): Promise<Result> {
  const { cloud, request, params } = ask;
  const name = required(params, 'StackName');
  const stack = cloud.stacks.find(request.caller.accountId, request.awsRegion, name);
  requireRight(ask, 'DeleteStack', stack?.id ?? stackArn(request, `${name}/*`));
  // Deleting what does not exist succeeds, as on AWS.
  if (!stack || stack.deletedAt !== null) return {};
  begin(ask, stack, 'DELETE_IN_PROGRESS', 'DELETE_COMPLETE');
  const deployment = deploymentOf(ask, stack, parseTemplate(stack.template));
  note(deployment, ofStack(stack, 'DELETE_IN_PROGRESS'), 'User Initiated');
  try {
    await remove(deployment, () => true);
    stack.deletedAt = cloud.clock.now().toISOString();
  } catch (error) {
    stack.status = 'DELETE_FAILED';
    stack.reason = error instanceof Error ? error.message : null;
  }
  note(deployment, ofStack(stack, stack.status), stack.reason);
  return {};
}

function stackXml({ cloud }: Ask, stack: Stack): Result {
  const secret = Object.entries(parseTemplate(stack.template).Parameters).filter(([, { NoEcho }]) => NoEcho);
  const shown = (key: string, value: string) => (secret.some(([name]) => name === key) ? '****' : value);
  return {
    StackId: stack.id,
    StackName: stack.name,
    Description: stack.description,
    Parameters: {
      member: Object.entries(stack.parameters).map(([ParameterKey, value]) => ({
        ParameterKey,
        ParameterValue: shown(ParameterKey, value),
      })),
    },
    CreationTime: stack.createdAt,
    LastUpdatedTime: stack.updatedAt,
    DeletionTime: stack.deletedAt,
    StackStatus: cloud.stacks.statusOf(stack),
    StackStatusReason: stack.reason,
    DisableRollback: false,
    Capabilities: { member: stack.capabilities },
    Outputs: {
      member: stack.outputs.map(({ key, value, description }) => ({
        OutputKey: key,
        OutputValue: value,
        Description: description,
      })),
    },
    Tags: { member: Object.entries(stack.tags).map(([Key, Value]) => ({ Key, Value })) },
  };
}

function describeStacks(ask: Ask): Result {
  const { cloud, request, params } = ask;
  requireRight(ask, 'DescribeStacks', text(params, 'StackName') === undefined ? '*' : stackOf(ask).id);
  const mine = cloud.stacks.all.filter(
    (stack) =>
      stack.accountId === request.caller.accountId && stack.awsRegion === request.awsRegion && stack.deletedAt === null,
  );
  const found = text(params, 'StackName') === undefined ? mine : [stackOf(ask)];
  return { Stacks: { member: found.map((stack) => stackXml(ask, stack)) } };
}

function describeStackEvents(ask: Ask): Result {
  const stack = stackOf(ask);
  requireRight(ask, 'DescribeStackEvents', stack.id);
  const member = stack.events.toReversed().map((event) => ({
    StackId: stack.id,
    StackName: stack.name,
    EventId: event.id,
    LogicalResourceId: event.logicalId,
    PhysicalResourceId: event.physicalId,
    ResourceType: event.type,
    ResourceStatus: event.status,
    ResourceStatusReason: event.reason,
    Timestamp: event.time,
  }));
  return { StackEvents: { member } };
}

function describeStackResources(ask: Ask): Result {
  const stack = stackOf(ask);
  requireRight(ask, 'DescribeStackResources', stack.id);
  const member = stack.resources.map(({ logicalId, physicalId, type }) => ({
    StackId: stack.id,
    StackName: stack.name,
    LogicalResourceId: logicalId,
    PhysicalResourceId: physicalId,
    ResourceType: type,
    ResourceStatus: 'CREATE_COMPLETE',
    Timestamp: stack.updatedAt ?? stack.createdAt,
  }));
  return { StackResources: { member } };
}

function validateTemplate(ask: Ask): Result {
  requireRight(ask, 'ValidateTemplate', '*');
  const template = check(templateOf(ask));
  const member = Object.entries(template.Parameters).map(([ParameterKey, { Default, NoEcho, Description }]) => ({
    ParameterKey,
    DefaultValue: Default === undefined ? null : String(Default),
    NoEcho: NoEcho ?? false,
    Description: Description ?? null,
  }));
  return { Parameters: { member }, Description: template.Description };
}

const OPERATIONS: Record<string, (ask: Ask) => Result | Promise<Result>> = {
  CreateStack: createStack,
  UpdateStack: updateStack,
  DeleteStack: deleteStack,
  DescribeStacks: describeStacks,
  DescribeStackEvents: describeStackEvents,
  DescribeStackResources: describeStackResources,
  GetTemplate: (ask) => {
    const stack = stackOf(ask);
    requireRight(ask, 'GetTemplate', stack.id);
    return { TemplateBody: stack.template };
  },
  ValidateTemplate: validateTemplate,
};

/** CloudFormation, for stacks of IAM roles: a customer's stack is made, changed and deleted with its maker's own rights. */
export function createCloudFormation(deps: ServiceDeps, iam: AwsService): AwsService {
  const stacks = openStacks(deps.dir, deps.clock);
  const cloud: Cloud = { ...deps, stacks, iam };
  return {
    async handle(request): Promise<AwsResponse> {
      const params = parseForm(request.body);
      const action = text(params, 'Action') ?? '';
      const operation = Object.hasOwn(OPERATIONS, action) ? OPERATIONS[action] : undefined;
      if (!operation) throw new AwsError('InvalidAction', 400, `Could not find operation ${action}`);
      const result = await operation({ cloud, request, params });
      const body = toXml({ [`${action}Result`]: result, ResponseMetadata: { RequestId: request.requestId } });
      const xml = `<${action}Response xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">${body}</${action}Response>`;
      return { status: 200, headers: { 'content-type': 'text/xml' }, body: xml };
    },
    save: async () => stacks.save(),
  };
}
