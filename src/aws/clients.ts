import { EC2Client } from '@aws-sdk/client-ec2';
import { KMSClient } from '@aws-sdk/client-kms';
import { STSClient } from '@aws-sdk/client-sts';
import { fromHttp, fromNodeProviderChain } from '@aws-sdk/credential-providers';
import { assertInJurisdiction } from '../core/residency.ts';
import {
  clientConfig,
  type ClientOptions,
  createDataClients,
  type CredentialSource,
  type DataClients,
} from './data-clients.ts';

export type RegionalClients = DataClients & { ec2: EC2Client; sts: STSClient; kms: KMSClient };
export type AwsClients = ReturnType<typeof createAwsClients>;

/**
 * AWS clients of all services. Each belongs to one AWS region of the jurisdiction; a region outside, a global endpoint and an
 * unlisted host are refused.
 */
export function createAwsClients(options: ClientOptions) {
  const made = new Map<string, RegionalClients>();

  function make(awsRegion: string): RegionalClients {
    const { config, guarded } = clientConfig(options, awsRegion);
    const data = createDataClients(options, awsRegion);
    const control = {
      ec2: guarded(new EC2Client(config('ec2'))),
      sts: guarded(new STSClient({ ...config('sts'), useGlobalEndpoint: false })),
      kms: guarded(new KMSClient(config('kms'))),
    };
    return {
      ...data,
      ...control,
      destroy() {
        data.destroy();
        for (const client of Object.values(control)) client.destroy();
      },
    };
  }

  return {
    /** Clients for one AWS region. Throws Fault `residency_violation` for a region outside the jurisdiction. */
    for(awsRegion: string): RegionalClients {
      assertInJurisdiction(options.region, awsRegion);
      const known = made.get(awsRegion) ?? make(awsRegion);
      made.set(awsRegion, known);
      return known;
    },
    destroy(): void {
      for (const clients of made.values()) clients.destroy();
      made.clear();
    },
  };
}

/**
 * The credentials of one tier. In production a tier is an ECS service and has its task's own; where both tiers are one
 * process, each is told the address of its own.
 */
export function tierCredentials(options: {
  uri?: string | undefined;
  authorizationToken?: string | undefined;
}): CredentialSource {
  if (options.uri === undefined) return fromNodeProviderChain();
  return fromHttp({
    awsContainerCredentialsFullUri: options.uri,
    ...(options.authorizationToken === undefined ? {} : { awsContainerAuthorizationToken: options.authorizationToken }),
  });
}

/** The credentials of whoever runs a command, by the SDK's own chain: environment, profile, machine. A profile that is named wins. */
export function ambientCredentials(profile: string | undefined): CredentialSource {
  return fromNodeProviderChain(profile === undefined ? {} : { profile });
}
