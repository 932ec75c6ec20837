import type { Xml } from '../wire/xml.ts';
import { arnOf, resourceTagKeys } from './model.ts';
import { type Ask, ec2Error, endDryRun, instanceOf, type Operation, required } from './request.ts';

/** One attribute of an instance. Its tags decide, as for every attribute (service authorization reference for EC2). */
const describeInstanceAttribute: Operation = (ask: Ask) => {
  const { world, request, params } = ask;
  const instance = instanceOf(ask, required(params, 'InstanceId'));
  const attribute = required(params, 'Attribute');
  world.require(request, {
    action: 'ec2:DescribeInstanceAttribute',
    resource: arnOf('instance', instance.awsRegion, instance.accountId, instance.id),
    context: { ...resourceTagKeys(instance.tags), 'ec2:Attribute': attribute },
  });
  endDryRun(ask);
  const values: Record<string, Xml> = {
    userData: instance.userData === '' ? '' : { value: instance.userData },
    instanceType: { value: instance.instanceType },
    rootDeviceName: { value: instance.rootDeviceName },
    ebsOptimized: { value: instance.ebsOptimized },
    disableApiTermination: { value: false },
  };
  if (!Object.hasOwn(values, attribute)) throw ec2Error('InvalidParameterValue', `Value (${attribute}) is invalid.`);
  return { instanceId: instance.id, [attribute]: values[attribute] };
};

export const ATTRIBUTE_OPERATIONS: Record<string, Operation> = { DescribeInstanceAttribute: describeInstanceAttribute };
