import { randomBytes } from 'node:crypto';
import { parsePolicy } from '../iam/policy.ts';
import { AwsError, type Authorizer, type AwsRequest, type AwsService, type KeyUse } from '../service.ts';
import type { Clock } from '../../core/clock.ts';
import { decryptUnder, encryptUnder, keyIdOf, type KeyStore, type KmsKey } from './keys.ts';

type Input = Record<string, unknown>;
type Kms = { keys: KeyStore; clock: Clock; authorize: Authorizer };
type Ask = { kms: Kms; request: AwsRequest; input: Input };

const DAY_MS = 86_400_000;
const invalid = (message: string) => new AwsError('ValidationException', 400, message);
const notFound = (name: string) => new AwsError('NotFoundException', 400, `Key '${name}' does not exist`);
const optional = (input: Input, name: string): string | undefined =>
  typeof input[name] === 'string' ? input[name] : undefined;

function required(input: Input, name: string): string {
  const value = optional(input, name);
  if (value === undefined)
    throw invalid(
      `1 validation error detected: Value null at '${name}' failed to satisfy constraint: Member must not be null`,
    );
  return value;
}

function contextOf(input: Input, name = 'EncryptionContext'): Record<string, string> {
  return (input[name] as Record<string, string> | undefined) ?? {};
}

/** Throws unless the caller may do this with the key. Condition keys as in "Condition keys for AWS KMS". */
function authorizeKey(
  kms: Kms,
  request: AwsRequest,
  key: KmsKey,
  ask: { action: string; context?: Record<string, string>; viaService?: string; forResource?: boolean },
): void {
  const { caller } = request;
  const context = ask.context ?? {};
  const decision = kms.authorize(
    caller,
    {
      action: ask.action,
      resource: key.arn,
      resourceAccountId: key.accountId,
      resourcePolicy: key.policy,
      resourcePolicyRequired: true,
      context: {
        'kms:CallerAccount': caller.accountId,
        ...(ask.viaService === undefined ? {} : { 'kms:ViaService': ask.viaService }),
        ...(ask.forResource ? { 'kms:GrantIsForAWSResource': 'true' } : {}),
        ...Object.fromEntries(Object.entries(context).map(([name, value]) => [`kms:EncryptionContext:${name}`, value])),
        ...(Object.keys(context).length > 0 ? { 'kms:EncryptionContextKeys': Object.keys(context) } : {}),
      },
    },
    request,
  );
  if (!decision.allowed) throw new AwsError('AccessDeniedException', 400, decision.reason);
}

function usable(key: KmsKey): void {
  if (key.state === 'Disabled') throw new AwsError('DisabledException', 400, `${key.arn} is disabled.`);
  if (key.state === 'PendingDeletion')
    throw new AwsError('KMSInvalidStateException', 400, `${key.arn} is pending deletion.`);
}

function keyOf({ kms, request, input }: Ask, name = 'KeyId'): KmsKey {
  const wanted = required(input, name);
  const key = kms.keys.find(wanted, request.caller.accountId, request.awsRegion);
  if (!key) throw notFound(wanted);
  return key;
}

/** A key that the caller may use for a cryptographic operation now. */
function keyFor(ask: Ask, action: string): KmsKey {
  const key = keyOf(ask);
  authorizeKey(ask.kms, ask.request, key, { action, context: contextOf(ask.input) });
  usable(key);
  // Source: KMS developer guide, "Testing your permissions": an answer with an error, in either case.
  if (ask.input['DryRun'] === true)
    throw new AwsError(
      'DryRunOperationException',
      412,
      'The request would have succeeded, but the DryRun option is set.',
    );
  return key;
}

/** A key that the caller may administer. */
function administered(ask: Ask, action: string): KmsKey {
  const key = keyOf(ask);
  authorizeKey(ask.kms, ask.request, key, { action });
  return key;
}

const metadata = (key: KmsKey) => ({
  AWSAccountId: key.accountId,
  KeyId: key.keyId,
  Arn: key.arn,
  CreationDate: Date.parse(key.createdAt) / 1000,
  Enabled: key.state === 'Enabled',
  Description: key.description,
  KeyUsage: 'ENCRYPT_DECRYPT',
  KeyState: key.state,
  DeletionDate: key.deletionDate === null ? undefined : Date.parse(key.deletionDate) / 1000,
  Origin: 'AWS_KMS',
  KeyManager: key.manager,
  KeySpec: 'SYMMETRIC_DEFAULT',
  CustomerMasterKeySpec: 'SYMMETRIC_DEFAULT',
  EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'],
  MultiRegion: false,
});

