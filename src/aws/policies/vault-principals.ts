import { type PolicyDocument, policyDocument, type Statement } from './document.ts';

/**
 * Who works on the vault, each a role of the cell's own account that can do its one thing. The worker tier assumes all but the
 * key admin, who is a person: whoever removes keys removes data, locks or not.
 */
export const SERVICE_PRINCIPALS = ['writer', 'restorer', 'scrubber', 'deleter', 'extender'] as const;
export type ServicePrincipal = (typeof SERVICE_PRINCIPALS)[number];
export const VAULT_PRINCIPALS = [...SERVICE_PRINCIPALS, 'key-admin'] as const;
export type VaultPrincipal = (typeof VAULT_PRINCIPALS)[number];

/** The vault of a cell, as its account knows it. */
export type VaultAccount = {
  partition: string;
  cell: string;
  awsAccountId: string;
  bucket: string;
  /** The data keys: more than one while key objects are wrapped anew. */
  dataKeyArns: readonly string[];
  /** The key in the recovery region that each data key is wrapped for too. */
  recoveryKeyArn?: string | undefined;
};

/** How far a document reaches: a role's to every tenant, a session's to one. */
type Reach = VaultAccount & { tenant: string };

/** Every tenant: a wildcard of IAM, where an id would stand. */
const ANY = '*';
/** No extension goes beyond two generations of locks and the rest of the current one (docs/format.md). */
const LOCK_DAYS_MAX = 90;

const bucketArn = ({ partition, bucket }: Reach) => `arn:${partition}:s3:::${bucket}`;
/** Objects of these kinds, in every volume. */
const objects = (reach: Reach, ...kinds: readonly string[]) =>
  kinds.map((kind) => `${bucketArn(reach)}/t/${reach.tenant}/v1/*/${kind}`);

/** What a point is described by, and the keys to it: of the key objects, those named `index`. */
const MANIFESTS = ['roots/*', 'index/*', 'keys/*/index'];
const LOCKABLE = ['packs/*', 'index/*', 'roots/*'];
const ALL = [...LOCKABLE, 'keys/*'];
/** How far a run in progress has come: its writer's own notes, of no use to anybody else. */
const CHECKPOINTS = 'checkpoints/*';

const allow = (
  Action: string | readonly string[],
  Resource: readonly string[],
  Condition?: Statement['Condition'],
) => ({
  Effect: 'Allow' as const,
  Action,
  Resource,
  ...(Condition ? { Condition } : {}),
});

/** Names below the tenant's prefix. (Of an object that is not there, S3 says so only to who may list the whole bucket.) */
const list = (reach: Reach, action = 's3:ListBucket') =>
  allow(action, [bucketArn(reach)], { StringLike: { 's3:prefix': `t/${reach.tenant}/v1/*` } });

/** Locks of what may be locked, to be made or made longer. Keys never: those go when data is erased. */
const lock = (reach: Reach) =>
  allow('s3:PutObjectRetention', objects(reach, ...LOCKABLE), {
    NumericLessThanEquals: { 's3:object-lock-remaining-retention-days': String(LOCK_DAYS_MAX) },
  });

/** Keys of KMS (the data keys, where none are named), for these purposes of this tenant's keys. */
const keys = (reach: Reach, actions: readonly string[], purposes: readonly string[], arns = reach.dataKeyArns) =>
  allow(
    actions.map((name) => `kms:${name}`),
    arns,
    {
      StringEquals: { 'kms:EncryptionContext:cell': reach.cell, 'kms:EncryptionContext:purpose': purposes },
      StringLike: { 'kms:EncryptionContext:tenant': reach.tenant },
    },
  );

/** The recovery region's key, where there is one. */
const recoveryKey = (reach: Reach, ...actions: readonly string[]) =>
  reach.recoveryKeyArn === undefined ? [] : [keys(reach, actions, ['pack', 'index'], [reach.recoveryKeyArn])];

