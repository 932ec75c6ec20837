#!/usr/bin/python3
"""Reads a backup vault without the program that wrote it.

A second implementation of docs/format.md, for the day on which the first one is not at hand. It needs Python 3.11,
python3-cryptography and python3-zstandard (Debian 12), the vault's objects as files, and either the opened data keys
(KEYS.json) or the private recovery key.

    read-vault.py list    --repo DIR (--keys KEYS.json | --recovery-key KEY.pem)
    read-vault.py restore --repo DIR (--keys ... | --recovery-key ...) --point ID --volume ID --out FILE
    read-vault.py vectors --repo DIR

When list or restore fails, the first line of standard error is the class of the failure alone.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import re
import shutil
import struct
import sys
import tempfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import zstandard
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HEADER_BYTES = 84
TAG_BYTES = 16
MIB = 1 << 20
PAGE_LIMIT = 64 * MIB
PACK_LIMIT = 256 * MIB
DIRECTORY_SLOT = 0xFFFFFFFF
LEAF_BLOCKS = 1024
NODE_LEAVES = 512
LEAF, NODE = 1, 2
RSA_RECIPIENT = 3
ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}"
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]{8,24}([Zz]|[+-][0-9]{2}:[0-9]{2})"


class VaultError(Exception):
    """A failure of one of the document's classes."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(f"{kind}: {why}")
        self.kind = kind
        self.why = why


def require(condition: bool, why: str, kind: str = "object_corrupt") -> None:
    if not condition:
        raise VaultError(kind, why)


# --- Bytes ------------------------------------------------------------------------------------------------------------


def text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


class Cursor:
    """Takes fields from the front of some bytes, and never more than there are."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data = data
        self.what = what
        self.at = 0

    def take(self, count: int) -> bytes:
        require(count <= len(self.data) - self.at, f"{self.what}: a field goes beyond the end")
        self.at += count
        return self.data[self.at - count : self.at]

    def fields(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(">" + layout, self.take(struct.calcsize(">" + layout)))

    def number(self, layout: str) -> int:
        return self.fields(layout)[0]

    def text(self) -> str:
        raw = self.take(self.number("H"))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise VaultError("object_corrupt", f"{self.what}: a text is not UTF-8") from None

    def id(self) -> str:
        # Ids become parts of file names: one with a slash in it must not get that far.
        value = self.text()
        require(re.fullmatch(ID, value) is not None, f"{self.what}: a text is not an id")
        return value

    def table(self, entry: Callable[[], Any]) -> list[Any]:
        return [entry() for _ in range(self.number("H"))]

    def end(self) -> None:
        require(self.at == len(self.data), f"{self.what}: bytes behind the end")


class Recent:
    """The last few results of something that is slow to make."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self.kept:
            self.kept[key] = make()
            if len(self.kept) > self.limit:
                self.kept.popitem(last=False)
        self.kept.move_to_end(key)
        return self.kept[key]


class Store:
    """The tenant's objects, as files."""

    def __init__(self, repo: Path) -> None:
        require(repo.is_dir(), f"{repo} is not a folder", "not_found")
        self.base = repo / "objects" if (repo / "objects").is_dir() else repo

    def has(self, name: str) -> bool:
        return (self.base / name).is_file()

    def size(self, name: str) -> int:
        require(self.has(name), name, "object_missing")
        return (self.base / name).stat().st_size

    def read(self, name: str, offset: int, length: int) -> bytes:
        require(0 <= offset and 0 <= length and offset + length <= self.size(name), f"{name}: too short")
        with open(self.base / name, "rb") as file:
            file.seek(offset)
            data = file.read(length)
        require(len(data) == length, f"{name}: too short")
        return data

    def read_all(self, name: str, limit: int) -> bytes:
        size = self.size(name)
        require(size <= limit, f"{name}: too long")
        return self.read(name, 0, size)

    def points(self) -> list[tuple[str, str]]:
        roots = (self.base / "v1").glob("*/roots/*")
        names = [(path.parts[-3], path.name) for path in roots if path.is_file()]
        return sorted(pair for pair in names if all(re.fullmatch(ID, part) for part in pair))


