import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { ACCOUNT, allow, blockOf, linear, policyOf, REGION, sha256 } from '../sandbox/world.ts';
import { type Cli, openCli } from './aws-cli.ts';
import { installDebian } from './debian.ts';
import { productOperations } from './product-operations.ts';

const IMAGE = 'ami-0d0111c11e0000001';
const ZONE = `${REGION}a`;
/** The command is of January 2023 and knows nothing of these. */
const NEWER_THAN_THE_COMMAND = ['LockSnapshot'];

const md5 = (text: string) => createHash('md5').update(text).digest('base64');

/** Every operation that a test had answered with success. */
const answered = new Set<string>();

async function cli(): Promise<Cli> {
  return openCli(async (world) => {
    for (const { operation, status } of await world.control.callSummary()) if (status < 300) answered.add(operation);
  });
}

const launch = ({ aws }: Cli) =>
  aws`ec2 run-instances --image-id ${IMAGE} --instance-type t3.small --query Instances[0].InstanceId --block-device-mappings ${[
    { DeviceName: '/dev/xvda', Ebs: { VolumeSize: 1 } },
    { DeviceName: '/dev/sdf', Ebs: { VolumeSize: 1 } },
  ]} --tag-specifications ${[{ ResourceType: 'instance', Tags: [{ Key: 'backup', Value: 'yes' }] }]}`;

const stateOf = ({ aws }: Cli, instance: unknown) =>
  aws`ec2 describe-instances --instance-ids ${instance} --query Reservations[0].Instances[0].State.Name`;

const running = (on: Cli, instance: unknown) =>
  expect.poll(() => stateOf(on, instance), { timeout: 20_000 }).toBe('running');

const volumesOf = ({ aws }: Cli, instance: unknown) =>
  aws`ec2 describe-instances --instance-ids ${instance} --query Reservations[0].Instances[0].BlockDeviceMappings[].Ebs.VolumeId` as Promise<
    string[]
  >;

const completed = ({ aws }: Cli, snapshot: unknown) =>
  expect
    .poll(() => aws`ec2 describe-snapshots --snapshot-ids ${snapshot} --query Snapshots[0].State`, { timeout: 20_000 })
    .toBe('completed');

async function snapshotOf(on: Cli, volume: unknown): Promise<unknown> {
  const snapshot = await on.aws`ec2 create-snapshot --volume-id ${volume} --query SnapshotId`;
  await completed(on, snapshot);
  return snapshot;
}

const newVolume = ({ aws }: Cli, zone = ZONE) =>
  aws`ec2 create-volume --availability-zone ${zone} --size 1 --volume-type gp3 --query VolumeId`;

beforeAll(() => installDebian('awscli'), 600_000);

