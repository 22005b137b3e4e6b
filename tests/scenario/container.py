#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""In a hardened container: an ordinary user without capabilities, no new privileges, a read-only
root. A program is checkpointed in one container and restored in fresh ones, where it and thump are
all there is; also under a seccomp profile that answers as Docker's does."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import re
import shutil
import subprocess

from jdk import SOURCE
from thumptest import containers as engine
from thumptest import scenario
from thumptest.events import Failure, Skip, poll_until
from thumptest.java import AGENT, find_jdk
from thumptest.workload import wait_ready

HARDENED = ["--user", "1000", "--cap-drop=all", "--security-opt=no-new-privileges", "--read-only",
            "--ulimit", "nofile=1024:20000", "--ulimit", "nproc=1000:1000", "--network=none"]
ASK = "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(" \
      "'http://127.0.0.1:' + sys.argv[1] + sys.argv[2]).read().decode())"


class Containers:
    """Runs thump in containers of one test; they are removed in the end."""

    def __init__(self, world, options):
        self.world, self.names = world, []
        self.root = engine.debian_root(world)
        self.volume = world.path("volume")
        self.volume.mkdir()
        self.volume.chmod(0o777)
        # The agent lies beside thump, as it is installed. podman makes places to mount on in the
        # root that all these tests share: one that is not mounted on is found as an empty file.
        self.mounts = [(self.volume, "/volume", "rw"), (world.thump_path, "/thump", "ro"),
                       (world.reachable(options.thump.parent / AGENT), f"/{AGENT}",
                        "ro")]
        self.security = []
        if options.seccomp == "docker":
            self.security = [f"--security-opt=seccomp={engine.docker_profile()}"]

    def start(self, *command):
        """A fresh container with thump as its first process."""
        name = f"thump-test-{os.getpid()}-{len(self.names)}"
        self.names.append(name)
        mounts = [word for source, target, mode in self.mounts
                  for word in ("--volume", f"{source}:{target}:{mode}")]
        return name, self.world.start([*engine.PODMAN, "run", "--rm", "--name", name, *HARDENED,
                                       *self.security, *mounts, "--rootfs", self.root, *command],
                                      name)

    def execute(self, name, *command):
        return self.world.run([*engine.PODMAN, "exec", name, *command],
                              f"exec-{len(self.names)}")[1]

    def kill(self, name, signal):
        self.world.run([*engine.PODMAN, "kill", "--signal", signal, name], "podman-kill")

    def remove(self):
        for name in self.names:
            subprocess.run([*engine.PODMAN, "rm", "--force", "--ignore", name], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Workload:
    """A C program that verifies itself."""

    def __init__(self, containers, options):
        containers.mounts.append((options.workload.resolve(), "/workload", "ro"))
        self.command = ["/workload"]

    def begin(self, process):
        wait_ready(process)

    def use(self, containers, name):
        pass

    def end(self, containers, name, process):
        containers.kill(name, "USR2")
        status = process.status()
        if status != 0:
            raise Failure(f"the workload ended with {status}\n{process.stderr_text()}")


def mount_programs_of_this_machine(containers, *names):
    """Those that the containers' own root has not: everything that is installed here."""
    for name in names:
        if shutil.which(name, path="/usr/local/bin:/usr/bin") is None:
            raise Skip(f"{name} is not installed")
    containers.mounts.append(("/usr", "/usr", "ro"))


def mount_jdk(containers, home):
    containers.mounts.append((home, str(home), "ro"))
    # Debian's has its configuration elsewhere.
    for path in {link.resolve().parent for link in (home / "conf").rglob("*") if link.is_symlink()}:
        if not path.is_relative_to(home):
            containers.mounts.append((path, str(path), "ro"))


class Service:
    """A web service, asked from inside, where its loopback device is."""

    def __init__(self, containers, options):
        if options.program == "python3":
            containers.mounts.append((scenario.APPS, "/apps", "ro"))
            self.command, self.path = ["python3", "/apps/shelf.py"], "/"
        elif options.program == "node":
            mount_programs_of_this_machine(containers, "node")
            containers.mounts.append((scenario.APPS, "/apps", "ro"))
            self.command, self.path = ["node", "/apps/shelf.js"], "/"
        else:
            home = find_jdk(17 if options.program == "java17" else 25)
            classes = containers.world.path("classes")
            containers.world.run([home / "bin" / "javac", "--release", "11", "-d", classes, SOURCE],
                                 "javac")
            mount_jdk(containers, home)
            containers.mounts.append((classes, "/classes", "ro"))
            self.command = [home / "bin" / "java", "-Dsun.net.httpserver.nodelay=true",
                            "-XX:TieredStopAtLevel=1", "-cp", "/classes", "CatalogService", 0]
            self.path = "/health"
        self.port, self.count = None, 0

    def begin(self, process):
        line = process.line("'ready'")
        if line is None or not line.startswith("ready "):
            raise Failure(f"the service said {line!r}\n{process.stderr_text()}")
        self.port = line.split()[1]

    def use(self, containers, name):
        answer = containers.execute(name, "python3", "-c", ASK, self.port, self.path)
        count = int(re.search(r"\d+", answer).group())
        if count < self.count:
            raise Failure(f"the service counts {count} requests after {self.count}")
        self.count = count + 1

    def end(self, containers, name, process):
        self.use(containers, name)
        containers.kill(name, "TERM")
        process.status()


class Redis:
    """redis-server, whose content is compared by its own digest."""

    KEYS = 10_000

    def __init__(self, containers, options):
        mount_programs_of_this_machine(containers, "redis-server", "redis-cli")
        self.containers = containers
        self.command = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                        "--enable-debug-command", "yes"]
        self.digest = None

    def ask(self, name, *words):
        return self.containers.execute(name, "redis-cli", *words).strip()

    def begin(self, process):
        name, line = self.containers.names[-1], ""
        while "Ready to accept connections" not in line:
            line = process.line("its log")
            if line is None:
                raise Failure(f"redis-server ended\n{process.stderr_text()}")
        self.ask(name, "DEBUG", "POPULATE", self.KEYS, "key", 1000)
        self.digest = self.ask(name, "DEBUG", "DIGEST")

    def use(self, containers, name):
        keys, digest = self.ask(name, "DBSIZE"), self.ask(name, "DEBUG", "DIGEST")
        if keys != str(self.KEYS) or digest != self.digest:
            raise Failure(f"redis has {keys} keys with digest {digest}, not {self.digest}")

    def end(self, containers, name, process):
        self.use(containers, name)
        containers.kill(name, "TERM")
        process.status()


