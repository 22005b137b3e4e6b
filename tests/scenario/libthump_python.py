#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python module over libthump: hooks, checkpoints by the program itself, and `random`."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import shutil
import signal

from thumptest import scenario
from thumptest.events import Failure
from thumptest.scenario import REFUSED

MODULE = scenario.ROOT / "bindings" / "python" / "thump.py"
LIBRARY = "libthump.so.0"


def expect(process, *lines):
    for line in lines:
        process.expect_line(line)


def number_of(process):
    line = process.line("its number")
    if line is None or not line.startswith("number "):
        raise Failure(f"{process.name} said {line!r}\n{process.stderr_text()}")
    return line


def start(world, *words):
    env = {**os.environ, "PYTHONPATH": str(world.directory), "THUMP": str(world.thump_path)}
    program = world.start(["/usr/bin/python3", world.path("hooks.py"), world.path("image"), *words],
                          "program", env=env)
    program.expect_line("ready")
    return program


def by_itself(world):
    program = start(world)
    os.kill(program.pid, signal.SIGUSR1)
    expect(program, "before", "after SAVED", "checkpoint SAVED never restored")
    numbers = {number_of(program)}
    for clone, report in world.restore_many(world.path("image"), ["clone-1", "clone-2"]):
        expect(clone, "after RESTORED", "checkpoint RESTORED restored")
        numbers.add(number_of(clone))
        scenario.end(clone, report["pid"])
    if len({line.split()[1] for line in numbers}) != 3 or \
            len({line.split()[2] for line in numbers}) != 3:
        raise Failure(f"numbers and generations: {numbers}")
    scenario.end(program)


def refused(world, word, reason):
    program = start(world, word)
    report = world.dry_run(program.pid, statuses=(REFUSED,))
    texts = [problem["text"] for problem in report["problems"] if problem["fatal"]]
    if texts != [f"hook talker: {reason}"]:
        raise Failure(f"refused: {texts}")
    expect(program, "before", "after NOT_SAVED")
    os.kill(program.pid, signal.SIGUSR1)
    expect(program, "before", "after NOT_SAVED", f"refused: hook talker: {reason}")
    scenario.end(program)


def test(world, options):
    shutil.copy(options.thump.parent / LIBRARY, world.path(LIBRARY))
    shutil.copy(MODULE, world.path(MODULE.name))
    shutil.copy(scenario.APPS / "hooks.py", world.path("hooks.py"))
    by_itself(world)
    refused(world, "refuse", "it returned False")
    refused(world, "raise", "RuntimeError: not now")


if __name__ == "__main__":
    scenario.run("libthump_python", test, 60)