function dataKey(ask: Ask, action: string) {
  const { input } = ask;
  if (input['KeySpec'] !== undefined && input['NumberOfBytes'] !== undefined)
    throw invalid('Please specify either number of bytes or key spec.');
  const bytes =
    input['KeySpec'] === 'AES_256' ? 32 : input['KeySpec'] === 'AES_128' ? 16 : Number(input['NumberOfBytes']);
  if (!Number.isInteger(bytes) || bytes < 1 || bytes > 1024)
    throw invalid('Please specify either number of bytes or key spec.');
  const key = keyFor(ask, action);
  const plaintext = randomBytes(bytes);
  const blob = encryptUnder(key, plaintext, contextOf(input)).toString('base64');
  return { key, plaintext: plaintext.toString('base64'), blob };
}

function decrypt(ask: Ask) {
  const { kms, request, input } = ask;
  const blob = Buffer.from(required(input, 'CiphertextBlob'), 'base64');
  const named = keyIdOf(blob);
  const key = kms.keys.byId(named);
  if (!key || key.awsRegion !== request.awsRegion) throw new AwsError('InvalidCiphertextException', 400, '');
  if (input['KeyId'] !== undefined && keyOf(ask).keyId !== named) {
    throw new AwsError(
      'IncorrectKeyException',
      400,
      'The key ID in the request does not identify a CMK that can perform this operation.',
    );
  }
  const context = contextOf(input);
  authorizeKey(kms, request, key, { action: 'kms:Decrypt', context });
  usable(key);
  return {
    KeyId: key.arn,
    Plaintext: decryptUnder(key, blob, context).toString('base64'),
    EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
  };
}

function reEncrypt(ask: Ask) {
  const { kms, request, input } = ask;
  const blob = Buffer.from(required(input, 'CiphertextBlob'), 'base64');
  const from = kms.keys.byId(keyIdOf(blob));
  if (!from || from.awsRegion !== request.awsRegion) throw new AwsError('InvalidCiphertextException', 400, '');
  const to = keyOf(ask, 'DestinationKeyId');
  const [source, destination] = [
    contextOf(input, 'SourceEncryptionContext'),
    contextOf(input, 'DestinationEncryptionContext'),
  ];
  authorizeKey(kms, request, from, { action: 'kms:ReEncryptFrom', context: source });
  authorizeKey(kms, request, to, { action: 'kms:ReEncryptTo', context: destination });
  for (const key of [from, to]) usable(key);
  const again = encryptUnder(to, decryptUnder(from, blob, source), destination);
  return { CiphertextBlob: again.toString('base64'), SourceKeyId: from.arn, KeyId: to.arn };
}

