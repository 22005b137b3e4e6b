# SPDX-License-Identifier: Apache-2.0
"""JDKs, Maven's libraries and programs that `thump run` gives the agent."""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from thumptest import scenario
from thumptest.events import Failure, Skip

SOURCES = scenario.ROOT / "tests" / "jvm" / "java"
CRAC = "org.crac:crac:1.5.0"
AGENT = "libthump-jvm.so"
COMM_SIZE = 15


def jdk_homes():
    """Of all that are installed; THUMP_JDK_HOMES adds some, which need not have a compiler."""
    more = os.environ.get("THUMP_JDK_HOMES", "").split(":")
    return [*map(pathlib.Path, filter(None, more)),
            *(home for home in sorted(pathlib.Path("/usr/lib/jvm").glob("*"))
              if (home / "bin" / "javac").exists())]


def find_jdk(version):
    """The home of a JDK of this feature version."""
    for home in jdk_homes():
        release = home / "release"
        if release.exists() and \
                re.search(rf'^JAVA_VERSION="{version}[."]', release.read_text(), re.M):
            return home.resolve()
    raise Skip(f"no JDK {version} in /usr/lib/jvm or THUMP_JDK_HOMES")


def find_javac(home):
    """Its own, or that of JDK 17, whose classes run on all newer ones."""
    javac = home / "bin" / "javac"
    return javac if javac.exists() else find_jdk(17) / "bin" / "javac"


class Java:
    """Compiles the test programs with the real org.crac, and starts them as `thump run` does."""

    def __init__(self, world, options):
        self.world = world
        self.home = find_jdk(options.jdk)
        self.version = int(options.jdk)
        if not (options.libraries / "crac-1.5.0.jar").exists():
            raise Skip(f"{CRAC} could not be had from Maven Central")
        self.crac = self.own_copy(options.libraries / "crac-1.5.0.jar")
        self.api = self.own_copy(options.thump.parent / "thump.jar")
        self.path = f"{self.crac}:{self.api}"
        self.agent = world.thump_path.parent / AGENT
        if not self.agent.exists():
            self.agent = self.own_copy(options.thump.parent / AGENT)
        self.classes = world.path("classes")
        self.flags = ["-Xmx256m", "-Xshare:auto", *getattr(options, "java", [])]
        shutil.copytree(self._compiled(options.libraries), self.classes)

    def _compiled(self, libraries):
        """The test programs, compiled once for all tests of this JDK."""
        sources = sorted(SOURCES.glob("*.java"))
        digest = hashlib.sha256()
        for path in [*sources, self.api]:
            digest.update(path.read_bytes())
        shared = libraries / f"classes-{self.version}-{digest.hexdigest()[:16]}"
        if shared.exists():
            return shared
        own = pathlib.Path(tempfile.mkdtemp(dir=libraries))
        own.chmod(0o755)
        done = subprocess.run([find_javac(self.home), "-Xlint:all", "-Werror", "-d", own,
                               "-cp", self.path, *sources], check=False, capture_output=True,
                              text=True)
        if done.returncode:
            raise Failure(f"javac failed:\n{done.stderr}")
        try:
            own.rename(shared)
        except OSError:  # another test was faster
            shutil.rmtree(own)
        return shared

    def own_copy(self, path):
        """In the test's directory, where its user can reach it, and `thump` may be, too."""
        return pathlib.Path(shutil.copy(path, self.world.directory))

    def command(self, *words):
        """A java command with the test programs and org.crac on its class path."""
        return [self.home / "bin" / "java", *self.flags, "-cp", f"{self.classes}:{self.path}",
                *words]

    def start(self, image, *words, then=None, name="program", thump_words=(), **options):
        """Starts a program under `thump run`."""
        more = ["--then", then] if then else []
        return self.world.start([self.world.thump_path, "run", "--image", image, *more,
                                 *thump_words, "--", *self.command(*words)], name, **options)


def expect_end(process, status=0):
    """The program ends with this status; its output is in the failure if not."""
    output = process.out.rest(process.world.deadline, f"the end of {process.name}")
    ended = process.status()
    if ended != status:
        raise Failure(f"{process.name} ended with {ended}, expected {status}\n{output[-2000:]}\n"
                      f"{process.stderr_text()}")
    return output


def children_of(process):
    """The pids of what a process has started."""
    path = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(path, encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def child_of(process, world):
    """The pid of the program that `thump run` or `thump restore` has started."""
    children = children_of(process)
    if len(children) != 1:
        raise Failure(f"{process.name} has the children {children} in {world.directory}")
    return children[0]


def is_name_of(comm, name):
    """HotSpot gives its threads' names to the kernel, cut to fit; the first one keeps its own."""
    return comm in (name[:COMM_SIZE], f"{name[:7]}..{name[-6:]}") or \
        (name in ("main", "DestroyJavaVM") and comm == "java")


def expect_tids(stacks, comms, wanted):
    """jstack told the tid of each thread, the JVM's own included, as the kernel does: `comms` has
    their names by tid. The threads in `wanted` are among them."""
    threads = re.findall(r'^"(.*?)" .*\bnid=(0x[0-9a-f]+|\d+)', stacks, re.M)
    if set(wanted) - dict(threads).keys():
        raise Failure(f"jstack shows {threads}")
    for name, tid in threads:
        comm = comms.get(int(tid, 0))
        if comm is None:
            raise Failure(f"there is no thread {tid}, which is to be {name!r}")
        if not is_name_of(comm, name):
            raise Failure(f"thread {tid} is {comm!r}, not {name!r}")


def resident_bytes(pid):
    """VmRSS."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024


def maven(*words):
    """Runs mvn, from its cache first: offline it either has everything or fails at once."""
    for offline in (["-o"], []):
        done = subprocess.run(["mvn", "-q", "-B", *offline, *words], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", env={**os.environ, "MAVEN_OPTS": "-Xmx512m"})
        if done.returncode == 0:
            return True, done.stdout
    return False, done.stdout


def run(name, test, seconds, **more):
    """scenario.run with the options that Java needs."""
    scenario.run(name, test, seconds, jdk={"required": True},
                 libraries={"type": pathlib.Path, "required": True}, **more)
