#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that come from outside the program: the trigger method, and `thump checkpoint PID`
with its dry run and its refusals. tests/jvm/java/Service.java is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import subprocess

from thumptest import java
from thumptest.events import Failure, poll_until
from thumptest.scenario import REFUSED

MANY = 300  # exceptions of hooks


class Service:
    """The program, seen through its standard input and output."""

    def __init__(self, process):
        self.process = process
        process.expect_line("up")

    def tell(self, line, *answers):
        self.process.popen.stdin.write(f"{line}\n".encode())
        self.process.popen.stdin.flush()
        for answer in answers:
            self.process.expect_line(answer)

    def counts(self, before, after):
        self.tell("counts", f"counts {before} {after}")


def expect_texts(report, *wanted):
    """Each wanted pair of texts is in one of the problems of a refused checkpoint."""
    texts = [problem["text"] for problem in report["problems"] if problem["fatal"]]
    for parts in wanted:
        if not any(all(part in text for part in parts) for text in texts):
            raise Failure(f"nothing with {parts} in {texts}")
    if len(texts) != len(wanted):
        raise Failure(f"expected {len(wanted)} problems: {texts}")


def outside(world, program):
    """`thump checkpoint PID` runs the hooks; what they throw is refused, with what cannot be saved."""
    image = world.path("outside")
    run = program.start(image, "Service", stdin=subprocess.PIPE)
    service = Service(run)
    pid = java.child_of(run, world)
    world.thump_json("checkpoint", pid, "--dry-run", "--no-hooks")
    service.counts(0, 0)
    world.dry_run(pid)
    run.expect_line("back")
    service.counts(1, 1)

    service.tell("fail", "fail 1 1")
    service.tell("connect", "connect 1 1")
    report = world.thump_json("checkpoint", pid, "-o", image, statuses=(REFUSED,))[1]
    expect_texts(report, ("java.lang.IllegalStateException: not now",
                          "caused by java.io.IOException: the disk is busy", "Service.java:"),
                 ("TCP", "127.0.0.1", "established", " <- NioSocketImpl.fd <- ",
                  "Socket.impl <- Service.connection <- "))
    if image.exists():
        raise Failure("a refused checkpoint left an image")
    run.expect_line("back")
    service.counts(2, 2)
    service.tell("close", "close 2 2")
    # More than fits into the page through which the program and thump talk.
    service.tell(f"fail {MANY}", "fail 2 2")
    report = world.thump_json("checkpoint", pid, "-o", image, statuses=(REFUSED,))[1]
    expect_texts(report, ("not now", "the disk is busy"),
                 *((f"not now, number {number}x",) for number in range(1, MANY + 1)))
    run.expect_line("back")
    service.tell("fine", "fine 3 3")
    return image, run, service, pid


def end(process):
    process.popen.stdin.close()
    process.popen.stdin = None
    java.expect_end(process)


def bring_back_and_end(world, image, name):
    end(bring_back(world, image, name, 1)[0])


def hopeless(world, program):
    """What no hook is expected to cure is told before any of them runs, whoever asks; a program whose
    hooks end its child says so."""
    image = world.path("hopeless")
    run = program.start(image, "Service", stdin=subprocess.PIPE, name="hopeless")
    service = Service(run)
    pid = java.child_of(run, world)
    service.tell("child", "child 0 0")
    for words in (("-o", image), ("--dry-run",)):
        report = world.thump_json("checkpoint", pid, *words, statuses=(REFUSED,))[1]
        if [problem["kind"] for problem in report["problems"]] != ["child"] or image.exists():
            raise Failure(f"a child is what is in the way: {report}")
        expect_texts(report, ("child process", "(cat)"))
    service.tell("ask")
    said = run.line("a refusal")
    if not said.startswith("refused child process ") or "(cat)" not in said:
        raise Failure(f"the program was told: {said}")
    run.expect_line("ask 0 0")
    service.tell("mercy", "mercy 0 0")
    take(world, image, run, pid, "--hooks-first")
    bring_back_and_end(world, image, "hopeless")

    image.unlink()
    run = program.start(image, "Service", stdin=subprocess.PIPE, name="merciful",
                        thump_words=("--hooks-first",))
    service = Service(run)
    service.tell("child", "child 0 0")
    service.tell("mercy", "mercy 0 0")
    service.tell("ask")
    java.expect_end(run)
    process, _ = world.restore(image, name="restore-merciful", stdin=subprocess.PIPE)
    for line in ("back", "ask 1 1"):
        process.expect_line(line)
    end(process)


def sealed(world, program):
    """What `thump run` was told of images counts for those that the program asks for."""
    image, secret = world.path("sealed"), world.path("sealed.key")
    public = world.thump("keygen", "-o", secret)[1].strip()
    run = program.start(image, "Service", stdin=subprocess.PIPE, name="sealing",
                        thump_words=("--encrypt-to", public, "--compress", "lz4"))
    service = Service(run)
    service.tell("ask")
    java.expect_end(run)
    world.thump("inspect", image, statuses=(REFUSED,))
    process, _ = world.restore(image, "--decrypt-with", secret, name="unsealed",
                              stdin=subprocess.PIPE)
    for line in ("back", "ask 1 1"):
        process.expect_line(line)
    end(process)