function createKey({ kms, request, input }: Ask) {
  const { accountId } = request.caller;
  const decision = kms.authorize(request.caller, { action: 'kms:CreateKey', resource: '*' }, request);
  if (!decision.allowed) throw new AwsError('AccessDeniedException', 400, decision.reason);
  if (input['MultiRegion'] === true)
    throw new AwsError('UnsupportedOperationException', 400, 'Multi-Region keys are not offered here.');
  const accountRoot = {
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'Enable IAM User Permissions',
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${accountId}:root` },
        Action: 'kms:*',
        Resource: '*',
      },
    ],
  };
  const policy = optional(input, 'Policy') ?? JSON.stringify(accountRoot);
  parseKeyPolicy(policy);
  const key = kms.keys.create({
    accountId,
    awsRegion: request.awsRegion,
    description: optional(input, 'Description') ?? '',
    policy,
  });
  return { KeyMetadata: metadata(key) };
}

function parseKeyPolicy(policy: string): void {
  try {
    parsePolicy(policy, 'resource');
  } catch (error) {
    throw new AwsError('MalformedPolicyDocumentException', 400, error instanceof Error ? error.message : '');
  }
}

function scheduleDeletion(ask: Ask) {
  const days = Number(ask.input['PendingWindowInDays'] ?? 30);
  if (!Number.isInteger(days) || days < 7 || days > 30) throw invalid('PendingWindowInDays must be between 7 and 30');
  const key = administered(ask, 'kms:ScheduleKeyDeletion');
  key.state = 'PendingDeletion';
  key.deletionDate = new Date(ask.kms.clock.now().getTime() + days * DAY_MS).toISOString();
  return {
    KeyId: key.arn,
    DeletionDate: Date.parse(key.deletionDate) / 1000,
    KeyState: key.state,
    PendingWindowInDays: days,
  };
}

function setState(ask: Ask, action: string, state: KmsKey['state']) {
  const key = administered(ask, action);
  if (action !== 'kms:CancelKeyDeletion' && key.state === 'PendingDeletion') usable(key);
  key.state = state;
  if (state !== 'PendingDeletion') key.deletionDate = null;
  return { KeyId: key.arn };
}

const OPERATIONS: Record<string, (ask: Ask) => object> = {
  CreateKey: createKey,
  DescribeKey: (ask) => ({ KeyMetadata: metadata(administered(ask, 'kms:DescribeKey')) }),
  ListKeys: ({ kms, request }) => ({
    Keys: kms.keys
      .all()
      .filter((key) => key.accountId === request.caller.accountId && key.awsRegion === request.awsRegion)
      .map((key) => ({ KeyId: key.keyId, KeyArn: key.arn })),
    Truncated: false,
  }),
  CreateAlias: ({ kms, request, input }) => {
    const alias = required(input, 'AliasName');
    const key = keyOf({ kms, request, input }, 'TargetKeyId');
    if (!/^alias\/[A-Za-z0-9/_-]+$/.test(alias) || alias.startsWith('alias/aws/'))
      throw invalid(`Alias ${alias} is not valid`);
    if (!kms.keys.setAlias(key.accountId, key.awsRegion, alias, key.keyId))
      throw new AwsError('AlreadyExistsException', 400, `An alias with the name ${alias} already exists`);
    return {};
  },
  ListAliases: ({ kms, request }) => ({
    Aliases: kms.keys
      .aliases(request.caller.accountId, request.awsRegion)
      .map(({ name, keyId }) => ({ AliasName: name, TargetKeyId: keyId })),
    Truncated: false,
  }),
  GenerateDataKey: (ask) => {
    const { key, plaintext, blob } = dataKey(ask, 'kms:GenerateDataKey');
    return { KeyId: key.arn, Plaintext: plaintext, CiphertextBlob: blob };
  },
  GenerateDataKeyWithoutPlaintext: (ask) => {
    const { key, blob } = dataKey(ask, 'kms:GenerateDataKeyWithoutPlaintext');
    return { KeyId: key.arn, CiphertextBlob: blob };
  },
  GenerateRandom: ({ input }) => ({ Plaintext: randomBytes(Number(input['NumberOfBytes'] ?? 32)).toString('base64') }),
  Encrypt: (ask) => {
    const plaintext = Buffer.from(required(ask.input, 'Plaintext'), 'base64');
    if (plaintext.length === 0 || plaintext.length > 4096)
      throw invalid("Value at 'plaintext' failed to satisfy constraint: length must be between 1 and 4096");
    const key = keyFor(ask, 'kms:Encrypt');
    return {
      KeyId: key.arn,
      CiphertextBlob: encryptUnder(key, plaintext, contextOf(ask.input)).toString('base64'),
      EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
    };
  },
  Decrypt: decrypt,
  ReEncrypt: reEncrypt,
  CreateGrant: (ask) => {
    const key = keyFor(ask, 'kms:CreateGrant');
    return { GrantId: randomBytes(32).toString('hex'), GrantToken: randomBytes(32).toString('base64'), KeyId: key.arn };
  },
  EnableKey: (ask) => setState(ask, 'kms:EnableKey', 'Enabled'),
  DisableKey: (ask) => setState(ask, 'kms:DisableKey', 'Disabled'),
  ScheduleKeyDeletion: scheduleDeletion,
  CancelKeyDeletion: (ask) => setState(ask, 'kms:CancelKeyDeletion', 'Disabled'),
  GetKeyPolicy: (ask) => ({ Policy: administered(ask, 'kms:GetKeyPolicy').policy, PolicyName: 'default' }),
  PutKeyPolicy: (ask) => {
    const policy = required(ask.input, 'Policy');
    parseKeyPolicy(policy);
    administered(ask, 'kms:PutKeyPolicy').policy = policy;
    return {};
  },
  EnableKeyRotation: (ask) => {
    administered(ask, 'kms:EnableKeyRotation').rotation = true;
    return {};
  },
  GetKeyRotationStatus: (ask) => ({ KeyRotationEnabled: administered(ask, 'kms:GetKeyRotationStatus').rotation }),
};

/** KMS, JSON 1.1. */
export function createKms(kms: Kms): AwsService {
  return {
    async handle(request) {
      const action = (request.headers.get('x-amz-target') ?? '').replace(/^TrentService\./, '');
      const operation = Object.hasOwn(OPERATIONS, action) ? OPERATIONS[action] : undefined;
      if (!operation) throw new AwsError('UnknownOperationException', 400, `${action} is not offered`);
      const input = (request.body.length > 0 ? JSON.parse(request.body.toString('utf8')) : {}) as Input;
      const output = operation({ kms, request, input });
      kms.keys.changed();
      return { status: 200, headers: { 'content-type': 'application/x-amz-json-1.1' }, body: JSON.stringify(output) };
    },
    async save() {
      kms.keys.save();
    },
  };
}

/** KMS as EC2 and EBS use it for their callers. */
export function createKeyUse(kms: Kms): KeyUse {
  const found = (request: AwsRequest, name: string) => {
    const key = kms.keys.find(name, request.caller.accountId, request.awsRegion);
    if (!key) throw notFound(name);
    return key;
  };
  return {
    defaultEbsKeyArn: (accountId, awsRegion) => kms.keys.defaultEbsKey(accountId, awsRegion).arn,
    arnOf: (request, name) => found(request, name).arn,
    require(request, keyArn, actions, viaService) {
      const key = found(request, keyArn);
      for (const action of actions)
        authorizeKey(kms, request, key, { action, viaService, forResource: action === 'kms:CreateGrant' });
      usable(key);
    },
  };
}
