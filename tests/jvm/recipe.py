#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The recipe for containers of docs/jvm.md, as it stands there: its Dockerfile is built, which makes
the image of a Spring Boot service as root, and its Kubernetes manifest is played: three hardened
containers at once, in which an ordinary user restores it. By podman, without any network."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import json
import os
import re
import shutil
import subprocess

from thumptest import containers, java, scenario, web
from thumptest.events import Failure, Skip, poll_until

DOCUMENT = scenario.ROOT / "docs" / "jvm.md"
REPLICAS = 3
OWNERS = [f"owner{number}" for number in range(6, 200, 10)]
# What a JRE has not, and a JDK may.
NOT_IN_JRE = ("jmods", "src.zip", "demo", "man", "legal")


def block(first_line):
    """An example of the document, found by how it begins."""
    found = re.search(rf"^    {re.escape(first_line)}.*\n(?:(?:    .*)?\n)*", DOCUMENT.read_text(),
                      re.M)
    if not found:
        raise Failure(f"there is no example in {DOCUMENT} that begins with {first_line!r}")
    return re.sub(r"^    ", "", found.group(), flags=re.M).rstrip() + "\n"


class Recipe:
    """A container engine with a store of its own, so that it finds nothing but what is made here;
    the base, which never changes, stays there for other runs."""

    def __init__(self, world, options):
        self.world = world
        self.jdk = options.jdk
        self.build_directory = options.thump.resolve().parent
        self.app = options.libraries / "petclinic" / "target" / "app.jar"
        if not self.app.exists():
            raise Skip("petclinic could not be built with mvn")
        self.podman = [*containers.PODMAN, "--root", f"{containers.CACHE}/images",
                       "--runroot", f"{containers.CACHE}/run"]
        self.environment = {**os.environ, "CONTAINERS_CONF": str(self._settings(options.seccomp))}
        self.manifest = block("apiVersion: apps/v1")
        self.tag = re.search(r"image: (\S+)", self.manifest).group(1)
        self.played = []

    def _settings(self, seccomp):
        """Limits that every machine permits, and other ones than thump itself has."""
        lines = ["[containers]", 'default_ulimits = ["nofile=4096:4096", "nproc=1000:1000"]']
        if seccomp == "docker":
            lines.append(f'seccomp_profile = "{containers.docker_profile()}"')
        path = self.world.path("containers.conf")
        path.write_text("\n".join(lines) + "\n")
        return path

    def run(self, *words, statuses=(0,)):
        """Status and output of the engine."""
        return self.world.run([*self.podman, *words], f"podman-{words[0]}", statuses,
                              env=self.environment)

    def make_base(self):
        """Stands for the official image of that name: Debian with curl and a JDK."""
        tag = f"docker.io/library/eclipse-temurin:{self.jdk}-jre"
        if self.run("image", "exists", tag, statuses=(0, 1))[0] == 0:
            return
        context = self.world.path("base")
        shutil.copytree(java.find_jdk(self.jdk), context / "jdk", ignore_dangling_symlinks=True,
                        ignore=shutil.ignore_patterns(*NOT_IN_JRE))
        (context / "Dockerfile").write_text(
            "FROM scratch\n"
            "COPY --from=debian / /\n"
            "COPY jdk /opt/java/openjdk\n"
            "ENV JAVA_HOME=/opt/java/openjdk\n"
            "ENV PATH=/opt/java/openjdk/bin:/usr/local/bin:/usr/bin:/bin\n")
        self.run("build", "--network", "none", "--tag", tag, "--build-context",
                 f"debian={containers.debian_root(self.world)}", context)

    def build(self):
        """What the document tells to do."""
        context = self.world.path("context")
        self.world.run(["cmake", "--install", self.build_directory, "--prefix", "/usr/local"],
                       "install", env={**os.environ, "DESTDIR": str(context / "thump")})
        (context / "Dockerfile").write_text(block("ARG JAVA="))
        (context / "warm-up.sh").write_text(block("#!/bin/sh"))
        (context / "warm-up.sh").chmod(0o755)
        shutil.copy(self.app, context / "app.jar")
        self.run("build", "--network", "none", "--pull=never", "--build-arg", f"JAVA={self.jdk}",
                 "--tag", self.tag, context)

    def play(self):
        """Each replica as a deployment of its own: newer podmans make only one of each."""
        manifest = self._replaced(self.manifest, rf"replicas: {REPLICAS}\n", "replicas: 1\n")
        for number in range(REPLICAS):
            text = self._replaced(manifest, r"\n  name: app\n", f"\n  name: app-{number}\n")
            # Kubernetes gives each pod an empty directory of its own, podman a volume of that name.
            path = self.world.path(f"app-{number}.yaml")
            path.write_text(re.sub(r"name: tmp\b", f"name: tmp-{number}", text))
            self.played.append(path)
            self.run("play", "kube", "--network", "none", path)
        names = self.run("ps", "--filter", f"ancestor={self.tag}", "--format", "{{.Names}}")[1]
        if len(names.split()) != REPLICAS:
            raise Failure(f"these containers run: {names}")
        return names.split()

    @staticmethod
    def _replaced(text, pattern, replacement):
        text, count = re.subn(pattern, replacement, text)
        if count != 1:
            raise Failure(f"the manifest has {count} times {pattern!r}")
        return text

    def inside(self, name, *words, statuses=(0,)):
        return self.run("exec", name, *words, statuses=statuses)[1]

    def expect_answers(self, name):
        """The service is ready where the manifest has the probe ask, and then right at once."""
        path, port = re.search(r"path: (\S+), port: (\d+)", self.manifest).groups()
        prefix = [*self.podman, "exec", name]
        poll_until(self.world.deadline, f"{name} to be ready",
                   lambda: web.ask_inside(prefix, f"http://127.0.0.1:{port}{path}"), pause=0.1)
        answer = web.ask_inside(prefix, f"http://127.0.0.1:{port}/owners/city6")
        if [owner["name"] for owner in json.loads(answer)] != OWNERS:
            raise Failure(f"{name} answers {answer}")

    def expect_restored(self, name):
        """And not started, nor with complaints; the same process as everywhere else."""
        log = subprocess.run([*self.podman, "logs", name], check=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True).stdout
        if "thump run:" in log or "Started Application" in log or "Exception" in log:
            raise Failure(f"{name} was not just restored:\n{log}")
        return self.inside(name, "cat", "/proc/1/task/1/children").strip()

    def expect_hardened(self, name, pid):
        """What the manifest says holds for the restored process, too."""
        status = self.inside(name, "cat", f"/proc/{pid}/status")
        for line in (r"Uid:\s+1000\s+1000\s+1000\s+1000", r"CapPrm:\s+0+", r"CapBnd:\s+0+",
                     r"NoNewPrivs:\s+1", r"Seccomp:\s+2"):
            if not re.search(rf"^{line}$", status, re.M):
                raise Failure(f"{name}: no {line} in\n{status}")
        self.inside(name, "test", "-w", "/app", statuses=(1,))
        self.inside(name, "test", "-w", "/tmp")

    def remove(self):
        for path in self.played:
            subprocess.run([*self.podman, "play", "kube", "--down", path], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for words in (("volume", "prune", "--force"), ("rmi", "--force", self.tag),
                      ("image", "prune", "--force")):
            subprocess.run([*self.podman, *words], check=False, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)


def test(world, options):
    containers.need_tools()
    recipe = Recipe(world, options)
    try:
        recipe.make_base()
        recipe.build()
        names = recipe.play()
        for name in names:
            recipe.expect_answers(name)
        pids = {recipe.expect_restored(name) for name in names}
        if len(pids) != 1:
            raise Failure(f"the clones have different pids: {pids}")
        for name in names:
            recipe.expect_hardened(name, *pids)
    finally:
        recipe.remove()


if __name__ == "__main__":
    java.run("recipe", test, 580,
             seccomp={"choices": ("default", "docker"), "required": True})
