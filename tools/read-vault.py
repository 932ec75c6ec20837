#!/usr/bin/python3
"""Reads a backup vault without the program that wrote it: a second implementation of docs/format.md.

It needs Python 3.11, python3-cryptography and python3-zstandard (Debian 12), the vault's objects as files, and either
the opened data keys (KEYS.json) or the private recovery key. See --help for the usage. When list or restore fails,
the first line of standard error is the class of the failure alone.
"""

from __future__ import annotations

import argparse, hashlib, hmac, json, os, re, shutil, struct, sys, tempfile, zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

import zstandard
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HEADER_BYTES, TAG_BYTES = 84, 16
PAGE_LIMIT, PACK_LIMIT = 64 << 20, 256 << 20
DIRECTORY_SLOT = 0xFFFFFFFF
DIRECTORY_ENTRY = struct.Struct(">IIB32s")
LEAF_BLOCKS, NODE_LEAVES = 1024, 512
LEAF, NODE = 1, 2
RSA_RECIPIENT = 3
ID, ATTEMPT, DIGEST, ANYTHING = r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", r"[0-9a-f]{32}", r"[0-9a-f]{64}", r"(?s:.*)"
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]{8,24}([Zz]|[+-][0-9]{2}:[0-9]{2})"

class VaultError(Exception):
    """A failure: one of the document's classes, and an explanation."""

def require(condition: bool, why: str, kind: str = "object_corrupt") -> None:
    if not condition:
        raise VaultError(kind, why)

