"""EBS direct APIs. Source: EBS user guide, "Use EBS direct APIs", and the API reference."""

import base64
import hashlib

from runner import step, until

SIZE = 524288


def block(byte):
    return byte * SIZE


def digest(body):
    return hashlib.sha256(body).digest()


def b64(raw):
    return base64.b64encode(raw).decode()


def put(aws, snapshot, index, body, stated=None):
    return aws.ebs.put_snapshot_block(
        SnapshotId=snapshot,
        BlockIndex=index,
        BlockData=body,
        DataLength=SIZE,
        Checksum=b64(digest(stated or body)),
        ChecksumAlgorithm="SHA256",
    )


def seal(aws, snapshot, *bodies):
    linear = hashlib.sha256(b"".join(digest(body) for body in bodies)).digest()
    aws.ebs.complete_snapshot(
        SnapshotId=snapshot,
        ChangedBlocksCount=len(bodies),
        Checksum=b64(linear),
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    )
    read = lambda: aws.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"]  # noqa: E731
    return until("completed", read)


def indexes(blocks):
    return [item["BlockIndex"] for item in blocks]


@step(Status="pending", BlockSize=SIZE, VolumeSize=1)
def ebs_starts_a_snapshot(aws, kept):
    answer = aws.ebs.start_snapshot(VolumeSize=1, Tags=[{"Key": "job", "Value": "1"}])
    kept["first"] = answer["SnapshotId"]
    return {name: answer[name] for name in ("Status", "BlockSize", "VolumeSize")}


@step("ValidationException")
def ebs_refuses_a_wrong_checksum(aws, kept):
    put(aws, kept["first"], 0, block(b"a"), block(b"b"))


@step("ValidationException")
def ebs_refuses_a_block_behind_the_end(aws, kept):
    put(aws, kept["first"], 2048, block(b"a"))


@step(same=True)
def ebs_takes_a_block(aws, kept):
    return {"same": put(aws, kept["first"], 0, block(b"a"))["Checksum"] == b64(digest(block(b"a")))}


@step("ValidationException")
def ebs_lists_no_snapshot_that_is_pending(aws, kept):
    aws.ebs.list_snapshot_blocks(SnapshotId=kept["first"])


@step("ValidationException")
def ebs_refuses_a_wrong_number_of_blocks(aws, kept):
    aws.ebs.complete_snapshot(SnapshotId=kept["first"], ChangedBlocksCount=7)


@step(state="completed")
def ebs_seals_a_snapshot(aws, kept):
    return {"state": seal(aws, kept["first"], block(b"a"))}


@step("ValidationException")
def ebs_takes_no_block_after_that(aws, kept):
    put(aws, kept["first"], 1, block(b"b"))


@step(state="completed", parent=True)
def ebs_continues_a_snapshot(aws, kept):
    answer = aws.ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=kept["first"])
    kept["second"] = answer["SnapshotId"]
    put(aws, kept["second"], 9, block(b"b"))
    state = seal(aws, kept["second"], block(b"b"))
    return {"state": state, "parent": answer.get("ParentSnapshotId") == kept["first"]}


@step("ValidationException")
def ebs_refuses_encryption_beside_a_parent(aws, kept):
    aws.ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=kept["first"], Encrypted=True)


@step(blocks=[0, 9], size=SIZE)
def ebs_lists_what_is_written_and_inherited(aws, kept):
    answer = aws.ebs.list_snapshot_blocks(SnapshotId=kept["second"])
    kept["token"] = next(item["BlockToken"] for item in answer["Blocks"] if item["BlockIndex"] == 9)
    return {"blocks": indexes(answer["Blocks"]), "size": answer["BlockSize"]}


@step(blocks=[9])
def ebs_lists_what_changed(aws, kept):
    answer = aws.ebs.list_changed_blocks(FirstSnapshotId=kept["first"], SecondSnapshotId=kept["second"])
    return {"blocks": indexes(answer["ChangedBlocks"])}


@step(same=True, sum=True, length=SIZE)
def ebs_reads_a_block(aws, kept):
    answer = aws.ebs.get_snapshot_block(SnapshotId=kept["second"], BlockIndex=9, BlockToken=kept["token"])
    body = answer["BlockData"].read()
    return {
        "same": body == block(b"b"),
        "sum": answer["Checksum"] == b64(digest(body)),
        "length": int(answer["DataLength"]),
    }


@step("ValidationException")
def ebs_refuses_the_token_of_another_block(aws, kept):
    aws.ebs.get_snapshot_block(SnapshotId=kept["second"], BlockIndex=0, BlockToken=kept["token"])


@step("ValidationException")
def ebs_compares_no_strangers(aws, kept):
    stranger = aws.ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    seal(aws, stranger)
    aws.ebs.list_changed_blocks(FirstSnapshotId=stranger, SecondSnapshotId=kept["second"])


@step("ResourceNotFoundException")
def ebs_knows_no_snapshot_that_is_not_there(aws, kept):
    aws.ebs.list_snapshot_blocks(SnapshotId="snap-00000000000000000")


@step("ConflictException")
def ebs_refuses_another_request_under_the_same_token(aws, kept):
    token = "2a2ae5b2-3a2d-4bd0-9c5b-8f6e7a0f3a11"
    aws.ebs.start_snapshot(VolumeSize=1, ClientToken=token)
    aws.ebs.start_snapshot(VolumeSize=2, ClientToken=token)
