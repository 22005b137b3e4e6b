#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hooks of libthump in a C program (apps/hooks.c): their order, their modes, what they refuse, and
those that do not return; asked by `thump checkpoint`, `thump hooks` and the program itself."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import re
import shutil
import signal

from thumptest import scenario
from thumptest.events import Failure, poll_until
from thumptest.scenario import REFUSED

BEFORE = ("c-high", "c-medium-2", "c-medium-1", "c-low", "s-high", "s-low")
LIBRARY = "libthump.so.0"
NOBODY = 65534
SINGLE = 4  # of them are concurrent


def expect(process, *lines):
    for line in lines:
        process.expect_line(line)


def called(hooks, outcome=None):
    """What hooks say before, or after in this outcome, when called in this order."""
    if outcome is None:
        return [f"before {name}" for name in hooks]
    return [f"after {name}: {outcome}" for name in reversed(hooks)]


def start(world, options, *words, name="program", engine=None):
    program = world.start([options.hooks, world.path("own.image"), *words], name,
                          env={**os.environ, "LD_LIBRARY_PATH": str(world.directory),
                               "THUMP": str(engine or world.thump_path)})
    program.expect_line("ready")
    return program


def generation_of(process, wiped):
    said = process.line("its generation")
    match = re.fullmatch(r"generation ([0-9a-f]{16}) (secret|wiped)", said or "")
    if not match or match.group(2) != ("wiped" if wiped else "secret"):
        raise Failure(f"{process.name} said {said!r}\n{process.stderr_text()}")
    return match.group(1)


def from_outside(world, options):
    """`thump checkpoint PID`: both sides go on, and copies are told apart."""
    program = start(world, options)
    image = world.path("image")
    world.checkpoint(program.pid, image, "--leave-running")
    expect(program, *called(BEFORE), *called(BEFORE, "saved"))
    clones = world.restore_many(image, ["clone-1", "clone-2"])
    for clone, _ in clones:
        expect(clone, *called(BEFORE, "restored"))
    # Once more, of a restored process.
    following = world.path("following")
    world.checkpoint(clones[0][1]["pid"], following)
    expect(clones[0][0], *called(BEFORE))
    again, report = world.restore(following, name="again")
    expect(again, *called(BEFORE, "restored"))
    scenario.end(again, report["pid"])
    scenario.end(*reversed([clones[1][1]["pid"], clones[1][0]]))
    scenario.end(program)


def by_itself(world, options):
    """thump_checkpoint() returns in the original and in every copy."""
    program = start(world, options)
    os.kill(program.pid, signal.SIGUSR1)
    expect(program, *called(BEFORE), *called(BEFORE, "saved"), "checkpoint: 1")
    generations = {generation_of(program, wiped=False)}
    if generations != {"0" * 16}:
        raise Failure(f"the original has generation {generations}")
    for number in range(2):
        clone, report = world.restore(world.path("own.image"), name=f"own-{number}")
        expect(clone, *called(BEFORE, "restored"), "checkpoint: 2")
        generations.add(generation_of(clone, wiped=True))
        scenario.end(clone, report["pid"])
    if len(generations) != 3:
        raise Failure(f"generations {generations}")
    scenario.end(program)


def by_itself_encrypted(world, options):
    """$THUMP may add options: what the program makes by itself is sealed as by anybody else."""
    secret, engine = world.path("own.key"), world.path("engine")
    public = world.thump_json("keygen", "-o", secret)[1]["public_key"]
    engine.write_text(f'#!/bin/sh\nexec "{world.thump_path}" "$@" --encrypt-to {public}\n')
    engine.chmod(0o755)
    program = start(world, options, name="encrypted", engine=engine)
    os.kill(program.pid, signal.SIGUSR1)
    expect(program, *called(BEFORE), *called(BEFORE, "saved"), "checkpoint: 1")
    packed = world.thump_json("inspect", world.path("own.image"), "--decrypt-with", secret)[1]["packed"]
    if not packed or not packed["encrypted"]:
        raise Failure(f"--encrypt-to made an image that is {packed}")
    scenario.end(program)


def refused(world, options):
    """All concurrent hooks are asked, of the others none after the first that refuses; all that were
    asked are told, and the program goes on."""
    program = start(world, options, "refuse", "c-medium-1", "refuse", "c-low")
    report = world.thump_json("checkpoint", program.pid, "-o", world.path("none"),
                              statuses=(REFUSED,))[1]
    texts = [problem["text"] for problem in report["problems"] if problem["fatal"]]
    if texts != ["hook c-medium-1: not while c-medium-1", "hook c-low: not while c-low"]:
        raise Failure(f"refused: {report}")
    asked = BEFORE[:SINGLE]
    expect(program, *called(asked), *called(asked, "not saved"))
    os.kill(program.pid, signal.SIGUSR1)
    expect(program, *called(asked), *called(asked, "not saved"),
           "checkpoint: ECANCELED: hook c-medium-1: not while c-medium-1",
           "hook c-low: not while c-low")
    scenario.end(program)

    program = start(world, options, "refuse", "s-high")
    world.dry_run(program.pid, statuses=(REFUSED,))
    expect(program, *called(BEFORE[:-1]), *called(BEFORE[:-1], "not saved"))
    scenario.end(program)


