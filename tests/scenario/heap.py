#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""jhsdb jmap --binaryheap finds in an image the objects that it finds in the live process, each
with its content; also in the image of a restored process."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import hprof, scenario
from thumptest.events import Failure
from thumptest.java import find_jdk

SOURCE = scenario.APPS / "HeapGraph.java"
NODES = 3000
ZEROS, ZERO_BYTES = 6, 3 << 20


def dump(world, home, name, *where):
    """What jhsdb finds; it reads a live process as a debugger does, without running code in it."""
    path = world.path(f"{name}.hprof")
    output = world.run([home / "bin" / "jhsdb", "jmap", "--binaryheap", "--dumpfile", path, *where],
                       f"jmap-{name}")[1]
    if not path.exists():
        raise Failure(f"jhsdb made no dump of {name}:\n{output}")
    found = hprof.Dump(path)
    path.unlink()
    return found


def dump_image(world, home, image):
    return dump(world, home, image.name, "--core", image, "--exe", home / "bin" / "java")


def shift(value, bits):
    """A Java cast to a signed integer of so many bits."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def expect_graph(heap):
    """The graph that HeapGraph.java makes, told from its source alone."""
    statics = heap.statics("HeapGraph")
    zeros = [heap.objects[key] for key in heap.array(statics["zeros"])]
    if zeros != [("b[]", bytes(ZERO_BYTES))] * ZEROS:
        raise Failure("the arrays of zeros are not what they were")
    key = statics["head"]
    for number in range(NODES):
        node = heap.fields(key)
        have = {name: node[name] for name in ("id", "even", "small", "letter", "negative", "third",
                                              "squared", "half")}
        want = {"id": number, "even": number % 2 == 0, "small": shift(number, 8),
                "letter": ord("a") + number % 26, "negative": shift(-number, 16),
                "third": number / 4, "squared": number * number, "half": number / 2}
        have["name"] = heap.string(node["name"])
        want["name"] = ("n\u00f6de \u2192 " if number % 3 == 0 else "node ") + str(number)
        have["numbers"] = heap.array(node["numbers"])
        want["numbers"] = [number + i for i in range(number % 50)]
        have["mixed"] = heap.array(node["mixed"])
        want["mixed"] = [key, node["next"], node["name"], node["numbers"], 0]
        if have != want:
            raise Failure(f"node {number} is {have}, not {want}")
        key = node["next"]
    if key:
        raise Failure("the list goes on after its last node")


def expect_same_heap(live, found, when):
    if found.objects != live.objects:
        before, after = live.counts(), found.counts()
        lines = [f"{name}: {before.get(name)} became {after.get(name)}"
                 for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
        changed = sum(live.objects[key] != found.objects[key]
                      for key in live.objects.keys() & found.objects.keys())
        raise Failure(f"{when}: {changed} objects changed; instances and bytes of classes:\n    "
                      + "\n    ".join(lines[:40]))
    for key, one in live.classes.items():
        if key not in found.classes or found.classes[key].content != one.content:
            raise Failure(f"{when}: class {one.name} is another")


def test(world, options):
    home, classes = find_jdk(options.jdk), world.path("classes")
    world.run([home / "bin" / "javac", "--release", "11", "-d", classes,
               world.reachable(SOURCE)], "javac")
    process = world.start([home / "bin" / "java", *options.java, "-Xmx96m", "-cp", classes,
                           "HeapGraph", NODES], "original")
    process.expect_line("ready")
    live = dump(world, home, "live", "--pid", process.pid)
    expect_graph(live)

    image = world.path("image-0")
    world.checkpoint(process.pid, image)
    process.status()
    expect_same_heap(live, dump_image(world, home, image), "the image")

    process, report = world.restore(image, "--memory", "lazy-unsafe")
    following = world.path("image-1")
    world.checkpoint(report["pid"], following)
    process.status()
    expect_same_heap(live, dump_image(world, home, following), "the image of a restored process")


if __name__ == "__main__":
    scenario.run("heap", test, 400, jdk={"required": True},
                 java={"action": "append", "default": []})
