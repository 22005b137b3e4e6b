#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""root restores what somebody else could tamper with: links in the paths of a user's program, an
image of a stranger; and a restore whose own stdio was closed by the caller."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import re
import shutil
import signal
import subprocess

from thumptest import scenario, world as worlds
from thumptest.events import Failure

REFUSED = 3
FAILED = 121
SECRET = "of root\n"


def image_of_logger(world, name):
    """A program of an ordinary user that appends to a log; checkpointed and ended by root."""
    world.directory.chmod(0o755)
    folder = world.path(name)
    folder.mkdir()
    os.chown(folder, worlds.USER_ID, worlds.USER_ID)
    program = world.start([*worlds.AS_USER, "sh", "-c",
                           f"exec 5>>{folder}/log; echo ready; exec sleep 1000"], name)
    program.expect_line("ready")
    image = world.path(f"{name}.thump")
    world.checkpoint(program.pid, image)
    program.status()
    return folder, image


def link_to_folder_of_root(world):
    """The log's folder becomes a link: no descriptor of root's file, and no new file there."""
    folder, image = image_of_logger(world, "linked")
    roots = world.path("roots")
    roots.mkdir(mode=0o755)
    folder.rename(world.path("linked.old"))
    folder.symlink_to(roots)
    status, _ = world.thump("restore", image, statuses=None)
    if status < 121 or os.listdir(roots):
        raise Failure(f"restore: {status}, made {os.listdir(roots)} with root's rights")
    (roots / "log").write_text(SECRET)
    status, report = world.thump_json("restore", image, "--dry-run", statuses=(REFUSED,))
    if not any(problem["fd"] == 5 and problem["fatal"] for problem in report["problems"]):
        raise Failure(f"a file of root's is no problem: {report['problems']}")


def image_of_a_stranger(world):
    """Nothing is looked up on its word: its missing log is not even noticed."""
    folder, image = image_of_logger(world, "stranger")
    (folder / "log").unlink()
    folder.rmdir()
    os.chown(image, worlds.USER_ID, worlds.USER_ID)
    _, report = world.thump_json("restore", image, "--dry-run", statuses=(REFUSED,))
    kinds = {problem["kind"] for problem in report["problems"] if problem["fatal"]}
    if kinds != {"owner"}:
        raise Failure(f"files of a stranger's image were looked up: {report['problems']}")


def closed_stdio(world):
    """The program gets /dev/null for what the caller closed, and nothing of thump's own."""
    program = world.start(["sh", "-c", "echo ready; exec sleep 1000"], "piped",
                          stdin=subprocess.PIPE)
    program.expect_line("ready")
    image = world.path("piped.thump")
    world.checkpoint(program.pid, image)
    program.status()
    pid_file = world.path("pid")
    restore = world.start(["sh", "-c", f"exec 0<&- 2>&-; exec {world.thump_path} restore --json "
                           f"--pid-file {pid_file} {image}"], "restore-closed")
    pid = restore.json()["pid"]
    for fd in (0, 2):
        target = os.readlink(f"/proc/{pid}/fd/{fd}")
        if target != "/dev/null":
            raise Failure(f"fd {fd} of the program is {target}")
    os.kill(pid, signal.SIGTERM)
    restore.status()


def fifos_in_place_of_files(world):
    """Of the log and of the executable. To open one without O_NONBLOCK would wait for ever."""
    sleep = world.path("sleep")
    shutil.copy(shutil.which("sleep"), sleep)
    program = world.start(["sh", "-c", f"exec 5>>log.fifo; echo ready; exec {sleep} 1000"], "fifos")
    program.expect_line("ready")
    # The shell says so before it becomes the other program; the test's own alarm bounds this.
    while os.readlink(f"/proc/{program.pid}/exe") != str(sleep):
        os.sched_yield()
    image = world.path("fifos.thump")
    world.checkpoint(program.pid, image)
    program.status()
    for path in (world.path("log.fifo"), sleep):
        path.unlink()
        os.mkfifo(path)
    _, report = world.thump_json("restore", image, "--dry-run", statuses=(REFUSED,))
    texts = [problem["text"] for problem in report["problems"] if problem["fatal"]]
    for path in ("log.fifo", sleep):
        if not any(str(path) in text and "no regular file" in text for text in texts):
            raise Failure(f"{path} is a FIFO now, and that is no problem: {texts}")


def few_descriptors(world):
    """A low soft limit of open files does not limit thump; the program gets back its own, and a
    command that is started instead gets ours."""
    modules = "import ctypes, decimal, json, lzma, sqlite3, ssl"
    program = world.start(["prlimit", "--nofile=100:1000", sys.executable, "-c",
                           f"{modules}, time; print('ready', flush=True); time.sleep(1000)"],
                          "few")
    program.expect_line("ready")
    image = world.path("few.thump")
    world.checkpoint(program.pid, image)
    program.status()
    ours = ["prlimit", "--nofile=10:1000", world.thump_path]
    restore = world.start([*ours, "restore", "--json", image], "restore-few")
    limits = pathlib.Path(f"/proc/{restore.json()['pid']}/limits").read_text()
    if not re.search(r"^Max open files +100 +1000 ", limits, re.MULTILINE):
        raise Failure(f"the limits of the program are {limits}")
    restore.popen.send_signal(signal.SIGTERM)
    restore.status()
    image.chmod(0o666)  # so that it is refused
    _, output = world.run([*ours, "run", "--image", image, "sh", "-c", "ulimit -Sn; ulimit -Hn"],
                          "run-few")
    if output.split() != ["10", "1000"]:
        raise Failure(f"the command's limits of open files are {output}")


def runs(words):
    """Whether any process has these words as its command line."""
    wanted = "".join(f"{word}\0" for word in words).encode()
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_bytes() == wanted:
                return True
        except OSError:
            continue  # it has ended
    return False


def on_full_disk(folder):
    """The beginning of a command: files can be made in the folder, and not written."""
    return ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=4k,mode=777 none "$0" && '
            'head -c 4096 /dev/zero >"$0/full" && exec "$@"', folder]


def pid_file_cannot_be_written(world):
    """It is found out when the program runs already, which has to end then; with its own pid, and
    inside a pid namespace, as an ordinary user."""
    words = ["sleep", f"1000.{os.getpid()}"]
    program = world.start(["sh", "-c", f"echo ready; exec {' '.join(words)}"], "unnamed")
    program.expect_line("ready")
    image = world.path("unnamed.thump")
    world.checkpoint(program.pid, image)
    program.status()
    folder = world.path("folder")
    folder.mkdir()
    os.chown(image, worlds.USER_ID, worlds.USER_ID)
    for prefix, name in (([], "root"), (worlds.AS_USER, "user")):
        _, output = world.run([*on_full_disk(folder), *prefix, world.thump_path, "restore",
                               "--json", "--trust-any-owner", "--pid-file", folder / "pid", image],
                              f"unnamed-{name}", statuses=(FAILED,))
        if "write the pid file" not in output or runs(words):
            raise Failure(f"restore as {name}: the program runs: {runs(words)}\n{output}")


def test(world, options):
    for case in (link_to_folder_of_root, image_of_a_stranger, closed_stdio,
                 fifos_in_place_of_files, few_descriptors, pid_file_cannot_be_written):
        case(world)


if __name__ == "__main__":
    scenario.run("hostile_places", test, 60)
