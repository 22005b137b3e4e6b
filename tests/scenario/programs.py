#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs of many languages and libraries (apps/ledger.*) answer the same as one that was never
checkpointed, over two generations."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import shutil
import subprocess

from thumptest import scenario, snapshot
from thumptest.events import Failure, Skip

STEPS, GENERATIONS = 5, 2
# Notes, tables and the block of zeros of an image; and VmRSS is not exact (proc(5)).
METADATA_BYTES = 4 << 20


def preload(library):
    if not library:
        return []
    path = next(pathlib.Path("/usr/lib").glob(f"*/{library}"), None)
    if not path:
        raise Skip(f"{library} is not installed")
    return ["env", f"LD_PRELOAD={path}"]


def command(world, options):
    """The program's command line."""
    program, *arguments = options.command
    found = shutil.which(program)
    if not found:
        raise Skip(f"{program} is not there: its compiler or interpreter is not installed")
    if program.startswith("/") and not program.startswith("/usr/"):
        # Not where it was built: that may be a temporary directory, whose files travel in the image.
        found = shutil.copy(found, world.path("program"))
    return [*preload(options.preload), found, *map(world.reachable, arguments)]


def ask(process, numbers):
    """The answers to some numbers, one after the other."""
    answers = []
    for number in numbers:
        process.popen.stdin.write(b"%d\n" % number)
        process.popen.stdin.flush()
        answers.append(process.line(f"the answer to {number}"))
        if answers[-1] is None:
            raise Failure(f"{process.name} ended with {process.status()}:\n{process.stderr_text()}")
    return answers


def end(process, options):
    """A program ends with its input, and one with ASan when it reads behind a block."""
    if options.overflow:
        process.popen.stdin.write(b"overflow\n")
    process.popen.stdin.close()
    process.popen.stdin = None
    status = process.status()
    if options.overflow:
        if "heap-buffer-overflow" not in process.stderr_text():
            raise Failure(f"ASan does not see an overflow any more: {status} "
                          f"{process.stderr_text()}")
    elif status != 0:
        raise Failure(f"{process.name} ended with {status}:\n{process.stderr_text()}")


def start(world, options, name):
    data = [world.path(f"{name}.data")] if options.data else []
    process = world.start([*command(world, options), *data], name, stdin=subprocess.PIPE)
    process.expect_line("ready")
    return process


def test(world, options):
    reference = start(world, options, "reference")
    wanted = [ask(reference, range(STEPS * i, STEPS * (i + 1))) for i in range(GENERATIONS + 1)]
    end(reference, options)

    process = start(world, options, "original")
    pid = process.pid
    for generation in range(GENERATIONS + 1):
        numbers = range(STEPS * generation, STEPS * (generation + 1))
        answers = ask(process, numbers)
        if answers != wanted[generation]:
            raise Failure(f"generation {generation}: {answers} instead of {wanted[generation]}")
        if generation == GENERATIONS:
            break
        image = world.path(f"image-{generation}")
        resident = snapshot.resident_bytes(pid)
        world.checkpoint(pid, image)
        process.status()
        if image.stat().st_size > resident + METADATA_BYTES:
            raise Failure(f"the image has {image.stat().st_size} bytes, the program {resident}")
        process, report = world.restore(image, name=f"restore-{generation}", stdin=subprocess.PIPE)
        pid = report["pid"]
    end(process, options)


if __name__ == "__main__":
    scenario.run("programs", test, 100, preload={}, overflow={"action": "store_true"},
                 data={"action": "store_true"}, command={"nargs": "+", "required": True})
