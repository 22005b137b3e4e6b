#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every allocation of the verbs fails once (fail_alloc.c is in this thump): it does without, or it
fails with words; it does not crash, and it takes no image for damaged. The program goes on.

--every N: only each N-th allocation, others each time (--seed repeats one)."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import random

from thumptest import scenario
from thumptest.events import Failure
from thumptest.workload import expect_same, settled, verify_original, wait_ready

MARK = "an allocation fails"
STATUSES = (0, 1, 3, 121, 123)


def run(world, number, words):
    """Whether an allocation failed."""
    name = "verb"
    if world.log(name).exists():
        world.log(name).unlink()
    env = {**os.environ, "FAIL_ALLOC": str(number)}
    status, said = world.run([world.thump_path, *words], name, statuses=None, env=env)
    errors = world.log(name).read_text(errors="replace").splitlines()
    what = f"allocation {number} of thump {' '.join(map(str, words))}"
    if status not in STATUSES:
        raise Failure(f"{what}: status {status}\n" + "\n".join(errors))
    if status != 0 and not [line for line in errors if line != MARK] and not said:
        raise Failure(f"{what}: status {status}, and not a word why")
    return MARK in errors


def verbs(program, image, other):
    return (("inspect", image), ("inspect", image, "--json"), ("verify", image),
            ("restore", image, "--dry-run"), ("restore", image, "--dry-run", "--json"),
            ("checkpoint", program.pid, "--dry-run", "--json"),
            ("checkpoint", program.pid, "-o", other, "--leave-running"), ("doctor",),
            ("doctor", "--json"))


def opening_of(world, words):
    return ("--decrypt-with", world.path("secret")) if "--encrypt-to" in words else ()


def packed_verbs(world, image, other):
    packed, stored, store = world.path("packed"), world.path("stored"), world.path("store")
    world.thump("pack", image, "-o", packed)
    world.thump("pack", image, "-o", stored, "--store", store)
    world.thump("keygen", "--sign", "-o", world.path("key"))
    public = world.thump("keygen", "-o", world.path("secret"))[1].split()[-1]
    return (("pack", image, "-o", other), ("pack", image, "-o", other, "--compress", "lz4", "--json"),
            ("pack", image, "-o", other, "--encrypt-to", public, "--compress", "none"),
            ("pack", image, "-o", other, "--store", store), ("unpack", packed, "-o", other),
            ("unpack", stored, "-o", other), ("verify", stored), ("inspect", packed),
            ("restore", packed, "--dry-run"), ("sign", packed, "-o", other, "--key", world.path("key")),
            ("sign", stored, "-o", other, "--key", world.path("key")),
            ("gc", "--store", store, "--keep", stored), ("gc", "--store", store, "--json"))


def test(world, options):
    program = world.start([world.reachable(options.workload)], "original")
    wait_ready(program)
    before = settled(program.pid)
    image, other = world.path("image"), world.path("other")
    world.checkpoint(program.pid, image, "--leave-running")
    chance, total = random.Random(options.seed), 0
    for words in (*verbs(program, image, other), *packed_verbs(world, image, other)):
        opening = opening_of(world, words)
        number = 1 + chance.randrange(options.every)
        while run(world, number, words):
            world.forget_ended()
            number += options.every
            total += 1
            if other.exists():
                world.thump("verify", other, *opening)
                other.unlink()
        other.unlink(missing_ok=True)
    for kept in "packed", "stored":
        world.thump("verify", world.path(kept))
    left = [name for name in os.listdir(world.directory) if "other" in name]
    if left:
        raise Failure(f"left: {left}")
    expect_same(world, before, program.pid, "after all of them")
    verify_original(program)
    print(f"{total} allocations failed")


if __name__ == "__main__":
    scenario.run("fail_alloc", test, 3500, workload={"type": pathlib.Path, "required": True},
                 every={"type": int, "default": 1},
                 seed={"type": int, "default": random.SystemRandom().randrange(1 << 32)})
