# SPDX-License-Identifier: Apache-2.0
"""An image of a program that vouches for nothing as if it had vouched for all of its private memory.

That is as good as true for the workloads of tests/kinds, which are restored with lazy-unsafe, too. It
shares no code with thump: the records are those of docs/FORMAT.md.
"""
import os
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "image"))

import read_image

VOUCHED = 0x7468000E
SEAL = 0x7468000C
ANONYMOUS, PRIVATE_FILE = 1, 2
PT_NOTE_FILESZ_AT = 32


def record(kind, required, payload):
    desc = struct.pack("<HHI", 1, int(required), 0) + payload
    return struct.pack("<3I", 6, len(desc), kind) + b"thump\0\0\0" + desc + bytes(-len(desc) % 4)


def vouched_record(vmas):
    ranges = [(vma["start"], vma["end"]) for vma in vmas if vma["kind"] in (ANONYMOUS, PRIVATE_FILE)]
    return record(VOUCHED, False, struct.pack("<I", len(ranges)) +
                  b"".join(struct.pack("<2Q", *pair) for pair in ranges))


def seal_record(size, checksum):
    return record(SEAL, True, struct.pack("<2Q", size, checksum))


def with_vouched(data):
    image = read_image.read_bytes(data)
    read_image.require("vouched" not in image, "nobody vouches for it yet")
    header = read_image.header_of(data)
    notes_at = header["phoff"] + 56 * header["phnum"]
    headers = bytearray(data[header["phoff"]:notes_at])
    seal_size = len(seal_record(0, 0))  # the last one
    notes = data[notes_at:-seal_size] + vouched_record(image["vmas"])
    struct.pack_into("<Q", headers, PT_NOTE_FILESZ_AT, len(notes) + seal_size)
    meta = bytes(headers) + notes + seal_record(notes_at + len(notes) + seal_size, 0)[:-8]
    return (data[:header["phoff"]] + meta +
            struct.pack("<Q", read_image.xxh3(data[:read_image.PAGE] + meta)))


def write(image, output):
    """`output` gets `image`'s owner and mode."""
    status = image.stat()
    output.write_bytes(with_vouched(image.read_bytes()))
    output.chmod(status.st_mode & 0o777)
    os.chown(output, status.st_uid, status.st_gid)
