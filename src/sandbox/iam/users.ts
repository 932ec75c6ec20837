import { secretKey, uniqueId, type User } from '../accounts/store.ts';
import { text } from '../wire/query.ts';
import { nameOf } from './authorizer.ts';
import { deleteInline, getInline, listInline, putInline } from './inline-policies.ts';
import {
  type Ask,
  boundaryXml,
  conflict,
  exceeded,
  exists,
  iamArn,
  managedOf,
  missing,
  NAME,
  type Operation,
  required,
  type Result,
  userOf,
} from './request.ts';

/** Limits. Source: "IAM and AWS STS quotas". */
const KEYS_MAX = 2;

const userXml = (user: User): Result => ({
  Path: '/',
  UserName: user.name,
  UserId: user.id,
  Arn: user.arn,
  CreateDate: user.createdAt,
  PermissionsBoundary: boundaryXml(user.boundary),
});

const holderOf = (ask: Ask) => ({ kind: 'user' as const, ...userOf(ask) });

/** Whom GetUser means when it names nobody: the user who asks. */
function userOrSelf(ask: Ask): User {
  const { caller } = ask.request;
  const own = caller.kind === 'user' ? ask.account.users[nameOf(caller)] : undefined;
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
    userOf(ask).inline = putInline(ask, holderOf(ask));
    return {};
  },
  GetUserPolicy: (ask) => getInline(ask, holderOf(ask)),
  DeleteUserPolicy: (ask) => {
    userOf(ask).inline = deleteInline(ask, holderOf(ask));
    return {};
  },
  ListUserPolicies: (ask) => listInline(holderOf(ask)),
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
