#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An ordinary user asks for what the kernel does not permit: a process of another user, a set-uid
program, one that is not dumpable. Each is refused, the reason by name, and goes on."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import json
import shutil
import subprocess

from thumptest import scenario, world as worlds
from thumptest.events import Failure, Skip
from thumptest.snapshot import status_of

AS_USER_WITH_SETUID = [word for word in worlds.AS_USER if word.startswith(("setpriv", "--re"))
                       or word in (str(worlds.USER_ID), "--clear-groups")]
NOT_DUMPABLE = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); print('ready', flush=True);" \
               "input()"


def another_user(world):
    process = world.start(["sh", "-c", "echo ready; read line"], "another-user",
                          stdin=subprocess.PIPE)
    return process, ["belongs to user id 0", f"runs as {worlds.USER_ID}"]


def set_uid(world):
    program = world.path("set-uid-cat")
    shutil.copy(shutil.which("cat"), program)
    program.chmod(0o4755)
    process = world.start([*AS_USER_WITH_SETUID, program], "set-uid", stdin=subprocess.PIPE)
    process.popen.stdin.write(b"ready\n")
    process.popen.stdin.flush()
    return process, ["set-uid", f"{worlds.USER_ID} 0 0 0 (user)"]


def not_dumpable(world):
    process = world.start([*worlds.AS_USER, "/usr/bin/python3", "-c", NOT_DUMPABLE], "not-dumpable",
                          stdin=subprocess.PIPE)
    return process, ["not dumpable"]


def expect_refusal(world, process, words, *options):
    output = world.run([*worlds.AS_USER, world.thump_path, "checkpoint", process.pid, "--json",
                        *options], "checkpoint", statuses=(scenario.REFUSED,))[1]
    text = json.loads(output)["error"]["text"]
    missing = [word for word in words if word not in text]
    if missing:
        raise Failure(f"not named: {missing}: {text}")


def test(world, options):
    world.directory.chmod(0o777)
    image = world.path("image")
    for make in (another_user, set_uid, not_dumpable):
        process, words = make(world)
        process.expect_line("ready")
        if make is set_uid and status_of(f"/proc/{process.pid}/status")["Uid"].split()[1] != "0":
            raise Skip("set-uid programs do not work where the tests run (nosuid)")
        expect_refusal(world, process, words, "--dry-run")
        expect_refusal(world, process, words, "-o", image)
        if image.exists():
            raise Failure("a refused checkpoint left an image")
        process.popen.stdin.write(b"go on\n")
        process.popen.stdin.close()
        process.popen.stdin = None
        if process.status() != 0:
            raise Failure(f"the process of {make.__name__} ended with {process.status()}")


if __name__ == "__main__":
    scenario.run("not_permitted", test, 60)
