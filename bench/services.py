# SPDX-License-Identifier: Apache-2.0
"""The applications of tests/apps: started, warmed by wrk, and saved while they run."""
import contextlib
import dataclasses
import re
import subprocess
import time

from measuring import limit, service

WARM_SECONDS = 20
# What hooks and clients make a service do around a checkpoint is run beforehand (`thump run --rehearse`).
REHEARSALS = 2
VISITS = 1000
CONNECTIONS = 8
HEAP = "-Xmx512m"


@dataclasses.dataclass
class App:
    words: tuple          # of the java command, in the folder where it was built
    factor: int           # how many times sooner than a plain start it is to answer
    path: str = "/greeting/thump"
    drain: bool = False   # it has no hooks that close its connections


JAR = ("-jar", "target/app.jar")
APPS = {
    "spring-web": App(JAR, 100),
    "petclinic": App(JAR, 200, "/owners/city6"),
    "quarkus": App(("-jar", "target/quarkus-app/quarkus-run.jar"), 50),
    "micronaut": App(("-cp", "target/app.jar:target/lib/*", "app.Application"), 50),
    "tomcat": App(JAR, 100, drain=True),
}


class Service:
    """One application on one JDK, and the image of it."""

    def __init__(self, bench, name, app, folder, jdk):
        self.bench, self.name, self.app, self.folder = bench, name, app, folder
        self.java = str(jdk / "bin" / "java")
        self.port = service.free_port()
        # As bench/stopwatch asks.
        self.request = f"GET {app.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self.image = bench.dir / "app.thump"

    def command(self, *flags):
        return [self.java, HEAP, f"-Dserver.port={self.port}", *flags, *self.app.words]

    def await_answer(self, process=None):
        with limit(f"the start of {self.name}"):
            while True:
                with contextlib.suppress(service.Failure, OSError):
                    with service.connect(self.port, process) as connection:
                        return service.ask(connection, self.request)
                if process and process.poll() is not None:
                    raise service.Failure(f"{self.name} ended with {process.returncode}")
                time.sleep(0.01)

    def visit(self):
        """Clients that come for one request each, as bench/stopwatch does. Code that was compiled
        when there were none of them would be thrown away at the first one, in a restored service
        as in any other."""
        for _ in range(VISITS):
            with service.connect(self.port) as connection:
                service.ask(connection, self.request)

    def load(self, seconds):
        """Requests answered in each second."""
        done = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s",
                               f"http://127.0.0.1:{self.port}{self.app.path}"],
                              check=True, text=True, capture_output=True)
        return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1))

    def rehearse(self, pid):
        for moment in ("before", "after"):
            subprocess.run([self.bench.thump, "hooks", moment, str(pid)], check=True,
                           stdout=subprocess.DEVNULL)
        self.await_answer()
        self.load(WARM_SECONDS // 2)
        self.visit()

    def checkpoint(self):
        """Warms it, saves it; returns what that told."""
        # Not to /dev/null: a restored program has the standard error of its restore instead.
        with open(self.bench.dir / "log", "wb") as log:
            launcher = subprocess.Popen([self.bench.thump, "run", "--", *self.command()],
                                        cwd=self.folder, stdout=subprocess.DEVNULL, stderr=log)
        try:
            self.await_answer(launcher)
            first = self.load(1)
            self.load(WARM_SECONDS // 2)
            self.visit()
            self.load(WARM_SECONDS // 2)
            pid = service.child_of(launcher.pid)
            for _ in range(REHEARSALS):
                self.rehearse(pid)
            rate = self.load(4)
            rss_kb = service.resident_kb(pid)
            with limit(f"the checkpoint of {self.name}"):
                report = service.checkpoint(self.bench.thump, pid, self.image,
                                            *(["--drain", "10s"] if self.app.drain else []))
                launcher.wait()
        finally:
            service.end(launcher)
        return {"rss_kb": rss_kb, "rate": rate, "first_rate": first,
                "image_bytes": report["image_bytes"], "times_ms": report["times_ms"]}