# --- JSON -------------------------------------------------------------------------------------------------------------


def parse_json(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise VaultError("object_corrupt", f"{what} is not JSON") from None
    require(isinstance(value, dict), f"{what} is not a JSON object")
    return value


def integer(owner: Any, name: str, low: int, high: int) -> int:
    value = owner.get(name) if isinstance(owner, dict) else None
    require(type(value) is int and low <= value <= high, f"member {name} is not a number from {low} to {high}")
    return value


def string(owner: Any, name: str, pattern: str) -> str:
    value = owner.get(name) if isinstance(owner, dict) else None
    require(isinstance(value, str) and re.fullmatch(pattern, value) is not None, f"member {name} is missing or malformed")
    return value


def check_format(owner: dict[str, Any], expected: str) -> None:
    found = string(owner, "format", r"(?s).*")
    require(found == expected, f"the format is not {expected}", "unsupported_format")


# --- Keys -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    volume: str
    run: str
    hex: str  # empty for the id key of a scope


@dataclass(frozen=True)
class KeyObject:
    fields: tuple[str, ...]  # cell, tenant, volume, run, attempt, key
    label: bytes  # the same as they stand in the object
    recipients: list[tuple[int, str, bytes]]


def parse_key_object(raw: bytes, name: str) -> KeyObject:
    require(len(raw) > 5 + 32, f"{name}: too short")
    require(hashlib.sha256(raw[:-32]).digest() == raw[-32:], f"{name}: SHA-256 does not match")
    cursor = Cursor(raw[:-32], name)
    require(cursor.take(4) == b"DMKY", f"{name}: not a key object")
    require(cursor.number("B") == 1, f"{name}: another version", "unsupported_format")
    fields = tuple(cursor.text() for _ in range(6))
    label = raw[5 : cursor.at]
    count = cursor.number("B")
    require(count > 0, f"{name}: no recipient")
    recipients = [(cursor.number("B"), cursor.text(), cursor.take(cursor.number("H"))) for _ in range(count)]
    cursor.end()
    return KeyObject(fields, label, recipients)


class GivenKeys:
    """KEYS.json: data keys that somebody with the key service has opened."""

    def __init__(self, data: bytes) -> None:
        value = parse_json(data, "KEYS.json")
        check_format(value, "domicile-keys/v1")
        self.scope = (string(value, "cell", r"(?s).*"), string(value, "tenant", r"(?s).*"))
        self.keys = value.get("keys")
        require(isinstance(self.keys, dict), "KEYS.json: member keys is not an object")
        for name in self.keys:
            string(self.keys, name, "[0-9a-f]{64}")

    def open(self, name: str, key: KeyObject) -> bytes | None:
        return bytes.fromhex(self.keys[name]) if name in self.keys else None


class RecoveryKey:
    """The tenant's private key, a recipient of kind 3."""

    scope = None  # the key objects tell

    def __init__(self, pem: bytes) -> None:
        try:
            self.key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise VaultError("wrong_key", "the recovery key is not an unencrypted private key in PEM") from None
        strong = isinstance(self.key, rsa.RSAPrivateKey) and self.key.key_size >= 3072
        require(strong, "the recovery key is not RSA of 3,072 bits or more", "wrong_key")
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        self.name = hashlib.sha256(self.key.public_key().public_bytes(encoding, form)).hexdigest()

    def open(self, name: str, key: KeyObject) -> bytes | None:
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), key.label)
        for kind, recipient, wrapped in key.recipients:
            if kind == RSA_RECIPIENT and recipient == self.name:
                try:
                    return self.key.decrypt(wrapped, oaep)
                except ValueError:
                    continue
        return None


