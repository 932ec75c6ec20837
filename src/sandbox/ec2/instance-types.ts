import { textList } from '../wire/query.ts';
import { ec2Error, endDryRun, type Operation, paged } from './request.ts';

export type InstanceType = { name: string; vcpus: number; memoryMiB: number; architecture: 'x86_64' | 'arm64' };

const SIZES: Record<string, { vcpus: number; gib: number }> = {
  micro: { vcpus: 2, gib: 1 },
  small: { vcpus: 2, gib: 2 },
  medium: { vcpus: 2, gib: 4 },
  large: { vcpus: 2, gib: 8 },
  xlarge: { vcpus: 4, gib: 16 },
  '2xlarge': { vcpus: 8, gib: 32 },
  '4xlarge': { vcpus: 16, gib: 64 },
  '8xlarge': { vcpus: 32, gib: 128 },
};
const FAMILIES: Record<string, InstanceType['architecture']> = {
  t3: 'x86_64',
  t3a: 'x86_64',
  m5: 'x86_64',
  m6i: 'x86_64',
  m7i: 'x86_64',
  c6i: 'x86_64',
  r6i: 'x86_64',
  t4g: 'arm64',
  m6g: 'arm64',
  m7g: 'arm64',
};

const TYPES: ReadonlyMap<string, InstanceType> = new Map(
  Object.entries(FAMILIES).flatMap(([family, architecture]) =>
    Object.entries(SIZES).map(([size, { vcpus, gib }]): [string, InstanceType] => [
      `${family}.${size}`,
      { name: `${family}.${size}`, vcpus, memoryMiB: gib * 1_024, architecture },
    ]),
  ),
);

/** A type by its name. `m1.small`, AWS's default of 2006, is still one. */
export function instanceType(name: string): InstanceType {
  if (name === 'm1.small') return { name, vcpus: 1, memoryMiB: 1_740, architecture: 'x86_64' };
  const found = TYPES.get(name);
  if (!found) throw ec2Error('InvalidInstanceType', `The following supplied instance types do not exist: [${name}]`);
  return found;
}

const describeInstanceTypes: Operation = (ask) => {
  const { world, request, params } = ask;
  world.require(request, { action: 'ec2:DescribeInstanceTypes', resource: '*' });
  endDryRun(ask);
  const wanted = textList(params, 'InstanceType');
  const found = wanted.length > 0 ? wanted.map(instanceType) : [...TYPES.values()];
  const { page, nextToken } = paged(params, found, 100);
  const item = page.map(({ name, vcpus, memoryMiB, architecture }) => ({
    instanceType: name,
    currentGeneration: true,
    vCpuInfo: { defaultVCpus: vcpus },
    memoryInfo: { sizeInMiB: memoryMiB },
    processorInfo: { supportedArchitectures: { item: [architecture] } },
    supportedVirtualizationTypes: { item: ['hvm'] },
    supportedRootDeviceTypes: { item: ['ebs'] },
  }));
  return { instanceTypeSet: { item }, nextToken };
};

export const TYPE_OPERATIONS: Record<string, Operation> = { DescribeInstanceTypes: describeInstanceTypes };
