#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""jcmd, jps, jstack, jstat and JMX from another process go on working on a restored JVM, whether or
not they were used on the original, with the file of its counters gone, and on two clones at once."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import re
import shutil
import subprocess

from thumptest import java
from thumptest.events import Failure, Skip, free_port


class Tools:
    """Of the JDK, run as the test's user."""

    def __init__(self, world, program):
        self.world, self.program = world, program

    def run(self, tool, *words):
        return self.world.run([self.program.home / "bin" / tool, *words], tool)[1]

    def expect(self, wanted, tool, *words):
        output = self.run(tool, *words)
        if wanted not in output:
            raise Failure(f"{tool} {words}: no {wanted!r} in {output[-2000:]}")

    def expect_all(self, pid, clone, has_counters):
        """All of them see this very process."""
        self.expect(f"clone={clone}\n", "jcmd", pid, "VM.system_properties")
        self.expect("Managed.main", "jstack", pid)
        if has_counters:
            self.expect(f"{pid} Managed\n", "jps")
            self.expect("FGC", "jstat", "-gcutil", pid)
            self.expect("-Xmx256m", "jcmd", pid, "PerfCounter.print")

    def expect_jmx(self, port, clone):
        url = f"service:jmx:rmi:///jndi/rmi://127.0.0.1:{port}/jmxrmi"
        output = self.world.run(self.program.command("Managed", url), "client")[1]
        if output.strip() != clone:
            raise Failure(f"JMX: {output}")


def counters_of(pid):
    """(path, inode) of the mapped file of counters, or None."""
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    found = re.search(r"^\S+ \S+ \S+ \S+ (\d+)\s+(/tmp/hsperfdata_\S+)", maps, re.M)
    return (pathlib.Path(found.group(2)), found.group(1)) if found else None


def restore(world, image, clone, prefix=(), stdin=subprocess.PIPE):
    process = world.start([*prefix, world.thump_path, "restore", image, "--json", "--",
                           f"-Dclone={clone}"], f"clone-{clone}", stdin=stdin)
    report = process.json()
    if not report.get("pid"):
        raise Failure(f"{report}\n{process.stderr_text()}")
    return process, report["pid"]


def end(process):
    process.popen.stdin.close()
    process.popen.stdin = None
    java.expect_end(process)


def own_tmp(world):
    """A command that gives another one a /tmp of its own, as a container has."""
    prefix = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /tmp && exec "$@"', "sh"]
    if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        raise Skip("no mounts can be made here")
    return prefix


def expect_clones(world, image, tools, counters):
    """Two at once: each has its own counters, and leaves those of the other alone when it ends;
    with a /tmp of its own each is reached by every tool."""
    has_counters = counters is not None
    first, first_pid = restore(world, image, "1")
    second, second_pid = restore(world, image, "2")
    if has_counters and counters_of(first_pid)[1] == counters_of(second_pid)[1]:
        raise Failure("two clones have their counters in common")
    end(second)
    second, second_pid = restore(world, image, "2", prefix=own_tmp(world))
    for pid, clone in ((first_pid, "1"), (second_pid, "2"), (first_pid, "1")):
        tools.expect_all(pid, clone, has_counters)
    end(first)
    end(second)
    if has_counters and counters.exists():
        raise Failure(f"{counters} is left behind")


def test(world, options):
    # Where a clone with another /tmp can reach it, too.
    world.thump_path = pathlib.Path(shutil.copy(world.thump_path, world.directory))
    program = java.Java(world, options)
    tools = Tools(world, program)
    port = free_port()
    if options.jmx:
        jmx = "-Dcom.sun.management.jmxremote"
        program.flags += [f"{jmx}.port={port}", f"{jmx}.rmi.port={port}", f"{jmx}.ssl=false",
                          f"{jmx}.authenticate=false", f"{jmx}.host=127.0.0.1",
                          "-Djava.rmi.server.hostname=127.0.0.1"]
    image = world.path("image")
    run = program.start(image, "-Dclone=no", "Managed", stdin=subprocess.PIPE)
    run.expect_line("ready")
    pid = java.child_of(run, world)
    counters = counters_of(pid)
    if options.before:
        tools.expect_all(pid, "no", counters is not None)
    if options.jmx:
        program.flags = [flag for flag in program.flags if "jmxremote" not in flag]
        tools.expect_jmx(port, "no")
    world.checkpoint(pid, image)
    java.expect_end(run)
    if counters:
        counters[0].unlink(missing_ok=True)

    if options.clones:
        expect_clones(world, image, tools, counters and counters[0])
        return
    process, pid = restore(world, image, "yes")
    tools.expect_all(pid, "yes", counters is not None)
    if options.jmx:
        tools.expect_jmx(port, "yes")
    following = world.path("following")
    world.checkpoint(pid, following)
    java.expect_end(process)
    process, pid = restore(world, following, "again")
    tools.expect_all(pid, "again", counters is not None)
    if options.jmx:
        tools.expect_jmx(port, "again")
    end(process)


if __name__ == "__main__":
    java.run("tools", test, 110, java={"action": "append", "default": []},
             before={"action": "store_true"}, jmx={"action": "store_true"},
             clones={"action": "store_true"})
