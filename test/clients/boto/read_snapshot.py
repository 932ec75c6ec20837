"""
Reads every block of a snapshot and prints one JSON line for each: its index and its SHA-256. The first line says how large
the volume is. Source: EBS user guide, "Read snapshots with EBS direct APIs".

    read_snapshot.py ENDPOINT SNAPSHOT
"""

import base64
import concurrent.futures
import hashlib
import json
import sys

import boto3

BLOCKS_PER_PAGE = 100
READERS = 4


def listed(ebs, snapshot):
    """The answers of the listing, page by page."""
    more = {}
    while True:
        page = ebs.list_snapshot_blocks(SnapshotId=snapshot, MaxResults=BLOCKS_PER_PAGE, **more)
        yield page
        if not page.get("NextToken"):
            return
        more = {"NextToken": page["NextToken"]}


def read(ebs, snapshot, block, block_size):
    index = block["BlockIndex"]
    answer = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken=block["BlockToken"])
    body = answer["BlockData"].read()
    digest = hashlib.sha256(body).digest()
    stated = base64.b64decode(answer["Checksum"])
    if answer["ChecksumAlgorithm"] != "SHA256" or digest != stated:
        raise SystemExit(f"block {index} is not what its checksum says")
    if not len(body) == int(answer["DataLength"]) == block_size:
        raise SystemExit(f"block {index} has {len(body)} bytes")
    return {"index": index, "sha256": digest.hex()}


def main(endpoint, snapshot):
    ebs = boto3.client("ebs", endpoint_url=endpoint)
    pages = list(listed(ebs, snapshot))
    size = pages[0]["BlockSize"]
    print(json.dumps({"volumeGiB": pages[0]["VolumeSize"], "blockSize": size, "pages": len(pages)}))
    blocks = [block for page in pages for block in page.get("Blocks", [])]
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        for line in pool.map(lambda block: read(ebs, snapshot, block, size), blocks):
            print(json.dumps(line))


main(*sys.argv[1:])
