# SPDX-License-Identifier: Apache-2.0
"""Packed images: the second reader, written from docs/FORMAT.md alone.

BLAKE2b comes with Python; an LZ4 block is the few lines below; Zstandard is the command zstd(1). Of encryption, X25519,
Argon2 and XChaCha20-Poly1305 are PyNaCl's, AES-OCB is cryptography's, which is OpenSSL's.
"""
import base64
import hashlib
import os
import struct
import subprocess

import ed25519

MAGIC = bytes.fromhex("897468756d700d0a")
HEAD_SIZE, ENTRY_SIZE, HASH_SIZE = 96, 48, 32
ZEROS, SAME, PLAIN, ZSTD, LZ4 = range(5)
NO_HASH = bytes(HASH_SIZE)


class Damaged(Exception):
    pass


class Encrypted(Damaged):
    """It takes a key to say more."""


def require(condition, rule):
    if not condition:
        raise Damaged(rule)


def blake2b(data):
    return hashlib.blake2b(data, digest_size=HASH_SIZE).digest()


def long_length(data, at, length):
    """A length that is 15 in the token goes on in bytes, the last of which is not 255."""
    while length >= 15:
        require(at < len(data), "LZ4: a length ends early")
        length += data[at]
        at += 1
        if data[at - 1] != 255:
            break
    return length, at


def lz4_block(data):
    """lz4_Block_format: sequences of literals and of matches."""
    out, at = bytearray(), 0
    while True:
        require(at < len(data), "LZ4: no token")
        token = data[at]
        literals, at = long_length(data, at + 1, token >> 4)
        require(at + literals <= len(data), "LZ4: literals end early")
        out += data[at:at + literals]
        at += literals
        if at == len(data):
            return bytes(out)
        require(at + 2 <= len(data), "LZ4: an offset ends early")
        offset = struct.unpack_from("<H", data, at)[0]
        length, at = long_length(data, at + 2, token & 15)
        length += 4
        require(0 < offset <= len(out), "LZ4: an offset before the beginning")
        for _ in range(length):
            out.append(out[-offset])


def zstd_frame(data):
    result = subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
    require(result.returncode == 0, "a Zstandard frame is broken")
    return result.stdout


def head_of(data):
    require(len(data) >= HEAD_SIZE, "HEAD ends early")
    fields = struct.unpack_from("<IIQQQII", data, 8)
    names = ("version", "flags", "raw_size", "raw_meta_offset", "data_size", "nr_chunks", "keys_size")
    head = dict(zip(names, fields))
    head["encrypted"], head["apart"], head["aes"] = (head["flags"] & bit for bit in (1, 2, 4))
    table_end = HEAD_SIZE + head["keys_size"] + head["nr_chunks"] * ENTRY_SIZE
    require(len(data) >= table_end + HASH_SIZE + 4, "the table ends early")
    require(data[table_end:table_end + HASH_SIZE] == blake2b(data[:table_end]), "DIGEST")
    require(head["version"] == 1, "version")
    require(head["flags"] in (0, 1, 2, 5), "flags")
    require(head["keys_size"] <= 65536 and (head["flags"] or not head["keys_size"]), "keys_size")
    require(head["encrypted"] or not any(data[48:HEAD_SIZE]), "key_check and id are not zero")
    require(4096 <= head["raw_size"] <= 1 << 46, "raw_size")
    require(1 <= head["nr_chunks"] <= 4 << 20, "nr_chunks")
    head["data_at"] = check_signatures(data, table_end)
    size = head["data_at"] + (0 if head["apart"] else head["data_size"])
    require(len(data) == size, "data ends with the file")
    head["store"] = store_of(data[HEAD_SIZE:HEAD_SIZE + head["keys_size"]]) if head["apart"] else None
    return head


def store_of(section):
    """The path that KEYS of an image has whose chunks are apart."""
    require(len(section) > 8, "KEYS of an image that is apart")
    kind, size = struct.unpack_from("<II", section)
    path = section[8:]
    require(kind == 3 and size == len(path) <= 8192 and 0 not in path, "the path of the chunk store")
    return os.fsdecode(path)


def chunk_of(store, entry):
    """What a chunk store has of a chunk."""
    name = entry["hash"].hex()
    try:
        with open(os.path.join(store, "chunks", name[:2], name[2:]), "rb") as file:
            data = file.read()
    except OSError as error:
        raise Damaged(f"chunk {name}: {error}") from error
    require(len(data) == entry["stored_size"], "stored_size of a chunk in a store")
    return data


def entries_of(data, head):
    names = ("raw_size", "stored_size", "form", "same", "hash")
    at = HEAD_SIZE + head["keys_size"]
    for i in range(head["nr_chunks"]):
        yield dict(zip(names, struct.unpack_from("<IIII32s", data, at + i * ENTRY_SIZE)))


def check_signatures(data, digest_at):
    """Each is valid for its key; returns where data begins."""
    at = digest_at + HASH_SIZE
    count = struct.unpack_from("<I", data, at)[0]
    require(count <= 64 and at + 4 + count * 96 <= len(data), "SIGNATURES")
    message = b"thump packed image 1" + data[digest_at:at]
    for i in range(count):
        key, signature = struct.unpack_from("32s64s", data, at + 4 + i * 96)
        require(ed25519.is_valid(key, message, signature), "a signature")
    return at + 4 + count * 96


