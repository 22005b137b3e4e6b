#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Encrypted and signed images of earlier packers, one of each cipher, open by their key and by their passphrase,
for both readers, and are the image that they were made of; so does one of today's. Damaged, and in another place,
their chunks open for neither.

usage: encrypted_test.py THUMP FOLDER RAW-IMAGE
"""
import pathlib
import struct
import subprocess
import sys
import tempfile

import packed

PASSPHRASE = "a golden passphrase\n"


def secret_file(folder, name, text):
    """Version control keeps no modes; a secret that others can read is refused."""
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def check_second_reader(data, raw, **secrets):
    if packed.unpack(data, **secrets) != raw:
        sys.exit(f"second reader: another image comes out by {next(iter(secrets))}")


def opens_here(data, secret):
    try:
        packed.unpack(data, secret=secret)
    except (packed.Damaged, struct.error):
        return False
    return True


def damaged(data):
    """Each broken behind a digest and hashes that are right: a chunk, its place, the cipher."""
    head = packed.head_of(data)
    front = packed.HEAD_SIZE + head["keys_size"]
    end = front + head["nr_chunks"] * packed.ENTRY_SIZE

    def rehashed(changed):
        at = head["data_at"]
        for i in range(head["nr_chunks"]):
            size, = struct.unpack_from("<I", changed, front + i * packed.ENTRY_SIZE + 4)
            struct.pack_into("32s", changed, front + i * packed.ENTRY_SIZE + 16,
                             packed.blake2b(changed[at:at + size]))
            at += size
        # Without the signature, which is no more that of these bytes.
        return bytes(changed[:end]) + packed.blake2b(changed[:end]) + bytes(4) + bytes(changed[head["data_at"]:])

    for at in range(head["data_at"], len(data), 97):
        changed = bytearray(data)
        changed[at] ^= 1
        yield f"byte {at} flipped", rehashed(changed)
    for what, at in ("cipher", 12), ("raw_size", 16), ("id", 80):
        changed = bytearray(data)
        changed[at] ^= 4
        yield f"another {what}", rehashed(changed)


def check_damaged(thump, folder, data, secret):
    """The same is said by both."""
    image, key = folder / "damaged", folder / "damaged-key"
    secret_file(folder, key.name, secret)
    for what, broken in damaged(data):
        image.write_bytes(broken)
        ended = subprocess.run([thump, "verify", image, "--decrypt-with", key],
                               stderr=subprocess.DEVNULL, check=False).returncode
        if ended != 4 or opens_here(broken, secret):
            sys.exit(f"{what}: thump verify ends with {ended}")


def check_golden(thump, golden, name, raw, folder):
    image, signer = golden / f"{name}.core", golden / f"{name}.signer"
    secret = (golden / f"{name}.key").read_text()
    data = image.read_bytes()
    print(name, packed.check_encrypted(data))
    ways = (("--decrypt-with", secret_file(folder, f"{name}-key", secret)),
            ("--passphrase-file", secret_file(folder, f"{name}-passphrase", PASSPHRASE)))
    for way in ways:
        subprocess.run([thump, "verify", image, "--key", signer, *way], check=True)
        out = folder / (name + way[0])
        subprocess.run([thump, "unpack", image, "-o", out, *way], check=True)
        if out.read_bytes() != raw:
            sys.exit(f"{name}, {way[0]}: another image came out")
    check_second_reader(data, raw, secret=secret)
    check_second_reader(data, raw, passphrase=PASSPHRASE.strip().encode())
    check_damaged(thump, folder, data, secret)


def check_of_today(thump, raw_path, folder):
    key, image = folder / "today-key", folder / "today"
    public = subprocess.run([thump, "keygen", "-o", key], check=True, text=True,
                            stdout=subprocess.PIPE).stdout.strip()
    subprocess.run([thump, "pack", raw_path, "-o", image, "--encrypt-to", public], check=True)
    check_second_reader(image.read_bytes(), raw_path.read_bytes(), secret=key.read_text())


def main(thump, golden, raw):
    raw_path = pathlib.Path(raw)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for name in "packed-1", "packed-1-aes":
            check_golden(thump, pathlib.Path(golden), name, raw_path.read_bytes(), folder)
        check_of_today(thump, raw_path, folder)


main(*sys.argv[1:])