describe('sts and iam', () => {
  test('a role is made, taken on under its External ID, held to its policy, and gone', async () => {
    const on = await cli();
    const { aws, refused } = on;
    expect(await aws`sts get-caller-identity`).toMatchObject({ Account: ACCOUNT, Arn: `arn:aws:iam::${ACCOUNT}:root` });
    const trust = (ExternalId: string) =>
      policyOf({
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
        Action: 'sts:AssumeRole',
        Condition: { StringEquals: { 'sts:ExternalId': ExternalId } },
      });
    const arn =
      await aws`iam create-role --role-name backup --assume-role-policy-document ${trust('first')} --max-session-duration 7200 --query Role.Arn`;
    const read = policyOf(allow('ec2:DescribeVolumes'));
    await aws`iam put-role-policy --role-name backup --policy-name read --policy-document ${read}`;
    expect(await aws`iam list-role-policies --role-name backup --query PolicyNames`).toEqual(['read']);
    expect(
      await aws`iam get-role-policy --role-name backup --policy-name read --query PolicyDocument.Statement[0].Action`,
    ).toBe('ec2:DescribeVolumes');
    await aws`iam update-assume-role-policy --role-name backup --policy-document ${trust('second')}`;
    expect(await aws`iam get-role --role-name backup --query Role.MaxSessionDuration`).toBe(7_200);

    await aws`iam create-user --user-name worker`;
    await aws`iam put-user-policy --user-name worker --policy-name p --policy-document ${policyOf(allow('sts:AssumeRole'))}`;
    const key = await aws`iam create-access-key --user-name worker --query AccessKey.[AccessKeyId,SecretAccessKey]`;
    const [accessKeyId = '', secretAccessKey = ''] = key as string[];
    const worker = on.as({ accessKeyId, secretAccessKey });
    const assume = 'backup-job';
    expect(await refused`sts assume-role --role-arn ${arn} --role-session-name ${assume}`).toBe('254 AccessDenied');
    expect(
      await worker.refused`sts assume-role --role-arn ${arn} --role-session-name ${assume} --external-id first`,
    ).toBe('254 AccessDenied');
    const session =
      await worker.aws`sts assume-role --role-arn ${arn} --role-session-name ${assume} --external-id second --query Credentials.[AccessKeyId,SecretAccessKey,SessionToken]`;
    const [id = '', secret = '', sessionToken = ''] = session as string[];
    const job = on.as({ accessKeyId: id, secretAccessKey: secret, sessionToken });
    expect(await job.aws`sts get-caller-identity --query Arn`).toBe(
      `arn:aws:sts::${ACCOUNT}:assumed-role/backup/backup-job`,
    );
    expect(await job.aws`ec2 describe-volumes --query Volumes`).toEqual([]);
    expect(await job.refused`ec2 describe-snapshots`).toBe('254 UnauthorizedOperation');
    expect(await job.refused`iam list-roles`).toBe('254 AccessDenied');

    await aws`iam delete-role-policy --role-name backup --policy-name read`;
    await aws`iam delete-role --role-name backup`;
    expect(await refused`iam get-role --role-name backup`).toBe('254 NoSuchEntity');
    const wrongSecret = on.as({ accessKeyId, secretAccessKey: 'x'.repeat(40) });
    expect(await wrongSecret.refused`sts get-caller-identity`).toBe('254 SignatureDoesNotMatch');
  });
});