# --- Bytes, files and JSON: nothing is used before it was checked
class Cursor:
    """Takes fields from the front of some bytes, and never more than there are."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data, self.what, self.at = data, what, 0

    def take(self, count: int) -> bytes:
        require(count <= len(self.data) - self.at, f"{self.what}: a field goes beyond the end")
        self.at += count
        return self.data[self.at - count : self.at]

    def fields(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(">" + layout, self.take(struct.calcsize(">" + layout)))

    def number(self, layout: str) -> int:
        return self.fields(layout)[0]

    def text(self) -> str:
        try:
            return self.take(self.number("H")).decode()
        except UnicodeDecodeError:
            raise VaultError("object_corrupt", f"{self.what}: a text is not UTF-8") from None

    def table(self, entry: Callable[[], Any]) -> list[Any]:
        return [entry() for _ in range(self.number("H"))]

    def end(self) -> None:
        require(self.at == len(self.data), f"{self.what}: bytes behind the end")

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

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        rest = self.size(name) - offset
        length = rest if length is None else length
        require(0 <= length <= min(rest, PACK_LIMIT), f"{name}: too short, or too long")
        with open(self.base / name, "rb") as file:
            file.seek(offset)
            data = file.read(length)
        require(len(data) == length, f"{name}: too short")
        return data

def parse_json(data: bytes, what: str, form: str | None = None) -> dict[str, Any]:
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise VaultError("object_corrupt", f"{what} is not JSON") from None
    require(isinstance(value, dict), f"{what} is not a JSON object")
    if form:
        require(string(value, "format", ANYTHING) == form, f"{what} is not {form}", "unsupported_format")
    return value

def integer(owner: Any, name: str, low: int, high: int) -> int:
    value = owner.get(name) if isinstance(owner, dict) else None
    require(type(value) is int and low <= value <= high, f"member {name} is not a number from {low} to {high}")
    return value

def string(owner: Any, name: str, pattern: str) -> str:
    value = owner.get(name) if isinstance(owner, dict) else None
    require(isinstance(value, str) and bool(re.fullmatch(pattern, value)), f"member {name} is missing or malformed")
    return value

# --- Keys
class Attempt(NamedTuple):
    volume: str
    run: str
    hex: str

def parse_key_object(raw: bytes, name: str) -> tuple[tuple[str, ...], bytes, list[tuple[int, str, bytes]]]:
    """The six fields, the same as they stand in the object, and the recipients."""
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
    return fields, label, recipients

class Keyring:
    """Opens data keys, each once, and holds all of them to one cell and tenant."""

    def __init__(self, store: Store, keys: Path | None, recovery_key: Path | None) -> None:
        self.store = store
        self.scope: tuple[str, ...] = ()  # without KEYS.json the first key object tells
        self.given: dict[str, str] = {}
        self.recovery_key: rsa.RSAPrivateKey | None = None
        if keys:
            value = parse_json(keys.read_bytes(), "KEYS.json", "domicile-keys/v1")
            self.scope = (string(value, "cell", ANYTHING), string(value, "tenant", ANYTHING))
            require(isinstance(value.get("keys"), dict), "KEYS.json: member keys is not an object")
            self.given = {name: string(value["keys"], name, DIGEST) for name in value["keys"]}
        if recovery_key:
            self._load_recovery_key(recovery_key.read_bytes())
        self.data_key = lru_cache(None)(self._data_key)

    def _load_recovery_key(self, pem: bytes) -> None:
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise VaultError("wrong_key", "the recovery key is not an unencrypted private key in PEM") from None
        strong = isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 3072
        require(strong, "the recovery key is not RSA of 3,072 bits or more", "wrong_key")
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        self.recipient = hashlib.sha256(key.public_key().public_bytes(encoding, form)).hexdigest()
        self.recovery_key = key

    def _data_key(self, owner: Attempt, key: str) -> bytes:
        name = "/".join(part for part in ("v1", owner.volume, "keys", owner.run, owner.hex, key) if part)
        fields, label, recipients = parse_key_object(self.store.read(name), name)
        scope = self.scope or fields[:2]
        require(fields == (*scope, *owner, key), f"{name}: the key belongs to something else", "wrong_key")
        opened = bytes.fromhex(self.given.get(name, "")) or self._recover(label, recipients)
        require(len(opened) == 32, f"{name}: nothing given opens it", "wrong_key")
        self.scope = scope
        return opened

    def _recover(self, label: bytes, recipients: list[tuple[int, str, bytes]]) -> bytes:
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label)
        for kind, recipient, wrapped in recipients:
            if self.recovery_key and kind == RSA_RECIPIENT and recipient == self.recipient:
                try:
                    return self.recovery_key.decrypt(wrapped, oaep)
                except ValueError:
                    continue
        return b""

# --- Sealed objects
def text(value: str) -> bytes:
    return struct.pack(">H", len(value.encode())) + value.encode()

def derive(key: bytes, salt: bytes, scope: tuple[str, ...], owner: Attempt, kind: str, ordinal: int) -> list[bytes]:
    """The AEAD key, base nonce and commitment of one object."""
    info = b"".join(map(text, ("domicile/v1", *scope, *owner, kind))) + struct.pack(">I", ordinal)
    out = HKDF(algorithm=hashes.SHA512(), length=76, salt=salt, info=info).derive(key)
    return [out[:32], out[32:44], out[44:]]

def block_id(id_key: bytes, block: bytes) -> bytes:
    return hmac.digest(id_key, hashlib.sha256(block).digest(), "sha256")

def parse_header(raw: bytes, name: str) -> tuple[str, bytes, bytes]:
    """Attempt, salt and commitment."""
    require(raw[80:] == struct.pack(">I", zlib.crc32(raw[:80])), f"{name}: the header's CRC does not match")
    require(raw[:4] == b"DMCL", f"{name}: not a sealed object")
    require(raw[4] == 1, f"{name}: another version", "unsupported_format")
    return raw[8:24].hex(), raw[24:48], raw[48:80]

class Sealed:
    """An object whose commitment held: opens its slots."""

    def __init__(self, name: str, aead_key: bytes, nonce: bytes) -> None:
        self.name, self.aead, self.nonce = name, AESGCM(aead_key), nonce

    def open(self, slot: int, codec: int, identity: bytes, sealed: bytes, limit: int) -> bytes:
        what = f"{self.name}, slot {slot}"
        nonce = self.nonce[:8] + struct.pack(">I", int.from_bytes(self.nonce[8:], "big") ^ slot)
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

# --- Manifest
class ObjectRef(NamedTuple):
    owner: Attempt
    ordinal: int
    digest: str
    size: int | None  # a root does not tell it of its nodes' bundles
    directory: int

    def name(self, folder: str) -> str:
        return f"v1/{self.owner.volume}/{folder}/{self.owner.run}/{self.owner.hex}/{self.ordinal:08d}-{self.digest}"

class Page(NamedTuple):
    """A node that the root refers to, or a leaf that a node does."""

    number: int
    blocks: int  # stored below it
    bundle: ObjectRef
    slot: int
    offset: int
    length: int
    codec: int

class Root(NamedTuple):
    volume: str
    run: str
    kind: str
    created: str
    blocks: int
    block_bytes: int
    id_key: bytes
    nodes: list[Page]
    previous: tuple[str, str] | None  # run and digest

def parse_root(data: bytes, owner: Attempt, name: str) -> Root:
    value = parse_json(data, name, "domicile/v1")
    whose = (string(value, "runId", ID), string(value, "attempt", ATTEMPT))
    require(whose == owner[1:], f"{name}: the root of another run or attempt")
    block_bytes = integer(value, "blockBytes", 1, PAGE_LIMIT)
    blocks, rest = divmod(integer(value, "volumeBytes", 0, 2**63 - 1), block_bytes)
    require(rest == 0, f"{name}: the volume is not a number of whole blocks")
    id_key = bytes.fromhex(string(value, "idKey", "[0-9a-f]{64}"))
    previous = value.get("previous")
    if previous is not None:
        previous = (string(previous, "runId", ID), string(previous, "sha256", DIGEST))
    entries = value.get("nodes")
    require(isinstance(entries, list), f"{name}: member nodes is not a list")
    nodes = [parse_root_node(entry, owner.volume) for entry in entries]
    check_pages(nodes, blocks, NODE_LEAVES * LEAF_BLOCKS, name)
    kind, created = string(value, "kind", "full|incremental"), string(value, "createdTime", TIME)
    return Root(owner.volume, owner.run, kind, created, blocks, block_bytes, id_key, nodes, previous)

def parse_root_node(entry: Any, volume: str) -> Page:
    owner = Attempt(volume, string(entry, "runId", ID), string(entry, "attempt", ATTEMPT))
    bundle = ObjectRef(owner, integer(entry, "ordinal", 0, 10**8 - 1), string(entry, "sha256", DIGEST), None, 0)
    number, blocks = integer(entry, "number", 0, 2**32 - 1), integer(entry, "blocks", 1, NODE_LEAVES * LEAF_BLOCKS)
    offset, length = (integer(entry, member, 0, 2**32 - 1) for member in ("offset", "lengthBytes"))
    slot, codec = integer(entry, "slot", 0, 2**16 - 1), integer(entry, "codec", 0, 255)
    return Page(number, blocks, bundle, slot, offset, length, codec)

def check_pages(pages: list[Page], volume_blocks: int, span: int, what: str) -> None:
    require(all(a.number < b.number for a, b in zip(pages, pages[1:])), f"{what}: entries do not ascend")
    require(all(page.number * span < volume_blocks for page in pages), f"{what}: an entry beyond the volume")

def parse_tables(cursor: Cursor, number: int, volume: str, leaf: bool) -> list[ObjectRef]:
    """The number, attempts and objects that leaves and nodes begin with."""
    require(cursor.number("I") == number, f"{cursor.what}: the page has another number")

    def attempt() -> Attempt:
        other, run, raw = cursor.text(), cursor.text(), cursor.take(16)
        # Ids become parts of file names: one with a slash in it must not get that far.
        fits = all(re.fullmatch(ID, name) for name in (other or volume, run)) and (leaf or not other)
        require(fits, f"{cursor.what}: an attempt of something that is no id")
        return Attempt(other or volume, run, raw.hex())

    def entry() -> ObjectRef:
        index, ordinal, size, directory, digest = cursor.fields("HIII32s")
        require(index < len(attempts), f"{cursor.what}: an object of an attempt that is not in the table")
        require(ordinal < 10**8, f"{cursor.what}: an ordinal of more than 8 digits")
        return ObjectRef(attempts[index], ordinal, digest.hex(), size, directory)

    attempts = cursor.table(attempt)
    return cursor.table(entry)

def parse_node(data: bytes, node: Page, root: Root) -> list[Page]:
    cursor = Cursor(data, f"node {node.number}")
    bundles = parse_tables(cursor, node.number, root.volume, leaf=False)

    def entry() -> Page:
        leaf, bundle, slot, offset, length, codec, blocks = cursor.fields("HHHIIBH")
        require(leaf < NODE_LEAVES and bundle < len(bundles), f"{cursor.what}: an entry out of range")
        require(1 <= blocks <= LEAF_BLOCKS, f"{cursor.what}: a leaf of {blocks} blocks")
        return Page(NODE_LEAVES * node.number + leaf, blocks, bundles[bundle], slot, offset, length, codec)

    leaves = cursor.table(entry)
    cursor.end()
    check_pages(leaves, root.blocks, LEAF_BLOCKS, cursor.what)
    require(sum(leaf.blocks for leaf in leaves) == node.blocks, f"{cursor.what}: not as many blocks as the root says")
    return leaves

def parse_leaf(data: bytes, leaf: Page, root: Root) -> list[tuple[int, int, ObjectRef, int]]:
    """Extents: first block, count, pack, first slot."""
    cursor = Cursor(data, f"leaf {leaf.number}")
    packs = parse_tables(cursor, leaf.number, root.volume, leaf=True)
    base = LEAF_BLOCKS * leaf.number
    limit = min(LEAF_BLOCKS, root.blocks - base)
    free = 0  # the first block that no extent before covers

    def entry() -> tuple[int, int, ObjectRef, int]:
        nonlocal free
        first, count, pack, slot = cursor.fields("HHHH")
        require(free <= first and count > 0 and first + count <= limit, f"{cursor.what}: an extent out of order")
        require(pack < len(packs), f"{cursor.what}: an extent of a pack that is not in the table")
        free = first + count
        return base + first, count, packs[pack], slot

    extents = cursor.table(entry)
    cursor.end()
    require(sum(extent[1] for extent in extents) == leaf.blocks, f"{cursor.what}: not as many blocks as the node says")
    return extents

# --- Reading
class Vault:
    def __init__(self, repo: Path, keys: Path | None, recovery_key: Path | None) -> None:
        self.store = Store(repo)
        self.keyring = Keyring(self.store, keys, recovery_key)
        self.bundle = lru_cache(64)(self._bundle)
        self.pack = lru_cache(16)(self._pack)

    def root(self, volume: str, run: str) -> Root:
        name = f"v1/{volume}/roots/{run}"
        valid = all(re.fullmatch(ID, part) for part in (volume, run))
        require(valid and self.store.has(name), f"no point {run} of volume {volume}", "not_found")
        header = self.store.read(name, 0, HEADER_BYTES)
        owner = Attempt(volume, run, parse_header(header, name)[0])
        sealed = self._unseal(header, name, owner, "index", "root", 0)
        body = self.store.read(name, HEADER_BYTES)
        require(len(body) > TAG_BYTES, f"{name}: too short")
        return parse_root(sealed.open(0, body[0], b"", body[1:], PAGE_LIMIT), owner, name)

    def blocks(self, root: Root) -> Iterator[tuple[int, bytes]]:
        """Every stored block with its index, in ascending order."""
        for node in root.nodes:
            for leaf in parse_node(self._page(NODE, node), node, root):
                for first, count, pack, slot in parse_leaf(self._page(LEAF, leaf), leaf, root):
                    for n in range(count):
                        yield first + n, self._block(root, pack, slot + n)

    def check_previous(self, root: Root) -> None:
        run, digest = root.previous or ("", "")
        name = f"v1/{root.volume}/roots/{run}"
        if root.previous and self.store.has(name):
            found = hashlib.sha256(self.store.read(name)).hexdigest()
            require(found == digest, f"the head chain is broken between {root.run} and {run}")

    def _unseal(self, raw: bytes, name: str, owner: Attempt, key: str, kind: str, ordinal: int) -> Sealed:
        attempt, salt, stated = parse_header(raw, name)
        data_key = self.keyring.data_key(owner, key)
        aead_key, nonce, commitment = derive(data_key, salt, self.keyring.scope, owner, kind, ordinal)
        same = hmac.compare_digest(commitment, stated) and attempt == owner.hex
        require(same, f"{name}: the commitment does not match", "wrong_key")
        return Sealed(name, aead_key, nonce)

    def _bundle(self, ref: ObjectRef) -> Sealed:
        name = ref.name("index")
        require((ref.size or 0) <= self.store.size(name), f"{name}: shorter than is stated")
        return self._unseal(self.store.read(name, 0, HEADER_BYTES), name, ref.owner, "index", "index", ref.ordinal)

    def _page(self, kind: int, page: Page) -> bytes:
        sealed = self.bundle(page.bundle)
        inside = HEADER_BYTES <= page.offset and page.length <= PAGE_LIMIT + TAG_BYTES
        require(inside, f"{sealed.name}: a page in the header, or too long")
        data = self.store.read(sealed.name, page.offset, page.length)
        return sealed.open(page.slot, page.codec, struct.pack(">BI", kind, page.number), data, PAGE_LIMIT)

    def _pack(self, ref: ObjectRef) -> tuple[Sealed, bytes]:
        """Opens a pack by its end: u8 codec, directory, u32 length of both, header. Gives the directory."""
        name = ref.name("packs")
        size = self.store.size(name)
        require(ref.size <= min(size, PACK_LIMIT), f"{name}: shorter than is stated, or too large")
        size = ref.size
        length = size - HEADER_BYTES - 4 - ref.directory  # of codec and directory
        require(length > TAG_BYTES, f"{name}: no place for a directory")
        tail = self.store.read(name, ref.directory, size - ref.directory)
        key = f"pack-{ref.ordinal // 1000:06d}"
        sealed = self._unseal(tail[-HEADER_BYTES:], name, ref.owner, key, "pack", ref.ordinal)
        agreed = tail[length:-HEADER_BYTES] == struct.pack(">I", length)
        require(agreed, f"{name}: the directory is not as long as it says")
        cursor = Cursor(sealed.open(DIRECTORY_SLOT, tail[0], b"", tail[1:length], PAGE_LIMIT), f"{name}, directory")
        directory = cursor.take(DIRECTORY_ENTRY.size * cursor.number("H"))
        cursor.end()
        return sealed, directory

    def _block(self, root: Root, ref: ObjectRef, slot: int) -> bytes:
        sealed, directory = self.pack(ref)
        name = sealed.name
        require((slot + 1) * DIRECTORY_ENTRY.size <= len(directory), f"{name}: there is no slot {slot}")
        offset, length, codec, identity = DIRECTORY_ENTRY.unpack_from(directory, slot * DIRECTORY_ENTRY.size)
        require(offset + length <= ref.directory, f"{name}: slot {slot} lies elsewhere")
        block = sealed.open(slot, codec, identity, self.store.read(name, offset, length), root.block_bytes)
        require(len(block) == root.block_bytes, f"{name}, slot {slot}: not as long as a block")
        found = block_id(root.id_key, block)
        require(hmac.compare_digest(found, identity), f"{name}, slot {slot}: the block is not the one of its id")
        return block

# --- Commands
def hash_zeros(digest: Any, count: int) -> None:
    zeros = memoryview(bytes(min(1 << 20, count)))
    while count > 0:
        digest.update(zeros[:count])
        count -= len(zeros[:count])

def restore(vault: Vault, volume: str, point: str, out: Path) -> str:
    """Writes a sparse file, and gives the SHA-256 of it with its zeros."""
    root = vault.root(volume, point)
    part = Path(f"{out}.part")
    digest, at, size = hashlib.sha256(), 0, root.blocks * root.block_bytes
    try:
        with open(part, "wb") as file:
            for index, block in vault.blocks(root):
                hash_zeros(digest, index * root.block_bytes - at)
                file.seek(index * root.block_bytes)
                file.write(block)
                digest.update(block)
                at = file.tell()
            hash_zeros(digest, size - at)
            file.truncate(size)
            os.fsync(file.fileno())
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return digest.hexdigest()

def list_points(vault: Vault) -> None:
    """Prints the points that can be read, and only then fails for the first that cannot."""
    failure: VaultError | None = None
    names = [path.parts[-3::2] for path in (vault.store.base / "v1").glob("*/roots/*")]
    for volume, run in sorted(pair for pair in names if all(re.fullmatch(ID, part) for part in pair)):
        try:
            root = vault.root(volume, run)
            vault.check_previous(root)
            stored = sum(node.blocks for node in root.nodes)
            print(volume, run, root.kind, root.created, root.blocks * root.block_bytes, stored, sep="\t")
        except VaultError as error:
            failure = failure or error
    if failure:
        raise failure

# --- Vectors: a check gives what it looked at, what was expected, and what came out
Results = Iterator[tuple[str, Any, Any]]

def check_derivation(vector: dict[str, Any], _folder: Path) -> Results:
    context = {**vector, **vector.get("context", {})}
    scope, owner = (context["cell"], context["tenant"]), Attempt(context["volume"], context["run"], context["attempt"])
    key, salt = bytes.fromhex(vector["dataKey"]), bytes.fromhex(vector["salt"])
    found = derive(key, salt, scope, owner, context["type"], context["ordinal"])
    for name, got in zip(("aeadKey", "baseNonce", "commitment"), found):
        yield name, vector[name], got.hex()

def check_block_id(vector: dict[str, Any], _folder: Path) -> Results:
    yield "id", vector["id"], block_id(bytes.fromhex(vector["idKey"]), bytes.fromhex(vector["block"])).hex()

def check_point(vector: dict[str, Any], folder: Path) -> Results:
    repo = folder / vector["repository"]
    yield "by KEYS.json", vector["sha256"], outcome(vector, repo, repo / "KEYS.json", None)
    if (repo / "recovery-key.pem").exists():
        yield "by recovery key", vector["sha256"], outcome(vector, repo, None, repo / "recovery-key.pem")

def check_case(vector: dict[str, Any], folder: Path) -> Results:
    with tempfile.TemporaryDirectory() as scratch:
        repo = Path(scratch) / "repo"
        shutil.copytree(folder / vector["repository"], repo)
        for change in vector["changes"]:
            (change_keys if change["op"] in ("key", "scope") else change_object)(change, repo)
        yield "outcome", vector.get("expect") or vector["sha256"], outcome(vector, repo, repo / "KEYS.json", None)

def outcome(vector: dict[str, Any], repo: Path, keys: Path | None, recovery_key: Path | None) -> str:
    """What a restore ends with: the image's SHA-256, or the class of the failure."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return restore(Vault(repo, keys, recovery_key), vector["volume"], vector["point"], Path(scratch, "image"))
        except VaultError as error:
            return error.args[0]

