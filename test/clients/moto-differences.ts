import type { Explanation } from './differences.ts';

const API = 'https://docs.aws.amazon.com';
const EC2_ERRORS = `${API}/AWSEC2/latest/APIReference/errors-overview.html`;

/** Every difference between the answers of the sandbox and of moto 5.2.5, as `step: sandbox → moto`. */
export const EXPLANATIONS: readonly Explanation[] = [
  {
    right: 'the sandbox',
    why: 'moto has no root user, and takes every key that it did not make for that of one user',
    source: `${API}/STS/latest/APIReference/API_GetCallerIdentity.html`,
    of: ['sts_tells_the_root_who_it_is.root: true → false'],
  },
  {
    right: 'the sandbox',
    why: 'moto evaluates no trust policy, neither its principals nor its conditions',
    source: `${API}/STS/latest/APIReference/API_AssumeRole.html`,
    of: [
      'sts_refuses_the_root_as_a_caller: AccessDenied → ok',
      'sts_refuses_no_external_id: AccessDenied → ok',
      'sts_refuses_a_wrong_external_id: AccessDenied → ok',
    ],
  },
  {
    right: 'the sandbox',
    why: "moto does not hold a session to the role's MaxSessionDuration",
    source: `${API}/STS/latest/APIReference/API_AssumeRole.html`,
    of: ['sts_refuses_more_time_than_the_role_gives: ValidationError → ok'],
  },
  {
    right: 'the sandbox',
    why: 'moto checks keys and rights only when its server was told to, and never session policies',
    source: `${API}/IAM/latest/UserGuide/reference_policies_evaluation-logic.html`,
    of: [
      'ec2_refuses_the_session_what_its_role_may_not: UnauthorizedOperation → ok',
      'ec2_refuses_what_the_session_policy_leaves_out: UnauthorizedOperation → ok',
      'ec2_refuses_a_key_that_nobody_has: AuthFailure → ok',
    ],
  },
  {
    right: 'the sandbox',
    why: 'moto finds out by decrypting, and knows no error for a ciphertext of another key than named',
    source: `${API}/kms/latest/APIReference/API_Decrypt.html`,
    of: ['kms_refuses_another_key_than_named: IncorrectKeyException → AccessDeniedException'],
  },
  {
    right: 'the sandbox',
    why: 'moto notes the state of a key and uses it all the same',
    source: `${API}/kms/latest/developerguide/key-state.html`,
    of: [
      'kms_does_not_encrypt_under_a_disabled_key: DisabledException → ok',
      'kms_does_not_encrypt_under_a_key_to_be_deleted: KMSInvalidStateException → ok',
    ],
  },
  {
    right: 'the sandbox',
    why: 'moto gives gp3 its 3,000 IOPS by default, but not its 125 MiB/s, and checks no limits',
    source: `${API}/AWSEC2/latest/APIReference/API_CreateVolume.html`,
    of: [
      'ec2_makes_a_volume.Throughput: 125 → null',
      'ec2_makes_no_gp3_of_100000_iops: InvalidParameterValue → ok',
      'ec2_makes_no_volume_smaller_than_its_snapshot: InvalidParameterValue → ok',
    ],
  },
  {
    right: 'the sandbox',
    why: 'moto makes a volume in a zone that it does not know',
    source: EC2_ERRORS,
    of: ['ec2_makes_no_volume_where_no_zone_is: InvalidZone.NotFound → ok'],
  },
  {
    right: 'the sandbox',
    why: 'moto ignores client tokens',
    source: `${API}/ec2/latest/devguide/ec2-api-idempotency.html`,
    of: [
      'ec2_makes_one_volume_under_one_client_token.same: true → false',
      'ec2_launches_once_under_one_client_token.same: true → false',
      'ec2_refuses_another_launch_under_that_token: IdempotentParameterMismatch → ok',
    ],
  },
  {
    right: 'the sandbox',
    why: 'moto does not look at MaxResults beside ids',
    source: `${API}/AWSEC2/latest/APIReference/API_DescribeSnapshots.html`,
    of: ['ec2_pages_no_snapshots_that_are_named: InvalidParameterCombination → ok'],
  },
  {
    right: 'the sandbox',
    why: 'moto says that the snapshot is encrypted, but not with which key; its copy has no parameter Encrypted',
    source: `${API}/ebs/latest/userguide/ebs-encryption.html`,
    of: [
      'ec2_keeps_a_snapshot_of_an_encrypted_volume_encrypted.key: true → false',
      'ec2_copies_a_snapshot_and_encrypts_it.encrypted: true → false',
    ],
  },
  {
    right: 'the sandbox',
    why: 'moto knows ExcludeBootVolume, but not ExcludeDataVolumeIds',
    source: `${API}/AWSEC2/latest/APIReference/API_InstanceSpecification.html`,
    of: [
      'ec2_leaves_out_what_it_is_told_to.snapshots: 1 → 2',
      'ec2_leaves_out_no_root_volume_as_a_data_volume: InvalidParameterValue → ok',
    ],
  },
  {
    right: 'the sandbox',
    why: 'moto attaches and detaches whatever it is told to, and has one error for what is not attached',
    source: EC2_ERRORS,
    of: [
      'ec2_attaches_no_volume_twice: VolumeInUse → ok',
      'ec2_attaches_nothing_at_a_device_in_use: InvalidParameterValue → ok',
      'ec2_attaches_nothing_of_another_zone: InvalidVolume.ZoneMismatch → ok',
      'ec2_detaches_nothing_that_is_free: IncorrectState → InvalidAttachment.NotFound',
      'ec2_detaches_no_root_volume_of_a_running_instance: OperationNotPermitted → ok',
    ],
  },
  {
    right: 'the sandbox',
    why: 'moto has no locks of snapshots',
    source: `${API}/AWSEC2/latest/APIReference/API_LockSnapshot.html`,
    of: ['ec2_locks_a_snapshot: ok → ResponseParserError', 'ec2_deletes_no_locked_snapshot: SnapshotLocked → ok'],
  },
  {
    right: 'the sandbox',
    why: 'moto launches from an image and with a key pair that it does not have, unless it is set to be strict',
    source: EC2_ERRORS,
    of: [
      'ec2_launches_no_image_that_is_not_there: InvalidAMIID.NotFound → ok',
      'ec2_launches_no_image_of_a_malformed_id: InvalidAMIID.Malformed → ok',
      'ec2_launches_no_image_that_was_deregistered: InvalidAMIID.Unavailable → ok',
      'ec2_launches_with_no_key_pair_that_is_not_there: InvalidKeyPair.NotFound → ok',
    ],
  },
  {
    right: 'the sandbox',
    why: 'moto ends in an exception at a filter that it does not know, and calls a malformed id unknown',
    source: EC2_ERRORS,
    of: [
      'ec2_refuses_a_filter_that_is_none: InvalidParameterValue → ResponseParserError',
      'ec2_refuses_a_malformed_instance_id: InvalidInstanceID.Malformed → InvalidInstanceID.NotFound',
    ],
  },
  {
    right: 'the sandbox',
    why: 'moto keeps name and description of a registered image and drops all the rest, its snapshots too',
    source: `${API}/AWSEC2/latest/APIReference/API_RegisterImage.html`,
    of: [
      'ec2_registers_nothing_without_its_snapshot: InvalidSnapshot.NotFound → ok',
      'ec2_registers_an_image: ok → KeyError',
      'ec2_refuses_a_second_image_of_the_name: InvalidAMIName.Duplicate → ok',
      'ec2_keeps_the_snapshot_of_an_image: InvalidSnapshot.InUse → ok',
    ],
  },
  {
    right: 'both',
    why: 'when its last instance is gone AWS answers with nothing (moto) and, at last, that it is not there (the sandbox)',
    source: `${API}/AWSEC2/latest/APIReference/API_DescribeImages.html`,
    of: ['ec2_knows_no_deregistered_image_without_instances: InvalidAMIID.NotFound → ok'],
  },
  {
    right: 'the sandbox',
    why: 'moto does not replace root volumes',
    source: `${API}/AWSEC2/latest/APIReference/API_CreateReplaceRootVolumeTask.html`,
    of: [
      'ec2_replaces_a_root_volume_from_its_own_snapshot: ok → ResponseParserError',
      'ec2_replaces_a_root_volume_by_another: ok → ResponseParserError',
    ],
  },
  {
    right: 'the sandbox',
    why: 'moto starts terminated instances',
    source: `${API}/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html`,
    of: ['ec2_starts_nothing_that_is_terminated: IncorrectInstanceState → ok'],
  },
  {
    right: 'the sandbox',
    why: "moto's EBS direct APIs keep blocks and check nothing of them; a child has none of its parent's",
    source: `${API}/ebs/latest/userguide/ebs-accessing-snapshot.html`,
    of: [
      'ebs_starts_a_snapshot.BlockSize: 524288 → 512',
      'ebs_refuses_a_wrong_checksum: ValidationException → ok',
      'ebs_refuses_a_block_behind_the_end: ValidationException → ok',
      'ebs_lists_no_snapshot_that_is_pending: ValidationException → ok',
      'ebs_refuses_a_wrong_number_of_blocks: ValidationException → ok',
      'ebs_takes_no_block_after_that: ValidationException → ok',
      'ebs_continues_a_snapshot.parent: true → false',
      'ebs_refuses_encryption_beside_a_parent: ValidationException → ok',
      'ebs_lists_what_is_written_and_inherited.blocks: [0,9] → [9]',
      'ebs_lists_what_is_written_and_inherited.size: 524288 → 512',
      'ebs_lists_what_changed.blocks: [9] → [0,2048,1]',
      'ebs_refuses_the_token_of_another_block: ValidationException → 500',
      'ebs_compares_no_strangers: ValidationException → ok',
      'ebs_knows_no_snapshot_that_is_not_there: ResourceNotFoundException → 500',
      'ebs_refuses_another_request_under_the_same_token: ConflictException → ok',
    ],
  },
  {
    right: 'the sandbox',
    why: 'moto compares no checksum with the body',
    source: `${API}/AmazonS3/latest/API/API_PutObject.html`,
    of: [
      's3_refuses_a_wrong_md5: BadDigest → ok',
      's3_refuses_an_md5_that_is_none: InvalidDigest → ok',
      's3_refuses_a_wrong_sha256: BadDigest → ok',
    ],
  },
  {
    right: 'the sandbox',
    why: 'moto keeps a checksum only where x-amz-sdk-checksum-algorithm names it, which a client that knows it leaves out',
    source: `${API}/AmazonS3/latest/userguide/checking-object-integrity.html`,
    of: ['s3_gives_back_a_sha256.sha256: true → false'],
  },
  {
    right: 'the sandbox',
    why: 'moto does not look at the expected owner of a bucket',
    source: `${API}/AmazonS3/latest/userguide/bucket-owner-condition.html`,
    of: ['s3_refuses_another_owner_than_expected: AccessDenied → ok'],
  },
  {
    right: 'the sandbox',
    why: 'moto ends in an exception at a part of an upload that is not there',
    source: `${API}/AmazonS3/latest/API/API_UploadPart.html`,
    of: ['s3_knows_no_upload_that_is_not_there: NoSuchUpload → 500'],
  },
  {
    right: 'the sandbox',
    why: 'moto answers GetObjectRetention with the object itself, and shortens what is locked in compliance mode',
    source: `${API}/AmazonS3/latest/userguide/object-lock.html`,
    of: ['s3_locks_a_version: ok → 500', 's3_shortens_no_lock: AccessDenied → ok'],
  },
  {
    right: 'the sandbox',
    why: 'moto refuses with status 403 and no body, so that a client finds no code',
    source: `${API}/AmazonS3/latest/API/ErrorResponses.html`,
    of: ['s3_refuses_what_the_bucket_policy_denies_to_its_owner_too: AccessDenied → 403'],
  },
];
