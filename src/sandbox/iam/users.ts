import { secretKey, uniqueId, type User } from '../accounts/store.ts';
import { AwsError } from '../service.ts';
import { text } from '../wire/query.ts';
import { parsePolicy, policyLength } from './policy.ts';
import {
  type Ask,
  boundaryXml,
  conflict,
  encoded,
  exceeded,
  exists,
  iamArn,
  managedOf,
  missing,
  NAME,
  type Operation,
  POLICY_NAME,
  required,
  type Result,
  userOf,
} from './request.ts';

/** Limits. Source: "IAM and AWS STS quotas". */
const INLINE_CHARACTERS_MAX = 2_048;
const KEYS_MAX = 2;

const userXml = (user: User): Result => ({
  Path: '/',
  UserName: user.name,
  UserId: user.id,
  Arn: user.arn,
  CreateDate: user.createdAt,
  PermissionsBoundary: boundaryXml(user.boundary),
});

function inlineOf(ask: Ask) {
  const user = userOf(ask);
  const name = required(ask.params, 'PolicyName', POLICY_NAME);
  const document = user.inline[name];
  if (document === undefined) throw missing(`The user policy with name ${name}`);
  return { user, name, document };
}

/** Whom GetUser means when it names nobody: the user who asks. */
function userOrSelf(ask: Ask): User {
  const { caller } = ask.request;
  const own = caller.kind === 'user' ? ask.account.users[caller.principalArn.split('/').at(-1) ?? ''] : undefined;
  return text(ask.params, 'UserName') === undefined && own ? own : userOf(ask);
}

/** Operations on users, their inline policies, boundary and access keys. */
export const USER_OPERATIONS: Record<string, Operation> = {
  CreateUser: (ask) => {
    const { params, account, iam } = ask;
    const name = required(params, 'UserName', NAME);
    if (account.users[name]) throw exists(`User with name ${name}`);
    const boundary = text(params, 'PermissionsBoundary');
    if (boundary !== undefined) managedOf(ask, boundary);
    const user: User = {
      name,
      id: uniqueId('AIDA'),
      arn: iamArn(ask, `user/${name}`),
      inline: {},
      ...(boundary === undefined ? {} : { boundary }),
      createdAt: iam.clock.now().toISOString(),
    };
    account.users[name] = user;
    return { User: userXml(user) };
  },
  GetUser: (ask) => ({ User: userXml(userOrSelf(ask)) }),
  ListUsers: ({ account }) => ({ Users: { member: Object.values(account.users).map(userXml) }, IsTruncated: false }),
  DeleteUser: (ask) => {
    const { name, inline } = userOf(ask);
    if (ask.iam.store.keysOf(ask.account.id, name).length > 0) throw conflict('delete access keys');
    if (Object.keys(inline).length > 0) throw conflict('delete policies');
    delete ask.account.users[name];
    return {};
  },
  PutUserPolicy: (ask) => {
    const user = userOf(ask);
    const name = required(ask.params, 'PolicyName', POLICY_NAME);
    const document = required(ask.params, 'PolicyDocument');
    parsePolicy(document, 'identity');
    const inline = { ...user.inline, [name]: document };
    if (policyLength(...Object.values(inline)) > INLINE_CHARACTERS_MAX) {
      const message = `Maximum policy size of ${INLINE_CHARACTERS_MAX} bytes exceeded for user ${user.name}`;
      throw new AwsError('LimitExceeded', 409, message);
    }
    user.inline = inline;
    return {};
  },
  GetUserPolicy: (ask) => {
    const { user, name, document } = inlineOf(ask);
    return { UserName: user.name, PolicyName: name, PolicyDocument: encoded(document) };
  },
  DeleteUserPolicy: (ask) => {
    const { user, name } = inlineOf(ask);
    delete user.inline[name];
    return {};
  },
  ListUserPolicies: (ask) => ({ PolicyNames: { member: Object.keys(userOf(ask).inline) }, IsTruncated: false }),
  PutUserPermissionsBoundary: (ask) => {
    userOf(ask).boundary = managedOf(ask, required(ask.params, 'PermissionsBoundary')).arn;
    return {};
  },
  DeleteUserPermissionsBoundary: (ask) => {
    const user = userOf(ask);
    if (user.boundary === undefined) throw missing(`The permissions boundary of user ${user.name}`);
    delete user.boundary;
    return {};
  },
  CreateAccessKey: (ask) => {
    const { name } = userOf(ask);
    const { store } = ask.iam;
    if (store.keysOf(ask.account.id, name).length >= KEYS_MAX) throw exceeded('AccessKeysPerUser', KEYS_MAX);
    const key = {
      accessKeyId: uniqueId('AKIA'),
      secretAccessKey: secretKey(),
      accountId: ask.account.id,
      userName: name,
    };
    store.putKey(key);
    return {
      AccessKey: {
        UserName: name,
        AccessKeyId: key.accessKeyId,
        Status: 'Active',
        SecretAccessKey: key.secretAccessKey,
      },
    };
  },
  ListAccessKeys: (ask) => {
    const { name } = userOf(ask);
    const keys = ask.iam.store.keysOf(ask.account.id, name);
    return {
      AccessKeyMetadata: {
        member: keys.map(({ accessKeyId }) => ({ UserName: name, AccessKeyId: accessKeyId, Status: 'Active' })),
      },
      IsTruncated: false,
    };
  },
  DeleteAccessKey: (ask) => {
    const id = required(ask.params, 'AccessKeyId');
    const key = ask.iam.store.key(id);
    // Without a name it is a key of the caller. The root's own key is no user's.
    if (key?.accountId !== ask.account.id || key.userName === null) throw missing(`The Access Key with id ${id}`);
    ask.iam.store.deleteKey(id);
    return {};
  },
};
