import {
  CloudFormationClient,
  CreateStackCommand,
  DescribeStacksCommand,
  type Stack,
} from '@aws-sdk/client-cloudformation';
import {
  DeleteVolumeCommand,
  DescribeInstancesCommand,
  DescribeSubnetsCommand,
  EC2Client,
  RunInstancesCommand,
  type _InstanceType,
} from '@aws-sdk/client-ec2';
import {
  CreateRoleCommand,
  EntityAlreadyExistsException,
  IAMClient,
  PutRolePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import type { AwsAccess } from './ebs-reader.ts';

const STACK_POLL_MS = 200;

export type DemoInstance = { instanceId: string; volumeIds: string[]; kmsKeyArn: string };

/** A key of the customer's own for an encrypted disk. */
export async function createKey(access: AwsAccess): Promise<string> {
  const kms = new KMSClient({ endpoint: access.endpoint, region: access.awsRegion, credentials: access.credentials });
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({ Description: 'disks of the demo instance' }));
  kms.destroy();
  if (!KeyMetadata?.Arn) throw new Error('KMS made no key');
  return KeyMetadata.Arn;
}

function ec2Of(access: AwsAccess): EC2Client {
  return new EC2Client({ endpoint: access.endpoint, region: access.awsRegion, credentials: access.credentials });
}

/**
 * Runs an instance with a plain root volume and, unless its size is 0, a data volume encrypted under the customer's
 * key, with the tag that selects it for backup.
 */
export async function runInstance(
  access: AwsAccess,
  options: { name: string; tag: { key: string; value: string }; rootGiB: number; dataGiB: number },
): Promise<DemoInstance> {
  const ec2 = ec2Of(access);
  const kmsKeyArn = await createKey(access);
  const { Subnets } = await ec2.send(new DescribeSubnetsCommand({}));
  const data = { VolumeSize: options.dataGiB, VolumeType: 'gp3' as const, Encrypted: true, KmsKeyId: kmsKeyArn };
  const { Instances } = await ec2.send(
    new RunInstancesCommand({
      ImageId: 'ami-0d0111c11e0000001',
      InstanceType: 't3.medium' satisfies _InstanceType,
      MinCount: 1,
      MaxCount: 1,
      SubnetId: Subnets?.[0]?.SubnetId,
      BlockDeviceMappings: [
        { DeviceName: '/dev/xvda', Ebs: { VolumeSize: options.rootGiB, VolumeType: 'gp3' } },
        ...(options.dataGiB > 0 ? [{ DeviceName: '/dev/sdf', Ebs: data }] : []),
      ],
      TagSpecifications: (['instance', 'volume'] as const).map((ResourceType) => ({
        ResourceType,
        Tags: [
          { Key: 'Name', Value: options.name },
          ...(ResourceType === 'instance' ? [{ Key: options.tag.key, Value: options.tag.value }] : []),
        ],
      })),
    }),
  );
  const instanceId = Instances?.[0]?.InstanceId;
  if (!instanceId) throw new Error('EC2 ran no instance');
  const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
  const volumes = Reservations?.[0]?.Instances?.[0]?.BlockDeviceMappings ?? [];
  ec2.destroy();
  return { instanceId, volumeIds: volumes.map((device) => device.Ebs?.VolumeId ?? ''), kmsKeyArn };
}

/** Deletes volumes that an earlier comparison left in the account. */
export async function deleteVolumes(access: AwsAccess, volumeIds: readonly string[]): Promise<void> {
  const ec2 = ec2Of(access);
  for (const VolumeId of volumeIds) {
    await ec2.send(new DeleteVolumeCommand({ VolumeId })).catch((error: unknown) => {
      if (!(error instanceof Error && error.name === 'InvalidVolume.NotFound')) throw error;
    });
  }
  ec2.destroy();
}

export type RoleDocuments = {
  roleName: string;
  trustPolicy: unknown;
  backupPolicy: unknown;
  restorePolicy?: unknown;
  cleanUpRoleName?: string;
  cleanUpPolicy?: unknown;
};

/** Makes the role that a connection asks for, from its documents alone: what the onboarding page tells a customer to do. */
export async function createRole(access: AwsAccess, documents: RoleDocuments): Promise<void> {
  const iam = new IAMClient({ endpoint: access.endpoint, region: access.awsRegion, credentials: access.credentials });
  const RoleName = documents.roleName;
  const trust = JSON.stringify(documents.trustPolicy);
  await iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trust })).catch(async (error: unknown) => {
    if (!(error instanceof EntityAlreadyExistsException)) throw error;
    await iam.send(new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument: trust }));
  });
  const policies: [string, unknown][] = [
    ['backup', documents.backupPolicy],
    ['restore', documents.restorePolicy],
  ];
  for (const [PolicyName, document] of policies) {
    if (document)
      await iam.send(new PutRolePolicyCommand({ RoleName, PolicyName, PolicyDocument: JSON.stringify(document) }));
  }
  const { cleanUpRoleName, cleanUpPolicy, trustPolicy } = documents;
  if (cleanUpRoleName)
    await createRole(access, { roleName: cleanUpRoleName, trustPolicy, backupPolicy: cleanUpPolicy });
  iam.destroy();
}

/** Waits for a stack to be done with what it does. */
async function settledStack(cloud: CloudFormationClient, StackName: string): Promise<Stack | undefined> {
  for (;;) {
    const { Stacks } = await cloud.send(new DescribeStacksCommand({ StackName }));
    if (!Stacks?.[0]?.StackStatus?.endsWith('_IN_PROGRESS')) return Stacks?.[0];
    await new Promise((resolve) => setTimeout(resolve, STACK_POLL_MS));
  }
}

/** Makes a stack from a template's text, as the console's quick-create link does, and waits for it. */
export async function createStack(access: AwsAccess, stackName: string, template: string): Promise<void> {
  const cloud = new CloudFormationClient({
    endpoint: access.endpoint,
    region: access.awsRegion,
    credentials: access.credentials,
  });
  await cloud.send(
    new CreateStackCommand({ StackName: stackName, TemplateBody: template, Capabilities: ['CAPABILITY_NAMED_IAM'] }),
  );
  const stack = await settledStack(cloud, stackName);
  cloud.destroy();
  if (stack?.StackStatus !== 'CREATE_COMPLETE')
    throw new Error(`the stack ${stackName} is ${stack?.StackStatus}: ${stack?.StackStatusReason}`);
}
