import type { AwsResponse } from '../service.ts';
import type { Xml } from '../wire/xml.ts';
import { currentOf, type StoredObject } from './objects.ts';
import { type Ask, bucketOf, requireS3, xmlAnswer } from './request.ts';

const PAGE_MAX = 1_000;

const pageSize = (query: URLSearchParams) => Math.min(PAGE_MAX, Number(query.get('max-keys') ?? PAGE_MAX));
const writer = (query: URLSearchParams) =>
  query.get('encoding-type') === 'url' ? encodeURIComponent : (key: string) => key;

/** The condition keys of a listing: present when the request says so. Source: service authorization reference for S3. */
function listingKeys(query: URLSearchParams): Record<string, string> {
  const names = ['prefix', 'delimiter', 'max-keys'].filter((name) => query.has(name));
  return Object.fromEntries(names.map((name) => [`s3:${name}`, query.get(name) ?? '']));
}

/** ListObjectsV2. The continuation token is the last key, so that pages stay right while objects come and go. */
export function listObjects(ask: Ask): AwsResponse {
  const bucket = bucketOf(ask);
  requireS3(ask, bucket, 'ListBucket', listingKeys(ask.request.query));
  const { query } = ask.request;
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const size = pageSize(query);
  const token = query.get('continuation-token');
  const after = token === null ? (query.get('start-after') ?? '') : Buffer.from(token, 'base64').toString('utf8');
  const written = writer(query);
  const Contents: Xml[] = [];
  const prefixes = new Set<string>();
  let last = '';
  let truncated = false;
  for (const key of [...bucket.objects.keys()].toSorted()) {
    const object = currentOf(bucket, key);
    if (!object || !key.startsWith(prefix) || key <= after) continue;
    const rest = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const common = rest < 0 ? null : key.slice(0, rest + delimiter.length);
    if (common !== null && (prefixes.has(common) || after.startsWith(common))) continue;
    if (Contents.length + prefixes.size === size) {
      truncated = true;
      break;
    }
    last = key;
    if (common !== null) prefixes.add(common);
    else
      Contents.push({
        Key: written(key),
        LastModified: object.modifiedAt,
        ETag: object.etag,
        Size: object.sizeBytes,
        StorageClass: 'STANDARD',
      });
  }
  return xmlAnswer('ListBucketResult', {
    Name: bucket.name,
    Prefix: written(prefix),
    EncodingType: query.get('encoding-type') ?? undefined,
    KeyCount: Contents.length + prefixes.size,
    MaxKeys: size,
    IsTruncated: truncated,
    NextContinuationToken: truncated ? Buffer.from(last).toString('base64') : undefined,
    Contents,
    CommonPrefixes: [...prefixes].map((common) => ({ Prefix: written(common) })),
  });
}

type Listed = StoredObject & { isLatest: boolean };

/** Versions after the markers, keys in order and each key's newest first. */
function versionsAfter(all: readonly Listed[], keyMarker: string | null, idMarker: string | null): readonly Listed[] {
  if (keyMarker === null) return all;
  const at = all.findIndex((it) => it.key === keyMarker && it.versionId === idMarker);
  return at >= 0 ? all.slice(at + 1) : all.filter(({ key }) => key > keyMarker);
}

/** ListObjectVersions: every version and delete marker. */
export function listVersions(ask: Ask): AwsResponse {
  const bucket = bucketOf(ask);
  requireS3(ask, bucket, 'ListBucketVersions', listingKeys(ask.request.query));
  const { query } = ask.request;
  const prefix = query.get('prefix') ?? '';
  const written = writer(query);
  const all = [...bucket.objects]
    .filter(([key]) => key.startsWith(prefix))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, versions]) => versions.map((version, i): Listed => ({ ...version, isLatest: i === 0 })));
  const rest = versionsAfter(all, query.get('key-marker'), query.get('version-id-marker'));
  const MaxKeys = pageSize(query);
  const page = rest.slice(0, MaxKeys);
  const truncated = rest.length > page.length;
  const shown = ({ key, versionId, isLatest, modifiedAt }: Listed) => ({
    Key: written(key),
    VersionId: versionId,
    IsLatest: isLatest,
    LastModified: modifiedAt,
  });
  return xmlAnswer('ListVersionsResult', {
    Name: bucket.name,
    Prefix: written(prefix),
    EncodingType: query.get('encoding-type') ?? undefined,
    MaxKeys,
    IsTruncated: truncated,
    NextKeyMarker: truncated ? written(page.at(-1)?.key ?? '') : undefined,
    NextVersionIdMarker: truncated ? page.at(-1)?.versionId : undefined,
    Version: page
      .filter((it) => !it.deleteMarker)
      .map((it) => ({ ...shown(it), ETag: it.etag, Size: it.sizeBytes, StorageClass: 'STANDARD' })),
    DeleteMarker: page.filter((it) => it.deleteMarker).map(shown),
  });
}
