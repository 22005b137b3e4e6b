#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clones of a template of a JVM with the agent, which serves HTTP: all at once, each on a port of its
own, with its hooks run and the pages that it does not write to shared."""
import pathlib
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import java, scenario, web
from thumptest.events import Failure, free_port

SOURCE = scenario.ROOT / "examples" / "jdk-httpserver" / "CatalogService.java"
QUERY = "/search?q=red+steel+lamp&limit=20"
REQUESTS = 50
CLONES = 3


def kilobytes(pid, what):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{what}:"))


def start(world, program):
    classes = world.path("service")
    world.run([program.home / "bin" / "javac", "--release", "11", "-d", classes,
               world.reachable(SOURCE)], "javac")
    process = world.start([world.thump_path, "run", "--image", world.path("image"), "--",
                           *program.command("-cp", classes, "CatalogService", 0, 2000, 64)],
                          "service")
    ready = process.line("'ready'")
    if ready is None:
        raise Failure(f"java did not start: {process.stderr_text()}")
    return process, int(ready.split()[1])


def expect_clones(world, image, port, wanted):
    ports = [free_port() for _ in range(CLONES)]
    clones = [world.start([world.thump_path, "spawn", image, "--json", "--port", f"{port}:{one}"],
                          f"clone-{one}") for one in ports]
    reports = [clone.json() for clone in clones]
    if not all(report["cloned"] and report["memory"] == "lazy" for report in reports):
        raise Failure(f"{reports}: {[clone.stderr_text() for clone in clones]}")
    shares = []
    for clone, one, report in zip(clones, ports, reports):
        web.ask(one, QUERY, deadline=world.deadline, process=clone)
        shares.append(kilobytes(report["pid"], "Pss"))
    for clone, one in zip(clones, ports):
        web.put_under_load(one, QUERY, wanted, world.deadline, REQUESTS)
        if web.ask(one, QUERY, deadline=world.deadline, process=clone) != wanted:
            raise Failure(f"{clone.name} answers otherwise")
    return clones, [report["pid"] for report in reports], shares


def expect_listed(world, image, pids):
    """thump ps tells what each clone shares, and has alone."""
    listed = {each["pid"]: each for each in world.thump_json("ps", image)[1]["processes"]
              if each["how"] == "spawn"}
    if set(listed) != set(pids):
        raise Failure(f"{pids} run, listed are {listed}")
    for each in listed.values():
        if not 0 < each["private_bytes"] < each["pss_bytes"] < each["rss_bytes"]:
            raise Failure(f"the memory of {each}")


def test(world, options):
    program = java.Java(world, options)
    image = world.path("image")
    process, port = start(world, program)
    wanted = web.ask(port, QUERY, deadline=world.deadline)
    web.put_under_load(port, QUERY, wanted, world.deadline, REQUESTS)
    pid = java.child_of(process, world)
    whole = kilobytes(pid, "Rss")
    scenario.checkpoint_quiet(world, pid, image)
    process.status()

    world.template(image)
    clones, pids, shares = expect_clones(world, image, port, wanted)
    # Of the principle: the first answer has written to few pages.
    print(f"of {whole} KiB the clones have {shares} of their own after the first answer")
    if max(shares) > whole / 2:
        raise Failure(f"clones of a process of {whole} KiB have {shares} each")
    expect_listed(world, image, pids)
    for clone, one in zip(clones, pids):
        scenario.end(clone, one)
    world.thump("template", "stop", image.name)


if __name__ == "__main__":
    java.run("template", test, 150)
