#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""checkpoint --live of a JVM under load: it answers while its copy is captured, no request ever fails,
and the image is a service as any other."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import json
import threading

from thumptest import java, scenario, web
from thumptest.events import Failure
from thumptest.held import Held, children

SOURCE = scenario.ROOT / "examples" / "jdk-httpserver" / "CatalogService.java"
QUERY = "/search?q=red+steel+lamp&limit=20"
REQUESTS = 100


class Load:
    """Clients that ask all the time; every answer must be `wanted`."""

    def __init__(self, world, port, wanted):
        self.arguments = (port, QUERY, wanted, world.deadline, REQUESTS)
        self.over = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.over.is_set():
                web.put_under_load(*self.arguments)
        except Failure as failure:
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if self.failure:
            raise self.failure


def served(port, world):
    return json.loads(web.ask(port, "/health", deadline=world.deadline))["served"]


def test(world, options):
    program = java.Java(world, options)
    classes = world.path("service")
    world.run([program.home / "bin" / "javac", "--release", "11", "-d", classes,
               world.reachable(SOURCE)], "javac")
    image = world.path("image")
    run = program.start(image, "-Dsun.net.httpserver.nodelay=true", "-cp", classes,
                        "CatalogService", 0, 2000, 64)
    ready = run.line("'ready'")
    if ready is None:
        raise Failure(f"java did not start: {run.stderr_text()}")
    port, pid = int(ready.split()[1]), java.child_of(run, world)
    wanted = web.ask(port, QUERY, deadline=world.deadline)
    with Load(world, port, wanted):
        # Connections are busy: in the image they are at their end.
        held = Held(world, pid, image, "--drain", "500ms", slowly="zstd:3")
        count = served(port, world)
        web.put_under_load(port, QUERY, wanted, world.deadline, REQUESTS)
        if held.go_on() != 0:
            raise Failure(f"checkpoint --live: {held.verb.stderr_text()}")
        web.put_under_load(port, QUERY, wanted, world.deadline, REQUESTS)
    if children(pid):
        raise Failure("the JVM has a child left")
    scenario.end(run, pid)
    process, report = world.restore(image)
    have = served(port, world)
    if not 0 < have <= count:
        raise Failure(f"the restored service has served {have} requests, and {count} soon after")
    web.put_under_load(port, QUERY, wanted, world.deadline, REQUESTS)
    scenario.end(process, report["pid"])


if __name__ == "__main__":
    java.run("live", test, 200)
