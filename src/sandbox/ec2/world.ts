import type { GuestVolumes } from '../control.ts';
import { createEbs } from '../ebs/service.ts';
import type { AwsService, ServiceDeps } from '../service.ts';
import { parseForm, text } from '../wire/query.ts';
import { ATTACHMENT_OPERATIONS } from './attachments.ts';
import { DESCRIBE_OPERATIONS } from './describe.ts';
import { createGuestVolumes } from './guest.ts';
import { ATTRIBUTE_OPERATIONS } from './instance-attributes.ts';
import { IMAGE_OPERATIONS } from './images.ts';
import { LAUNCH_OPERATIONS } from './launch.ts';
import { NETWORK_OPERATIONS } from './network.ts';
import { TAG_OPERATIONS } from './tags.ts';
import { TYPE_OPERATIONS } from './instance-types.ts';
import { INSTANCE_OPERATIONS } from './instances.ts';
import { ec2Error, type Operation, respond } from './request.ts';
import { COPY_OPERATIONS } from './snapshot-copies.ts';
import { LOCK_OPERATIONS } from './snapshot-locks.ts';
import { SNAPSHOT_OPERATIONS } from './snapshots.ts';
import { VOLUME_OPERATIONS } from './volumes.ts';
import { openWorld, type World } from './world-state.ts';

const OPERATIONS: Record<string, Operation> = {
  ...INSTANCE_OPERATIONS,
  ...VOLUME_OPERATIONS,
  ...SNAPSHOT_OPERATIONS,
  ...COPY_OPERATIONS,
  ...LOCK_OPERATIONS,
  ...ATTACHMENT_OPERATIONS,
  ...ATTRIBUTE_OPERATIONS,
  ...IMAGE_OPERATIONS,
  ...LAUNCH_OPERATIONS,
  ...NETWORK_OPERATIONS,
  ...TAG_OPERATIONS,
  ...TYPE_OPERATIONS,
  ...DESCRIBE_OPERATIONS,
};

function createEc2(world: World): AwsService {
  return {
    async handle(request) {
      const params = parseForm(request.body);
      const action = text(params, 'Action') ?? '';
      const operation = Object.hasOwn(OPERATIONS, action) ? OPERATIONS[action] : undefined;
      if (!operation) throw ec2Error('InvalidAction', `The action ${action} is not valid for this web service.`);
      return respond(action, request.requestId, await operation({ world, request, params }));
    },
    save: () => world.save(),
    close: () => world.close(),
  };
}

/** EC2 and EBS direct over one world of disks, and the disks as the instances' own software sees them. */
export function createEc2Ebs(deps: ServiceDeps): { ec2: AwsService; ebs: AwsService; volumes: GuestVolumes } {
  const world = openWorld(deps);
  return { ec2: createEc2(world), ebs: createEbs(world), volumes: createGuestVolumes(world) };
}
