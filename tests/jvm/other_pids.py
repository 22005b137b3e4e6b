#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three clones of a running JVM at once where its pids are taken and none can be chosen, as in a
container with Docker's default profile; and a clone of a clone. Each knows its own pid and tids, its
threads get on, and the JDK's tools reach it."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import subprocess

from thumptest import java
from thumptest.events import Failure

CLONES = 3


def expect_tids(world, home, pid):
    stacks = world.run([home / "bin" / "jstack", pid], "jstack")[1]
    comms = {int(task.name): (task / "comm").read_text(encoding="utf-8").strip()
             for task in pathlib.Path(f"/proc/{pid}/task").iterdir()}
    java.expect_tids(stacks, comms, ("VM Thread", "locks-0"))


class Clones:
    def __init__(self, world, options):
        self.world = world
        self.program = java.Java(world, options)
        self.docker = world.reachable(options.docker)

    def say(self, process, question):
        process.popen.stdin.write(f"{question}\n".encode())
        process.popen.stdin.flush()

    def ask(self, process, question):
        self.say(process, question)
        return process.line(f"the answer to {question!r}")

    def restore(self, image, name):
        return self.world.start([self.docker, self.world.thump_path, "restore", image, "--json"],
                                name, stdin=subprocess.PIPE)

    def expect_restored(self, process):
        report = process.json()
        if not report.get("pid") or report["way"] != "other":
            raise Failure(f"{process.name}: {report}\n{process.stderr_text()}")
        pid = report["pid"]
        answer = self.ask(process, "pid")
        if answer != f"pid {pid} {pid} {pid}":
            raise Failure(f"{process.name} with pid {pid} says {answer!r}")
        expect_tids(self.world, self.program.home, pid)
        return pid

    def end(self, process):
        answer = self.ask(process, "work")
        if answer != "worked":
            raise Failure(f"{process.name}: {answer!r}\n{process.stderr_text()}")
        self.say(process, "end")
        java.expect_end(process)


def test(world, options):
    clones = Clones(world, options)
    # Else a compiler thread may end between jstack's list and the kernel's.
    clones.program.flags.append("-XX:-UseDynamicNumberOfCompilerThreads")
    image, following = world.path("image"), world.path("following")
    original = clones.program.start(image, "Pids", stdin=subprocess.PIPE)
    original.expect_line("ready")
    pid = java.child_of(original, world)
    expect_tids(world, clones.program.home, pid)
    world.checkpoint(pid, image, "--leave-running")

    processes = [clones.restore(image, f"clone-{number}") for number in range(CLONES)]
    pids = [clones.expect_restored(process) for process in processes]
    # Under the same filter, as in one container.
    world.run([clones.docker, world.thump_path, "checkpoint", pids[0], "-o", following,
               "--leave-running"], "checkpoint-again")
    processes.append(clones.restore(following, "clone-of-clone"))
    pids.append(clones.expect_restored(processes[-1]))
    if len({pid, *pids}) != len(pids) + 1:
        raise Failure(f"the pids are {pids}, beside {pid}")
    for process in [original, *processes]:
        clones.end(process)


if __name__ == "__main__":
    java.run("other_pids", test, 150, docker={"type": pathlib.Path, "required": True},
             java={"action": "append", "default": []})
