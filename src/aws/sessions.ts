import { AssumeRoleCommand, GetCallerIdentityCommand, type STSClient } from '@aws-sdk/client-sts';
import { Fault } from '../core/faults.ts';
import type { AwsCredentials } from './data-clients.ts';
import { awsErrorName, toAwsFault } from './faults.ts';
import type { PolicyDocument } from './policies/document.ts';
import { SESSION_POLICY_CHARACTERS_MAX } from './policies/session.ts';

/** A worker is itself a role, so its sessions are chained: AWS allows them one hour, never more. */
const SESSION_SECONDS = 3_600;
const NAME_CHARACTERS_MAX = 64;

export type AssumableRole = { roleArn: string; externalId: string };
type SessionOptions = { name: string; policy: PolicyDocument; awsRegion: string };

/** Session names stand in the customer's CloudTrail: ids only, 64 characters of the ones AWS takes. */
export function sessionName(...ids: readonly string[]): string {
  return ids
    .join('.')
    .replace(/[^\w+=,.@-]/g, '-')
    .slice(0, NAME_CHARACTERS_MAX);
}

function minified(policy: PolicyDocument): string {
  const text = JSON.stringify(policy);
  if (text.length <= SESSION_POLICY_CHARACTERS_MAX) return text;
  throw new Fault('internal', 'A session policy would be longer than AWS allows.', {
    facts: { characters: text.length },
  });
}

/**
 * Sessions of a role, each narrowed by a policy. Called again, it gives a new session: the SDK does so before the hour is over, so
 * that long jobs go on. `refused` says what it means that the role refuses.
 */
function sessionsOf(
  sts: STSClient,
  role: { roleArn: string; externalId?: string },
  { name, policy, awsRegion }: SessionOptions,
  refused: (cause: unknown) => Fault,
): () => Promise<AwsCredentials> {
  const Policy = minified(policy);
  return async () => {
    try {
      const { Credentials, AssumedRoleUser } = await sts.send(
        new AssumeRoleCommand({
          RoleArn: role.roleArn,
          RoleSessionName: name,
          ...(role.externalId === undefined ? {} : { ExternalId: role.externalId }),
          DurationSeconds: SESSION_SECONDS,
          Policy,
        }),
      );
      const [, , , , accountId] = AssumedRoleUser?.Arn?.split(':') ?? [];
      return {
        accessKeyId: Credentials?.AccessKeyId ?? '',
        secretAccessKey: Credentials?.SecretAccessKey ?? '',
        sessionToken: Credentials?.SessionToken ?? '',
        ...(Credentials?.Expiration ? { expiration: Credentials.Expiration } : {}),
        ...(accountId === undefined ? {} : { accountId }),
      };
    } catch (error) {
      throw awsErrorName(error) === 'AccessDenied' ? refused(error) : toAwsFault(error, 'assume the role', awsRegion);
    }
  };
}

/**
 * Credentials of a session in a customer's account, narrowed to one step of a job.
 *
 * @throws Fault `role_not_assumable` when the role refuses
 */
export function customerSession(
  sts: STSClient,
  role: AssumableRole,
  options: SessionOptions,
): () => Promise<AwsCredentials> {
  return sessionsOf(sts, role, options, (cause) => {
    const message =
      'The role cannot be assumed: it does not exist, or its trust policy does not name this cell with the External ID of the connection.';
    return new Fault('role_not_assumable', message, { cause, facts: { roleArn: role.roleArn } });
  });
}

/**
 * Credentials of one of the vault's principals in the cell's own account, narrowed to one tenant.
 *
 * @throws Fault `store_unavailable` when the role refuses: that is ours to mend
 */
export function vaultSession(sts: STSClient, roleArn: string, options: SessionOptions): () => Promise<AwsCredentials> {
  return sessionsOf(sts, { roleArn }, options, (cause) => {
    const message = 'A role of the vault cannot be assumed by the worker tier. Make the roles of the cell anew.';
    return new Fault('store_unavailable', message, { cause, facts: { roleArn } });
  });
}

export type Probe = 'accepted' | 'refused' | 'inconclusive';

/** Tries the role with one External ID (or none). Only AccessDenied counts as a refusal: a time-out proves nothing. */
export async function probeRole(sts: STSClient, roleArn: string, externalId: string | null): Promise<Probe> {
  try {
    await sts.send(
      new AssumeRoleCommand({
        RoleArn: roleArn,
        RoleSessionName: 'domicile-verification',
        DurationSeconds: 900,
        Policy: JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Deny', Action: '*', Resource: '*' }] }),
        ...(externalId === null ? {} : { ExternalId: externalId }),
      }),
    );
    return 'accepted';
  } catch (error) {
    return awsErrorName(error) === 'AccessDenied' ? 'refused' : 'inconclusive';
  }
}

/** The account that these credentials belong to. */
export async function callerAccount(sts: STSClient, awsRegion: string): Promise<string> {
  try {
    return (await sts.send(new GetCallerIdentityCommand({}))).Account ?? '';
  } catch (error) {
    throw toAwsFault(error, 'ask who the session belongs to', awsRegion);
  }
}
