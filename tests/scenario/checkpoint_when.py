#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`thump run --checkpoint-when` makes the image by itself: at each kind of moment, with each --then;
a refused checkpoint ends a program that ran for its image alone, and no other; two at once make one
image."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import http.client
import os
import re
import subprocess

from thumptest import scenario, web
from thumptest.events import Failure, free_port, poll_until

SHELF = scenario.APPS / "shelf.py"
REFUSED = 123


class Moment:
    """A service with a watcher."""

    def __init__(self, world, name, when, then="exit", command=None, image=None, words=(),
                 **options):
        self.world, self.port = world, free_port()
        self.image = image or world.path(f"{name}.thump")
        moment = when.format(port=self.port)
        command = command or ["/usr/bin/python3", world.reachable(SHELF)]
        self.process = world.start(
            [world.thump_path, "run", "--image", self.image, "--checkpoint-when", moment,
             "--then", then, *words, "--", *command, str(self.port)], name, **options)

    def expect_end(self, status=0):
        if self.process.status() != status:
            raise Failure(f"{self.process.name}: {self.process.popen.returncode} instead of "
                          f"{status}: {self.process.stderr_text()}")

    def expect_said(self, text):
        if text not in self.process.stderr_text():
            raise Failure(f"'{text}' is not in {self.process.stderr_text()!r}")

    def await_image(self):
        poll_until(self.world.deadline, f"{self.image}",
                   lambda: True if self.image.exists() else None)


def end(process):
    process.popen.terminate()
    process.status()


def made_and_restored(world, name, when, use=None):
    """The checkpoint ends the program, `thump run` ends with 0, and the same command restores it."""
    moment = Moment(world, name, when)
    if use:
        use(moment)
    moment.expect_end()
    moment.expect_said("was checkpointed and ended")
    process, _ = world.restore(moment.image, name=f"{name}-restored")
    have = int(web.ask(moment.port, deadline=world.deadline, process=process))
    end(process)
    return have


def requests(world):
    """Not before there were so many, in all connections together."""
    def use(moment):
        moment.process.expect_line(f"ready {moment.port}")
        for _ in range(2):
            load(moment, 8)
        if moment.process.has_ended() or moment.image.exists():
            raise Failure("checkpointed before there were enough requests")
        load(moment, 2000)
    have = made_and_restored(world, "requests", "requests:100", use)
    if have < 60:
        raise Failure(f"checkpointed after {have} requests")


def load(moment, count):
    """One connection, `count` requests, until the server is gone."""
    connection = http.client.HTTPConnection("127.0.0.1", moment.port, timeout=20)
    try:
        for _ in range(count):
            connection.request("GET", "/")
            connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        if not moment.image.exists():
            raise
    finally:
        connection.close()


def then_others(world):
    """`restore` goes on as a restored program, `continue` as the same one."""
    moment = Moment(world, "restore", "port:{port}", "restore")
    moment.process.expect_line(f"ready {moment.port}")
    moment.await_image()
    poll_until(world.deadline, "the restore", lambda: True
               if "restoring it" in moment.process.stderr_text() else None)
    web.ask(moment.port, deadline=world.deadline, process=moment.process)
    end(moment.process)
    moment = Moment(world, "continue", "after:300ms", "continue")
    moment.process.expect_line(f"ready {moment.port}")
    moment.await_image()
    web.ask(moment.port, deadline=world.deadline, process=moment.process)
    end(moment.process)


REFUSING = ["/usr/bin/python3", "-c",
            "import signal, socket, sys\n"
            "other = socket.create_server(('127.0.0.1', 0))\n"
            "client = socket.create_connection(other.getsockname())\n"
            "server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
            "print('ready', flush=True)\n"
            "signal.pause()\n"]


def refused(world):
    moment = Moment(world, "refused", "port:{port}", command=REFUSING)
    moment.expect_end(REFUSED)
    moment.expect_said("TCP 127.0.0.1:")
    moment = Moment(world, "refused-continue", "port:{port}", "continue", command=REFUSING)
    moment.process.expect_line("ready")
    poll_until(world.deadline, "the refusal", lambda: True
               if "refused: " in moment.process.stderr_text() else None)
    if moment.process.has_ended():
        raise Failure("a refused checkpoint has ended the program")
    end(moment.process)


ON_COMMAND = ["/usr/bin/python3", "-c",
              "import signal, socket, sys\n"
              "print('up', flush=True)\n"
              "sys.stdin.readline()\n"
              "server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
              "signal.pause()\n"]


def one_writer(world):
    """Of three that want to make one image one does; the others keep running."""
    image = world.path("shared.thump")
    moments = [Moment(world, f"writer-{i}", "port:{port}", "continue", ON_COMMAND, image,
                      stdin=subprocess.PIPE) for i in range(3)]
    for moment in moments:
        moment.process.expect_line("up")
    for moment in moments:
        moment.process.popen.stdin.write(b"\n")
        moment.process.popen.stdin.flush()
    for moment in moments:
        poll_until(world.deadline, "a word about the image",
                   lambda: True if re.search("is saved in|has been made", moment.process.stderr_text())
                   else None)
    others = [moment for moment in moments
              if "made by another process" in moment.process.stderr_text()]
    if len(others) != 2:
        raise Failure(f"{len(others)} of 3 found the image of another")
    for moment in moments:
        if moment.process.has_ended():
            raise Failure("a writer has ended")
        end(moment.process)


def readable_by_others(world):
    """An image for a container layer."""
    moment = Moment(world, "mode", "port:{port}", words=("--mode", "0444"))
    moment.expect_end()
    if moment.image.stat().st_mode & 0o777 != 0o444:
        raise Failure(f"the image has mode {moment.image.stat().st_mode:o}")
    world.thump("run", "--mode", "0644", "--", "true", statuses=(122,))


def healed(world):
    """What is no image is replaced by one, which is restored the next time; by level of CPUs, too."""
    pattern = world.path("healed-%f.thump")
    first = Moment(world, "damaged", "port:{port}", image=pattern)
    first.expect_end()
    image, = world.directory.glob("healed-x86-64-v[1-4].thump")
    image.unlink()
    image.write_text("this is no image")
    second = Moment(world, "healing", "port:{port}", image=pattern)
    second.expect_end()
    second.expect_said(f"{image} is not restored")
    image.rename(world.path("healed-x86-64-v1.thump"))
    third = Moment(world, "healed", "port:{port}", image=pattern)
    web.ask(second.port, deadline=world.deadline, process=third.process)
    end(third.process)


def test(world, _options):
    made_and_restored(world, "port", "port:{port}")
    made_and_restored(world, "http", "http://localhost:{port}/")
    made_and_restored(world, "after", "after:1.5s")
    requests(world)
    then_others(world)
    refused(world)
    one_writer(world)
    readable_by_others(world)
    healed(world)
    for wrong in ("port:0", "https://x/", "after:soon", "requests:", "load:7"):
        world.thump("run", "--image", "x", "--checkpoint-when", wrong, "--", "true",
                    statuses=(122,))
    os.stat(world.path("port.thump"))


if __name__ == "__main__":
    scenario.run("checkpoint_when", test, 100)
