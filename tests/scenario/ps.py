#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`thump ps` lists what was restored and spawned, and nothing else: not what has ended, however it ended, nor who
has its pid now. Where nothing can be noted, programs are restored all the same."""
import os
import pathlib
import signal
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import scenario
from thumptest.events import Failure, poll_until
from thumptest.workload import saved, verify_restored
from thumptest.world import AS_USER

AT_ONCE = 3


def listed(world, *words):
    """Root's list has the programs of other users, too, those of other tests among them: what is asked
    for is what is of our image, if nothing else."""
    report = world.thump_json("ps", *(words or [world.path("image")]))[1]
    return {each["pid"]: each for each in report["processes"]}, report["sums"]


def records(world):
    return sorted(path.name for path in world.path("thump").glob("@*"))


def detach(world, image):
    process, report = world.restore(image, "--detach", name="detached")
    process.status()
    return report["pid"]


def expect_memory(processes):
    for each in processes.values():
        if not 0 < each["private_bytes"] <= each["pss_bytes"] <= each["rss_bytes"]:
            raise Failure(f"the memory of {each}")


def expect_sums(processes, sums):
    for kind, of_template in (("templates", True), ("programs", False)):
        those = [each for each in processes.values()
                 if (each["how"] == "template") == of_template]
        for what in ("rss_bytes", "pss_bytes", "private_bytes"):
            if sums[kind][what] != sum(each[what] for each in those):
                raise Failure(f"the sum of {what} of {kind} is {sums}, of {processes}")
        if sums[kind]["count"] != len(those):
            raise Failure(f"{sums} for {len(those)} {kind}")


def expect_table(world, pids):
    """The table for people has the same processes, each on a line of its own."""
    lines = world.thump("ps", world.path("image"))[1].splitlines()
    shown = [int(line.split()[0]) for line in lines[1:] if line.split()[1] != "program" and
             not line.split()[1].startswith(("programs", "template"))]
    if sorted(shown) != sorted(pids):
        raise Failure(f"expected {pids}, shown are {lines}")


def listing(world, image):
    """Restored several times at once, which takes pid namespaces, and cloned."""
    template = world.template(image, "--name", "copies")
    restored = world.restore_many(image, [f"restored-{number}" for number in range(AT_ONCE)])
    spawned = [world.spawn(image, name=f"spawned-{number}") for number in range(AT_ONCE)]
    detached = detach(world, image)
    processes, sums = listed(world)
    wanted = {report["pid"]: ("restore", None) for _, report in restored}
    wanted |= {report["pid"]: ("spawn", "copies") for _, report in spawned}
    wanted |= {detached: ("restore", None), template["pid"]: ("template", "copies")}
    found = {pid: (each["how"], each["template"]) for pid, each in processes.items()}
    if found != wanted:
        raise Failure(f"expected {wanted}, listed are {found}")
    if {each["image"] for each in processes.values()} != {str(image)}:
        raise Failure(f"not of the image: {processes}")
    expect_memory(processes)
    expect_sums(processes, sums)
    expect_table(world, wanted)
    if set(listed(world, "copies")[0]) != {template["pid"]} | {one["pid"] for _, one in spawned}:
        raise Failure("by the template's name others are listed than by the whole list")
    if set(listed(world, image)[0]) != set(wanted) or listed(world, world.path("other"))[0]:
        raise Failure("by image others are listed")
    for process, report in restored + spawned:
        verify_restored(process, report["pid"])
    world.thump("template", "stop", "copies")
    if set(listed(world)[0]) != {detached} or len(records(world)) != 1:
        raise Failure(f"listed after the end: {listed(world)}, {records(world)}")
    return detached


def expect_forgotten(world, pid):
    def attempt():
        return True if pid not in listed(world)[0] and not records(world) else None
    poll_until(world.deadline, f"{pid} to be no longer listed", attempt)


def leftovers(world, image, detached):
    """Nobody was there to remove the record: the next list does."""
    os.kill(detached, signal.SIGKILL)
    expect_forgotten(world, detached)
    process, report = world.restore(image, name="abandoned")
    os.kill(process.pid, signal.SIGKILL)
    process.status()
    if report["pid"] not in listed(world)[0]:
        raise Failure("a program that goes on without thump is not listed")
    os.kill(report["pid"], signal.SIGKILL)
    expect_forgotten(world, report["pid"])
    # Another detached restore, and nobody asks for a list.
    first = detach(world, image)
    stale = records(world)
    os.kill(first, signal.SIGKILL)
    poll_until(world.deadline, "its end", lambda: None if pathlib.Path(f"/proc/{first}/exe").exists()
               else True)
    second = detach(world, image)
    if set(stale) & set(records(world)):
        raise Failure(f"of a program that has ended there is still {records(world)}")
    os.kill(second, signal.SIGKILL)
    expect_forgotten(world, second)


def reused(world, image):
    """A record of a process whose pid is another's by now, or of before a restart of the machine."""
    process, report = world.restore(image, name="reused")
    name, = records(world)
    folder = world.path("thump")
    told = os.readlink(folder / name)
    boot = told.split()[1]
    base, _, start = name.rpartition(".")
    os.symlink(told, folder / f"{base}.{int(start) - 1}")
    os.symlink(told.replace(boot, boot[::-1]), folder / f"@1.{report['pid']}.{start}")
    # Not to be judged from here: that is another pid namespace.
    os.symlink(told, folder / f"@2.{report['pid']}.{start}")
    processes, _ = listed(world)
    if list(processes) != [report["pid"]]:
        raise Failure(f"listed are {processes}")
    if records(world) != sorted((f"@2.{report['pid']}.{start}", name)):
        raise Failure(f"left are {records(world)}")
    verify_restored(process, report["pid"])
    (folder / f"@2.{report['pid']}.{start}").unlink()
    if records(world):
        raise Failure(f"left are {records(world)}")