class Keyring:
    """Opens data keys, each once, and holds all of them to one cell and tenant."""

    def __init__(self, store: Store, openers: list[GivenKeys | RecoveryKey]) -> None:
        self.store = store
        self.openers = openers
        self.scope: tuple[str, str] | None = next((opener.scope for opener in openers if opener.scope), None)
        self.opened: dict[str, bytes] = {}

    def data_key(self, owner: Attempt, key: str) -> bytes:
        name = "/".join(part for part in ("v1", owner.volume, "keys", owner.run, owner.hex, key) if part)
        if name not in self.opened:
            self.opened[name] = self._open(name, (owner.volume, owner.run, owner.hex, key))
        return self.opened[name]

    def _open(self, name: str, expected: tuple[str, ...]) -> bytes:
        key = parse_key_object(self.store.read_all(name, PAGE_LIMIT), name)
        scope = self.scope or key.fields[:2]
        require(key.fields == (*scope, *expected), f"{name}: the key belongs to something else", "wrong_key")
        data_key = next((found for opener in self.openers if (found := opener.open(name, key))), None)
        if data_key is None or len(data_key) != 32:
            raise VaultError("wrong_key", f"{name}: no way to open it")
        self.scope = scope
        return data_key


# --- Sealed objects ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Header:
    attempt: str
    salt: bytes
    commitment: bytes


def parse_header(raw: bytes, name: str) -> Header:
    require(struct.unpack(">I", raw[80:])[0] == zlib.crc32(raw[:80]), f"{name}: the header's CRC does not match")
    require(raw[:4] == b"DMCL", f"{name}: not a sealed object")
    require(raw[4] == 1, f"{name}: another version", "unsupported_format")
    return Header(raw[8:24].hex(), raw[24:48], raw[48:80])


def derive(data_key: bytes, salt: bytes, scope: tuple[str, str], owner: Attempt, kind: str, ordinal: int) -> tuple[bytes, bytes, bytes]:
    """The AEAD key, base nonce and commitment of one object."""
    context = ("domicile/v1", *scope, owner.volume, owner.run, owner.hex, kind)
    info = b"".join(map(text, context)) + struct.pack(">I", ordinal)
    out = HKDF(algorithm=hashes.SHA512(), length=76, salt=salt, info=info).derive(data_key)
    return out[:32], out[32:44], out[44:]


class Sealed:
    """An object whose commitment held: opens its slots."""

    def __init__(self, name: str, aead_key: bytes, nonce: bytes) -> None:
        self.name = name
        self.aead = AESGCM(aead_key)
        self.nonce = nonce

    def open(self, slot: int, codec: int, identity: bytes, sealed: bytes, limit: int) -> bytes:
        what = f"{self.name}, slot {slot}"
        counter = int.from_bytes(self.nonce[8:], "big") ^ slot
        nonce = self.nonce[:8] + struct.pack(">I", counter)
        require(len(sealed) >= TAG_BYTES, f"{what}: too short")
        try:
            plain = self.aead.decrypt(nonce, sealed, struct.pack(">IB", slot, codec) + identity)
        except InvalidTag:
            raise VaultError("object_corrupt", f"{what}: the tag does not match") from None
        require(codec in (0, 1), f"{what}: codec {codec}", "unsupported_format")
        plain = decompress(plain, limit, what) if codec == 1 else plain
        require(len(plain) <= limit, f"{what}: too long")
        return plain


def decompress(frame: bytes, limit: int, what: str) -> bytes:
    require(frame[:4] == b"\x28\xb5\x2f\xfd", f"{what}: not a Zstandard frame")
    decoder = zstandard.ZstdDecompressor().decompressobj()
    plain = bytearray()
    # The frame need not tell its size, and four bytes of it can become 128 KiB: so a little input at a time.
    for at in range(0, len(frame), 1024):
        require(not decoder.eof, f"{what}: bytes behind the frame")
        try:
            plain += decoder.decompress(frame[at : at + 1024])
        except zstandard.ZstdError:
            raise VaultError("object_corrupt", f"{what}: Zstandard cannot decode it") from None
        require(len(plain) <= limit, f"{what}: too long")
    require(decoder.eof and not decoder.unused_data, f"{what}: not one whole Zstandard frame")
    return bytes(plain)


