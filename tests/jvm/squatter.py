#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Somebody else listens under the name of an agent's socket: a checkpoint is refused and says who it
is, nothing of it is believed, and the agent has its name as soon as that process has ended.
tests/jvm/java/Managed.java is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import subprocess

from thumptest import java
from thumptest.events import Failure, poll_until
from thumptest.scenario import REFUSED

# Its pid and its namespace are in the name. It claims to be ready, at some address.
SQUATTER = """
import os, socket, sys
name = f"\\0thump-coord-{os.stat('/proc/self/ns/pid').st_ino}-{sys.argv[1]}"
listener = socket.socket(socket.AF_UNIX)
listener.bind(name)
listener.listen()
print("squatting", flush=True)
while True:
    client, _ = listener.accept()
    try:
        client.sendall(b"ready 7000000000\\n")
    except OSError:
        pass  # it has seen who this is, and left
    client.close()
"""


def start_after_squatter(world, program):
    """The program, which had its pid before somebody else took its name."""
    java_word, *words = program.command("Managed")
    run = world.start(["sh", "-c", 'echo up && read -r go && exec "$@"', "sh", java_word,
                       f"-agentpath:{program.agent}=thump={world.thump_path}", *words],
                      "run", stdin=subprocess.PIPE)
    run.expect_line("up")
    other_user = ["setpriv", "--reuid", "23456", "--clear-groups"] if os.getuid() == 0 else []
    squatter = world.start([*other_user, "python3", "-c", SQUATTER, run.pid], "squatter",
                           as_user=False)
    squatter.expect_line("squatting")
    run.popen.stdin.write(b"go\n")
    run.popen.stdin.flush()
    run.expect_line("ready")
    return run, squatter


def expect_refusal(world, squatter, *words):
    _, text = world.run([world.thump_path, *words], "refused", (REFUSED,),
                        stderr=subprocess.STDOUT)
    wanted = f"process {squatter.pid} has taken the name"
    if wanted not in text:
        raise Failure(f"not refused for {wanted!r}: {text}")


def test(world, options):
    program = java.Java(world, options)
    run, squatter = start_after_squatter(world, program)
    image = world.path("image")
    if "another process may have taken its name" not in run.stderr_text():
        raise Failure(f"the agent says nothing: {run.stderr_text()}")
    expect_refusal(world, squatter, "checkpoint", run.pid, "-o", image)
    expect_refusal(world, squatter, "hooks", "before", run.pid)
    if image.exists():
        raise Failure("there is an image")
    squatter.popen.terminate()
    squatter.status()
    poll_until(world.deadline, "the agent to have its name", lambda: True if
               f"-{run.pid}\n" in pathlib.Path("/proc/net/unix").read_text(encoding="utf-8")
               else None)
    world.checkpoint(run.pid, image)
    if run.status() != -9:
        raise Failure(f"it ended with {run.status()}")


if __name__ == "__main__":
    java.run("squatter", test, 60)
