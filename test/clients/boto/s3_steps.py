"""S3. Sources: S3 API reference, the operation's own page and "Error responses"; user guide, "Conditional writes"."""

import base64
import datetime
import hashlib
import json

from runner import REGION, step

B = "vault-of-a-stranger"
LOCKED = "locked-vault-of-a-stranger"
PLACE = {"LocationConstraint": REGION}
SINCE_2024_11 = ("s3", "PutObject", "IfMatch")
SINCE_2025_01 = ("s3", "PutObject", "ChecksumCRC64NVME")


def b64(algorithm, body):
    return base64.b64encode(hashlib.new(algorithm, body).digest()).decode()


def text(aws, key, **more):
    return aws.s3.get_object(Bucket=B, Key=key, **more)["Body"].read().decode()


@step(region=REGION)
def s3_makes_a_bucket(aws, kept):
    aws.s3.create_bucket(Bucket=B, CreateBucketConfiguration=PLACE)
    aws.s3.head_bucket(Bucket=B)
    return {"region": aws.s3.get_bucket_location(Bucket=B)["LocationConstraint"]}


@step("BucketAlreadyOwnedByYou")
def s3_refuses_to_make_it_again(aws, kept):
    aws.s3.create_bucket(Bucket=B, CreateBucketConfiguration=PLACE)


@step("404")
def s3_knows_no_bucket_that_is_not_there(aws, kept):
    aws.s3.head_bucket(Bucket="a-bucket-that-nobody-made")


@step(etag=True, length=3, meta={"from": "boto3"}, body="one")
def s3_keeps_an_object(aws, kept):
    put = aws.s3.put_object(Bucket=B, Key="packs/ä b+c", Body=b"one", Metadata={"from": "boto3"})
    head = aws.s3.head_object(Bucket=B, Key="packs/ä b+c")
    return {
        "etag": put["ETag"] == head["ETag"] == f'"{hashlib.md5(b"one").hexdigest()}"',
        "length": head["ContentLength"],
        "meta": head["Metadata"],
        "body": text(aws, "packs/ä b+c"),
    }


@step(part="ne", range="bytes 1-2/3")
def s3_reads_a_part(aws, kept):
    answer = aws.s3.get_object(Bucket=B, Key="packs/ä b+c", Range="bytes=1-9")
    return {"part": answer["Body"].read().decode(), "range": answer["ContentRange"]}


@step("InvalidRange")
def s3_refuses_a_part_behind_the_end(aws, kept):
    aws.s3.get_object(Bucket=B, Key="packs/ä b+c", Range="bytes=3-")


@step("304")
def s3_answers_not_modified(aws, kept):
    etag = aws.s3.head_object(Bucket=B, Key="packs/ä b+c")["ETag"]
    aws.s3.get_object(Bucket=B, Key="packs/ä b+c", IfNoneMatch=etag)


@step("NoSuchKey")
def s3_knows_no_key_that_is_not_there(aws, kept):
    text(aws, "none")


@step("404")
def s3_tells_no_more_than_404_to_a_head(aws, kept):
    aws.s3.head_object(Bucket=B, Key="none")


@step(keys=["a/1", "a/2"], prefixes=["a/b/"], next=True)
def s3_lists_by_prefix_delimiter_and_page(aws, kept):
    for key in ("a/1", "a/2", "a/b/1", "b"):
        aws.s3.put_object(Bucket=B, Key=key, Body=b"")
    page = aws.s3.list_objects_v2(Bucket=B, Prefix="a/", Delimiter="/")
    first = aws.s3.list_objects_v2(Bucket=B, Prefix="a/", MaxKeys=2)
    return {
        "keys": [item["Key"] for item in page["Contents"]],
        "prefixes": [item["Prefix"] for item in page["CommonPrefixes"]],
        "next": "NextContinuationToken" in first,
    }


@step("BadDigest")
def s3_refuses_a_wrong_md5(aws, kept):
    aws.s3.put_object(Bucket=B, Key="x", Body=b"one", ContentMD5=b64("md5", b"two"))


