#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An image that root wrote (as into a container's layer) is restored by an ordinary user: with the
user's identity, and with no more rights than the user has."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import scenario, world as worlds
from thumptest.events import Failure
from thumptest.snapshot import status_of
from thumptest.workload import verify_restored, wait_ready

NO_CAPABILITIES = "0000000000000000"


def test(world, options):
    original = world.start([world.reachable(options.workload)], "original")
    wait_ready(original)
    image = world.path("image")
    world.checkpoint(original.pid, image, "--mode", "0444")
    if image.stat().st_mode & 0o777 != 0o444:
        raise Failure(f"the image has mode {image.stat().st_mode & 0o777:o}")
    original.status()
    world.directory.chmod(0o755)

    restore = world.start([*worlds.AS_USER, world.thump_path, "restore", image, "--json"],
                          "restore-as-user")
    report = restore.json()
    if not report.get("pid"):
        raise Failure(f"restore as user: {report}\n{restore.stderr_text()}")
    status = status_of(f"/proc/{report['pid']}/status")
    for key in ("Uid", "Gid"):
        if set(status[key].split()) != {str(worlds.USER_ID)}:
            raise Failure(f"{key} is {status[key]}")
    for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        if status[key].strip() != NO_CAPABILITIES:
            raise Failure(f"{key} is {status[key]}")
    verify_restored(restore, report["pid"])


if __name__ == "__main__":
    scenario.run("other_user", test, 60, workload={"type": pathlib.Path, "required": True})
