#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every system call of the verbs that make files of files fails once (fail_call.c): pack, unpack, sign, verify and
keygen, in turn with EIO, ENOMEM, ENOSPC, EPERM and EINTR. Whichever it is:

- the verb succeeds all the same, or fails and names what failed, on which file;
- what it writes is whole and new, or what was there before; nobody but the owner may read a secret;
- what it reads is as it was, and there is no other file.

--every N: only each N-th call, with one of the errors; others each time (--seed repeats one)."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import errno
import os
import random
import shutil

from thumptest import scenario
from thumptest.events import Failure
from thumptest.injector import ERRORS, Injector, expect_ended, plan

# Damaged (4) would be a lie, and wrong usage (2), too.
STATUSES, REFUSED = (0, 1, 3), 3


class Folder:
    """With what the verbs read; `out` is what they write."""

    def __init__(self, world, options):
        self.world, self.injector = world, Injector(world, world.reachable(options.tool))
        self.directory = world.path("files")
        self.directory.mkdir()
        if world.changes_user():
            os.chown(self.directory, 12345, 12345)
        self.out = self.directory / "out"
        self.raw, self.sealed, self.signer, self.secret = (
            self.directory / name for name in ("raw", "sealed", "signer", "secret"))
        shutil.copy(options.image, self.raw)
        self.raw.chmod(0o444)
        public = world.thump("keygen", "-o", self.secret)[1].strip()
        self.public_signer = world.thump("keygen", "--sign", "-o", self.signer)[1].strip()
        world.thump("pack", self.raw, "-o", self.sealed, "--encrypt-to", public, "--sign", self.signer)
        self.seal = ("--encrypt-to", public, "--sign", self.signer)
        self.open = ("--decrypt-with", self.secret)
        self.before = self.content()

    def content(self):
        return {path.name: path.read_bytes() for path in self.directory.iterdir() if path != self.out}

    def words(self, verb):
        return {
            "pack": ("pack", self.raw, "-o", self.out),
            "pack_sealed": ("pack", self.raw, "-o", self.out, *self.seal),
            "pack_again": ("pack", self.sealed, "-o", self.out, *self.seal, *self.open),
            "unpack": ("unpack", self.sealed, "-o", self.out, *self.open),
            "sign": ("sign", self.sealed, "--key", self.signer, "-o", self.out),
            "verify": ("verify", self.sealed, "--key", self.public_signer, *self.open),
            "keygen": ("keygen", "-o", self.out),
            "keygen_sign": ("keygen", "--sign", "-o", self.out),
        }[verb]

    def check_out(self, verb, status, old, what):
        """New if the verb has succeeded; after that it has its name, too, when only that was not synced."""
        new = self.out.read_bytes() if self.out.exists() else None
        if new == old:
            if status == 0:
                raise Failure(f"{what}: nothing was written, and the status is 0")
            return
        if new is None:
            raise Failure(f"{what}: what was there is gone")
        if os.stat(self.out).st_mode & 0o777 != 0o400:
            raise Failure(f"{what}: mode {os.stat(self.out).st_mode:o}")
        if verb == "keygen": # a key, but not the one for this
            self.world.thump("verify", self.sealed, "--decrypt-with", self.out, statuses=(REFUSED,))
        elif verb == "keygen_sign":
            self.world.thump("sign", self.sealed, "--key", self.out, "-o", self.directory / "try")
            (self.directory / "try").unlink()
        else:
            self.world.thump("verify", self.out, *self.open)
        if status != 0 and "is complete" not in self.said:
            raise Failure(f"{what}: status {status}, and it was written: {self.said}")

    def fail(self, verb, number, error, old):
        self.out.unlink(missing_ok=True)
        if old is not None and not verb.startswith("keygen"):
            self.out.write_bytes(old)
            if self.world.changes_user():
                os.chown(self.out, 12345, 12345)
        old = self.out.read_bytes() if self.out.exists() else None
        report, self.said = self.injector.run(number, error, [self.world.thump_path, *self.words(verb)], verb)
        what = f"{verb}: {self.injector.describe(number, error, report)}"
        expect_ended(what, report, self.said, STATUSES)
        self.expect_named(what, report, error)
        if verb != "verify" or self.out.exists():
            self.check_out(verb, report.status, old, what)
        if self.content() != self.before:
            raise Failure(f"{what}: these files are there, or were changed: {sorted(self.content())}")
        self.world.forget_ended()
        return report

    def expect_named(self, what, report, error):
        """Why it failed; and on which file, when that is what is written."""
        if report.status in (0, 127) or not self.said:
            return
        if os.strerror(getattr(errno, error)) not in self.said:
            raise Failure(f"{what}: it does not say why: {self.said}")
        path = report.calls[-1][-1]
        if path.startswith(f"{self.directory}/#") and str(self.out) not in self.said:
            raise Failure(f"{what}: it does not say that it is {self.out}: {self.said}")


VERBS = ("pack", "pack_sealed", "pack_again", "unpack", "sign", "verify", "keygen", "keygen_sign")


def test(world, options):
    folder = Folder(world, options)
    for verb in VERBS:
        count = folder.fail(verb, 0, ERRORS[0], None).count
        outcomes = {}
        for done, (number, error) in enumerate(plan(count, options)):
            old = b"what was there before" if done % 2 and verb != "verify" else None
            status = folder.fail(verb, number, error, old).status
            outcomes[status] = outcomes.get(status, 0) + 1
        print(f"{verb}: {count} calls; statuses: " +
              ", ".join(f"{status}: {times}" for status, times in sorted(outcomes.items())))


if __name__ == "__main__":
    scenario.run("files-faults", test, 3000, tool={"type": pathlib.Path, "required": True},
                 image={"type": pathlib.Path, "required": True}, every={"type": int, "default": 1},
                 seed={"type": int, "default": random.SystemRandom().randrange(1 << 32)})
