#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every system call of `thump pack --store` and of `thump gc` fails once, or is the last one before a kill -9
(fail_call.c). Whichever it is: images that are there are whole, one that was being made is whole or not there,
no other file is beside it, and a gc afterwards leaves exactly what living images need.

Also what a power cut may leave: an image has its name only after one sync of all its chunks.

--every N: only each N-th call; others each time (--seed repeats one)."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import errno
import os
import random
import re

from thumptest import scenario
from thumptest.events import Failure
from thumptest.snapshot import read

HEADER = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
KILLED = 0
ERRORS = (errno.EIO, errno.ENOMEM, errno.ENOSPC, errno.EPERM, errno.EINTR)
STATUS_KILLED = 137
WRITES, NAMINGS = {"write", "pwrite64"}, {"linkat", "renameat", "renameat2"}


def expect(condition, what):
    if not condition:
        raise Failure(what)


def count_files(folder):
    return sum(path.is_file() for path in folder.rglob("*"))


class Store:
    """With one living image, `kept`; `other` comes and goes."""

    def __init__(self, world, options):
        self.world, self.tool = world, options.tool
        self.images = world.path("kept"), world.path("other")
        self.store = world.path("store")
        self.raw = [world.reachable(path) for path in (options.small, options.rich)]
        self.names = {int(number): name for name, number in
                      re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text())}
        self.pack(0)
        self.needed = {1: count_files(self.store / "chunks")}
        self.pack(1)
        self.needed[2] = count_files(self.store / "chunks")
        expect(self.needed[2] > self.needed[1], "both images have the same chunks")
        self.files = sorted(os.listdir(world.directory))

    def pack_words(self, number):
        return ["pack", self.raw[number], "-o", self.images[number], "--store", self.store]

    def pack(self, number):
        self.world.thump(*self.pack_words(number))

    def forget_other(self):
        self.images[1].unlink(missing_ok=True)

    def run(self, number, error, words):
        """The report's lines and the status."""
        report = self.world.path("report")
        log = self.world.log("verb")
        log.unlink(missing_ok=True)
        self.world.run([self.tool, report, number, error, "--", self.world.thump_path, *words], "verb")
        text = read(report)
        status = int(re.search(r"^status (\d+)$", text, re.M)[1])
        said = log.read_text(errors="replace").strip()
        what = f"{words[0]}, call {number} {errno.errorcode.get(error, 'killed')}: {text}"
        wanted = (STATUS_KILLED,) if error == KILLED else (0, 1)
        # The C library ends a program that it cannot begin.
        if status != 127:
            expect(status in wanted or not re.search("^call ", text, re.M),
                   f"{what}: status {status}: {said}")
        return text, status, what

    def check(self, what):
        """Whatever was done, a gc leaves what is needed, and that is whole."""
        living = [image for image in self.images if image.exists()]
        for image in living:
            self.world.thump("verify", image)
        self.world.thump("gc", "--store", self.store)
        for image in living:
            self.world.thump("verify", image)
        expect(self.images[0] in living, f"{what}: an image is gone")
        for part, count in ("chunks", self.needed[len(living)]), ("images", len(living)):
            found = count_files(self.store / part)
            expect(found == count, f"{what}: {found} {part} instead of {count}")
        left = set(os.listdir(self.world.directory)) - set(self.files) - {"report"}
        left = {name for name in left if not name.endswith(".stderr")}
        expect(not left, f"{what}: {left} are left")

    def calls(self, text):
        return [(self.names.get(int(line.split()[2])), line.split(" ", 5)[5])
                for line in text.splitlines() if line.startswith("call ")]


def power_cut(store, text):
    """Chunks are written before the sync, the image is named after it, and the name is synced."""
    calls = store.calls(text)
    names = [name for name, _ in calls]
    sync = names.index("syncfs")
    named = max(at for at, name in enumerate(names) if name in NAMINGS)
    folder = str(store.world.directory)
    late = [call for call in calls[sync:] if call[0] in WRITES and call[1].startswith(folder)]
    expect(not late, f"written after the sync: {late}")
    expect(sync < named, "the image has its name before its chunks are durable")
    expect("fsync" in names[:named], "the image has its name before it is durable")
    expect(("fsync", folder) in calls[named:], "the name is not durable")


def tries(count, options):
    chance = random.Random(options.seed)
    for number in range(1 + chance.randrange(options.every), count + 1, options.every):
        yield number, KILLED
        yield number, chance.choice(ERRORS)


def test(world, options):
    store = Store(world, options)
    store.forget_other()
    store.check("at first")
    text, _, _ = store.run(0, errno.EIO, store.pack_words(1))
    power_cut(store, text)
    store.forget_other()
    total = 0
    for words, prepare, clean in (
            (store.pack_words(1), lambda: None, store.forget_other),
            (["gc", "--store", store.store], lambda: store.pack(1) or store.forget_other(),
             lambda: None)):
        store.check("before")
        prepare()
        text, _, _ = store.run(0, errno.EIO, words)
        clean()
        count = len(store.calls(text))
        for number, error in tries(count, options):
            store.check("before")
            prepare()
            text, status, what = store.run(number, error, words)
            there = store.images[1].exists()
            # When only its name could not be made durable the image stays, and that is said.
            late = store.calls(text)[-1:] == [("fsync", str(world.directory))]
            expect(words[0] == "gc" or (status == 0) == there or error == KILLED or (there and late),
                   f"{what}: status {status}, the image is {'there' if there else 'not there'}")
            store.check(what)
            clean()
            world.forget_ended()
            total += 1
    print(f"{total} failures and kills")


if __name__ == "__main__":
    scenario.run("store-faults", test, 3000, tool={"type": pathlib.Path, "required": True},
                 small={"type": pathlib.Path, "required": True},
                 rich={"type": pathlib.Path, "required": True}, every={"type": int, "default": 1},
                 seed={"type": int, "default": random.SystemRandom().randrange(1 << 32)})
