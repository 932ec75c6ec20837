import { parsePolicy } from '../iam/policy.ts';
import type { AwsResponse } from '../service.ts';
import { parseLifecycle } from './lifecycle.ts';
import type { Bucket } from './objects.ts';
import { type Ask, bucketOf, requireS3, s3Error, xmlAnswer } from './request.ts';
import { elements, elementText } from './xml-body.ts';

const NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';
const DAYS_PER_YEAR = 365;
const PUBLIC_ACCESS = ['BlockPublicAcls', 'IgnorePublicAcls', 'BlockPublicPolicy', 'RestrictPublicBuckets'];

type Setting = { ask: Ask; bucket: Bucket; verb: 'Get' | 'Put' | 'Delete'; xml: string };

const written = (body: string): AwsResponse => ({
  status: 200,
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0" encoding="UTF-8"?>${body}`,
});
const malformed = () =>
  s3Error('MalformedXML', 400, 'The XML you provided was not well-formed or did not validate against our schema.');
const notAllowed = () => s3Error('MethodNotAllowed', 405, 'The specified method is not allowed against this resource.');

function location({ ask, bucket }: Setting): AwsResponse {
  requireS3(ask, bucket, 'GetBucketLocation');
  // A bucket of us-east-1 has no location constraint.
  const name = bucket.awsRegion === 'us-east-1' ? '' : bucket.awsRegion;
  return written(`<LocationConstraint ${NAMESPACE}>${name}</LocationConstraint>`);
}

function checkPolicy(text: string): void {
  try {
    parsePolicy(text, 'resource');
  } catch (error) {
    throw s3Error('MalformedPolicy', 400, error instanceof Error ? error.message : 'Policies must be valid JSON');
  }
}

function policy({ ask, bucket, verb, xml: text }: Setting): AwsResponse {
  requireS3(ask, bucket, `${verb}BucketPolicy`);
  if (verb === 'Get') {
    if (bucket.policy === null) throw s3Error('NoSuchBucketPolicy', 404, 'The bucket policy does not exist');
    return { status: 200, headers: { 'content-type': 'application/json' }, body: bucket.policy };
  }
  if (verb === 'Put') checkPolicy(text);
  bucket.policy = verb === 'Put' ? text : null;
  return { status: 204 };
}

function versioning({ ask, bucket, verb, xml }: Setting): AwsResponse {
  if (verb === 'Delete') throw notAllowed();
  requireS3(ask, bucket, `${verb}BucketVersioning`);
  if (verb === 'Get') return xmlAnswer('VersioningConfiguration', { Status: bucket.versioning });
  const status = elementText(xml, 'Status');
  if (status !== 'Enabled' && status !== 'Suspended') throw malformed();
  if (status === 'Suspended' && bucket.objectLock !== null)
    throw s3Error(
      'InvalidBucketState',
      409,
      'An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.',
    );
  bucket.versioning = status;
  return { status: 200 };
}

function encryption({ ask, bucket, verb, xml }: Setting): AwsResponse {
  requireS3(ask, bucket, `${verb === 'Get' ? 'Get' : 'Put'}EncryptionConfiguration`);
  if (verb === 'Get') {
    // Every bucket has one since 2023: S3's own key when nothing was set.
    const byDefault =
      bucket.defaultKey === null
        ? { SSEAlgorithm: 'AES256' }
        : { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: bucket.defaultKey };
    return xmlAnswer('ServerSideEncryptionConfiguration', {
      Rule: { ApplyServerSideEncryptionByDefault: byDefault, BucketKeyEnabled: false },
    });
  }
  const algorithm = elementText(xml, 'SSEAlgorithm');
  const key = elementText(xml, 'KMSMasterKeyID');
  if (verb === 'Put' && algorithm !== 'AES256' && algorithm !== 'aws:kms') throw malformed();
  if (algorithm === 'aws:kms' && key === undefined)
    throw s3Error('NotImplemented', 501, 'The sandbox has no AWS managed key for S3: name one.');
  bucket.defaultKey = verb === 'Put' && algorithm === 'aws:kms' ? (key ?? null) : null;
  return { status: verb === 'Delete' ? 204 : 200 };
}

