#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real service, unchanged, through a stock java: started with `thump run`, warmed by requests,
checkpointed, restored twice from one image with the right answers, and checkpointed again.

    --how live       `thump checkpoint PID` of the warmed service
    --how onRefresh  Spring makes the checkpoint itself, before it has started its server
"""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import concurrent.futures
import dataclasses
import json
import os
import signal
import threading
import typing

from thumptest import java, web
from thumptest.events import Failure, Skip, free_port, poll_until
from thumptest.scenario import checkpoint_quiet

REQUESTS, CLIENTS = 200, 4


def greeting(answer):
    return answer["greeting"] == "Hello, thump"


def owners_of_city_6(answer):
    return [owner["name"] for owner in answer] == [f"owner{number}" for number in range(6, 200, 10)]


@dataclasses.dataclass
class App:
    """How an application of tests/apps is started, and what it answers."""
    words: tuple           # of the java command, in the folder where it was built
    path: str = "/greeting/thump"
    is_right: typing.Callable = greeting  # of an answer, which is JSON
    hooks: bool = True     # False: it knows nothing of checkpoints


JAR = ("-jar", "target/app.jar")
APPS = {
    "spring-web": App(JAR),
    "petclinic": App(JAR, "/owners/city6", owners_of_city_6),
    "quarkus": App(("-jar", "target/quarkus-app/quarkus-run.jar")),
    "micronaut": App(("-cp", "target/app.jar:target/lib/*", "app.Application")),
    "tomcat": App(JAR, hooks=False),
}


class Service:
    """One application under test."""

    def __init__(self, world, options):
        self.world, self.deadline = world, world.deadline
        self.app = APPS[options.app]
        self.home = java.find_jdk(options.jdk)
        self.folder = options.libraries / options.app
        if not (self.folder / "built").exists():
            raise Skip(f"{options.app} could not be built with mvn")
        self.port = free_port()
        self.temporary = world.path("java-tmp")
        self.temporary.mkdir()
        self.temporary.chmod(0o777)
        self.flags = ["-Xmx256m", f"-Dserver.port={self.port}",
                      f"-Djava.io.tmpdir={self.temporary}", *options.java]

    def start(self, image, *flags):
        return self.world.start(
            [self.world.thump_path, "run", "--image", image, "--",
             self.home / "bin" / "java", *self.flags, *flags, *self.app.words],
            "service", cwd=self.folder, stdout=self._log("service"))

    def _log(self, name):
        return open(self.world.path(f"{name}.stdout"), "ab")

    def _ask(self, process):
        return json.loads(web.ask(self.port, self.app.path, deadline=self.deadline,
                                  process=process))

    def await_readiness(self, process):
        """The petclinic serves before it has made all of its owners."""
        poll_until(self.deadline, "the right answer",
                   lambda: True if self.app.is_right(self._ask(process)) else None, pause=0.05)

    def expect_answer(self, process=None):
        """The right answer; returns how many the service says it has given, 0 when it does not
        count."""
        answer = self._ask(process)
        if not self.app.is_right(answer):
            raise Failure(f"{self.app.path} answers {answer}")
        return answer["served"] if "served" in answer else 0

    def load(self):
        """Some clients at once; each of their answers must be right."""
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
            for answer in [clients.submit(self.expect_answer) for _ in range(REQUESTS)]:
                answer.result()

    def checkpoint(self, pid, image):
        """Frameworks with hooks close their connections; of others they must be closed."""
        if self.app.hooks:
            self.world.checkpoint(pid, image)
        else:
            checkpoint_quiet(self.world, pid, image)

    def restore(self, image, name):
        """What a service logs goes to the pipe of the report: it must not fill up."""
        process, report = java.restore(self.world, image, name, cwd=self.folder)
        threading.Thread(target=drain, args=(os.dup(process.out.descriptor),), daemon=True).start()
        return process, report


def drain(descriptor):
    with open(descriptor, "rb") as pipe:
        while pipe.read1():
            pass


def expect_no_complaint(process):
    """Frameworks log what fails in their hooks; so does the agent."""
    text = process.stderr_text()
    for word in ("CheckpointException", "RestoreException", "thump: "):
        if word in text:
            raise Failure(f"{process.name} complains:\n{text}")


def end(process, pid):
    os.kill(pid, signal.SIGTERM)
    process.status()


def test(world, options):
    service = Service(world, options)
    image = world.path("image")
    refresh = options.how == "onRefresh"
    run = service.start(image, *(["-Dspring.context.checkpoint=onRefresh"] if refresh else []))
    served = 0
    if not refresh:
        service.await_readiness(run)
        service.load()
        served = service.expect_answer(run)
        service.checkpoint(java.child_of(run, world), image)
    if run.status() != 0:
        raise Failure(f"the service ended with {run.status()}: {run.stderr_text()}")
    for number in (1, 2):
        process, report = service.restore(image, f"restore-{number}")
        if service.expect_answer(process) <= served and served:
            raise Failure("the restored service has forgotten what it had counted")
        service.load()
        following = world.path(f"image-{number}")
        service.checkpoint(report["pid"], following)
        process.status()
        expect_no_complaint(process)
    process, report = service.restore(following, "last")
    service.expect_answer(process)
    end(process, report["pid"])


if __name__ == "__main__":
    java.run("application", test, 280, app={"required": True, "choices": APPS},
             how={"default": "live", "choices": ("live", "onRefresh")},
             java={"action": "append", "default": []})