describe('ec2', () => {
  test('an instance is launched, described, stopped, started and terminated', async () => {
    const on = await cli();
    const { aws, refused } = on;
    const [pem] = await Promise.all([
      aws`ec2 create-key-pair --key-name deploy --query KeyMaterial`,
      expect(aws`ec2 describe-availability-zones --query AvailabilityZones[0].ZoneName`).resolves.toBe(ZONE),
      expect(
        aws`ec2 describe-images --image-ids ${IMAGE} --query Images[0].[Architecture,VirtualizationType]`,
      ).resolves.toEqual(['x86_64', 'hvm']),
      expect(
        aws`ec2 describe-instance-types --instance-types t3.small --query InstanceTypes[0].ProcessorInfo.SupportedArchitectures`,
      ).resolves.toContain('x86_64'),
    ]);
    expect(pem).toContain('PRIVATE KEY');
    expect(await aws`ec2 describe-key-pairs --key-names deploy --query KeyPairs[0].KeyName`).toBe('deploy');
    const subnet =
      (await aws`ec2 describe-subnets --filters Name=availability-zone,Values=${ZONE} --query Subnets[0].[SubnetId,VpcId]`) as string[];
    expect(await aws`ec2 describe-vpcs --query Vpcs[0].VpcId`).toBe(subnet[1]);
    const group = await aws`ec2 describe-security-groups --query SecurityGroups[0].GroupId`;
    const launched =
      await aws`ec2 run-instances --image-id ${IMAGE} --instance-type t3.small --key-name deploy --subnet-id ${subnet[0]} --security-group-ids ${group} --user-data hello --metadata-options HttpTokens=required --query Instances[0].InstanceId`;
    await running(on, launched);
    const attribute =
      await aws`ec2 describe-instance-attribute --instance-id ${launched} --attribute userData --query UserData.Value`;
    expect(Buffer.from(String(attribute), 'base64').toString()).toBe('hello');
    const nic =
      await aws`ec2 describe-network-interfaces --filters Name=attachment.instance-id,Values=${launched} --query NetworkInterfaces[0].SubnetId`;
    expect(nic).toBe(subnet[0]);
    await aws`ec2 stop-instances --instance-ids ${launched}`;
    await expect.poll(() => stateOf(on, launched), { timeout: 20_000 }).toBe('stopped');
    await aws`ec2 start-instances --instance-ids ${launched}`;
    await running(on, launched);
    await aws`ec2 terminate-instances --instance-ids ${launched}`;
    await expect.poll(() => stateOf(on, launched), { timeout: 20_000 }).toBe('terminated');
    expect(await refused`ec2 start-instances --instance-ids ${launched}`).toBe('254 IncorrectInstanceState');
    await aws`ec2 delete-key-pair --key-name deploy`;
    expect(await refused`ec2 describe-key-pairs --key-names deploy`).toBe('254 InvalidKeyPair.NotFound');
    expect(await refused`ec2 describe-instances --instance-ids i-00000000000000000`).toBe(
      '254 InvalidInstanceID.NotFound',
    );
    expect(await refused`ec2 run-instances --image-id ${IMAGE} --dry-run`).toBe('254 DryRunOperation');
    expect(await refused`ec2 run-instances --image-id ami-00000000000000000`).toBe('254 InvalidAMIID.NotFound');
  });

  test('all disks of an instance are snapshotted at once, tagged, copied and deleted', async () => {
    const on = await cli();
    const { aws, refused } = on;
    const instance = await launch(on);
    await running(on, instance);
    const tags = [{ ResourceType: 'snapshot', Tags: [{ Key: 'job', Value: '1' }] }];
    const set =
      (await aws`ec2 create-snapshots --instance-specification InstanceId=${instance} --tag-specifications ${tags} --query Snapshots[].SnapshotId`) as string[];
    expect(set).toHaveLength(2);
    await Promise.all(set.map((snapshot) => completed(on, snapshot)));
    const found =
      await aws`ec2 describe-snapshots --owner-ids self --filters Name=tag:job,Values=1 --query Snapshots[].SnapshotId`;
    expect((found as string[]).toSorted()).toEqual(set.toSorted());
    await aws`ec2 create-tags --resources ${set[0]} --tags Key=kept,Value=long`;
    expect(await aws`ec2 describe-tags --filters Name=key,Values=kept --query Tags[].ResourceId`).toEqual([set[0]]);
    await aws`ec2 delete-tags --resources ${set[0]} --tags Key=kept`;
    expect(await aws`ec2 describe-tags --filters Name=key,Values=kept --query Tags`).toEqual([]);
    const copy =
      await aws`ec2 copy-snapshot --source-region ${REGION} --source-snapshot-id ${set[0]} --encrypted --query SnapshotId`;
    await completed(on, copy);
    expect(await aws`ec2 describe-snapshots --snapshot-ids ${copy} --query Snapshots[0].Encrypted`).toBe(true);
    await aws`ec2 delete-snapshot --snapshot-id ${copy}`;
    expect(await refused`ec2 describe-snapshots --snapshot-ids ${copy}`).toBe('254 InvalidSnapshot.NotFound');
    expect(await refused`ec2 delete-snapshot --snapshot-id ${copy}`).toBe('254 InvalidSnapshot.NotFound');
    const root = (await volumesOf(on, instance))[0];
    const spec = { InstanceId: instance, ExcludeDataVolumeIds: [root] };
    expect(await refused`ec2 create-snapshots --instance-specification ${spec}`).toBe('254 InvalidParameterValue');
  });

  test('a volume comes from a snapshot, is attached, detached and deleted', async () => {
    const on = await cli();
    const { aws, refused } = on;
    const instance = await launch(on);
    await running(on, instance);
    const volume = await newVolume(on);
    const elsewhere = await newVolume(on, `${REGION}b`);
    const attach = (id: unknown, device: string) =>
      refused`ec2 attach-volume --volume-id ${id} --instance-id ${instance} --device ${device}`;
    expect(await attach(elsewhere, '/dev/sdg')).toBe('254 InvalidVolume.ZoneMismatch');
    expect(await attach(volume, '/dev/sdf')).toBe('254 InvalidParameterValue');
    await aws`ec2 attach-volume --volume-id ${volume} --instance-id ${instance} --device /dev/sdg`;
    expect(await attach(volume, '/dev/sdh')).toBe('254 VolumeInUse');
    expect(await refused`ec2 delete-volume --volume-id ${volume}`).toBe('254 VolumeInUse');
    expect(
      await aws`ec2 describe-volumes --volume-ids ${volume} --query Volumes[0].[State,Attachments[0].Device]`,
    ).toEqual(['in-use', '/dev/sdg']);
    const snapshot = await snapshotOf(on, volume);
    await aws`ec2 detach-volume --volume-id ${volume}`;
    await aws`ec2 delete-volume --volume-id ${volume}`;
    expect(await refused`ec2 describe-volumes --volume-ids ${volume}`).toBe('254 InvalidVolume.NotFound');
    const again =
      await aws`ec2 create-volume --availability-zone ${ZONE} --snapshot-id ${snapshot} --size 2 --volume-type gp3 --iops 4000 --throughput 200 --encrypted --query [Size,Iops,Throughput,Encrypted]`;
    expect(again).toEqual([2, 4_000, 200, true]);
    expect(await refused`ec2 create-volume --availability-zone ${REGION}z --size 1`).toBe('254 InvalidZone.NotFound');
    // What the command itself finds wrong never reaches the service.
    expect(await refused`ec2 create-volume --size 1`).toMatch(/^252 /);
  });

  test('an image is registered, launched and deregistered, and a root volume is replaced', async () => {
    const on = await cli();
    const { aws, refused } = on;
    const instance = await launch(on);
    await running(on, instance);
    const snapshot = await snapshotOf(on, (await volumesOf(on, instance))[0]);
    const devices = [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: snapshot, VolumeType: 'gp3' } }];
    const register = (name: string) =>
      aws`ec2 register-image --name ${name} --architecture x86_64 --virtualization-type hvm --ena-support --boot-mode uefi --root-device-name /dev/xvda --block-device-mappings ${devices} --query ImageId`;
    const image = await register('restored');
    await expect(register('restored')).rejects.toThrow('InvalidAMIName.Duplicate');
    expect(
      await aws`ec2 describe-images --owners self --query Images[0].[ImageId,BootMode,BlockDeviceMappings[0].Ebs.SnapshotId]`,
    ).toEqual([image, 'uefi', snapshot]);
    expect(await refused`ec2 delete-snapshot --snapshot-id ${snapshot}`).toBe('254 InvalidSnapshot.InUse');
    await aws`ec2 run-instances --image-id ${image} --instance-type t3.small`;
    await aws`ec2 deregister-image --image-id ${image}`;
    expect(await refused`ec2 deregister-image --image-id ${image}`).toBe('254 InvalidAMIID.Unavailable');

    const task =
      await aws`ec2 create-replace-root-volume-task --instance-id ${instance} --snapshot-id ${snapshot} --query ReplaceRootVolumeTask.ReplaceRootVolumeTaskId`;
    const taskState = () =>
      aws`ec2 describe-replace-root-volume-tasks --replace-root-volume-task-ids ${task} --query ReplaceRootVolumeTasks[0].TaskState`;
    await expect.poll(taskState, { timeout: 20_000 }).toBe('succeeded');
    const foreign = await snapshotOf(on, (await volumesOf(on, instance))[1]);
    expect(await refused`ec2 create-replace-root-volume-task --instance-id ${instance} --snapshot-id ${foreign}`).toBe(
      '254 InvalidParameterValue',
    );
  });
});

