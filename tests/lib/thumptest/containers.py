# SPDX-License-Identifier: Apache-2.0
"""Containers by podman and runc, started by root as a container engine does it."""
import os
import pathlib
import shutil

from thumptest import scenario
from thumptest.events import Skip

SCENARIOS = scenario.ROOT / "tests" / "scenario"
DOCKER_PROFILE = scenario.ROOT.parent / "shared" / "data" / "docker-default-seccomp.json"
PODMAN = ["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
CACHE = os.environ.get("THUMP_TEST_CACHE", "/var/tmp/thump-test-cache")


def need_tools():
    for tool in ("podman", "runc", "debootstrap"):
        if shutil.which(tool) is None:
            raise Skip(f"{tool} is not installed")


def debian_root(world):
    """A small Debian, made once for all tests."""
    return pathlib.Path(world.run([SCENARIOS / "container-root", CACHE], "container-root",
                                  as_user=False)[1].strip())


def docker_profile():
    """Docker's own seccomp profile, or a small one that answers as it does."""
    return DOCKER_PROFILE if DOCKER_PROFILE.exists() else SCENARIOS / "docker-like-seccomp.json"
