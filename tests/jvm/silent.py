#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nobody makes a program wait for ever: somebody who connects to the agent's socket and says
nothing, and a thump that was started for a checkpoint and does nothing.
tests/jvm/java/Service.java is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import subprocess

from thumptest import java
from thumptest.events import Failure

# The agent's socket has the program's pid and pid namespace in its name.
MUTE = """
import os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(f"\\0thump-coord-{os.stat('/proc/self/ns/pid').st_ino}-{sys.argv[1]}")
print("connected", flush=True)
sys.stdin.read()
"""


def tell(process, line, *answers):
    process.popen.stdin.write(f"{line}\n".encode())
    process.popen.stdin.flush()
    for answer in answers:
        process.expect_line(answer)


def start_service(world, program, options, name):
    run = world.start(program.command(f"-agentpath:{program.agent}={options}", "Service"), name,
                      stdin=subprocess.PIPE)
    run.expect_line("up")
    return run


def mute_client(world, program):
    image = world.path("image")
    run = start_service(world, program, f"thump={world.thump_path},image={image},then=continue",
                        "run")
    client = world.start(["python3", "-c", MUTE, run.pid], "mute", stdin=subprocess.PIPE)
    client.expect_line("connected")
    tell(run, "ask", "back", "ask 1 1")
    if not image.exists():
        raise Failure("there is no image")
    client.popen.stdin.close()
    client.popen.stdin = None
    client.status()
    run.popen.kill()


def idle_thump(world, program):
    idler = world.path("idler")
    idler.write_text("#!/bin/sh\nexec tail -f /dev/null\n", encoding="ascii")
    idler.chmod(0o755)
    image = world.path("never")
    run = start_service(world, program, f"thump={idler},image={image},look=no", "idle")
    tell(run, "ask", "back")
    answer = run.line("why it was refused")
    if "could not start its worker" not in answer:
        raise Failure(answer)
    run.expect_line("ask 1 1")


def test(world, options):
    program = java.Java(world, options)
    mute_client(world, program)
    idle_thump(world, program)


if __name__ == "__main__":
    java.run("silent", test, 100)
