import { isLocked } from './locks.ts';
import type { Bucket, LifecycleRule, Objects, StoredObject } from './objects.ts';
import { s3Error } from './request.ts';
import { elements, elementText } from './xml-body.ts';

const DAY_MS = 86_400_000;
const TIDY_EVERY_MS = 3_600_000;

const NOT_OFFERED = ['Transition', 'NoncurrentVersionTransition', 'Tag', 'And', 'Date'];

function days(xml: string | undefined, name: string): number | null {
  const text = xml === undefined ? undefined : elementText(xml, name);
  if (text === undefined) return null;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw s3Error('InvalidArgument', 400, `'${name}' must be a positive integer`);
}

/**
 * Reads a lifecycle configuration.
 *
 * @throws AwsError MalformedXML, InvalidArgument; NotImplemented for what the sandbox would not act on
 */
export function parseLifecycle(xml: string): LifecycleRule[] {
  const rules = elements(xml, 'Rule').map((rule): LifecycleRule => {
    const unknown = NOT_OFFERED.find((name) => elements(rule, name).length > 0);
    if (unknown !== undefined) throw s3Error('NotImplemented', 501, `The sandbox does not act on ${unknown}.`);
    const status = elementText(rule, 'Status');
    if (status !== 'Enabled' && status !== 'Disabled')
      throw s3Error('MalformedXML', 400, 'The XML you provided was not well-formed or did not validate.');
    const [noncurrent] = elements(rule, 'NoncurrentVersionExpiration');
    const [abort] = elements(rule, 'AbortIncompleteMultipartUpload');
    const [expiration] = elements(rule, 'Expiration');
    const read = {
      xml: rule,
      enabled: status === 'Enabled',
      prefix: elementText(rule, 'Prefix') ?? '',
      expirationDays: days(expiration, 'Days'),
      noncurrentDays: days(noncurrent, 'NoncurrentDays'),
      newerVersions: days(noncurrent, 'NewerNoncurrentVersions') ?? 0,
      expiredMarkers: expiration !== undefined && elementText(expiration, 'ExpiredObjectDeleteMarker') === 'true',
      abortDays: days(abort, 'DaysAfterInitiation'),
    };
    if (read.expiredMarkers && read.expirationDays !== null)
      throw s3Error('MalformedXML', 400, 'The XML you provided was not well-formed or did not validate.');
    const actsAfter = [read.expirationDays, read.noncurrentDays, read.abortDays];
    if (!read.expiredMarkers && actsAfter.every((count) => count === null))
      throw s3Error('InvalidRequest', 400, 'At least one action needs to be specified in a rule');
    return read;
  });
  if (rules.length > 0) return rules;
  throw s3Error('MalformedXML', 400, 'The XML you provided was not well-formed or did not validate.');
}

/** A version is noncurrent since the next newer one came. */
function expiredVersions(rule: LifecycleRule, versions: readonly StoredObject[], nowMs: number): StoredObject[] {
  if (rule.noncurrentDays === null) return [];
  const limitMs = nowMs - rule.noncurrentDays * DAY_MS;
  return versions.filter(
    (version, i) =>
      i > rule.newerVersions && Date.parse(versions[i - 1]?.modifiedAt ?? '') <= limitMs && !isLocked(version, nowMs),
  );
}

async function apply(objects: Objects, bucket: Bucket, rule: LifecycleRule, now: Date): Promise<void> {
  const nowMs = now.getTime();
  const due = (since: string, count: number | null) => count !== null && Date.parse(since) <= nowMs - count * DAY_MS;
  for (const [key, versions] of bucket.objects) {
    if (!key.startsWith(rule.prefix)) continue;
    const [newest] = versions;
    const kept = bucket.versioning === null && newest && isLocked(newest, nowMs);
    if (newest && !newest.deleteMarker && !kept && due(newest.modifiedAt, rule.expirationDays))
      await objects.remove(bucket, key, now.toISOString());
    for (const version of expiredVersions(rule, bucket.objects.get(key) ?? [], nowMs))
      await objects.removeVersion(bucket, version);
    const [marker, ...behind] = bucket.objects.get(key) ?? [];
    if (rule.expiredMarkers && marker?.deleteMarker && behind.length === 0) await objects.removeVersion(bucket, marker);
  }
  for (const upload of bucket.uploads.values())
    if (upload.key.startsWith(rule.prefix) && due(upload.initiatedAt, rule.abortDays))
      await objects.removeUpload(bucket, upload);
}

/** Does what the bucket's lifecycle asks for by now; at most once in an hour of the sandbox's time. Locks always win. */
export async function tidy(objects: Objects, bucket: Bucket, now: Date): Promise<void> {
  if (bucket.lifecycle.length === 0) return;
  if (Math.abs(now.getTime() - Date.parse(bucket.tidiedAt)) < TIDY_EVERY_MS) return;
  bucket.tidiedAt = now.toISOString();
  objects.changed();
  for (const rule of bucket.lifecycle) if (rule.enabled) await apply(objects, bucket, rule, now);
}
