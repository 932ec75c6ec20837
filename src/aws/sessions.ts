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
 * Credentials of a session in a customer's account, narrowed to one step of a job. Called again, it gives a new session:
 * the SDK does so before the hour is over, so that long jobs go on.
 *
 * @throws Fault `role_not_assumable` when the role refuses
 */
export function customerSession(
  sts: STSClient,
  role: AssumableRole,
  options: { name: string; policy: PolicyDocument; awsRegion: string },
): () => Promise<AwsCredentials> {
  const Policy = minified(options.policy);
  return async () => {
    try {
      const { Credentials, AssumedRoleUser } = await sts.send(
        new AssumeRoleCommand({
          RoleArn: role.roleArn,
          RoleSessionName: options.name,
          ExternalId: role.externalId,
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
      if (awsErrorName(error) !== 'AccessDenied') throw toAwsFault(error, 'assume the role', options.awsRegion);
      const message =
        'The role cannot be assumed: it does not exist, or its trust policy does not name this cell with the External ID of the connection.';
      throw new Fault('role_not_assumable', message, { cause: error, facts: { roleArn: role.roleArn } });
    }
  };
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