@step("InvalidDigest")
def s3_refuses_an_md5_that_is_none(aws, kept):
    aws.s3.put_object(Bucket=B, Key="x", Body=b"one", ContentMD5=b64("sha256", b"one"))


@step("BadDigest")
def s3_refuses_a_wrong_sha256(aws, kept):
    aws.s3.put_object(Bucket=B, Key="x", Body=b"one", ChecksumSHA256=b64("sha256", b"two"))


@step(sha256=True)
def s3_gives_back_a_sha256(aws, kept):
    aws.s3.put_object(Bucket=B, Key="sum", Body=b"one", ChecksumSHA256=b64("sha256", b"one"))
    head = aws.s3.head_object(Bucket=B, Key="sum", ChecksumMode="ENABLED")
    return {"sha256": head.get("ChecksumSHA256") == b64("sha256", b"one")}


@step(needs=SINCE_2025_01, sent="x-amz-checksum-crc32", kept=True)
def s3_keeps_the_checksum_that_a_client_adds_by_itself(aws, kept):
    sent = []
    listen = lambda request, **_: sent.extend(n for n in request.headers if n.startswith("x-amz-checksum-"))  # noqa: E731
    aws.s3.meta.events.register("before-send.s3.PutObject", listen)
    aws.s3.put_object(Bucket=B, Key="plain", Body=b"plain")
    aws.s3.meta.events.unregister("before-send.s3.PutObject", listen)
    head = aws.s3.head_object(Bucket=B, Key="plain", ChecksumMode="ENABLED")
    return {"sent": ",".join(sent), "kept": "ChecksumCRC32" in head}


@step("PreconditionFailed", needs=SINCE_2024_11)
def s3_creates_only_once_under_if_none_match(aws, kept):
    aws.s3.put_object(Bucket=B, Key="once", Body=b"first", IfNoneMatch="*")
    aws.s3.put_object(Bucket=B, Key="once", Body=b"second", IfNoneMatch="*")


@step(needs=SINCE_2024_11, body="first")
def s3_kept_what_was_created_first(aws, kept):
    return {"body": text(aws, "once")}


@step("PreconditionFailed", needs=SINCE_2024_11)
def s3_overwrites_nothing_but_what_if_match_names(aws, kept):
    aws.s3.put_object(Bucket=B, Key="once", Body=b"third", IfMatch='"00000000000000000000000000000000"')


@step(needs=SINCE_2024_11, body="third")
def s3_overwrites_what_if_match_names(aws, kept):
    etag = aws.s3.head_object(Bucket=B, Key="once")["ETag"]
    aws.s3.put_object(Bucket=B, Key="once", Body=b"third", IfMatch=etag)
    return {"body": text(aws, "once")}


@step("NoSuchKey", needs=SINCE_2024_11)
def s3_has_nothing_to_match_where_nothing_is(aws, kept):
    aws.s3.put_object(Bucket=B, Key="never", Body=b"x", IfMatch='"00000000000000000000000000000000"')


@step("AccessDenied")
def s3_refuses_another_owner_than_expected(aws, kept):
    aws.s3.list_objects_v2(Bucket=B, ExpectedBucketOwner="999999999999")


@step(latest=[True, False], old="one")
def s3_keeps_versions(aws, kept):
    aws.s3.put_bucket_versioning(Bucket=B, VersioningConfiguration={"Status": "Enabled"})
    kept["old"] = aws.s3.put_object(Bucket=B, Key="v", Body=b"one")["VersionId"]
    aws.s3.put_object(Bucket=B, Key="v", Body=b"two")
    versions = aws.s3.list_object_versions(Bucket=B, Prefix="v")["Versions"]
    return {"latest": [it["IsLatest"] for it in versions], "old": text(aws, "v", VersionId=kept["old"])}


