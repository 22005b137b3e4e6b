#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real service, unchanged, through a stock java: started with `thump run`, warmed by requests,
checkpointed, restored from one image with the right answers, several times and some at once, and
each time checkpointed again. Services without hooks have clients that keep their connections.
Clones at once have network namespaces of their own, or ports (--ports).

    --how live       `thump checkpoint PID` of the warmed service
    --how onRefresh  Spring makes the checkpoint itself, before it has started its server
"""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import concurrent.futures
import dataclasses
import http.client
import json
import os
import signal
import subprocess
import threading
import typing

from thumptest import java, postgres, scenario, web
from thumptest.events import Failure, Skip, free_port, poll_until

REQUESTS, CLIENTS = 200, 4


def greeting(answer):
    return answer["greeting"] == "Hello, thump"


def owners_of_city_6(answer):
    return [owner["name"] for owner in answer] == [f"owner{number}" for number in range(6, 200, 10)]


def is_up(answer):
    return answer["status"] == "up"


@dataclasses.dataclass
class App:
    """How an application of tests/apps is started, and what it answers."""
    words: tuple           # of the java command, in the folder where it was built
    source: pathlib.Path = None  # or all that there is to build: a main class that takes the port
    path: str = "/greeting/thump"
    ready: str = ""        # what is 200 from when on `path` is answered right; else that itself
    is_right: typing.Callable = greeting  # of an answer, which is JSON
    hooks: bool = True     # False: it knows nothing of checkpoints
    folder: str = ""       # of tests/apps, where it is not that of its name
    database: bool = False # it is given a PostgreSQL server
    share: float = 1.0     # at most so much of its resident memory is in its image

    def readiness(self):
        return self.ready or self.path


JAR = ("-jar", "target/app.jar")
# Spring starts its server before it runs the application's runners, the petclinic's loader of data
# among them; by this it says when it has.
READY = "/actuator/health/readiness"
APPS = {
    "spring-web": App(JAR, share=0.7),
    "spring-boot-4": App(JAR),
    "petclinic": App(JAR, None, "/owners/city6", READY, owners_of_city_6),
    "petclinic-postgres": App(JAR, None, "/owners/city6", READY, owners_of_city_6,
                              folder="petclinic", database=True),
    "quarkus": App(("-jar", "target/quarkus-app/quarkus-run.jar")),
    "micronaut": App(("-cp", "target/app.jar:target/lib/*", "app.Application")),
    "tomcat": App(JAR, hooks=False),
    "httpserver": App((), scenario.ROOT / "examples" / "jdk-httpserver" / "CatalogService.java",
                      "/health", is_right=is_up, hooks=False),
}


class Service:
    """One application under test."""

    def __init__(self, world, options):
        self.world, self.deadline = world, world.deadline
        self.app = APPS[options.app]
        self.warm = options.how == "live"  # when it is saved for the first time
        self.home = java.find_jdk(options.jdk)
        self.port = free_port()
        self.folder, self.words = self._built(options)
        self.temporary = world.path("java-tmp")
        self.temporary.mkdir()
        self.temporary.chmod(0o777)
        self._need_flags(options.java)
        self.flags = ["-Xmx256m", f"-Dserver.port={self.port}",
                      f"-Djava.io.tmpdir={self.temporary}", *options.java]
        self.database = postgres.Postgres(world) if self.app.database else None
        if self.database:
            self.database.start()
            self.flags += self.database.flags()

    def _built(self, options):
        """Where it lies, and what the java command says there."""
        if self.app.source:
            classes = self.world.path("classes")
            self.world.run([self.home / "bin" / "javac", "-d", classes, self.app.source], "javac")
            return self.world.directory, ("-cp", classes, self.app.source.stem, self.port)
        folder = options.libraries / (self.app.folder or options.app)
        if not (folder / "built").exists():
            raise Skip(f"{options.app} could not be built with mvn")
        return folder, self.app.words

    def _need_flags(self, flags):
        """Not every JDK has every collector."""
        done = subprocess.run([self.home / "bin" / "java", *flags, "-version"], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise Skip(f"this JDK does not know {flags}: {done.stdout.splitlines()[0]}")

    def start(self, image, *flags):
        return self.world.start(
            [self.world.thump_path, "run", "--image", image, "--",
             self.home / "bin" / "java", *self.flags, *flags, *self.words],
            "service", cwd=self.folder, stdout=self._log("service"))

    def _log(self, name):
        return open(self.world.path(f"{name}.stdout"), "ab")

    def _ask(self, process, port):
        return json.loads(web.ask(port or self.port, self.app.path, deadline=self.deadline,
                                  process=process))

    def await_readiness(self, process, port=None):
        """Of a service that has just started, or was saved before that was done."""
        poll_until(self.deadline, f"{process.name} to be ready",
                   lambda: web.get_status(port or self.port, self.app.readiness(), self.deadline,
                                           process) == 200 or None, pause=0.02)

    def expect_answer(self, process=None, port=None):
        """The right answer; returns how many the service says it has given, 0 when it does not
        count."""
        answer = self._ask(process, port)
        if not self.app.is_right(answer):
            raise Failure(f"{self.app.path} answers {answer}")
        return answer["served"] if "served" in answer else 0

    def load(self):
        """Some clients at once; each of their answers must be right."""
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
            for answer in [clients.submit(self.expect_answer) for _ in range(REQUESTS)]:
                answer.result()

    def checkpoint(self, pid, image):
        """Frameworks with hooks close their connections; of others they are ended in the image."""
        if self.app.hooks:
            self.world.checkpoint(pid, image)
            self._expect_no_connections()
            return
        kept = [self._keep_connection() for _ in range(CLIENTS)]
        self.world.checkpoint(pid, image, "--drain", "30s")
        for client in kept:
            client.close()

    def _expect_no_connections(self):
        """The pool has closed what it had, in the original, before it was saved."""
        if self.database:
            poll_until(self.deadline, "the server to have no clients",
                       lambda: True if self.database.nr_connections() == 0 else None, pause=0.02)

    def _keep_connection(self):
        client = http.client.HTTPConnection("127.0.0.1", self.port)
        client.request("GET", self.app.path)
        client.getresponse().read()
        return client

    def restore(self, image, name, *words):
        """What a service logs goes to the pipe of the report: it must not fill up."""
        process, report = self.world.restore(image, *words, name=name, cwd=self.folder)
        threading.Thread(target=drain, args=(os.dup(process.out.descriptor),), daemon=True).start()
        return process, report

    def restore_apart(self, image, name):
        """In a network namespace of its own, so that several can have one port."""
        return self.world.start(
            ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
             *self.world.prefix(), self.world.thump_path, "restore", image], name,
            as_user=False, cwd=self.folder, stdout=self._log(name))

    def ask_apart(self, process, path, *early):
        """As soon as it answers; None before."""
        if process.has_ended():
            raise Failure(f"{process.name} ended: {process.stderr_text()}")
        return web.ask_inside(["nsenter", f"--net=/proc/{process.pid}/ns/net"],
                              f"http://127.0.0.1:{self.port}{path}", (web.NOT_LISTENING, *early))


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


def expect_small(service, image, resident_bytes):
    """What travels of files under the temporary directory is no memory. After so little load much
    of what is resident is not garbage yet; a service that is really warm stays below 60%."""
    carried = service.world.thump_json("inspect", image)[1]["memory"]["backings_bytes"]
    bytes_ = image.stat().st_size - carried
    print(f"{resident_bytes / 1e6:.0f} MB were resident, {bytes_ / 1e6:.0f} MB are the image")
    if bytes_ > service.app.share * resident_bytes:
        raise Failure(f"{resident_bytes} bytes were resident, {bytes_} are in the image")


def end(process, pid):
    os.kill(pid, signal.SIGTERM)
    process.status()


def restore_often(world, service, image, times, served):
    """One after the other; each is used and checkpointed again. Returns the last of those images.
    What was warm has to be right in its first answer."""
    for number in range(1, times + 1):
        process, report = service.restore(image, f"restore-{number}")
        if not service.warm:
            service.await_readiness(process)
        if service.expect_answer(process) <= served and served:
            raise Failure("the restored service has forgotten what it had counted")
        service.load()
        following = world.path(f"image-{number}")
        service.checkpoint(report["pid"], following)
        process.status()
        expect_no_complaint(process)
    return following


def restore_at_once(service, image, count):
    """All of them from one image, at the same time."""
    processes = [service.restore_apart(image, f"at-once-{number}") for number in range(count)]
    for process in processes:
        if not service.warm:
            poll_until(service.deadline, f"{process.name} to be ready",
                       lambda: service.ask_apart(process, service.app.readiness(),
                                                 web.NO_SUCCESS), pause=0.05)
        answer = poll_until(service.deadline, f"an answer of {process.name}",
                            lambda: service.ask_apart(process, service.app.path), pause=0.05)
        if not service.app.is_right(json.loads(answer)):
            raise Failure(f"{process.name} answers {answer}")
    for process in processes:
        process.popen.terminate()
        process.status()


def restore_on_ports(service, image, count):
    """All of them from one image, at the same time, and none on the port of the original."""
    clones = {}
    for number in range(count):
        port = free_port()
        clones[port] = service.restore(image, f"on-port-{number}", "--port",
                                       f"{service.port}:{port}")
    for port, (process, _) in clones.items():
        if not service.warm:
            service.await_readiness(process, port)
        service.expect_answer(process, port)
    for port, (process, report) in clones.items():
        service.expect_answer(process, port)
        expect_no_complaint(process)
        end(process, report["pid"])


def test(world, options):
    service = Service(world, options)
    image = world.path("image")
    run = service.start(image, *([] if service.warm else ["-Dspring.context.checkpoint=onRefresh"]))
    served = 0
    if service.warm:
        service.await_readiness(run)
        service.load()
        served = service.expect_answer(run)
        pid = java.child_of(run, world)
        resident_bytes = java.resident_bytes(pid)
        service.checkpoint(pid, image)
        expect_small(service, image, resident_bytes)
    if run.status() != 0:
        raise Failure(f"the service ended with {run.status()}: {run.stderr_text()}")
    following = restore_often(world, service, image, options.restores, served)
    if options.at_once and not service.database:  # apart, they could not reach it
        restore_at_once(service, image, options.at_once)
    if options.ports:
        restore_on_ports(service, image, options.ports)
    process, report = service.restore(following, "last")
    service.expect_answer(process)
    end(process, report["pid"])


if __name__ == "__main__":
    java.run("application", test, 580, app={"required": True, "choices": APPS},
             how={"default": "live", "choices": ("live", "onRefresh")},
             java={"action": "append", "default": []}, restores={"type": int, "default": 2},
             at_once={"type": int, "default": 0, "dest": "at_once"},
             ports={"type": int, "default": 0})