describe('ebs', () => {
  test('blocks are written, sealed, listed, compared and read', async () => {
    const on = await cli();
    const { aws, refused, file } = on;
    const [a, b] = [blockOf('a'), blockOf('b')];
    writeFileSync(file('a'), a);
    writeFileSync(file('b'), b);
    const put = (snapshot: unknown, index: number, name: string, checksum: string) =>
      aws`ebs put-snapshot-block --snapshot-id ${snapshot} --block-index ${index} --data-length 524288 --checksum ${checksum} --checksum-algorithm SHA256 --block-data ${file(name)}`;
    const seal = async (snapshot: unknown, blocks: Buffer[]) => {
      await aws`ebs complete-snapshot --snapshot-id ${snapshot} --changed-blocks-count ${blocks.length} --checksum ${linear(blocks)} --checksum-algorithm SHA256 --checksum-aggregation-method LINEAR`;
      await completed(on, snapshot);
    };
    const first = await aws`ebs start-snapshot --volume-size 1 --description first --query SnapshotId`;
    await expect(put(first, 0, 'a', sha256(b))).rejects.toThrow('ValidationException');
    await put(first, 0, 'a', sha256(a));
    expect(await refused`ebs list-snapshot-blocks --snapshot-id ${first}`).toBe('254 ValidationException');
    expect(await refused`ebs complete-snapshot --snapshot-id ${first} --changed-blocks-count 7`).toBe(
      '254 ValidationException',
    );
    await seal(first, [a]);
    const second = await aws`ebs start-snapshot --volume-size 1 --parent-snapshot-id ${first} --query SnapshotId`;
    await put(second, 9, 'b', sha256(b));
    await seal(second, [b]);

    expect(
      await aws`ebs list-snapshot-blocks --snapshot-id ${second} --query [BlockSize,VolumeSize,Blocks[].BlockIndex]`,
    ).toEqual([524_288, 1, [0, 9]]);
    expect(
      await aws`ebs list-changed-blocks --first-snapshot-id ${first} --second-snapshot-id ${second} --query ChangedBlocks[].BlockIndex`,
    ).toEqual([9]);
    const token = await aws`ebs list-snapshot-blocks --snapshot-id ${second} --query Blocks[1].BlockToken`;
    const got =
      await aws`ebs get-snapshot-block --snapshot-id ${second} --block-index 9 --block-token ${token} --query [DataLength,Checksum] ${file('out')}`;
    // A command of this age leaves a number in a header a text.
    expect(got).toEqual(['524288', sha256(b)]);
    expect(
      createHash('sha256')
        .update(readFileSync(file('out')))
        .digest('base64'),
    ).toBe(sha256(b));
    expect(
      await refused`ebs get-snapshot-block --snapshot-id ${second} --block-index 0 --block-token ${token} ${file('no')}`,
    ).toBe('254 ValidationException');
    const stranger = await aws`ebs start-snapshot --volume-size 1 --query SnapshotId`;
    await seal(stranger, []);
    expect(await refused`ebs list-changed-blocks --first-snapshot-id ${stranger} --second-snapshot-id ${second}`).toBe(
      '254 ValidationException',
    );
    expect(await refused`ebs start-snapshot --volume-size 1 --parent-snapshot-id ${first} --encrypted`).toBe(
      '254 ValidationException',
    );
    expect(await refused`ebs list-snapshot-blocks --snapshot-id snap-00000000000000000`).toBe(
      '254 ResourceNotFoundException',
    );
  });
});