const RIGHTS: Record<VaultPrincipal, (reach: Reach) => Statement[]> = {
  /**
   * Makes keys and objects; opens manifests to build on. No pack opens to it, not even its own of yesterday. A put that locks takes the
   * right to lock, which S3 does not tell from the right to make a lock longer.
   */
  writer: (reach) => [
    allow('s3:PutObject', objects(reach, ...ALL, CHECKPOINTS), { Null: { 's3:if-none-match': 'false' } }),
    allow('s3:GetObject', objects(reach, ...MANIFESTS, CHECKPOINTS)),
    lock(reach),
    list(reach),
    keys(reach, ['GenerateDataKey'], ['pack', 'index', 'configuration']),
    keys(reach, ['Decrypt'], ['index']),
    ...recoveryKey(reach, 'Encrypt'),
  ],
  restorer: (reach) => [
    allow('s3:GetObject', objects(reach, ...ALL)),
    list(reach),
    keys(reach, ['Decrypt'], ['pack', 'index', 'configuration']),
  ],
  scrubber: (reach) => [
    allow(['s3:GetObject', 's3:GetObjectRetention'], objects(reach, ...ALL)),
    list(reach),
    keys(reach, ['Decrypt'], ['pack', 'index']),
  ],
  /** Finds out by the manifests what nothing refers to. In a bucket with versions it leaves markers, and destroys nothing. */
  deleter: (reach) => [
    allow('s3:DeleteObject', objects(reach, ...ALL, CHECKPOINTS)),
    allow('s3:GetObject', objects(reach, ...MANIFESTS)),
    allow('s3:GetObjectRetention', objects(reach, ...LOCKABLE)),
    list(reach),
    keys(reach, ['Decrypt'], ['index']),
  ],
  /** Makes locks longer, and sees what there is to lock. */
  extender: (reach) => [lock(reach), list(reach)],
  /** Wraps keys anew, and destroys them. Reads nothing that they open. */
  'key-admin': (reach) => [
    allow(['s3:GetObject', 's3:DeleteObject', 's3:DeleteObjectVersion'], objects(reach, 'keys/*')),
    allow('s3:PutObject', objects(reach, 'keys/*'), { Null: { 's3:if-match': 'false' } }),
    list(reach),
    list(reach, 's3:ListBucketVersions'),
    keys(reach, ['Decrypt', 'Encrypt'], ['pack', 'index']),
    ...recoveryKey(reach, 'Decrypt', 'Encrypt'),
  ],
};

/** Rights of a principal over every tenant: its role's. */
export const vaultRolePolicy = (principal: VaultPrincipal, account: VaultAccount): PolicyDocument =>
  policyDocument(...RIGHTS[principal]({ ...account, tenant: ANY }));

/**
 * A session's policy: its role's actions, within one tenant. AWS allows what both documents allow, so kinds of objects and conditions of
 * puts stand in the role's alone: said twice they would be longer than a session's policy may be.
 */
export function vaultSessionPolicy(principal: VaultPrincipal, account: VaultAccount, tenantId: string): PolicyDocument {
  const reach = { ...account, tenant: tenantId };
  const rights = RIGHTS[principal](reach);
  const within = `${bucketArn(reach)}/`;
  const isOfObjects = ({ Resource }: Statement) => [Resource].flat().every((arn) => arn?.startsWith(within));
  const actions = rights.filter(isOfObjects).flatMap(({ Action }) => Action);
  return policyDocument(
    allow([...new Set(actions)], [`${within}t/${tenantId}/v1/*`]),
    ...rights.filter((statement) => !isOfObjects(statement)),
  );
}

type RolePlace = Pick<VaultAccount, 'partition' | 'cell' | 'awsAccountId'>;

export const vaultRoleName = (cell: string, principal: VaultPrincipal) => `domicile-cell-${cell}-vault-${principal}`;
export const vaultRoleArn = ({ partition, awsAccountId, cell }: RolePlace, principal: VaultPrincipal) =>
  `arn:${partition}:iam::${awsAccountId}:role/${vaultRoleName(cell, principal)}`;

/**
 * Who may assume the role: the worker tier; of the key admin's, everybody in the account whom its own policies allow to, but for
 * the tiers.
 */
function trustOf(principal: VaultPrincipal, { partition, awsAccountId }: RolePlace, connectorRoleArn: string) {
  const tier = { 'aws:PrincipalArn': connectorRoleArn };
  return policyDocument({
    Effect: 'Allow',
    Principal: { AWS: `arn:${partition}:iam::${awsAccountId}:root` },
    Action: 'sts:AssumeRole',
    Condition: principal === 'key-admin' ? { ArnNotEquals: tier } : { ArnEquals: tier },
  });
}

export type VaultRole = { roleName: string; trustPolicy: PolicyDocument; policy: PolicyDocument };

/** All roles of the vault, ready to be made. */
export const vaultRoles = (account: VaultAccount, connectorRoleArn: string): VaultRole[] =>
  VAULT_PRINCIPALS.map((principal) => ({
    roleName: vaultRoleName(account.cell, principal),
    trustPolicy: trustOf(principal, account, connectorRoleArn),
    policy: vaultRolePolicy(principal, account),
  }));
