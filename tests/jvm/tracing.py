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
from thumptest.events import Failure


class Log:
    """What prctl_log.c writes."""

    def __init__(self, world):
        self.path = world.path("prctl")
        self.path.touch()
        self.path.chmod(0o666)

    def of(self, pid):
        lines = [line.split() for line in self.path.read_text(encoding="ascii").splitlines()]
        return [word for number, word in lines if int(number) == pid]

    def expect_last(self, pid, wanted):
        words = self.of(pid)
        if "any" not in words or words[-1] != wanted:
            raise Failure(f"{wanted} may be last to trace {pid}: it was {words}")


def end(process):
    process.popen.stdin.close()
    process.popen.stdin = None
    java.expect_end(process)


def test(world, options):
    program = java.Java(world, options)
    log = Log(world)
    variables = {**os.environ, "LD_PRELOAD": str(program.own_copy(options.preload)),
                 "PRCTL_LOG": str(log.path)}

    run = program.start(world.path("unused"), "Managed", stdin=subprocess.PIPE, env=variables)
    run.expect_line("ready")
    pid = java.child_of(run, world)
    world.checkpoint(pid, world.path("started"), "--leave-running")
    log.expect_last(pid, "any")
    end(run)

    java_word, *words = program.command("Managed")
    alone = world.start([java_word, f"-agentpath:{program.agent}=thump={world.thump_path}", *words],
                        "alone", stdin=subprocess.PIPE, env=variables)
    alone.expect_line("ready")
    image = world.path("image")
    world.checkpoint(alone.pid, image, "--leave-running")
    log.expect_last(alone.pid, "nobody")
    end(alone)

    # It has the pid of the original, where that is possible.
    process, report = java.restore(world, image, "restored", stdin=subprocess.PIPE)
    before = len(log.of(alone.pid))
    world.checkpoint(report["pid"], world.path("following"), "--leave-running")
    if len(log.of(alone.pid)) > before:
        log.expect_last(alone.pid, "any")
    else:
        log.expect_last(report["pid"], "any")
    end(process)


if __name__ == "__main__":
    java.run("tracing", test, 100, preload={"type": pathlib.Path, "required": True})