describe('cloudformation', () => {
  test('a stack makes a role, is updated and deleted, and takes none without the capability to name it', async () => {
    const { aws, refused } = await cli();
    const template = (action: string) => ({
      Resources: {
        Role: {
          Type: 'AWS::IAM::Role',
          Properties: {
            RoleName: 'from-a-stack',
            AssumeRolePolicyDocument: {
              Version: '2012-10-17',
              Statement: [{ Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' }],
            },
            Policies: [{ PolicyName: 'p', PolicyDocument: JSON.parse(policyOf(allow(action))) as unknown }],
          },
        },
      },
      Outputs: { Arn: { Value: { 'Fn::GetAtt': ['Role', 'Arn'] } } },
    });
    const settled = (status: string) =>
      expect
        .poll(() => aws`cloudformation describe-stacks --stack-name s --query Stacks[0].StackStatus`, {
          timeout: 20_000,
        })
        .toBe(status);
    const first = template('ec2:DescribeInstances');
    expect(await refused`cloudformation create-stack --stack-name s --template-body ${first}`).toBe(
      '254 InsufficientCapabilitiesException',
    );
    const named = 'CAPABILITY_NAMED_IAM';
    await aws`cloudformation create-stack --stack-name s --template-body ${first} --capabilities ${named}`;
    await settled('CREATE_COMPLETE');
    expect(await refused`cloudformation create-stack --stack-name s --template-body ${first}`).toBe(
      '254 AlreadyExistsException',
    );
    const arn = await aws`cloudformation describe-stacks --stack-name s --query Stacks[0].Outputs[0].OutputValue`;
    expect(await aws`iam get-role --role-name from-a-stack --query Role.Arn`).toBe(arn);
    const second = template('ec2:DescribeVolumes');
    await aws`cloudformation update-stack --stack-name s --template-body ${second} --capabilities ${named}`;
    await settled('UPDATE_COMPLETE');
    expect(
      await aws`iam get-role-policy --role-name from-a-stack --policy-name p --query PolicyDocument.Statement[0].Action`,
    ).toBe('ec2:DescribeVolumes');
    expect(
      await refused`cloudformation update-stack --stack-name s --template-body ${second} --capabilities ${named}`,
    ).toBe('254 ValidationError');
    await aws`cloudformation delete-stack --stack-name s`;
    const gone = () => refused`iam get-role --role-name from-a-stack`;
    await expect.poll(gone, { timeout: 20_000 }).toBe('254 NoSuchEntity');
  });
});

describe('kms', () => {
  test('keys wrap and unwrap under their context, and are moved, granted and disabled', async () => {
    const { aws, refused, file } = await cli();
    const [key, other] = await Promise.all([
      aws`kms create-key --description disks --query KeyMetadata.Arn`,
      aws`kms create-key --query KeyMetadata.Arn`,
    ]);
    await aws`kms create-alias --alias-name alias/disks --target-key-id ${key}`;
    expect(await aws`kms describe-key --key-id alias/disks --query KeyMetadata.Arn`).toBe(key);
    expect(await aws`kms list-aliases --query Aliases[?AliasName=='alias/disks']|length(@)`).toBe(1);
    const [plain, blob] =
      (await aws`kms generate-data-key --key-id alias/disks --key-spec AES_256 --encryption-context tenant=a --query [Plaintext,CiphertextBlob]`) as string[];
    await aws`kms generate-data-key-without-plaintext --key-id ${key} --key-spec AES_256`;
    writeFileSync(file('blob'), Buffer.from(blob ?? '', 'base64'));
    const decrypt = (context: string) =>
      aws`kms decrypt --ciphertext-blob fileb://${file('blob')} --encryption-context ${context} --query [Plaintext,KeyId]`;
    expect(await decrypt('tenant=a')).toEqual([plain, key]);
    await expect(decrypt('tenant=b')).rejects.toThrow('InvalidCiphertextException');
    const moved =
      await aws`kms re-encrypt --ciphertext-blob fileb://${file('blob')} --source-encryption-context tenant=a --destination-key-id ${other} --destination-encryption-context tenant=a --query CiphertextBlob`;
    writeFileSync(file('moved'), Buffer.from(String(moved), 'base64'));
    expect(
      await aws`kms decrypt --ciphertext-blob fileb://${file('moved')} --key-id ${other} --encryption-context tenant=a --query [Plaintext,KeyId]`,
    ).toEqual([plain, other]);
    expect(
      await refused`kms decrypt --ciphertext-blob fileb://${file('moved')} --key-id ${key} --encryption-context tenant=a`,
    ).toBe('254 IncorrectKeyException');
    writeFileSync(file('text'), 'a small secret');
    expect(await aws`kms encrypt --key-id ${key} --plaintext fileb://${file('text')} --query KeyId`).toBe(key);
    expect(
      await aws`kms create-grant --key-id ${key} --grantee-principal arn:aws:iam::${ACCOUNT}:root --operations Decrypt --query GrantId`,
    ).toEqual(expect.any(String));
    await aws`kms disable-key --key-id ${key}`;
    await expect(decrypt('tenant=a')).rejects.toThrow('DisabledException');
    expect(await refused`kms describe-key --key-id alias/nobody`).toBe('254 NotFoundException');
    await aws`kms schedule-key-deletion --key-id ${other} --pending-window-in-days 7`;
    expect(await refused`kms generate-data-key --key-id ${other} --key-spec AES_256`).toBe(
      '254 KMSInvalidStateException',
    );
  });
});

describe('s3api', () => {
  const place = `LocationConstraint=${REGION}`;
  test('objects are put, listed, read in part, versioned and deleted', async () => {
    const { aws, refused, file } = await cli();
    await aws`s3api create-bucket --bucket vault --create-bucket-configuration ${place}`;
    expect(await refused`s3api head-bucket --bucket nobody`).toBe('254 404');
    await aws`s3api head-bucket --bucket vault`;
    expect(await aws`s3api get-bucket-location --bucket vault --query LocationConstraint`).toBe(REGION);
    await aws`s3api put-bucket-versioning --bucket vault --versioning-configuration Status=Enabled`;
    expect(await aws`s3api get-bucket-versioning --bucket vault --query Status`).toBe('Enabled');
    writeFileSync(file('one'), 'one');
    writeFileSync(file('two'), 'two');
    const put = (key: string, name: string) =>
      aws`s3api put-object --bucket vault --key ${key} --body ${file(name)} --checksum-algorithm SHA256 --metadata from=cli --query VersionId`;
    const [old, now] = [await put('packs/ä b', 'one'), await put('packs/ä b', 'two')];
    expect(await aws`s3api list-objects-v2 --bucket vault --prefix packs/ --query Contents[].[Key,Size]`).toEqual([
      ['packs/ä b', 3],
    ]);
    expect(await aws`s3api list-object-versions --bucket vault --query Versions[].[VersionId,IsLatest]`).toEqual([
      [now, true],
      [old, false],
    ]);
    const got =
      await aws`s3api get-object --bucket vault --key ${'packs/ä b'} --version-id ${old} --range bytes=1-2 ${file('part')}`;
    expect(got).toMatchObject({ ContentRange: 'bytes 1-2/3', Metadata: { from: 'cli' } });
    expect(readFileSync(file('part'), 'utf8')).toBe('ne');
    expect(await aws`s3api head-object --bucket vault --key ${'packs/ä b'} --query ContentLength`).toBe(3);
    expect(await refused`s3api get-object --bucket vault --key none ${file('no')}`).toBe('254 NoSuchKey');
    expect(await refused`s3api put-object --bucket vault --key x --body ${file('one')} --content-md5 ${md5('x')}`).toBe(
      '254 BadDigest',
    );
    expect(await refused`s3api list-objects-v2 --bucket vault --expected-bucket-owner 999999999999`).toBe(
      '254 AccessDenied',
    );
    const doomed = { Objects: [{ Key: 'packs/ä b', VersionId: old }] };
    expect(await aws`s3api delete-objects --bucket vault --delete ${doomed} --query Deleted[].VersionId`).toEqual([
      old,
    ]);
    await aws`s3api delete-object --bucket vault --key ${'packs/ä b'}`;
    expect(await refused`s3api get-object --bucket vault --key ${'packs/ä b'} ${file('no')}`).toBe('254 NoSuchKey');
    expect(await refused`s3api delete-bucket --bucket vault`).toBe('254 BucketNotEmpty');
    const policy = policyOf({
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:PutObject',
      Resource: 'arn:aws:s3:::vault/*',
    });
    await aws`s3api put-bucket-policy --bucket vault --policy ${policy}`;
    expect(await refused`s3api put-object --bucket vault --key x --body ${file('one')}`).toBe('254 AccessDenied');
  });

  test('a locked version stays, and a large file goes up and down in parts', async () => {
    const { aws, refused, file } = await cli();
    await aws`s3api create-bucket --bucket locked --object-lock-enabled-for-bucket --create-bucket-configuration ${place}`;
    const big = Buffer.concat(Array.from({ length: 20 }, (_, i) => blockOf(`part ${i}`)));
    writeFileSync(file('big'), big);
    writeFileSync(file('small'), 'small');
    await aws`s3 cp --only-show-errors ${file('big')} s3://locked/big`;
    await aws`s3 cp --only-show-errors s3://locked/big ${file('back')}`;
    expect(sha256(readFileSync(file('back')))).toBe(sha256(big));
    expect(await aws`s3api head-object --bucket locked --key big --query ETag`).toMatch(/-\d+"$/);
    const until = '2099-01-01T00:00:00Z';
    const version =
      await aws`s3api put-object --bucket locked --key kept --body ${file('small')} --object-lock-mode COMPLIANCE --object-lock-retain-until-date ${until} --query VersionId`;
    expect(await aws`s3api get-object-retention --bucket locked --key kept --query Retention.Mode`).toBe('COMPLIANCE');
    const retention = (RetainUntilDate: string) => ({ Mode: 'COMPLIANCE', RetainUntilDate });
    await aws`s3api put-object-retention --bucket locked --key kept --retention ${retention('2099-02-01T00:00:00Z')}`;
    expect(await refused`s3api put-object-retention --bucket locked --key kept --retention ${retention(until)}`).toBe(
      '254 AccessDenied',
    );
    expect(
      await refused`s3api delete-object --bucket locked --key kept --version-id ${version} --bypass-governance-retention`,
    ).toBe('254 AccessDenied');
    await aws`s3api delete-object --bucket locked --key kept`;
    await aws`s3api get-object --bucket locked --key kept --version-id ${version} ${file('kept')}`;
    expect(readFileSync(file('kept'), 'utf8')).toBe('small');
  });
});

// The list is read from the product's own code: a new call there without a line above fails here. It must stay last.
test('the command was answered in every operation that the product uses', () => {
  expect(productOperations().filter((name) => !answered.has(name))).toEqual(NEWER_THAN_THE_COMMAND);
});
