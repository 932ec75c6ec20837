import { isIP } from 'node:net';
import type { Region } from '../../regions/types.ts';
import { Fault } from '../core/faults.ts';

export type ServiceName = 'ec2' | 'ebs' | 'sts' | 'kms' | 's3';

/** The SDK's own variables: one for all services, and one for each. */
const VARIABLES: Record<ServiceName, string> = {
  ec2: 'AWS_ENDPOINT_URL_EC2',
  ebs: 'AWS_ENDPOINT_URL_EBS',
  sts: 'AWS_ENDPOINT_URL_STS',
  kms: 'AWS_ENDPOINT_URL_KMS',
  s3: 'AWS_ENDPOINT_URL_S3',
};

export type Endpoints = Partial<Record<ServiceName, string>>;

/** Is this host the machine itself? */
export function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '');
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function checked(region: Region, variable: string, value: string): string {
  const url = URL.parse(value);
  if (!url) throw new Fault('invalid_request', `${variable} is not an address: ${value}`);
  if (isLoopback(url.hostname) || region.allowedEndpointHosts.includes(url.hostname)) return value;
  throw new Fault(
    'residency_violation',
    `${variable} names ${url.hostname}, which is neither loopback nor listed in allowedEndpointHosts of regions/${region.cell}.ts.`,
  );
}

/**
 * Other addresses than AWS's own, from the variables that every AWS SDK honours.
 *
 * @throws Fault `residency_violation` for a host that the region's file does not list
 */
export function endpointsFrom(env: Record<string, string | undefined>, region: Region): Endpoints {
  const endpoints: Endpoints = {};
  for (const [service, own] of Object.entries(VARIABLES) as [ServiceName, string][]) {
    const variable = env[own] ? own : 'AWS_ENDPOINT_URL';
    const value = env[variable];
    if (value) endpoints[service] = checked(region, variable, value);
  }
  return endpoints;
}

/**
 * May a request leave for this host? Only to the named region's own hosts, to loopback, or to a listed one. Global hosts
 * (`sts.…`, `s3.…` without a region) match none of them.
 */
export function isAllowedHost(region: Region, awsRegion: string, hostname: string): boolean {
  if (isLoopback(hostname) || region.allowedEndpointHosts.includes(hostname)) return true;
  const suffixes = [`.${awsRegion}.${region.dnsSuffix}`, `.${awsRegion}.api.aws`];
  return suffixes.some((suffix) => hostname.endsWith(suffix));
}
