import {
  CreateSnapshotCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteSnapshotCommand,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
} from '@aws-sdk/client-ec2';
import { agrees, type Case, refuses } from '../case.ts';
import { allow, policyOf } from '../lab.ts';
import { ERRORS, DRY, RIGHTS, TAGGED_SNAPSHOT, zone, launch, spare } from './ec2-things.ts';

export const RIGHTS_CASES: readonly Case[] = [
  refuses('ec2-no-right', ['a call without its permission', ERRORS], 'UnauthorizedOperation', async (lab) =>
    (await lab.as(policyOf(allow('s3:*')))).ec2.send(new DescribeVolumesCommand({})),
  ),
  refuses(
    'ec2-dry-run-allowed',
    ['a dry run that would have succeeded ends in an error', DRY],
    'DryRunOperation',
    (lab) => launch(lab, {}),
  ),
  refuses('ec2-dry-run-refused', ['a dry run without the permission', DRY], 'UnauthorizedOperation', async (lab) => {
    const { ec2 } = await lab.as(policyOf(allow('ec2:Describe*')));
    return ec2.send(new CreateVolumeCommand({ AvailabilityZone: zone(lab), Size: 1, DryRun: true }));
  }),
  refuses(
    'ec2-describe-has-no-resource',
    ['a Describe call with a resource in the policy', RIGHTS],
    'UnauthorizedOperation',
    async (lab) => {
      const { ec2 } = await lab.as(policyOf(allow('ec2:DescribeInstances', 'arn:aws:ec2:*:*:instance/*')));
      return ec2.send(new DescribeInstancesCommand({}));
    },
  ),
  refuses(
    'ec2-tag-needs-right',
    [
      'tagging while creating, without ec2:CreateTags',
      'EC2 guide, "Grant permission to tag resources during creation"',
    ],
    'UnauthorizedOperation',
    async (lab) => {
      const { ec2 } = await lab.as(policyOf(allow('ec2:CreateSnapshot')));
      return ec2.send(new CreateSnapshotCommand({ VolumeId: await spare(lab), TagSpecifications: TAGGED_SNAPSHOT }));
    },
  ),
  refuses(
    'ec2-tag-only-while-creating',
    [
      'tags on what is there, with ec2:CreateAction demanded',
      'EC2 guide, "Grant permission to tag resources during creation"',
    ],
    'UnauthorizedOperation',
    async (lab) => {
      const creating = allow('ec2:CreateTags', '*', { StringEquals: { 'ec2:CreateAction': 'CreateSnapshot' } });
      const { ec2 } = await lab.as(policyOf(creating));
      return ec2.send(new CreateTagsCommand({ Resources: [await spare(lab)], Tags: [{ Key: 'a', Value: 'b' }] }));
    },
  ),
  refuses(
    'ec2-delete-other-tag',
    ['deleting what the tag condition leaves out', RIGHTS],
    'UnauthorizedOperation',
    async (lab) => {
      const { ec2 } = await lab.as(
        policyOf(allow('ec2:DeleteSnapshot', '*', { StringEquals: { 'aws:ResourceTag/ours': 'yes' } })),
      );
      return ec2.send(new DeleteSnapshotCommand({ SnapshotId: await lab.sharedSnapshot() }));
    },
  ),
  refuses(
    'ec2-encrypted-demanded',
    ['an unencrypted volume where ec2:Encrypted is demanded', RIGHTS],
    'UnauthorizedOperation',
    async (lab) => {
      const { ec2 } = await lab.as(policyOf(allow('ec2:CreateVolume', '*', { Bool: { 'ec2:Encrypted': 'true' } })));
      return ec2.send(new CreateVolumeCommand({ AvailabilityZone: zone(lab), Size: 1, Encrypted: false }));
    },
  ),
  agrees(
    'ec2-tag-with-right',
    ['tagging while creating, with both permissions', 'EC2 guide, "Grant permission to tag resources during creation"'],
    async (lab) => {
      const creating = allow('ec2:CreateTags', '*', { StringEquals: { 'ec2:CreateAction': 'CreateSnapshot' } });
      const { ec2 } = await lab.as(policyOf(allow('ec2:CreateSnapshot'), creating));
      const answer = await ec2.send(
        new CreateSnapshotCommand({ VolumeId: await spare(lab), TagSpecifications: TAGGED_SNAPSHOT }),
      );
      lab.removeSnapshot(answer.SnapshotId);
      return answer;
    },
    (answer) => answer.Tags?.[0]?.Key === 'backup',
  ),
];