function publicAccessBlock({ ask, bucket, verb, xml }: Setting): AwsResponse {
  requireS3(ask, bucket, `${verb === 'Get' ? 'Get' : 'Put'}BucketPublicAccessBlock`);
  if (verb === 'Get') {
    if (bucket.publicAccessBlock === null)
      throw s3Error('NoSuchPublicAccessBlockConfiguration', 404, 'The public access block configuration was not found');
    return written(
      `<PublicAccessBlockConfiguration ${NAMESPACE}>${bucket.publicAccessBlock}</PublicAccessBlockConfiguration>`,
    );
  }
  const kept = PUBLIC_ACCESS.map((name) => `<${name}>${elementText(xml, name) === 'true'}</${name}>`).join('');
  bucket.publicAccessBlock = verb === 'Put' ? kept : null;
  return { status: verb === 'Put' ? 200 : 204 };
}

function lockFrom(xml: string): Bucket['objectLock'] {
  const [rule] = elements(xml, 'DefaultRetention');
  if (elementText(xml, 'ObjectLockEnabled') !== 'Enabled') throw malformed();
  if (rule === undefined) return 'enabled';
  const mode = elementText(rule, 'Mode');
  const [inDays, inYears] = [elementText(rule, 'Days'), elementText(rule, 'Years')];
  if ((mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') || (inDays === undefined) === (inYears === undefined))
    throw malformed();
  const days = inDays === undefined ? Number(inYears) * DAYS_PER_YEAR : Number(inDays);
  if (!Number.isInteger(days) || days < 1)
    throw s3Error('InvalidRetentionPeriod', 400, 'Default retention period must be a positive integer value.');
  return { mode, days };
}

function objectLock({ ask, bucket, verb, xml }: Setting): AwsResponse {
  if (verb === 'Delete') throw notAllowed();
  requireS3(ask, bucket, `${verb}BucketObjectLockConfiguration`);
  if (verb === 'Put') {
    if (bucket.versioning !== 'Enabled')
      throw s3Error(
        'InvalidBucketState',
        409,
        "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
      );
    bucket.objectLock = lockFrom(xml);
    return { status: 200 };
  }
  if (bucket.objectLock === null)
    throw s3Error(
      'ObjectLockConfigurationNotFoundError',
      404,
      'Object Lock configuration does not exist for this bucket',
    );
  const { objectLock: lock } = bucket;
  return xmlAnswer('ObjectLockConfiguration', {
    ObjectLockEnabled: 'Enabled',
    Rule: lock === 'enabled' ? undefined : { DefaultRetention: { Mode: lock.mode, Days: lock.days } },
  });
}

function lifecycle({ ask, bucket, verb, xml }: Setting): AwsResponse {
  requireS3(ask, bucket, `${verb === 'Get' ? 'Get' : 'Put'}LifecycleConfiguration`);
  if (verb === 'Get') {
    if (bucket.lifecycle.length === 0)
      throw s3Error('NoSuchLifecycleConfiguration', 404, 'The lifecycle configuration does not exist');
    const rules = bucket.lifecycle.map((rule) => `<Rule>${rule.xml}</Rule>`).join('');
    return written(`<LifecycleConfiguration ${NAMESPACE}>${rules}</LifecycleConfiguration>`);
  }
  bucket.lifecycle = verb === 'Put' ? parseLifecycle(xml) : [];
  bucket.tidiedAt = '';
  return { status: verb === 'Put' ? 200 : 204 };
}

const SETTINGS: Record<string, (setting: Setting) => AwsResponse> = {
  location,
  policy,
  versioning,
  encryption,
  publicAccessBlock,
  'object-lock': objectLock,
  lifecycle,
};

/** Names of the sub-resources of a bucket that are offered. */
export const SETTING_NAMES: readonly string[] = Object.keys(SETTINGS);

/** Sub-resources of a bucket (`?policy`, `?versioning`, …) that are kept, acted on and given back. */
export function bucketSetting(ask: Ask, name: string): AwsResponse {
  const handle = SETTINGS[name];
  const verbs: Record<string, Setting['verb']> = { GET: 'Get', PUT: 'Put', DELETE: 'Delete' };
  const verb = verbs[ask.request.method];
  if (!handle || verb === undefined) throw notAllowed();
  const answer = handle({ ask, bucket: bucketOf(ask), verb, xml: ask.request.body.toString('utf8') });
  ask.s3.objects.changed();
  return answer;
}
