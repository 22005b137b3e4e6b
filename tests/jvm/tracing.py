#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may trace a JVM under yama's ptrace_scope 1 after a checkpoint: whoever thump had permitted,
and else nobody again. As the kernel does not tell, and may have no yama, it is what the program has
asked for that counts (prctl_log.c). tests/jvm/java/Managed.java is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import subprocess

from thumptest import java
from thumptest.events import Failure, poll_until


class Log:
    """What prctl_log.c writes."""

    def __init__(self, world):
        self.path = world.path("prctl")
        self.path.touch()
        self.path.chmod(0o666)

    def of(self, pid):
        lines = [line.split() for line in self.path.read_text(encoding="ascii").splitlines()]
        return [word for number, word in lines if int(number) == pid]

    def expect_still_anybody(self, pid):
        """Also after an attempt that is over, as there has been another."""
        words = self.of(pid)
        if "any" not in words or "nobody" in words:
            raise Failure(f"anybody may trace {pid}, but it was {words}")

    def expect_nobody_again(self, pid, deadline):
        """The program may be a little later than who has asked for a checkpoint."""
        poll_until(deadline, f"nobody to be allowed to trace {pid}",
                   lambda: True if "any" in self.of(pid) and self.of(pid)[-1] == "nobody"
                   else None)


def end(process):
    process.popen.stdin.close()
    process.popen.stdin = None
    java.expect_end(process)


def checkpoint_twice(world, pid, image):
    world.checkpoint(pid, image, "--leave-running")
    world.dry_run(pid)


def test(world, options):
    program = java.Java(world, options)
    log = Log(world)
    variables = {**os.environ, "LD_PRELOAD": str(program.own_copy(options.preload)),
                 "PRCTL_LOG": str(log.path)}

    run = program.start(world.path("unused"), "Managed", stdin=subprocess.PIPE, env=variables)
    run.expect_line("ready")
    pid = java.child_of(run, world)
    checkpoint_twice(world, pid, world.path("started"))
    log.expect_still_anybody(pid)
    end(run)

    java_word, *words = program.command("Managed")
    alone = world.start([java_word, f"-agentpath:{program.agent}=thump={world.thump_path}", *words],
                        "alone", stdin=subprocess.PIPE, env=variables)
    alone.expect_line("ready")
    image = world.path("image")
    world.checkpoint(alone.pid, image, "--leave-running")
    log.expect_nobody_again(alone.pid, world.deadline)
    end(alone)

    # Its pid, as it sees that itself, is the original's or its own.
    log.path.write_text("", encoding="ascii")
    process, report = world.restore(image, name="restored", stdin=subprocess.PIPE)
    checkpoint_twice(world, report["pid"], world.path("following"))
    log.expect_still_anybody(alone.pid if log.of(alone.pid) else report["pid"])
    end(process)


if __name__ == "__main__":
    java.run("tracing", test, 100, preload={"type": pathlib.Path, "required": True})
