# SPDX-License-Identifier: Apache-2.0
"""What the programs that measure have in common."""
import contextlib
import ctypes
import json
import mmap
import os
import pathlib
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import service  # noqa: E402

# Far above what anything here takes on a slow machine: a bench that hangs says on what.
LIMIT_SECONDS = 120
# Of a file, when it has left memory.
MOST_LEFT = 0.01


@contextlib.contextmanager
def limit(what, seconds=LIMIT_SECONDS):
    """Ends what takes too long, naming it. Not nested."""
    def give_up(_signal, _frame):
        raise service.Failure(f"{what}: nothing for {seconds} s")
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Bench:
    """thump and the helpers of a build, and a directory for what they make."""

    def __init__(self, build, runs, directory):
        build = pathlib.Path(build).resolve()
        self.thump = str(build / "thump")
        self.helpers = build / "bench"
        self.runs = runs
        self.dir = directory

    def helper(self, name, *arguments, **options):
        command = [str(self.helpers / f"bench_{name}"), *map(str, arguments)]
        with limit(" ".join(command)):
            result = subprocess.run(command, text=True, stdout=subprocess.PIPE, **options)
        if result.returncode:
            raise service.Failure(f"{' '.join(command)} ended with status {result.returncode}")
        return result.stdout

    def limits(self, *arguments):
        return json.loads(self.helper("limits", *arguments))

    def stopwatch(self, *arguments, runs=None, **options):
        """Runs it several times; the last line of each run is its result."""
        return [json.loads(self.helper("stopwatch", *arguments, **options).splitlines()[-1])
                for _ in range(runs or self.runs)]

    @contextlib.contextmanager
    def restored(self, image, *options):
        """What one `thump restore --json` says; its program is ended at the end of the block."""
        process = subprocess.Popen([self.thump, "restore", str(image), "--json", *options],
                                   stdout=subprocess.PIPE)
        try:
            with limit(f"the report of the restore of {image}"):
                report = service.read_json(process.stdout.fileno())
            yield report
        finally:
            service.end(process)

    def restore_report(self, image, *options):
        with self.restored(image, *options) as report:
            return report


def summary(results):
    values = [result["us"] for result in results]
    return {"best_us": min(values), "median_us": statistics.median(values),
            "peak_kb": max(result["peak_kb"] for result in results), "runs": len(values)}


def full_collection(pid, log, seconds=LIMIT_SECONDS):
    """What it takes a JVM that was started with -Xlog:gc:file=LOG to make a full collection, with
    asking for it, and how long it says that it stood still."""
    start = time.monotonic()
    with limit("a full collection", seconds):
        subprocess.run(["jcmd", str(pid), "GC.run"], check=True, stdout=subprocess.DEVNULL)
    took = time.monotonic() - start
    pauses = re.findall(r"Pause Full.* ([0-9.]+)ms", log.read_text())
    return {"ms": took * 1e3, "pause_ms": float(pauses[-1])}


def machine():
    """What figures are worth nothing without; to be asked before anything is measured."""
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), "unknown")
    thp = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return {"cpu": cpu, "cpus": os.cpu_count(), "kernel": platform.release(), "uid": os.getuid(),
            "thp": thp.read_text().split("[")[1].split("]")[0] if thp.exists() else "none",
            "load": os.getloadavg()[0]}


def processor_ticks():
    """(all, taken by the host for others) since the start: the line "cpu" of proc_stat(5)."""
    with open("/proc/stat") as stat:
        ticks = [int(word) for word in stat.readline().split()[1:9]]
    return sum(ticks), ticks[7]


def stolen_percent(before):
    """How much of the processors a virtual machine's host gave to others. More than a few percent
    make every figure worthless, and nothing else shows it: the load stays low."""
    now = processor_ticks()
    return 100 * (now[1] - before[1]) / max(1, now[0] - before[0])


def say(what):
    """On stderr: the results are on stdout."""
    print(f"bench: {what}", file=sys.stderr, flush=True)


def resident_share(path):
    """How much of a file of ours is in memory: mincore(2). A page that is left over, as one in its middle now and
    then is, tells nothing of the rest."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as view:
        pages = ctypes.create_string_buffer(-(-len(view) // mmap.PAGESIZE))
        start = ctypes.c_char.from_buffer(view)
        failed = ctypes.CDLL(None, use_errno=True).mincore(ctypes.byref(start),
                                                           ctypes.c_size_t(len(view)), pages)
        del start  # the view cannot be closed before
    if failed:
        raise OSError(ctypes.get_errno(), f"mincore of {path}")
    return sum(byte & 1 for byte in pages.raw) / len(pages)


def evict(path):
    """Has a file leave memory (posix_fadvise(2)); whether it has: what lies in a tmpfs cannot."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return resident_share(path) < MOST_LEFT


@contextlib.contextmanager
def directory(parent):
    """For images, gone at the end, the notes of verified images (thump-restore(1)) with it: a user
    without a home keeps none, and would verify a mapped image again at every restore."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="thump-bench-", dir=parent))
    state = path / "state"
    state.mkdir()
    os.environ["XDG_STATE_HOME"] = str(state)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def publish(path, maker, lines):
    """Replaces what stands between the markers of a document that name its maker."""
    begin, end = f"<!-- made by {maker} --publish -->", "<!-- end -->"
    head, _, rest = path.read_text().partition(begin)
    tail = rest.partition(end)[2]
    path.write_text("\n".join([head + begin, "", *lines, "", end]) + tail)
