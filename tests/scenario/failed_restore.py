#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Restores that fail, seen from outside: no process and no file is left of them."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import shutil
import signal
import struct

from thumptest import scenario
from thumptest.events import Failure

DAMAGED = 124
DAMAGED_DRY_RUN = 4
UNUSED = "a command that is not to be started"
PT_LOAD = 1

# A file in a folder under TMPDIR, a log, and a socket with a path.
PROGRAM = """
import os, socket, sys, time
os.makedirs(os.environ["TMPDIR"] + "/folder")
scratch = open(os.environ["TMPDIR"] + "/folder/scratch", "w+")
scratch.write("scratch")
scratch.flush()
log = open("log", "a")
server = socket.socket(socket.AF_UNIX)
server.bind("socket")
server.listen()
memory = os.urandom(1 << 20)
print("ready", flush=True)
time.sleep(1000)
"""


def damage_memory(image, copy):
    """A byte in the middle of the largest segment: found out when memory is read, late."""
    data = bytearray(image.read_bytes())
    table, = struct.unpack_from("<Q", data, 32)
    count, = struct.unpack_from("<H", data, 56)
    headers = [struct.unpack_from("<IIQQQQ", data, table + 56 * i) for i in range(count)]
    _, _, offset, _, _, size = max((header for header in headers if header[0] == PT_LOAD),
                                   key=lambda header: header[5])
    data[offset + size // 2] ^= 1
    copy.write_bytes(data)
    copy.chmod(0o400)


def files_of(world, tmpdir):
    return sorted(str(path) for path in (world.path("log"), world.path("socket"),
                                         *tmpdir.rglob("*")) if os.path.lexists(path))


def image_of_program(world):
    tmpdir = world.path("tmpdir")
    world.run(["mkdir", tmpdir], "mkdir")
    program = world.start(["/usr/bin/python3", "-c", PROGRAM], "program",
                          env={**os.environ, "TMPDIR": str(tmpdir)})
    program.expect_line("ready")
    image = world.path("image")
    world.checkpoint(program.pid, image)
    program.status()
    # The program's own, which the restore is to make again.
    shutil.rmtree(tmpdir / "folder")
    world.path("log").unlink()
    world.path("socket").unlink()
    return tmpdir, image


def given_up(world, tmpdir, image):
    """SIGTERM comes while the restore is under way: here it is pending from the first moment on."""
    def pending():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        os.kill(os.getpid(), signal.SIGTERM)

    for name, words in (("restore", ["restore", image]),
                        ("run", ["run", "--image", image, "--", "echo", UNUSED])):
        _, output = world.run([world.thump_path, *words], f"given-up-{name}",
                              statuses=(-signal.SIGTERM,), preexec_fn=pending)
        left = files_of(world, tmpdir)
        if left or output:
            raise Failure(f"{name}, given up, left {left} and said {output}")


def test(world, _options):
    tmpdir, image = image_of_program(world)
    given_up(world, tmpdir, image)
    damaged = world.path("damaged")
    damage_memory(image, damaged)
    if world.changes_user():
        shutil.chown(damaged, *[os.stat(image).st_uid] * 2)
    world.thump("restore", damaged, "--dry-run")
    for mode in "eager", "lazy-unsafe":
        world.thump("restore", damaged, "--dry-run", "--verify", "--memory", mode,
                    statuses=(DAMAGED_DRY_RUN,))
    world.thump("restore", image, "--dry-run", "--verify")
    world.thump("restore", damaged, statuses=(DAMAGED,))
    left = files_of(world, tmpdir)
    if left:
        raise Failure(f"a restore that failed left {left}")
    # And one that works makes them.
    process, report = world.restore(image)
    made = files_of(world, tmpdir)
    if len(made) != 4:
        raise Failure(f"the restore made only {made}")
    scenario.end(process, report["pid"])


if __name__ == "__main__":
    scenario.run("failed_restore", test, 60)
