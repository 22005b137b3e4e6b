#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packed images are restored as they are, from a file and from a pipe, and so is any image from standard
input. What is cut short, damaged, or belongs to somebody else starts nothing."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import array
import fcntl
import os
import signal
import subprocess
import termios

from thumptest import scenario
from thumptest.events import Failure, poll_until

FAILED, REFUSED, DAMAGED = 121, 123, 124
E_PHOFF = 32  # elf(5)
METHODS = ("zstd", "zstd:9", "lz4", "none")
# Some of its memory does not compress, some does, some is zero.
PROGRAM = ["/usr/bin/python3", "-c",
           "import hashlib, os, signal\n"
           "memory = os.urandom(3 << 20) + b'thump' * (2 << 20) + bytes(16 << 20)\n"
           "before = hashlib.sha256(memory).digest()\n"
           "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
           "print('ready', flush=True)\n"
           "signal.sigwait([signal.SIGUSR1])\n"
           "print('same', hashlib.sha256(memory).digest() == before, flush=True)\n"]


def saved(world):
    program = world.start(PROGRAM, "program", stdin=subprocess.DEVNULL)
    program.expect_line("ready")
    image = world.path("image")
    world.checkpoint(program.pid, image)
    program.status()
    return image


def go_on(world, restored, name):
    pid = restored.json()["pid"]
    if pid is None:
        raise Failure(f"{name}: {restored.stderr_text()}")
    restored.popen.send_signal(signal.SIGUSR1)
    restored.expect_line("same True")
    if restored.status() != 0:
        raise Failure(f"{name}: {restored.stderr_text()}")


def restore_file(world, image, name):
    go_on(world, world.start([world.thump_path, "restore", image, "--json"], name,
                             stdin=subprocess.DEVNULL), name)


def restore_stdin(world, data, name):
    restored = world.start([world.thump_path, "restore", "-", "--json"], name,
                           stdin=subprocess.PIPE)
    restored.popen.stdin.write(data)
    restored.popen.stdin.close()
    go_on(world, restored, name)


def expect_nothing(world, name, status, text, arguments, **options):
    restored = world.start([world.thump_path, "restore", *arguments], name, **options)
    if restored.status() != status or text not in restored.stderr_text():
        raise Failure(f"{name}: {restored.status()}: {restored.stderr_text()}")


