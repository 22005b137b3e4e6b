#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exit codes and JSON of `thump inspect` and `thump verify`.

usage: verbs_test.py THUMP IMAGE
"""
import json
import os
import subprocess
import sys
import tempfile

THUMP, IMAGE = sys.argv[1:]


def run(*args):
    return subprocess.run([THUMP, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def expect(condition, what, result):
    if not condition:
        sys.exit(f"{what}: exit status {result.returncode}\n{result.stdout}{result.stderr}")


def test_good():
    result = run("verify", IMAGE)
    expect(result.returncode == 0 and "whole" in result.stdout, "verify of a good image", result)
    result = run("verify", "--json", IMAGE)
    expect(result.returncode == 0 and json.loads(result.stdout)["whole"], "the same, JSON", result)
    result = run("inspect", IMAGE, "--fds", "--maps", "--threads")
    expect(result.returncode == 0 and "thread-0" in result.stdout, "inspect", result)
    expect("heap of mine" in result.stdout, "inspect --maps names mappings", result)


def test_damaged(folder):
    with open(IMAGE, "rb") as file:
        data = bytearray(file.read())
    data[4096 + 100] ^= 4
    path = os.path.join(folder, "damaged")
    with open(path, "wb") as file:
        file.write(data)
    result = run("verify", path)
    expect(result.returncode == 4 and "memory from" in result.stderr, "a damaged page", result)
    result = run("inspect", path)
    expect(result.returncode == 0, "inspect does not read content", result)
    with open(path, "wb") as file:
        file.write(data[:-1])
    for verb in "verify", "inspect":
        result = run(verb, path)
        expect(result.returncode == 4 and result.stderr.startswith(f"thump {verb}: "),
               "a cut image", result)
        result = run(verb, "--json", path)
        expect(result.returncode == 4 and json.loads(result.stdout)["error"]["word"] == "damaged",
               "a cut image, JSON", result)


def test_wrong_use(folder):
    for verb in "verify", "inspect":
        expect((result := run(verb)).returncode == 2, f"{verb} without a file", result)
        expect((result := run(verb, IMAGE, IMAGE)).returncode == 2, f"{verb} of two", result)
        expect((result := run(verb, "--what", IMAGE)).returncode == 2, f"{verb} --what", result)
        expect(result.stderr.startswith(f"thump {verb}: "), f"who says it, {verb} --what", result)
        expect((result := run(verb, "-h")).returncode == 0, f"{verb} -h", result)
        result = run(verb, os.path.join(folder, "missing"))
        expect(result.returncode == 1 and "No such file" in result.stderr, "no file", result)
        expect((result := run(verb, folder)).returncode == 4, "a directory", result)
    fifo = os.path.join(folder, "fifo")
    os.mkfifo(fifo)
    expect((result := run("verify", fifo)).returncode == 4, "a FIFO is not waited for", result)


with tempfile.TemporaryDirectory() as temporary:
    test_good()
    test_damaged(temporary)
    test_wrong_use(temporary)
