# SPDX-License-Identifier: Apache-2.0
"""One test's world: who runs the programs, where they work, and that nothing outlives the test."""
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from thumptest.events import Deadline, Failure, LineReader, Skip

USER_ID = 12345
AS_USER = ["setpriv", "--reuid", str(USER_ID), "--regid", str(USER_ID), "--clear-groups",
           "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
PR_SET_CHILD_SUBREAPER = 36
JSON_OBJECT = re.compile(rb'\{\n  ".*?\n\}\n', re.DOTALL)


class Process:
    """A program that we started: its output, its end."""

    def __init__(self, world, argv, name, **options):
        self.world, self.name = world, name
        self.stderr_path = world.log(name)
        with open(self.stderr_path, "ab") as stderr:
            options.setdefault("stdin", subprocess.DEVNULL)
            options.setdefault("stdout", subprocess.PIPE)
            options.setdefault("stderr", stderr)
            options.setdefault("cwd", world.directory)
            self.popen = subprocess.Popen(argv, **options)
        self.pid = self.popen.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.out = LineReader(self.popen.stdout.fileno()) if self.popen.stdout else None

    def has_ended(self):
        return self.popen.poll() is not None

    def status(self):
        """The exit status, waited for; minus the signal that ended it."""
        if not self.has_ended():
            self.world.deadline.wait_readable([self.pidfd], f"the end of {self.name}")
        return self.popen.wait()

    def stderr_text(self):
        return self.stderr_path.read_text(errors="replace").strip()

    def line(self, what):
        return self.out.line(self.world.deadline, f"{what} of {self.name}")

    def expect_line(self, wanted):
        line = self.line(f"'{wanted}'")
        if line != wanted:
            raise Failure(f"{self.name} said {line!r} instead of {wanted!r}; status "
                          f"{self.status() if line is None else '-'}\n{self.stderr_text()}")

    def json(self):
        """The one JSON object that thump says, with one call, once the program runs; what that writes
        before it, be it half a line, is there to be read afterwards."""
        text = self.out.block(JSON_OBJECT, self.world.deadline, f"JSON of {self.name}")
        if text is None:
            raise Failure(f"{self.name} ended with {self.status()} and no JSON: "
                          f"{self.out.pending.decode(errors='replace')}\n{self.stderr_text()}")
        return json.loads(text)

    def close(self):
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
        for stream in (self.popen.stdout, self.popen.stdin):
            if stream:
                stream.close()


class World:
    """Use with `with`: on leaving, every descendant is ended (by pid) and the directory removed."""

    def __init__(self, name, user, thump, seconds):
        self.name, self.user = name, user
        self.deadline = Deadline(seconds)
        self.processes = []
        self.directory = None
        self.thump_path = pathlib.Path(thump).resolve()
        if user == "root" and os.getuid() != 0:
            raise Skip("needs root")

    def __enter__(self):
        # What is orphaned becomes our child, so that nothing escapes the clean-up.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.directory = self._make_directory()
        self.thump_path = self.reachable(self.thump_path)
        return self

    def __exit__(self, kind, value, traceback):
        self.end_all()
        if kind is not None and os.environ.get("THUMP_TEST_KEEP"):
            print(f"kept: {self.directory}", file=sys.stderr)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)
        return False

    def _bases(self):
        """Where to work, best first: what lies under the temporary directories is no good, because
        thump carries such files in the image."""
        if "THUMP_TEST_DIR" in os.environ:
            yield pathlib.Path(os.environ["THUMP_TEST_DIR"]).resolve()
        yield self.thump_path.parent / "t"
        yield pathlib.Path("/var/lib/thump-test")
        yield pathlib.Path.home() / ".cache" / "thump-test"

    def _make_directory(self):
        for base in self._bases():
            if str(base).startswith(("/tmp/", "/var/tmp/", "/dev/shm/")):
                continue
            try:
                base.mkdir(mode=0o755, parents=True, exist_ok=True)
                directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}.", dir=base))
            except OSError:
                continue
            if not self.can_reach(base):
                directory.rmdir()
                continue
            if self.changes_user():
                os.chown(directory, USER_ID, USER_ID)
            return directory
        raise Skip("no directory outside of the temporary ones that the test's user can reach; "
                   "set THUMP_TEST_DIR")

    def changes_user(self):
        return self.user == "user" and os.getuid() == 0

    @staticmethod
    def can_reach(path):
        """Whether an ordinary user may go there: root's tests have some of their programs run by
        one, too."""
        prefix = AS_USER if os.getuid() == 0 else []
        return subprocess.run([*prefix, "test", "-x", str(path)], check=False).returncode == 0

    def reachable(self, path):
        """`path`, or a copy of that file which an ordinary user can run and read: the tree may lie
        where only root comes."""
        path = pathlib.Path(path).resolve()
        if self.can_reach(path):
            return path
        copy = self.directory / path.name
        shutil.copy(path, copy)
        copy.chmod(0o755)
        return copy

    def prefix(self):
        return AS_USER if self.changes_user() else []

    def path(self, name):
        return self.directory / name

    def log(self, name):
        return pathlib.Path(self.directory / f"{name}.stderr")

    def start(self, argv, name, as_user=True, **options):
        prefix = self.prefix() if as_user else []
        process = Process(self, [*prefix, *map(str, argv)], name, **options)
        self.processes.append(process)
        return process

    def forget(self, process):
        """Of a test with very many: one that has ended needs no descriptors any more."""
        process.close()
        self.processes.remove(process)

    def run(self, argv, name, statuses=(0,), **options):
        """Runs to the end; returns (status, output)."""
        process = self.start(argv, name, **options)
        output = process.out.rest(self.deadline, f"the output of {name}") if process.out else ""
        status = process.status()
        if statuses is not None and status not in statuses:
            raise Failure(f"{' '.join(map(str, argv))}: status {status}, expected {statuses}\n"
                          f"{process.stderr_text()}\n{output}")
        return status, output

    def forget_ended(self):
        """For tests that start thousands: gives up the descriptors of what has ended."""
        for process in [each for each in self.processes if each.has_ended()]:
            process.close()
            self.processes.remove(process)

    # ---- thump's verbs ------------------------------------------------------------------

    def thump(self, *words, name=None, statuses=(0,), **options):
        return self.run([self.thump_path, *words], name or f"thump-{words[0]}", statuses, **options)

    def thump_json(self, *words, statuses=(0,), **options):
        status, output = self.thump(*words, "--json", statuses=statuses, **options)
        try:
            return status, json.loads(output)
        except ValueError:
            raise Failure(f"thump {' '.join(map(str, words))} --json said: {output!r}") from None

    def checkpoint(self, pid, image, *options):
        """An image of a process, which ends unless told otherwise."""
        report = self.thump_json("checkpoint", pid, "-o", image, *options)[1]
        if not os.path.exists(image):
            raise Failure(f"checkpoint succeeded without an image: {report}")
        mode = os.stat(image).st_mode & 0o777
        if mode != 0o400 and "--mode" not in options:
            raise Failure(f"the image has mode {mode:o}")
        return report

    def dry_run(self, pid, statuses=(0,)):
        return self.thump_json("checkpoint", pid, "--dry-run", statuses=statuses)[1]

    def restore(self, image, *options, name="restore", **popen_options):
        """Restores in the foreground; returns the process of thump and its report, which comes as
        soon as the program runs. `report["pid"]` is the program as we see it."""
        return self.restore_many(image, [name], *options, **popen_options)[0]

    def restore_many(self, image, names, *options, **popen_options):
        """The same for several that are all started before the first of them has reported."""
        processes = [self.start([self.thump_path, "restore", image, "--json", *options], name,
                                **popen_options) for name in names]
        return [(process, self.report(process)) for process in processes]

    def template(self, image, *options, statuses=(0,)):
        """Starts a template of an image; its name is that of the file."""
        # Where templates are found, also by what is started later.
        os.environ["XDG_RUNTIME_DIR"] = str(self.directory)
        return self.thump_json("template", "start", image, *options, statuses=statuses)[1]

    def spawn(self, source, *options, name="spawn", **popen_options):
        """A clone of a template, as restore() does it."""
        process, report = self.spawn_many(source, [name], *options, **popen_options)[0]
        if not report["cloned"]:
            raise Failure(f"{name} was restored: {process.stderr_text()}")
        return process, report

    def spawn_many(self, source, names, *options, **popen_options):
        """The same for several that are all on their way before the first has reported; they may
        have been restored."""
        processes = [self.start([self.thump_path, "spawn", source, "--json", *options], name,
                                **popen_options) for name in names]
        return [(process, self.report(process)) for process in processes]

    def report(self, process):
        """What a restore or spawn says of the program that runs."""
        report = process.json()
        if not report.get("pid"):
            raise Failure(f"restore: status {process.status()}: {json.dumps(report)}\n"
                          f"{process.stderr_text()}")
        return report

    # ---- the end ------------------------------------------------------------------------

    def descendants(self):
        """Processes whose chain of parents leads to us."""
        parents = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat", "rb") as file:
                        text = file.read()
                    parents[int(name)] = int(text[text.rindex(b")") + 2:].split()[1])
                except (FileNotFoundError, ProcessLookupError):
                    pass
        ours, found = {os.getpid()}, []
        grown = True
        while grown:
            grown = False
            for pid, parent in parents.items():
                if parent in ours and pid not in ours:
                    ours.add(pid)
                    found.append(pid)
                    grown = True
        return found

    def reap_orphans(self):
        """As an init does: a pid namespace ends only when all that ran in it is reaped, and the parent
        of a clone may have been killed."""
        ours = {process.pid for process in self.processes}
        for pid in self.descendants():
            if pid not in ours:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass  # somebody else's

    def end_all(self):
        for process in self.processes:
            process.close()
        for _ in range(100):
            pids = self.descendants()
            if not pids:
                break
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self._reap()
        for process in self.processes:
            process.popen.poll()

    def _reap(self):
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return


def evict(path):
    """As if the machine had been started anew: the file is no longer in memory (posix_fadvise(2))."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main(run, *arguments):
    """Runs a test function; exit status 0, 1, or 77 with the reason as the last line."""
    def out_of_time(_signo, _frame):
        raise Failure("out of time")
    signal.signal(signal.SIGALRM, out_of_time)
    # A session of its own: when a process group has no parent in its session, the kernel sends
    # SIGHUP to all of it as soon as one member ends while another is stopped (POSIX, _exit). In a
    # group shared with other tests, that stopped the whole run.
    if os.getpid() != os.getpgrp():
        os.setsid()
    try:
        run(*arguments)
    except Skip as skip:
        print(f"skipped: {skip}")
        sys.exit(77)
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