def change_object(change: dict[str, Any], repo: Path) -> None:
    op, path = change["op"], repo / "objects" / change.get("object", change.get("from"))
    if op == "delete":
        return path.unlink()
    data = bytearray(b"" if op == "replace" else path.read_bytes())
    if op == "flip":
        data[change["at"]] ^= change["mask"]
    elif op == "truncate":
        del data[change["bytes"] :]
    elif op in ("append", "replace"):
        data += bytes.fromhex(change["hex"])
    elif op == "copy":
        path = repo / "objects" / change["to"]
    else:
        raise ValueError(f"unknown change {op}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)

def change_keys(change: dict[str, Any], repo: Path) -> None:
    value = json.loads((repo / "KEYS.json").read_text())
    if change["op"] == "scope":
        value.update({member: change[member] for member in ("cell", "tenant") if member in change})
    elif change["hex"] is None:
        value["keys"].pop(change["object"], None)
    else:
        value["keys"][change["object"]] = change["hex"]
    (repo / "KEYS.json").write_text(json.dumps(value))

def disagreements(check: Callable[[Any, Path], Results], vector: Any, folder: Path) -> list[str]:
    try:
        return [f"{what}: expected {want}, got {got}" for what, want, got in check(vector, folder) if want != got]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OSError) as error:
        return [f"the vector cannot be run: {error!r}"]