def hopeless(world, options):
    """What no hook is expected to cure is told before any of them is called, whoever asks."""
    program = start(world, options, "child")
    for words in (("-o", world.path("none")), ("--dry-run",)):
        report = world.thump_json("checkpoint", program.pid, *words, statuses=(REFUSED,))[1]
        if [problem["kind"] for problem in report["problems"]] != ["child"]:
            raise Failure(f"a child is what is in the way: {report}")
    os.kill(program.pid, signal.SIGUSR1)
    said = program.line("a refusal")
    if not said.startswith("checkpoint: ECANCELED: child process "):
        raise Failure(f"the program said {said!r}")
    os.kill(program.pid, signal.SIGKILL)
    program.status()


def cannot_be_held(world, options):
    program = start(world, options, "blocked")
    report = world.dry_run(program.pid, statuses=(REFUSED,))
    text = report["problems"][0]["text"]
    if not re.search(r"thread \d+ cannot be held for single-threaded hooks", text):
        raise Failure(f"refused: {text}")
    asked = BEFORE[:SINGLE]
    expect(program, *called(asked), *called(asked, "not saved"))
    os.kill(program.pid, signal.SIGKILL)
    program.status()


def hangs(world, options):
    """The checkpoint has failed, the program goes on; once the hook returns all is as before."""
    for hook, asked in (("c-medium-1", BEFORE[:3]), ("s-high", BEFORE[:5])):
        program = start(world, options, "hang", hook, name=f"hangs-{hook}")
        report = world.dry_run(program.pid, statuses=(REFUSED,))
        text = report["problems"][0]["text"]
        if text != f"hook {hook} has not returned within 0.1 s before the checkpoint":
            raise Failure(f"refused: {text}")
        expect(program, *called(asked))
        world.thump("checkpoint", program.pid, "--dry-run", statuses=(REFUSED,))
        if "has not returned" not in world.log("thump-checkpoint").read_text():
            raise Failure("the second checkpoint was refused for another reason")
        os.kill(program.pid, signal.SIGUSR2)
        expect(program, *called(asked, "not saved"))
        # It hangs again, which is to say that it was asked again.
        poll_until(world.deadline, "the round to end", lambda: True if "0.1 s" in world.dry_run(
            program.pid, statuses=(REFUSED,))["problems"][0]["text"] else None)
        os.kill(program.pid, signal.SIGKILL)
        program.status()


def another_engine(world, options):
    """`thump hooks`: the program stands with its other threads held, and goes on as a copy."""
    program = start(world, options)
    world.thump_json("hooks", "before", program.pid)
    expect(program, *called(BEFORE))
    world.thump_json("hooks", "after", program.pid)
    expect(program, *called(BEFORE, "restored"))
    world.thump_json("hooks", "before", program.pid)
    expect(program, *called(BEFORE))
    world.thump_json("hooks", "after", program.pid, "--abort")
    expect(program, *called(BEFORE, "not saved"))
    world.thump_json("hooks", "after", program.pid, statuses=(REFUSED,))
    scenario.end(program)


def forks(world, options):
    """A child of a hook's has hooks and checkpoints of its own: nobody is held there, and it has no
    connection of its parent's."""
    program = start(world, options, "fork", "s-high")
    os.kill(program.pid, signal.SIGUSR1)
    expect(program, *called(BEFORE[:-1]), "child: 0 ", "before s-low", *called(BEFORE, "saved"),
           "checkpoint: 1")
    generation_of(program, wiped=False)
    world.dry_run(program.pid)
    expect(program, *called(BEFORE[:-1]), "child: 0 ", "before s-low", *called(BEFORE, "not saved"))
    scenario.end(program)


def set_user_id(world, options):
    """THUMP does not choose what a set-user-ID program executes: it is whoever's who starts it."""
    if world.user != "root":
        return  # only root can give a program to somebody else
    program, engine = map(world.path, ("set-user-id", "engine"))
    shutil.copy(options.hooks, program)
    os.chown(program, NOBODY, NOBODY)
    program.chmod(0o4755)
    engine.write_text("#!/bin/sh\nexit 1\n")
    engine.chmod(0o755)
    process = world.start([program, world.path("none")], "set-user-id",
                          env={**os.environ, "THUMP": str(engine)})
    process.expect_line("ready")
    os.kill(process.pid, signal.SIGUSR1)
    while not (said := process.line("an outcome") or "checkpoint: none").startswith("checkpoint: "):
        pass
    if str(engine) in said:
        raise Failure(f"a set-user-ID program has executed what THUMP names: {said}")
    scenario.end(process)


def test(world, options):
    options.hooks = world.reachable(options.hooks)
    # The tree may lie where only root comes.
    shutil.copy(options.thump.parent / LIBRARY, world.path(LIBRARY))
    for case in (from_outside, by_itself, by_itself_encrypted, refused, hopeless, cannot_be_held,
                 hangs, another_engine, forks, set_user_id):
        case(world, options)


if __name__ == "__main__":
    scenario.run("libthump", test, 100, hooks={"type": pathlib.Path, "required": True})
