#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A web service with state (python3 or node) goes through checkpoints, restores and load."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import scenario, web
from thumptest.events import Failure

PROGRAMS = {"python3": ("/usr/bin/python3", "shelf.py"), "node": ("node", "shelf.js")}
ITEMS = {f"/item-{i}": bytes(f"value {i} " * (i % 50 + 1), "ascii") for i in range(200)}
REQUESTS = 100


def expect_items(port, count, deadline, process):
    """Everything is on the shelf, and requests are counted on from where they were."""
    have = int(web.ask(port, "/", deadline=deadline, process=process))
    if have != count + 1:
        raise Failure(f"request number {have} instead of {count + 1}")
    for path, value in list(ITEMS.items())[::20]:
        if web.ask(port, path, deadline=deadline) != value:
            raise Failure(f"{path} has another value")
    web.put_under_load(port, "/item-7", ITEMS["/item-7"], deadline, REQUESTS)
    return int(web.ask(port, "/", deadline=deadline))


def test(world, options):
    deadline = world.deadline
    interpreter, script = PROGRAMS[options.program]
    process = world.start([interpreter, world.reachable(scenario.APPS / script)], "original")
    ready = process.line("'ready'")
    if ready is None:
        raise Failure(f"{options.program} did not start: {process.stderr_text()}")
    port = int(ready.split()[1])
    for path, value in ITEMS.items():
        web.ask(port, path, "PUT", value, deadline=deadline)
    count = expect_items(port, 0, deadline, process)

    image = world.path("image-0")
    scenario.checkpoint_quiet(world, process.pid, image)
    process.status()
    for number, memory in enumerate(("eager", "lazy-unsafe", "eager"), 1):
        process, report = world.restore(image, "--memory", memory, name=f"restore-{number}")
        count = expect_items(port, count, deadline, process)
        image = world.path(f"image-{number}")
        scenario.checkpoint_quiet(world, report["pid"], image)
        process.status()
    process, report = world.restore(image, name="last")
    expect_items(port, count, deadline, process)
    scenario.end(process, report["pid"])


if __name__ == "__main__":
    scenario.run("web_service", test, 100, program={"choices": PROGRAMS, "required": True})
