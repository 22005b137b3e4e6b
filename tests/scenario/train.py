#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`thump train` notes what a restored program touches, and changes nothing else: the trained image
is whole, is restored as before, but with these pages ready, and can be trained again.
tests/kinds/malloc_arenas.c is the program; when it has been restored for training it writes to one
page of each arena, and else to none."""
import pathlib
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import scenario
from thumptest.arenas import ARENAS, PAGE, expect_restored, save
from thumptest.events import Failure
from thumptest.world import evict

REFUSED = 3
USAGE = 2


def save_eager(world, workload, image):
    """Without the page nobody vouches for anything."""
    original = world.start([workload], "eager")
    original.line("the address of its page")
    world.checkpoint(original.pid, image)
    original.status()


def train(world, image, *words, statuses=(0,)):
    world.path("touch.done").unlink(missing_ok=True)
    world.path("touch").touch()
    report = world.thump_json("train", image, *words, statuses=statuses)[1]
    world.path("touch").unlink()
    return report


def expect_trained(world, image, report, blocks):
    world.thump("verify", image)
    memory = world.thump_json("inspect", image)[1]["memory"]
    if not ARENAS * PAGE <= report["written_bytes"] < 1 << 20 or report["error"]:
        raise Failure(f"the training found {report}")
    if (memory["hot_written_bytes"], memory["hot_read_bytes"]) != \
            (report["written_bytes"], report["read_bytes"]):
        raise Failure(f"the image says {memory}, the training {report}")
    expect_restored(world, image, "trained", blocks, True)


def expect_no_process_of(image):
    """They were ended, each before the next one."""
    for maps in pathlib.Path("/proc").glob("[0-9]*/maps"):
        try:
            if str(image) in maps.read_text(encoding="utf-8"):
                raise Failure(f"{maps} still has {image}")
        except (OSError, UnicodeDecodeError):
            pass  # it has ended, or is somebody else's


def test(world, options):
    workload = world.reachable(options.workload)
    image, trained, eager = (world.path(name) for name in ("image", "trained", "eager"))
    blocks = save(world, workload, image)
    save_eager(world, workload, eager)
    before = image.read_bytes()
    expect_restored(world, image, "untrained", blocks, False, "--train", "no")

    done = f"echo said; rm '{world.path('touch.done')}'"
    report = train(world, image, "--until-exec", done, "--runs", "2", "-o", trained)
    if report["image"] != str(trained) or report["runs"] != 2 or image.read_bytes() != before:
        raise Failure(f"the training said {report}")
    expect_no_process_of(image)
    expect_trained(world, trained, report, blocks)
    evict(trained)
    expect_restored(world, trained, "from the disk", blocks, True)
    mode = trained.stat().st_mode & 0o777
    if mode != image.stat().st_mode & 0o777:
        raise Failure(f"the trained image has mode {mode:o}")

    # In its place, once more.
    report = train(world, trained, "--until-exec", done, "--runs", "1", "--mode", "440")
    expect_trained(world, trained, report, blocks)
    if trained.stat().st_mode & 0o777 != 0o440:
        raise Failure("--mode is not kept")
    if abs(trained.stat().st_size - len(before)) > 1 << 16:
        raise Failure("a second training does not replace the first")

    # What is touched in a time is a matter of chance.
    report = train(world, image, "--for", "10ms", "-o", world.path("for-a-time"))
    if report["error"] or report["runs"] != 3:
        raise Failure(f"the training for a time said {report}")

    report = train(world, eager, "--for", "10ms", statuses=(REFUSED,))
    if "nothing to train" not in report["error"]["text"]:
        raise Failure(f"an image that is read whole: {report}")
    train(world, image, statuses=(USAGE,))
    train(world, image, "--for", "1s", "--until-port", "80", statuses=(USAGE,))


if __name__ == "__main__":
    scenario.run("train", test, 240, workload={"type": pathlib.Path, "required": True})
