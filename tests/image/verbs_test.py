#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exit codes, JSON and -v of `thump inspect` and `thump verify`, and what every verb makes of a wrong
command line.

usage: verbs_test.py THUMP IMAGE
"""
import json
import os
import subprocess
import sys
import tempfile

THUMP, IMAGE = sys.argv[1:]
# Their program's status is passed on, so that their own codes begin at 121.
PASS_ON = ("run", "restore")
VERBS = (*PASS_ON, "checkpoint", "inspect", "verify", "doctor")


def run(*args, stdout=subprocess.PIPE):
    return subprocess.run([THUMP, *args], stdout=stdout, stderr=subprocess.PIPE, text=True)


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
    expect("epoll_wait" in result.stdout, "inspect --threads names system calls", result)
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
        result = run(verb, folder)
        expect(result.returncode == 1 and "a directory, not a regular file" in result.stderr,
               "a directory", result)
        result = run(verb, "/dev/null")
        expect(result.returncode == 1 and "a device, not" in result.stderr, "a device", result)
    result = run("restore", "--dry-run", folder)
    expect(result.returncode == 1 and "a directory, not" in result.stderr, "restore", result)
    result = run("restore", folder)
    expect(result.returncode == 121 and "a directory, not" in result.stderr, "restore", result)
    fifo = os.path.join(folder, "fifo")
    os.mkfifo(fifo)
    expect((result := run("verify", fifo)).returncode == 1, "a FIFO is not waited for", result)


def test_full_disk():
    for words in ("inspect", IMAGE), ("inspect", "--json", IMAGE), ("doctor",), ("--help",), ("--version",):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = run(*words, stdout=full)
        expect(result.returncode == 1 and "stdout" in result.stderr, f"{words} to a full disk", result)


def test_verbose():
    result = run("verify", "-v", IMAGE)
    expect("descriptors" in result.stderr and " MB" in result.stderr, "verify -v", result)
    expect(not run("verify", IMAGE).stderr, "verify", result)
    result = run("inspect", "-v", IMAGE)
    expect(result.stdout == run("inspect", "--fds", "--maps", "--threads", IMAGE).stdout,
           "inspect -v", result)
    result = run("doctor", "--verbose")
    expect("no_new_privs" in result.stderr, "doctor -v", result)
    expect(not run("doctor").stderr, "doctor", result)


def expect_usage_json(status, text, *args):
    result = run(*args)
    expect(result.returncode == status, f"status of {args}", result)
    wanted = {"error": {"code": 2, "word": "usage", "errno": 0, "text": text}}
    expect(json.loads(result.stdout) == wanted, f"JSON of {args}", result)
    expect(f"{text}\nTry " in result.stderr, f"what {args} tells people", result)


def test_json_of_wrong_command_lines():
    for verb in VERBS:
        status = 122 if verb in PASS_ON else 2
        expect_usage_json(status, "there is no option --what", verb, "--json", "--what")
        expect_usage_json(status, "there is no option -q", verb, "-q", "--json")
        expect_usage_json(status, "--json=yes: this option takes no argument", verb, "--json",
                          "--json=yes")
    expect_usage_json(2, "there is no option --what", "restore", "--what", "--detach", "--json")
    expect_usage_json(122, "--image needs an argument", "run", "--json", "--image")
    expect_usage_json(122, "COMMAND is missing", "run", "--json")
    expect_usage_json(2, "-o needs an argument", "checkpoint", "--json", "-o")
    expect_usage_json(2, "one image is expected", "verify", "--json")
    result = run("run", "--what", "--", "echo", "--json")
    expect(result.returncode == 122 and not result.stdout, "the command's own --json", result)


with tempfile.TemporaryDirectory() as temporary:
    test_verbose()
    test_full_disk()
    test_json_of_wrong_command_lines()
    test_good()
    test_damaged(temporary)
    test_wrong_use(temporary)