def take(world, image, run, pid, *options):
    """A checkpoint that ends the program: `thump run` ends with 0."""
    world.checkpoint(pid, image, *options)
    java.expect_end(run)


def bring_back(world, image, number, counts):
    """The restored program says so, counts on, and can be asked for the next checkpoint."""
    process, report = world.restore(image, name=f"restore-{number}", stdin=subprocess.PIPE)
    process.expect_line("back")
    service = object.__new__(Service)
    service.process = process
    service.counts(counts, counts)
    return process, report["pid"]


def asked_again(world, image):
    """Restored twice from one image; each is checkpointed again, the hooks counting on."""
    for number in (1, 2):
        process, pid = bring_back(world, image, number, 4)
        following = world.path(f"outside-{number}")
        world.checkpoint(pid, following)
        java.expect_end(process)
        end(bring_back(world, following, f"{number}-again", 5)[0])


def start_with(world, program, options):
    """The program with the agent, given these options."""
    command = program.command("Service")
    return world.start([command[0], f"-agentpath:{program.agent}={options}", *command[1:]],
                       "trigger", stdin=subprocess.PIPE)


def enter(service, line, checkpoints):
    """The line has a trigger method called, which makes no further checkpoint."""
    word, argument = line.split()
    said = line if word == "number" else argument
    service.tell(line, f"ready {said}", f"{word} {checkpoints} {checkpoints}")


def trigger(world, program, method, line, before=()):
    """The trigger method makes the checkpoint as it is entered, before it does anything; once, also
    where several methods have the name. The lines in `before` enter it too early."""
    image = world.path("trigger")
    process = start_with(world, program, f"image={image},trigger={method}")
    service = Service(process)
    for early in before:
        enter(service, early, 0)
    service.tell(line)
    if process.status() != -9:
        raise Failure(f"the program was not ended by its checkpoint: {process.status()}\n"
                      f"{process.stderr_text()}")
    process, _ = world.restore(image, name="restore-trigger", stdin=subprocess.PIPE)
    process.expect_line("back")
    word, argument = line.split()
    process.expect_line(f"ready {line if word == 'number' else argument}")
    process.expect_line(f"{word} 1 1")
    service.process = process
    enter(service, "ready again", 1)
    enter(service, "number 8", 1)
    image.unlink()


def wrong_hits(world, program):
    """What is no number of entries is refused by name."""
    trigger_option = "trigger=Service.ready,"
    for hit in ("hit=0", "hit=-1", "hit=3x", "hit= 3", "hit=", "hit=4294967296"):
        expect_refusal(world, program, f"{trigger_option}{hit}", f"option {hit} is not understood",
                       "a number from 1 to 4294967295")
    expect_refusal(world, program, "hit=2", "option hit=2 ", "trigger=Class.method")


def expect_refusal(world, program, options, *texts):
    """The JVM does not start, and these texts say why."""
    process = start_with(world, program, options)
    if process.status() != 1 or any(text not in process.stderr_text() for text in texts):
        raise Failure(f"{options}: {process.status()}: {process.stderr_text()}")


def attached(world, program):
    """jcmd has the agent loaded again: a checkpoint, of the mode that `thump run` was told. Without
    the agent from the start: a clear no."""
    image = world.path("attached")
    run = program.start(image, "Service", stdin=subprocess.PIPE, name="attached",
                        thump_words=("--mode", "0440"))
    Service(run)
    load = [program.home / "bin" / "jcmd", java.child_of(run, world), "JVMTI.agent_load",
            program.agent]
    world.run(load, "jcmd")
    java.expect_end(run)
    if image.stat().st_mode & 0o777 != 0o440:
        raise Failure(f"the image has mode {image.stat().st_mode:o}")
    bring_back_and_end(world, image, "attached")

    process = world.start(program.command("Service"), "plain", stdin=subprocess.PIPE)
    Service(process)
    load[1] = process.pid
    world.run(load, "jcmd-plain", statuses=None)
    poll_until(world.deadline, "a word of the agent", lambda: True
               if "must be there from the start" in process.stderr_text() else None)
    process.popen.stdin.close()
    process.popen.stdin = None
    process.status()


def test(world, options):
    program = java.Java(world, options)
    image, run, _, pid = outside(world, program)
    take(world, image, run, pid)
    asked_again(world, image)
    sealed(world, program)
    hopeless(world, program)
    attached(world, program)
    trigger(world, program, "Service.ready(I)V", "number 7")
    trigger(world, program, "Service.ready", "ready now")
    trigger(world, program, "Service.ready,hit=3", "ready now", ("ready one", "number 2"))
    wrong_hits(world, program)


if __name__ == "__main__":
    java.run("triggers", test, 100)
