#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three clones of one JVM service at once in one hardened container under a seccomp profile that
answers as Docker's does: only one of them can have the pids of the image. All serve, the JDK's tools
reach each of them, and one of them is checkpointed and restored again."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import json

from container import ASK, Containers, mount_jdk
from jdk import SOURCE
from thumptest import containers as engine
from thumptest import java, scenario
from thumptest.events import Failure

CLONES = 3
COMMS = "import json, os, sys; task = f'/proc/{sys.argv[1]}/task/'; " \
        "print(json.dumps({tid: open(task + tid + '/comm').read().strip() " \
        "for tid in os.listdir(task)}))"


class Clone:
    def __init__(self, clones, container, process, port):
        self.clones, self.container, self.process, self.port = clones, container, process, port
        self.report = process.json()
        if not self.report.get("pid"):
            raise Failure(f"{process.name}: {self.report}\n{process.stderr_text()}")
        self.pid = self.report["pid"]

    def execute(self, *words):
        return self.clones.containers.execute(self.container, *words)

    def use(self):
        """It serves, and the JDK's tools find it and its threads."""
        self.execute("python3", "-c", ASK, str(self.port), "/search?q=red+steel+lamp&limit=20")
        self.execute(self.clones.home / "bin" / "jcmd", str(self.pid), "GC.run")
        stacks = self.execute(self.clones.home / "bin" / "jstack", str(self.pid))
        comms = json.loads(self.execute("python3", "-c", COMMS, str(self.pid)))
        java.expect_tids(stacks, {int(tid): comm for tid, comm in comms.items()},
                         ("VM Thread", "HTTP-Dispatcher"))

    def end(self):
        self.execute("python3", "-c", f"import os; os.kill({self.pid}, 15)")
        if self.process.status() != 128 + 15:
            raise Failure(f"{self.process.name} ended with {self.process.status()}\n"
                          f"{self.process.stderr_text()}")


class Clones:
    def __init__(self, world, options):
        self.world = world
        self.containers = Containers(world, options)
        self.home = java.find_jdk(options.jdk)
        classes = world.path("classes")
        world.run([self.home / "bin" / "javac", "--release", "11", "-d", classes, SOURCE], "javac")
        mount_jdk(self.containers, self.home)
        self.containers.mounts.append((classes, "/classes", "ro"))

    def make_image(self):
        """The port that the service in it listens on."""
        name, process = self.containers.start(
            "/thump", "run", "--json", "--image", "/volume/image", "--", self.home / "bin" / "java",
            # Else a compiler thread may end between jstack's list and the kernel's.
            "-XX:-UseDynamicNumberOfCompilerThreads",
            "-Dsun.net.httpserver.nodelay=true", "-XX:TieredStopAtLevel=1", "-cp", "/classes",
            "CatalogService", 0)
        pid = process.json()["pid"]
        line = process.line("'ready'")
        if line is None or not line.startswith("ready "):
            raise Failure(f"the service said {line!r}\n{process.stderr_text()}")
        self.containers.execute(name, self.home / "bin" / "jstack", str(pid))
        self.checkpoint(name, pid, "image")
        if process.status() != 0:
            raise Failure(f"thump run: {process.status()}\n{process.stderr_text()}")
        return int(line.split()[1])

    def checkpoint(self, name, pid, image):
        # The container may end with the program, and take what was executed in it along.
        self.world.run([*engine.PODMAN, "exec", name, "/thump", "checkpoint", pid, "-o",
                        f"/volume/{image}", "--drain", "5s"], "checkpoint", statuses=None)
        if not (self.containers.volume / image).exists():
            raise Failure(f"checkpoint: {self.world.log('checkpoint').read_text()}")

    def restore(self, name, image, before, port):
        """Begins it."""
        return self.world.start([*engine.PODMAN, "exec", name, "/thump", "restore", "--json",
                                 "--port", f"{before}:{port}", f"/volume/{image}"],
                                f"clone-on-{port}")

    def run(self):
        port = self.make_image()
        name, _ = self.containers.start("python3", "-c",
                                        "import signal; print('up', flush=True); signal.pause()")
        self.world.processes[-1].expect_line("up")
        begun = [self.restore(name, "image", port, port + number) for number in range(CLONES)]
        clones = [Clone(self, name, process, port + number)
                  for number, process in enumerate(begun)]
        ways = [clone.report["way"] for clone in clones]
        if set(ways) - {"spin", "other"} or ways.count("other") < CLONES - 1:
            raise Failure(f"the pids were kept by {ways}")
        for clone in clones:
            clone.use()
        other = clones.pop(ways.index("other"))
        self.checkpoint(name, other.pid, "following")
        following = self.restore(name, "following", other.port, port + CLONES)
        clones.append(Clone(self, name, following, port + CLONES))
        for clone in clones:
            clone.use()
            clone.end()


def test(world, options):
    engine.need_tools()
    clones = Clones(world, options)
    try:
        clones.run()
    finally:
        clones.containers.remove()


if __name__ == "__main__":
    scenario.run("container_clones", test, 280, jdk={"type": int, "required": True},
                 seccomp={"default": "docker"})