def refuse_damaged(world, packed):
    data = bytearray(packed.read_bytes())
    cut = world.path("cut")
    cut.write_bytes(data[:-1000])
    expect_nothing(world, "cut", DAMAGED, "instead of", [cut], stdin=subprocess.DEVNULL)
    with cut.open("rb") as file:
        expect_nothing(world, "cut-stdin", DAMAGED, "ends early", ["-"], stdin=file)
    data[len(data) // 2] ^= 1
    flipped = world.path("flipped")
    flipped.write_bytes(data)
    expect_nothing(world, "flipped", DAMAGED, "", [flipped], stdin=subprocess.DEVNULL)
    expect_nothing(world, "flipped-verify", DAMAGED, "hash", [flipped, "--verify"],
                   stdin=subprocess.DEVNULL)


def refuse_strangers(world, packed):
    """Who could have written the file counts, not who owns the memory that it was unpacked into."""
    open_to_all = world.path("open-to-all")
    open_to_all.write_bytes(packed.read_bytes())
    open_to_all.chmod(0o646)
    expect_nothing(world, "open-to-all", REFUSED, "others may write", [open_to_all],
                   stdin=subprocess.DEVNULL)
    with open_to_all.open("rb") as file:
        expect_nothing(world, "open-to-all-stdin", REFUSED, "others may write", ["-"], stdin=file)
    restore = [world.thump_path, "restore", open_to_all, "--json", "--trust-any-owner"]
    go_on(world, world.start(restore, "trusted", stdin=subprocess.DEVNULL), "trusted")


def refuse_endless(world, raw):
    """Standard input is not read for longer than an image can be, nor into more memory than there is."""
    with open("/dev/zero", "rb") as file:
        expect_nothing(world, "zeros", DAMAGED, "not a thump image", ["-"], stdin=file)
    endless, huge = world.path("endless"), world.path("huge")
    endless.write_bytes(raw)
    os.truncate(endless, len(raw) + (300 << 20))
    with endless.open("rb") as file:
        expect_nothing(world, "endless", DAMAGED, "follows behind its end", ["-"], stdin=file)
    header = bytearray(raw[:4096])
    header[E_PHOFF:E_PHOFF + 8] = (1 << 50).to_bytes(8, "little")
    huge.write_bytes(header)
    with huge.open("rb") as file:
        expect_nothing(world, "huge", FAILED, "are available", ["-"], stdin=file)


def await_read(world, reading, process):
    """All that was written is taken: it waits for more, or is about to."""
    def attempt():
        left = array.array("i", [0])
        fcntl.ioctl(reading, termios.FIONREAD, left)
        return True if left[0] == 0 or process.has_ended() else None
    poll_until(world.deadline, "somebody to read the pipe", attempt)


def ends_while_a_pipe_stalls(world, packed):
    """Who writes an image into a pipe may stop for good. thump is ended meanwhile as any program, wherever that is,
    and has started nothing, and made no file."""
    data, pid_file = packed.read_bytes(), world.path("stalled.pid")
    for size in (1, 100, len(data) // 2, len(data) - 10):
        reading, writing = os.pipe()
        restored = world.start([world.thump_path, "restore", "-", "--pid-file", pid_file],
                               f"stalled-at-{size}", stdin=reading)
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            pipe.write(data[:size])
            await_read(world, reading, restored)
            restored.popen.send_signal(signal.SIGTERM)
            status = restored.status()
        os.close(reading)
        if status not in (-signal.SIGTERM, 128 + signal.SIGTERM) or world.descendants():
            raise Failure(f"stalled at {size}: {status}, {world.descendants()} are left")
        if list(world.directory.glob("stalled.pid*")):
            raise Failure(f"stalled at {size}: a pid file is left")


def ends_while_a_passphrase_stalls(world, packed):
    reading, writing = os.pipe()
    if world.changes_user():
        os.fchown(reading, 12345, 12345)
    os.write(writing, b"half of ")
    restored = world.start([world.thump_path, "restore", packed, "--passphrase-fd", reading],
                           "half-a-passphrase", stdin=subprocess.DEVNULL, pass_fds=[reading])
    await_read(world, reading, restored)
    restored.popen.send_signal(signal.SIGTERM)
    status = restored.status()
    os.close(reading)
    os.close(writing)
    if status != -signal.SIGTERM:
        raise Failure(f"half of a passphrase: {status}: {restored.stderr_text()}")


def test(world, _options):
    image = saved(world)
    raw = image.read_bytes()
    for method in METHODS:
        packed, unpacked = world.path(f"packed-{method}"), world.path(f"unpacked-{method}")
        world.thump("pack", image, "-o", packed, "--compress", method)
        world.thump("verify", packed)
        world.thump("unpack", packed, "-o", unpacked)
        if unpacked.read_bytes() != raw:
            raise Failure(f"{method}: what was unpacked is another image")
        restore_file(world, packed, f"file-{method}")
        restore_stdin(world, packed.read_bytes(), f"pipe-{method}")
    restore_stdin(world, raw, "pipe-raw")
    with image.open("rb") as file:
        go_on(world, world.start([world.thump_path, "restore", "-", "--json"], "stdin-raw",
                                 stdin=file), "stdin-raw")
    _, said = world.thump_json("inspect", packed)
    if said["packed"]["raw_bytes"] != len(raw) or said["size_bytes"] != os.path.getsize(packed):
        raise Failure(f"inspect says {said['packed']} of {said['size_bytes']} bytes")
    refuse_damaged(world, world.path("packed-zstd"))
    refuse_strangers(world, world.path("packed-lz4"))
    refuse_endless(world, raw)
    ends_while_a_pipe_stalls(world, world.path("packed-lz4"))
    ends_while_a_passphrase_stalls(world, world.path("packed-lz4"))


if __name__ == "__main__":
    scenario.run("packed", test, 100)