def unwritable(world, image):
    """No directory, one of another mode, one that is not there and cannot be made."""
    world.path("file").write_text("")
    world.path("open").mkdir()
    (world.path("open") / "thump").mkdir(mode=0o755)
    if world.changes_user():
        os.chown(world.path("open") / "thump", 12345, 12345)
    for name in ("file", "open", "absent"):
        environment = dict(os.environ, XDG_RUNTIME_DIR=str(world.path(name)))
        process, report = world.restore(image, name=f"unlisted-{name}", env=environment)
        if process.stderr_text():
            raise Failure(f"{name}: {process.stderr_text()}")
        world.thump("ps", env=environment)
        verify_restored(process, report["pid"])


def two_users(world, image):
    """Root sees what both run; the other user only what is his. At the usual place, as each has his own."""
    world.directory.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
    mine, mine_report = world.restore(image, name="root's", env=environment)
    his = world.start([*AS_USER, world.thump_path, "restore", image, "--json"], "his",
                      env=environment)
    his_pid = his.json()["pid"]

    def seen(*prefix):
        process = world.start([*prefix, world.thump_path, "ps", "--json", image], "seen",
                              env=environment)
        return {each["pid"] for each in process.json()["processes"]}
    if seen() != {mine_report["pid"], his_pid} or seen(*AS_USER) != {his_pid}:
        raise Failure(f"root's is {mine_report['pid']}, his {his_pid}; root sees {seen()}, he "
                      f"{seen(*AS_USER)}")
    verify_restored(mine, mine_report["pid"])
    verify_restored(his, his_pid)


def test(world, options):
    os.environ["XDG_RUNTIME_DIR"] = str(world.directory)
    image = saved(world, world.reachable(options.workload), options=("--mode", "0444"))
    detached = listing(world, image)
    leftovers(world, image, detached)
    reused(world, image)
    unwritable(world, image)
    if world.user == "root":
        two_users(world, image)
    world.thump("ps", "--nonsense", statuses=(2,))


if __name__ == "__main__":
    scenario.run("ps", test, 100, workload={"type": pathlib.Path, "required": True})
