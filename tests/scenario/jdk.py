#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stock JVM's web service under load between checkpoints; its images are cores that jhsdb reads."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import json
import re

from thumptest import scenario, web
from thumptest.events import Failure
from thumptest.java import find_jdk

SOURCE = scenario.ROOT / "examples" / "jdk-httpserver" / "CatalogService.java"
QUERY = "/search?q=red+steel+lamp&limit=20"
REQUESTS = 500


def served(port, deadline, process=None):
    return json.loads(web.ask(port, "/health", deadline=deadline, process=process))["served"]


def expect_service(port, wanted, at_least, deadline, process):
    """The same answers under load, counted on from where the image was taken."""
    have = served(port, deadline, process)
    if have < at_least:
        raise Failure(f"the service has served {have} requests, not {at_least}")
    web.put_under_load(port, QUERY, wanted, deadline, REQUESTS)
    return served(port, deadline)


def expect_jhsdb(world, home, image):
    """jstack and jmap --histo work on the image as on any core."""
    core = ["--core", image, "--exe", home / "bin" / "java"]
    stacks = world.run([home / "bin" / "jhsdb", "jstack", *core], "jstack")[1]
    for wanted in ('"HTTP-Dispatcher"', "sun.nio.ch.EPoll.wait", "pool-1-thread-1"):
        if wanted not in stacks:
            raise Failure(f"jhsdb jstack does not show {wanted}:\n{stacks[-3000:]}")
    histogram = world.run([home / "bin" / "jhsdb", "jmap", "--histo", *core], "jmap")[1]
    found = re.search(r"^\S+\s+(\d+)\s+\d+\s+CatalogService\$Product", histogram, re.M)
    if not found or int(found.group(1)) != 2000:
        raise Failure(f"jhsdb jmap --histo: {found or histogram[-2000:]}")


def test(world, options):
    deadline = world.deadline
    home = find_jdk(options.jdk)
    classes = world.path("classes")
    world.run([home / "bin" / "javac", "--release", "11", "-d", classes,
               world.reachable(SOURCE)], "javac")
    process = world.start([home / "bin" / "java", *options.java, "-XX:TieredStopAtLevel=1",
                           # jhsdb walks over garbage, too: little of it.
                           "-Xmx160m", "-Dsun.net.httpserver.nodelay=true", "-cp", classes,
                           "CatalogService", 0, 2000, 64], "original")
    ready = process.line("'ready'")
    if ready is None:
        raise Failure(f"java did not start: {process.stderr_text()}")
    port = int(ready.split()[1])
    wanted = web.ask(port, QUERY, deadline=deadline)
    count = expect_service(port, wanted, 1, deadline, process)

    image = world.path("image-0")
    scenario.checkpoint_quiet(world, process.pid, image)
    process.status()
    for number, memory in enumerate(("lazy-unsafe", "eager"), 1):
        process, report = world.restore(image, "--memory", memory, name=f"restore-{number}")
        count = expect_service(port, wanted, count, deadline, process)
        following = world.path(f"image-{number}")
        scenario.checkpoint_quiet(world, report["pid"], following)
        process.status()
        image.unlink()
        image = following
    if options.jhsdb:
        expect_jhsdb(world, home, image)
    process, report = world.restore(image, name="last")
    expect_service(port, wanted, count, deadline, process)
    scenario.end(process, report["pid"])


if __name__ == "__main__":
    scenario.run("jdk", test, 280, jdk={"required": True},
                 java={"action": "append", "default": []},
                 jhsdb={"action": "store_true"})