def run_vectors(folder: Path) -> bool:
    vectors = parse_json((folder / "vectors.json").read_bytes(), "vectors.json")
    checks = {"derivations": check_derivation, "blockIds": check_block_id, "points": check_point, "cases": check_case}
    wrong = 0
    for kind, check in checks.items():
        entries = vectors.get(kind)
        require(isinstance(entries, list) and len(entries) > 0, f"vectors.json has no {kind}")
        results = [disagreements(check, vector, folder) for vector in entries]
        for number, (vector, lines) in enumerate(zip(entries, results)):
            name = next((vector[key] for key in ("name", "id", "point") if key in vector), "")
            for line in lines:
                print(f"{kind}[{number}] {name} {line}")
        print(f"{kind}: {results.count([])} of {len(entries)} agree")
        wrong += len(entries) - results.count([])
    return wrong == 0

def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Reads a backup vault (docs/format.md).")
    parser.add_argument("command", choices=("list", "restore", "vectors"))
    parser.add_argument("--repo", type=Path, required=True)
    for name, kind in (("keys", Path), ("recovery-key", Path), ("point", str), ("volume", str), ("out", Path)):
        parser.add_argument(f"--{name}", type=kind)
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
        vault = Vault(args.repo, args.keys, args.recovery_key)
        if args.command == "list":
            list_points(vault)
        else:
            print(restore(vault, args.volume, args.point, args.out))
        return 0
    except VaultError as error:
        print(*error.args, sep="\n", file=sys.stderr)
    except OSError as error:  # a full disk is no fault of the vault, and gets no class of the document's
        print("io_error", error, sep="\n", file=sys.stderr)
    return 1

if __name__ == "__main__":
    sys.exit(main())