# --- Manifest ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ObjectRef:
    owner: Attempt
    ordinal: int
    digest: str
    size: int | None  # a root does not tell it of its nodes' bundles
    directory: int

    def name(self, folder: str) -> str:
        return f"v1/{self.owner.volume}/{folder}/{self.owner.run}/{self.owner.hex}/{self.ordinal:08d}-{self.digest}"


@dataclass(frozen=True)
class PageRef:
    bundle: ObjectRef
    slot: int
    offset: int
    length: int
    codec: int


@dataclass(frozen=True)
class Child:
    """A node in the root, or a leaf in a node."""

    number: int
    blocks: int  # stored below it
    page: PageRef


@dataclass(frozen=True)
class Extent:
    first: int
    count: int
    pack: ObjectRef
    slot: int


@dataclass(frozen=True)
class Root:
    volume: str
    run: str
    kind: str
    created: str
    volume_bytes: int
    block_bytes: int
    scope_volume: str
    nodes: list[Child]
    previous: tuple[str, str] | None


def parse_root(data: bytes, owner: Attempt, name: str) -> Root:
    value = parse_json(data, name)
    check_format(value, "domicile/v1")
    same = (string(value, "runId", ID), string(value, "attempt", "[0-9a-f]{32}")) == (owner.run, owner.hex)
    require(same, f"{name}: the root of another run or attempt")
    volume_bytes = integer(value, "volumeBytes", 0, 2**63 - 1)
    block_bytes = integer(value, "blockBytes", 1, PAGE_LIMIT)
    require(volume_bytes % block_bytes == 0, f"{name}: the volume is not a number of whole blocks")
    scope_volume = string(value, "scopeVolume", ID)
    require(scope_volume in (owner.volume, "tenant"), f"{name}: a dedup scope of another volume")
    previous = value.get("previous")
    if previous is not None:
        previous = (string(previous, "runId", ID), string(previous, "sha256", "[0-9a-f]{64}"))
    entries = value.get("nodes")
    require(isinstance(entries, list), f"{name}: member nodes is not a list")
    nodes = [parse_root_node(entry, owner.volume) for entry in entries]
    check_children(nodes, volume_bytes // block_bytes, NODE_LEAVES * LEAF_BLOCKS, name)
    kind, created = string(value, "kind", "full|incremental"), string(value, "createdTime", TIME)
    return Root(owner.volume, owner.run, kind, created, volume_bytes, block_bytes, scope_volume, nodes, previous)


def parse_root_node(entry: Any, volume: str) -> Child:
    owner = Attempt(volume, string(entry, "runId", ID), string(entry, "attempt", "[0-9a-f]{32}"))
    ordinal = integer(entry, "ordinal", 0, 10**8 - 1)
    bundle = ObjectRef(owner, ordinal, string(entry, "sha256", "[0-9a-f]{64}"), None, 0)
    offset, length = (integer(entry, member, 0, 2**32 - 1) for member in ("offset", "lengthBytes"))
    page = PageRef(bundle, integer(entry, "slot", 0, 2**16 - 1), offset, length, integer(entry, "codec", 0, 255))
    return Child(integer(entry, "number", 0, 2**32 - 1), integer(entry, "blocks", 1, NODE_LEAVES * LEAF_BLOCKS), page)


def check_children(children: list[Child], volume_blocks: int, span: int, what: str) -> None:
    numbers = [child.number for child in children]
    require(all(a < b for a, b in zip(numbers, numbers[1:])), f"{what}: entries do not ascend")
    require(all(number * span < volume_blocks for number in numbers), f"{what}: an entry beyond the volume")


def parse_tables(cursor: Cursor, volume: str, leaf: bool) -> list[ObjectRef]:
    """The attempts and objects that leaves and nodes begin with."""

    def attempt() -> Attempt:
        other, run, raw = cursor.text(), cursor.id(), cursor.take(16)
        fits = other == "" or (leaf and re.fullmatch(ID, other) is not None)
        require(fits, f"{cursor.what}: not a volume's id")
        return Attempt(other or volume, run, raw.hex())

    def entry() -> ObjectRef:
        index, ordinal, size, directory, digest = cursor.fields("HIII32s")
        require(index < len(attempts), f"{cursor.what}: an object of an attempt that is not in the table")
        require(ordinal < 10**8, f"{cursor.what}: an ordinal of more than 8 digits")
        return ObjectRef(attempts[index], ordinal, digest.hex(), size, directory)

    attempts = cursor.table(attempt)
    return cursor.table(entry)


def parse_node(data: bytes, node: Child, root: Root, what: str) -> list[Child]:
    cursor = Cursor(data, what)
    require(cursor.number("I") == node.number, f"{what}: another node's number")
    bundles = parse_tables(cursor, root.volume, leaf=False)

    def entry() -> Child:
        leaf, bundle, slot, offset, length, codec, blocks = cursor.fields("HHHIIBH")
        require(leaf < NODE_LEAVES and bundle < len(bundles), f"{what}: an entry out of range")
        require(1 <= blocks <= LEAF_BLOCKS, f"{what}: a leaf of {blocks} blocks")
        return Child(NODE_LEAVES * node.number + leaf, blocks, PageRef(bundles[bundle], slot, offset, length, codec))

    leaves = cursor.table(entry)
    cursor.end()
    check_children(leaves, root.volume_bytes // root.block_bytes, LEAF_BLOCKS, what)
    require(sum(leaf.blocks for leaf in leaves) == node.blocks, f"{what}: not as many blocks as the root says")
    return leaves


def parse_leaf(data: bytes, leaf: Child, root: Root, what: str) -> list[Extent]:
    cursor = Cursor(data, what)
    require(cursor.number("I") == leaf.number, f"{what}: another leaf's number")
    packs = parse_tables(cursor, root.volume, leaf=True)
    base = LEAF_BLOCKS * leaf.number
    limit = min(LEAF_BLOCKS, root.volume_bytes // root.block_bytes - base)
    free = 0  # the first block that no extent before covers

    def entry() -> Extent:
        nonlocal free
        first, count, pack, slot = cursor.fields("HHHH")
        require(free <= first and count > 0 and first + count <= limit, f"{what}: an extent out of order or range")
        require(pack < len(packs), f"{what}: an extent of a pack that is not in the table")
        free = first + count
        return Extent(base + first, count, packs[pack], slot)

    extents = cursor.table(entry)
    cursor.end()
    require(sum(extent.count for extent in extents) == leaf.blocks, f"{what}: not as many blocks as the node says")
    return extents


# --- Reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pack:
    sealed: Sealed
    end_of_slots: int
    directory: bytes

    def entry(self, slot: int) -> tuple[int, int, int, bytes]:
        """Offset, length, codec and block id of a slot."""
        require(slot < len(self.directory) // 41, f"{self.sealed.name}: no slot {slot}")
        offset, length, codec, block_id = struct.unpack_from(">IIB32s", self.directory, 41 * slot)
        inside = HEADER_BYTES <= offset and offset + length <= self.end_of_slots
        require(inside, f"{self.sealed.name}: slot {slot} is not among the slots")
        return offset, length, codec, block_id


class Vault:
    def __init__(self, repo: Path, openers: list[GivenKeys | RecoveryKey]) -> None:
        self.store = Store(repo)
        self.keyring = Keyring(self.store, openers)
        self.bundles = Recent(64)
        self.packs = Recent(16)

    def root(self, volume: str, run: str) -> Root:
        name = f"v1/{volume}/roots/{run}"
        valid = all(re.fullmatch(ID, part) for part in (volume, run))
        require(valid and self.store.has(name), f"no point {run} of volume {volume}", "not_found")
        header = self.store.read(name, 0, HEADER_BYTES)
        owner = Attempt(volume, run, parse_header(header, name).attempt)
        sealed = self._unseal(header, name, owner, "index", "root", 0)
        body = self.store.read_all(name, HEADER_BYTES + 1 + PAGE_LIMIT + TAG_BYTES)[HEADER_BYTES:]
        require(len(body) > TAG_BYTES, f"{name}: too short")
        return parse_root(sealed.open(0, body[0], b"", body[1:], PAGE_LIMIT), owner, name)

    def blocks(self, root: Root) -> Iterator[tuple[int, bytes]]:
        """Every stored block with its index, in ascending order."""
        for node in root.nodes:
            for leaf in parse_node(self._page(NODE, node), node, root, f"node {node.number}"):
                for extent in parse_leaf(self._page(LEAF, leaf), leaf, root, f"leaf {leaf.number}"):
                    for n in range(extent.count):
                        yield extent.first + n, self._block(root, extent.pack, extent.slot + n)

    def check_previous(self, root: Root) -> None:
        if root.previous is None:
            return
        run, digest = root.previous
        name = f"v1/{root.volume}/roots/{run}"
        if self.store.has(name):
            found = hashlib.sha256(self.store.read_all(name, 2 * PAGE_LIMIT)).hexdigest()
            require(found == digest, f"the head chain is broken between {root.run} and {run}")

    def _unseal(self, raw: bytes, name: str, owner: Attempt, key: str, kind: str, ordinal: int) -> Sealed:
        header = parse_header(raw, name)
        data_key = self.keyring.data_key(owner, key)
        assert self.keyring.scope  # known as soon as one key is open
        aead_key, nonce, commitment = derive(data_key, header.salt, self.keyring.scope, owner, kind, ordinal)
        same = hmac.compare_digest(commitment, header.commitment) and header.attempt == owner.hex
        require(same, f"{name}: the commitment does not match", "wrong_key")
        return Sealed(name, aead_key, nonce)

    def _page(self, kind: int, child: Child) -> bytes:
        page, bundle = child.page, child.page.bundle
        name = bundle.name("index")
        size = self.store.size(name)
        require(bundle.size in (None, size), f"{name}: not of the size that is stated")

        def opened() -> Sealed:
            return self._unseal(self.store.read(name, 0, HEADER_BYTES), name, bundle.owner, "index", "index", bundle.ordinal)

        sealed = self.bundles.get(name, opened)
        require(HEADER_BYTES <= page.offset, f"{name}: a page inside of the header")
        require(page.length <= PAGE_LIMIT + TAG_BYTES, f"{name}: a page too long")
        data = self.store.read(name, page.offset, page.length)
        return sealed.open(page.slot, page.codec, struct.pack(">BI", kind, child.number), data, PAGE_LIMIT)

    def _block(self, root: Root, ref: ObjectRef, slot: int) -> bytes:
        pack: Pack = self.packs.get(ref, lambda: self._pack(ref))
        offset, length, codec, block_id = pack.entry(slot)
        name = pack.sealed.name
        block = pack.sealed.open(slot, codec, block_id, self.store.read(name, offset, length), root.block_bytes)
        require(len(block) == root.block_bytes, f"{name}, slot {slot}: not as long as a block")
        id_key = self.keyring.data_key(Attempt(root.scope_volume, "scope", ""), "id")
        found = hmac.digest(id_key, hashlib.sha256(block).digest(), "sha256")
        require(hmac.compare_digest(found, block_id), f"{name}, slot {slot}: the block is not the one of its id")
        return block

    def _pack(self, ref: ObjectRef) -> Pack:
        """Opens a pack by its end: u8 codec, directory, u32 length of both, the header's copy."""
        name = ref.name("packs")
        size = self.store.size(name)
        require(size == ref.size and size <= PACK_LIMIT, f"{name}: not of the size that is stated, or too large")
        end = size - HEADER_BYTES - 4
        require(HEADER_BYTES <= ref.directory and ref.directory + 1 + TAG_BYTES <= end, f"{name}: no place for a directory")
        tail = self.store.read(name, ref.directory, size - ref.directory)
        key = f"pack-{ref.ordinal // 1000:06d}"
        sealed = self._unseal(tail[-HEADER_BYTES:], name, ref.owner, key, "pack", ref.ordinal)
        stated = struct.unpack(">I", tail[-HEADER_BYTES - 4 : -HEADER_BYTES])[0]
        require(stated == end - ref.directory, f"{name}: the directory is not as long as it says")
        plain = sealed.open(DIRECTORY_SLOT, tail[0], b"", tail[1:stated], PAGE_LIMIT)
        cursor = Cursor(plain, f"{name}, directory")
        directory = cursor.take(41 * cursor.number("H"))
        cursor.end()
        return Pack(sealed, ref.directory, directory)


# --- Commands ---------------------------------------------------------------------------------------------------------


class Image:
    """A sparse file, and the SHA-256 of it with its zeros."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.at = 0

    def put(self, offset: int, data: bytes) -> None:
        self._zeros(offset)
        self.file.seek(offset)
        self.file.write(data)
        self.digest.update(data)
        self.at = offset + len(data)

    def finish(self, size: int) -> str:
        self._zeros(size)
        self.file.truncate(size)
        self.file.flush()
        os.fsync(self.file.fileno())
        return self.digest.hexdigest()

    def _zeros(self, until: int) -> None:
        zeros = bytes(MIB)
        while self.at < until:
            step = min(MIB, until - self.at)
            self.digest.update(zeros[:step] if step < MIB else zeros)
            self.at += step


def restore(vault: Vault, volume: str, point: str, out: Path) -> str:
    root = vault.root(volume, point)
    part = Path(f"{out}.part")
    try:
        with open(part, "wb") as file:
            image = Image(file)
            for index, block in vault.blocks(root):
                image.put(index * root.block_bytes, block)
            digest = image.finish(root.volume_bytes)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return digest


def list_points(vault: Vault) -> None:
    """Prints the points that can be read, and only then fails for the first that cannot."""
    failure: VaultError | None = None
    for volume, run in vault.store.points():
        try:
            root = vault.root(volume, run)
            vault.check_previous(root)
            stored = sum(node.blocks for node in root.nodes)
            print(volume, run, root.kind, root.created, root.volume_bytes, stored, sep="\t")
        except VaultError as error:
            failure = failure or error
    if failure:
        raise failure


def open_vault(repo: Path, keys: Path | None, recovery: Path | None) -> Vault:
    openers: list[GivenKeys | RecoveryKey] = []
    if keys:
        openers.append(GivenKeys(keys.read_bytes()))
    if recovery:
        openers.append(RecoveryKey(recovery.read_bytes()))
    return Vault(repo, openers)


# --- Vectors ----------------------------------------------------------------------------------------------------------


def check_derivation(vector: dict[str, Any], _folder: Path) -> Iterator[tuple[str, Any, Any]]:
    context = {**vector, **vector.get("context", {})}
    owner = Attempt(context["volume"], context["run"], context["attempt"])
    key, salt = bytes.fromhex(vector["dataKey"]), bytes.fromhex(vector["salt"])
    found = derive(key, salt, (context["cell"], context["tenant"]), owner, context["type"], context["ordinal"])
    for name, got in zip(("aeadKey", "baseNonce", "commitment"), found):
        yield name, vector[name], got.hex()


def check_block_id(vector: dict[str, Any], _folder: Path) -> Iterator[tuple[str, Any, Any]]:
    key, block = bytes.fromhex(vector["idKey"]), bytes.fromhex(vector["block"])
    yield "id", vector["id"], hmac.digest(key, hashlib.sha256(block).digest(), "sha256").hex()


def check_point(vector: dict[str, Any], folder: Path) -> Iterator[tuple[str, Any, Any]]:
    """Restores by KEYS.json, and by the recovery key where there is one."""
    repo = folder / vector["repository"]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "image"
        yield "by KEYS.json", vector["sha256"], outcome(vector, repo, repo / "KEYS.json", None, out)
        if (repo / "recovery-key.pem").exists():
            yield "by recovery key", vector["sha256"], outcome(vector, repo, None, repo / "recovery-key.pem", out)


def check_case(vector: dict[str, Any], folder: Path) -> Iterator[tuple[str, Any, Any]]:
    with tempfile.TemporaryDirectory() as scratch:
        repo = Path(scratch) / "repo"
        shutil.copytree(folder / vector["repository"], repo)
        for change in vector["changes"]:
            apply_change(change, repo)
        expected = vector["sha256"] if vector.get("sha256") else vector["expect"]
        yield "outcome", expected, outcome(vector, repo, repo / "KEYS.json", None, Path(scratch) / "image")


def outcome(vector: dict[str, Any], repo: Path, keys: Path | None, recovery: Path | None, out: Path) -> str:
    """What a restore ends with: the image's SHA-256, or the class of the failure."""
    try:
        return restore(open_vault(repo, keys, recovery), vector["volume"], vector["point"], out)
    except VaultError as error:
        return error.kind


def apply_change(change: dict[str, Any], repo: Path) -> None:
    op = change["op"]
    if op in ("key", "scope"):
        return change_keys(change, repo / "KEYS.json")
    path = repo / "objects" / change["from" if op == "copy" else "object"]
    data = b"" if op == "replace" else path.read_bytes()
    if op == "delete":
        return path.unlink()
    if op == "flip":
        at = change["at"] % len(data)
        data = data[:at] + bytes([data[at] ^ change["mask"]]) + data[at + 1 :]
    elif op == "truncate":
        data = data[: change["bytes"]]
    elif op in ("append", "replace"):
        data += bytes.fromhex(change["hex"])
    elif op == "copy":
        path = repo / "objects" / change["to"]
    else:
        raise ValueError(f"unknown change {op}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def change_keys(change: dict[str, Any], path: Path) -> None:
    keys = json.loads(path.read_text())
    if change["op"] == "scope":
        keys.update({member: change[member] for member in ("cell", "tenant") if member in change})
    elif change["hex"] is None:
        keys["keys"].pop(change["object"], None)
    else:
        keys["keys"][change["object"]] = change["hex"]
    path.write_text(json.dumps(keys))


CHECKS = {"derivations": check_derivation, "blockIds": check_block_id, "points": check_point, "cases": check_case}


def run_vectors(folder: Path) -> bool:
    vectors = parse_json((folder / "vectors.json").read_bytes(), "vectors.json")
    agreed = True
    for kind, check in CHECKS.items():
        entries = vectors.get(kind)
        require(isinstance(entries, list) and len(entries) > 0, f"vectors.json has no {kind}")
        good = 0
        for number, vector in enumerate(entries):
            wrong = disagreements(check, vector, folder)
            for line in wrong:
                print(f"{kind}[{number}] {label(vector)}: {line}")
            good += not wrong
        print(f"{kind}: {good} of {len(entries)} agree")
        agreed = agreed and good == len(entries)
    return agreed


def disagreements(check: Callable[..., Iterator[tuple[str, Any, Any]]], vector: Any, folder: Path) -> list[str]:
    try:
        results = list(check(vector, folder))
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        return [f"the vector cannot be run: {error!r}"]
    return [f"{what}: expected {expected}, got {got}" for what, expected, got in results if expected != got]


def label(vector: Any) -> str:
    members = vector if isinstance(vector, dict) else {}
    return str(members.get("id") or members.get("name") or members.get("point") or "")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Reads a backup vault (docs/format.md).")
    parser.add_argument("command", choices=("list", "restore", "vectors"))
    parser.add_argument("--repo", type=Path, required=True)
    parser.add_argument("--keys", type=Path)
    parser.add_argument("--recovery-key", type=Path)
    parser.add_argument("--point")
    parser.add_argument("--volume")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.command != "vectors" and not (args.keys or args.recovery_key):
        parser.error("--keys or --recovery-key is needed")
    if args.command == "restore" and not (args.point and args.volume and args.out):
        parser.error("restore needs --point, --volume and --out")
    return args


def main() -> int:
    args = arguments()
    try:
        if args.command == "vectors":
            return 0 if run_vectors(args.repo) else 1
        vault = open_vault(args.repo, args.keys, args.recovery_key)
        if args.command == "list":
            list_points(vault)
        else:
            print(restore(vault, args.volume, args.point, args.out))
        return 0
    except VaultError as error:
        print(error.kind, error.why, sep="\n", file=sys.stderr)
    except OSError as error:  # a full disk is no fault of the vault, and gets no class of the document's
        print("io_error", error, sep="\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