KINDS = {"c": Workload, "redis": Redis}


def checkpoint(containers, name, pid, image):
    """As soon as the connections of the last requests are closed."""
    def attempt():
        result = subprocess.run([*engine.PODMAN, "exec", name, "/thump", "checkpoint", str(pid),
                                 "-o", f"/volume/{image}"], check=False, capture_output=True,
                                text=True)
        # The container ends with its first process, and takes what was executed in it along.
        if result.returncode == 0 or (containers.volume / image).exists():
            return True
        if result.returncode != scenario.REFUSED or "TCP" not in result.stderr:
            raise Failure(f"checkpoint: status {result.returncode}\n{result.stderr}")
        return None
    poll_until(containers.world.deadline, "connections to be closed", attempt, pause=0.05)


def run_in(containers, program):
    name, process = containers.start("/thump", "run", "--json", "--", *program.command)
    pid = process.json()["pid"]
    program.begin(process)
    program.use(containers, name)
    checkpoint(containers, name, pid, "image-0")
    if process.status() != 0:
        raise Failure(f"thump run ended with {process.status()} after the checkpoint")
    for number in range(2):
        name, process = containers.start("/thump", "restore", f"/volume/image-{number}", "--json")
        report = process.json()
        if not report.get("pid"):
            raise Failure(f"restore: {report}\n{process.stderr_text()}")
        if containers.security and report["way"] != "spin":
            raise Failure(f"under this profile pids cannot be kept by {report['way']}")
        program.use(containers, name)
        if number == 0:
            # With way "namespace" the pid that thump's container sees is another one.
            checkpoint(containers, name, report["pid"], "image-1")
            process.status()
    program.end(containers, name, process)


def test(world, options):
    engine.need_tools()
    containers = Containers(world, options)
    try:
        kind = KINDS.get(options.program, Service)
        run_in(containers, kind(containers, options))
    finally:
        containers.remove()


if __name__ == "__main__":
    scenario.run("container", test, 300,
                 workload={"type": pathlib.Path, "required": True},
                 program={"choices": ("c", "python3", "node", "redis", "java17", "java"), "required": True},
                 seccomp={"choices": ("default", "docker"), "required": True})
