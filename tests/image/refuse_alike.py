#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Both readers say the same of packed images that are damaged: `thump verify` ends with 4, and so does the
restore, before it has started anything. An image whose chunks are apart has them in a folder "store" beside it.

usage: refuse_alike.py THUMP PACKED-IMAGE...
"""
import os
import random
import struct
import subprocess
import sys
import tempfile

import packed
import read_image

FLIPS, CUTS, LIES = 60, 20, 40


def flipped(data, rng):
    at = rng.randrange(len(data))
    return f"byte {at} flipped", data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]


def cut(data, rng):
    size = rng.randrange(len(data))
    return f"cut to {size}", data[:size]


def lie(data, rng):
    """One number of head or table is another, and the digest is right."""
    head = packed.head_of(data)
    end = packed.HEAD_SIZE + head["keys_size"] + head["nr_chunks"] * packed.ENTRY_SIZE
    at = rng.randrange(4, end // 4) * 4
    value = rng.choice((0, 1, 2, 3, 4, 5, 4096, 1 << 20, 0xffffffff))
    front = bytearray(data[:end])
    struct.pack_into("<I", front, at, value)
    return (f"{value} at {at}",
            bytes(front) + packed.blake2b(front) + data[end + packed.HASH_SIZE:])


def is_whole_here(data, folder):
    try:
        read_image.read_bytes(packed.unpack(data, folder) if data[:8] == packed.MAGIC else data)
    except (read_image.Damaged, struct.error, KeyError, IndexError, OverflowError):
        return False
    return True


def status(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode


def check(thump, path, what, data):
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, "image")
        os.symlink(os.path.join(os.path.dirname(os.path.abspath(path)), "store"),
                   os.path.join(folder, "store"))
        with open(image, "wb") as file:
            file.write(data)
        verified = status(thump, "verify", image)
        restored = status(thump, "restore", "--dry-run", "--verify", image)
        whole = is_whole_here(data, folder)
    # What is for another version is not damaged, but nobody reads it either.
    if (verified == 0) != whole or verified not in (0, 3, 4) or (not whole and restored != verified):
        sys.exit(f"{path}, {what}: thump verify ends with {verified}, restore with {restored}; "
                 f"whole here: {whole}")
    return whole


def main(thump, *paths):
    rng = random.Random(1)
    for path in paths:
        with open(path, "rb") as file:
            data = file.read()
        if not check(thump, path, "unchanged", data):
            sys.exit(f"{path} is not whole to begin with")
        for count, change in ((FLIPS, flipped), (CUTS, cut), (LIES, lie)):
            refused = sum(not check(thump, path, *change(data, rng)) for _ in range(count))
            print(f"{path}: {change.__name__}: {refused} of {count} refused")
            if change is not lie and refused != count:
                sys.exit(f"{path}: {change.__name__}: some were taken for whole")


main(*sys.argv[1:])