def check_entry(entry, before, extra):
    """`extra` bytes are what encryption adds."""
    raw, stored, form = entry["raw_size"], entry["stored_size"] - extra, entry["form"]
    require(form >= PLAIN or not extra, "form of an encrypted chunk")
    require(1 <= raw <= 1 << 20, "raw_size of a chunk")
    require(form == SAME or entry["same"] == 0, "same of a chunk")
    if form in (ZEROS, SAME):
        require(stored == 0 and entry["hash"] == NO_HASH, "a chunk of which nothing is stored")
    if form == SAME:
        require(entry["same"] < len(before), "same is no earlier chunk")
        other = before[entry["same"]]
        require(other["form"] >= PLAIN and other["raw_size"] == raw, "same is another chunk")
    if form == PLAIN:
        require(stored == raw, "stored_size of a plain chunk")
    if form in (ZSTD, LZ4):
        require(1 <= stored < raw, "stored_size of a compressed chunk")
    require(form <= LZ4, "form of a chunk")


def raw_of(entry, stored, before, unseal=None):
    if entry["form"] == ZEROS:
        return bytes(entry["raw_size"])
    if entry["form"] == SAME:
        return before[entry["same"]]["raw"]
    require(blake2b(stored) == entry["hash"], "hash of a chunk")
    decompress = {PLAIN: bytes, ZSTD: zstd_frame, LZ4: lz4_block}[entry["form"]]
    raw = decompress(unseal(stored) if unseal else stored)
    require(len(raw) == entry["raw_size"], "raw_size of a chunk")
    return raw


def data_key_of(data, head, secret=None, passphrase=None):
    """By the text of a secret key, or a passphrase. Imported here: what is not encrypted takes neither."""
    import nacl.bindings
    import nacl.exceptions
    import nacl.public
    import nacl.pwhash
    section, at = data[HEAD_SIZE:HEAD_SIZE + head["keys_size"]], 0
    key = None
    while at < len(section):
        require(at + 8 <= len(section), "KEYS ends inside of an entry")
        kind, size = struct.unpack_from("<II", section, at)
        entry, at = section[at + 8:at + 8 + size], at + 8 + size
        require(len(entry) == size and size == {1: 80, 2: 96}.get(kind, size), "an entry of KEYS")
        try:
            if kind == 1 and secret:
                name, text = secret.strip().split(":")
                require(name == "thump-decrypt-1", "a secret key")
                private = nacl.public.PrivateKey(base64.urlsafe_b64decode(text + "="))
                key = nacl.public.SealedBox(private).decrypt(entry)
            if kind == 2 and passphrase:
                ops, mem_kib = struct.unpack_from("<II", entry, 16)
                wrapping = nacl.pwhash.argon2id.kdf(32, passphrase, entry[:16], ops, mem_kib << 10)
                key = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
                    entry[48:], None, entry[24:48], wrapping)
        except nacl.exceptions.CryptoError:
            continue
    require(key is not None, "no entry of KEYS fits")
    check = hashlib.blake2b(b"thump data key" + data[80:HEAD_SIZE], digest_size=HASH_SIZE, key=key)
    require(check.digest() == data[48:80], "key_check")
    return key


def opened(data, head, key, index, entry, stored):
    """What is sealed in a chunk."""
    import cryptography.exceptions
    import nacl.bindings
    import nacl.exceptions
    from cryptography.hazmat.primitives.ciphers.aead import AESOCB3
    place = data[80:HEAD_SIZE] + struct.pack("<QIIII", head["raw_size"], head["nr_chunks"], index,
                                             entry["raw_size"], entry["form"])
    try:
        if head["aes"]:
            return AESOCB3(key).decrypt(struct.pack("<QI", index, 0), stored, place)
        return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            stored, place, struct.pack("<QQQ", index, 0, 0), key)
    except (cryptography.exceptions.InvalidTag, nacl.exceptions.CryptoError) as error:
        raise Damaged("a chunk was not encrypted for its place") from error


def check_encrypted(data):
    """All that can be said without a key."""
    head = head_of(data)
    chunks, at, raw = [], head["data_at"], 0
    require(head["encrypted"], "not encrypted")
    for entry in entries_of(data, head):
        check_entry(entry, chunks, 16)
        require(blake2b(data[at:at + entry["stored_size"]]) == entry["hash"], "hash of a chunk")
        at += entry["stored_size"]
        raw += entry["raw_size"]
        chunks.append(entry)
    require(at == len(data) and raw == head["raw_size"], "the chunks add up")
    return {"nr_chunks": head["nr_chunks"], "raw_bytes": raw}


def unpack(data, folder=".", store=None, **secrets):
    """The raw image. `folder` is where the packed one is, `store` where its chunks are if not where it says;
    `secrets` are those of data_key_of()."""
    head = head_of(data)
    store = store or (head["apart"] and os.path.join(folder, head["store"]))
    if head["encrypted"] and not secrets:
        raise Encrypted(head)
    key = data_key_of(data, head, **secrets) if head["encrypted"] else None
    chunks, at = [], head["data_at"]
    for index, entry in enumerate(entries_of(data, head)):
        check_entry(entry, chunks, 16 if key else 0)
        stored = data[at:at + entry["stored_size"]]
        if head["apart"] and entry["stored_size"]:
            stored = chunk_of(store, entry)
        entry["raw"] = raw_of(entry, stored, chunks, key and
                              (lambda sealed: opened(data, head, key, index, entry, sealed)))
        at += entry["stored_size"]
        chunks.append(entry)
    raw = b"".join(chunk["raw"] for chunk in chunks)
    require(at == head["data_at"] + head["data_size"] and len(raw) == head["raw_size"],
            "the chunks add up")
    require(struct.unpack_from("<Q", raw, 32)[0] == head["raw_meta_offset"], "raw_meta_offset")
    return raw