@step(marker=True, deleted=1, left=1)
def s3_hides_behind_a_marker_and_deletes_a_version(aws, kept):
    marker = aws.s3.delete_object(Bucket=B, Key="v")["DeleteMarker"]
    done = aws.s3.delete_objects(Bucket=B, Delete={"Objects": [{"Key": "v", "VersionId": kept["old"]}]})
    left = aws.s3.list_object_versions(Bucket=B, Prefix="v")["Versions"]
    return {"marker": marker, "deleted": len(done["Deleted"]), "left": len(left)}


@step("NoSuchKey")
def s3_finds_nothing_behind_a_marker(aws, kept):
    text(aws, "v")


@step(etag=True, length=5 * 2**20 + 1)
def s3_puts_parts_together(aws, kept):
    upload = aws.s3.create_multipart_upload(Bucket=B, Key="big")["UploadId"]
    where = {"Bucket": B, "Key": "big", "UploadId": upload}
    parts = [b"x" * (5 * 2**20), b"y"]
    tags = [aws.s3.upload_part(**where, PartNumber=n + 1, Body=body)["ETag"] for n, body in enumerate(parts)]
    listed = [{"PartNumber": n + 1, "ETag": tag} for n, tag in enumerate(tags)]
    aws.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": listed})
    head = aws.s3.head_object(Bucket=B, Key="big")
    sums = b"".join(hashlib.md5(body).digest() for body in parts)
    return {"etag": head["ETag"] == f'"{hashlib.md5(sums).hexdigest()}-2"', "length": head["ContentLength"]}


@step("EntityTooSmall")
def s3_refuses_a_small_part_before_the_last(aws, kept):
    upload = aws.s3.create_multipart_upload(Bucket=B, Key="small")["UploadId"]
    where = {"Bucket": B, "Key": "small", "UploadId": upload}
    tags = [aws.s3.upload_part(**where, PartNumber=n, Body=b"x")["ETag"] for n in (1, 2)]
    listed = [{"PartNumber": n + 1, "ETag": tag} for n, tag in enumerate(tags)]
    aws.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": listed})


@step("NoSuchUpload")
def s3_knows_no_upload_that_is_not_there(aws, kept):
    aws.s3.upload_part(Bucket=B, Key="small", UploadId="nobody", PartNumber=1, Body=b"x")


@step(mode="COMPLIANCE")
def s3_locks_a_version(aws, kept):
    aws.s3.create_bucket(Bucket=LOCKED, CreateBucketConfiguration=PLACE, ObjectLockEnabledForBucket=True)
    until = datetime.datetime(2099, 1, 1, tzinfo=datetime.timezone.utc)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until, "ContentMD5": b64("md5", b"x")}
    kept["locked"] = aws.s3.put_object(Bucket=LOCKED, Key="a", Body=b"x", **lock)["VersionId"]
    return {"mode": aws.s3.get_object_retention(Bucket=LOCKED, Key="a")["Retention"]["Mode"]}


@step("AccessDenied")
def s3_deletes_no_locked_version(aws, kept):
    where = {"Bucket": LOCKED, "Key": "a", "VersionId": kept["locked"]}
    aws.s3.delete_object(**where, BypassGovernanceRetention=True)


@step("AccessDenied")
def s3_shortens_no_lock(aws, kept):
    until = datetime.datetime(2098, 1, 1, tzinfo=datetime.timezone.utc)
    retention = {"Mode": "COMPLIANCE", "RetainUntilDate": until}
    aws.s3.put_object_retention(Bucket=LOCKED, Key="a", VersionId=kept["locked"], Retention=retention)


@step("BucketNotEmpty")
def s3_keeps_a_bucket_that_is_not_empty(aws, kept):
    aws.s3.delete_bucket(Bucket=B)


@step("NoSuchBucketPolicy")
def s3_has_no_policy_until_one_is_put(aws, kept):
    aws.s3.get_bucket_policy(Bucket=B)


@step("AccessDenied")
def s3_refuses_what_the_bucket_policy_denies_to_its_owner_too(aws, kept):
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{B}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    aws.s3.put_bucket_policy(Bucket=B, Policy=policy)
    aws.s3.put_object(Bucket=B, Key="x", Body=b"x")
