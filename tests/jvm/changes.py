#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a restore changes in a JVM: properties, environment, time zone, process, names, flags, main
class. tests/jvm/java/Changed.java says what it is like. Options that are not possible are refused
before anything is started."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import re
import time

from thumptest import java
from thumptest.events import Failure
from thumptest.scenario import REFUSED

FLAGS = ["-Dchanged=old", "-Dmy.api-key=hunter3", "-Dmy.dbPass=hunter4", "-Dkept=old",
         "--add-opens=java.base/java.net=ALL-UNNAMED"]
SECRETS = {"DB_PASSWORD": "hunter2", "KEY_PASSPHRASE": "hunter5", "DB_PASS": "hunter6",
           "MYSQL_PWD": "hunter7", "SIGNING_KEY": "hunter8",
           "DATABASE_URL": "postgres://me:hunter9@db/shop", "CACHE_URL": "redis://:hunter10@cache",
           "JDBC_URL": "jdbc:postgresql://db/shop?user=me&password=hunter11",
           "JDBC_URL_2": "jdbc:sqlserver://db:1433;user=me;password=hunter12"}
HARMLESS = {"PATH": os.environ["PATH"], "COMPASS": "north", "KEYBOARD": "de", "PWD": "/tmp",
            "KEY_PASS_FILE": "/run/key", "SHOP_URL": "http://shop:8080/@me?at=1:2@3",
            "PLAIN_URL": "jdbc:postgresql://me@db:5432/shop?user=me&password="}


# More than the table that HashMap had made, so that some share a bucket.
MANY = {f"MANY_{number}": str(number) for number in range(300)}
FOREIGN = "gr\u00fcn"


def environment(**variables):
    own = {name: value for name, value in os.environ.items() if name not in ("CHANGED", "KEPT")}
    return {**own, **variables}


class Restores:
    """Of one image."""

    def __init__(self, world, image):
        self.world, self.image, self.count = world, image, 0

    def restore(self, words, arguments, variables):
        """{first word of a line: the rest}, and the standard error."""
        self.count += 1
        before = int(time.time() * 1000)
        process = self.world.start([self.world.thump_path, "restore", self.image, *words, "--",
                                    *arguments], f"restore-{self.count}",
                                   env=environment(**variables))
        lines = dict(line.split(" ", 1) if " " in line else (line, "")
                     for line in java.expect_end(process).splitlines())
        if lines["alive"] != "true true" or int(lines["started"]) < before or "end" not in lines:
            raise Failure(f"{lines}")
        return lines

    def refuse(self, argument, *arguments):
        self.count += 1
        process = self.world.start([self.world.thump_path, "restore", self.image, "--", argument,
                                    *arguments], f"refused-{self.count}")
        java.expect_end(process, 120 + REFUSED)
        if argument not in process.stderr_text():
            raise Failure(f"{argument} is not named: {process.stderr_text()}")


def expect(lines, **wanted):
    for name, text in wanted.items():
        if lines.get(name) != text:
            raise Failure(f"{name}: expected {text!r}: {lines}")


def expect_secrets(text):
    """What look like secrets is named, and not told."""
    named = set(re.findall(r"(?:variable|property) ([^\s,;]+)", text))
    missing = {*SECRETS, "my.api-key", "my.dbPass"} - named
    if missing or named & set(HARMLESS) or "hunter" in text:
        raise Failure(f"the warning about secrets, without {missing}: {text}")


def test(world, options):
    program = java.Java(world, options)
    program.flags += FLAGS
    image = world.path("image")
    run = program.start(image, "Changed", env=environment(
        CHANGED="old", KEPT="old", TZ="Etc/UTC", **SECRETS, **HARMLESS))
    java.expect_end(run)
    expect_secrets(run.stderr_text())
    restores = Restores(world, image)

    lines = restores.restore([], ["-Dchanged=new", "-Dempty", "-XX:HeapDumpPath=/new",
                                  "Changed$Other", "-a", "b c"],
                             {"CHANGED": "new", "TZ": "Asia/Tokyo", "FOREIGN": FOREIGN})
    expect(lines, property="new old []", environment="new old new true", child="new old",
           foreign=FOREIGN.encode().hex(" "), zone="Asia/Tokyo", flag="/new",
           main="main [-a, b c]")
    lines = restores.restore(["--env", "replace"], ["-Duser.timezone=Europe/Oslo"],
                             {"CHANGED": "new"})
    expect(lines, property="old old [null]", environment="new null new false", child="new",
           zone="Europe/Oslo", main=None, many=f"0 of {len(environment(CHANGED='new'))}")
    lines = restores.restore(["--env", "replace"], [], {"CHANGED": "new", **MANY})
    expect(lines, environment="new null new false", child="new",
           many=f"{len(MANY)} of {len(environment(CHANGED='new', **MANY))}")
    lines = restores.restore(["--env", "keep"], ["Changed$Other", "throw"],
                             {"CHANGED": "new", "TZ": "Asia/Tokyo"})
    expect(lines, environment="old old old true", zone="Etc/UTC", main="main [throw]",
           thrown="[IllegalStateException: as it was told]")
    lines = restores.restore([], ["NoSuchClass"], {})
    expect(lines, thrown="[ClassNotFoundException: NoSuchClass]")

    restores.refuse("-Xmx1g", "Changed$Other")
    restores.refuse("-XX:MaxHeapSize=1g")
    restores.refuse("-XX:HeapDumpPath")
    restores.refuse("-jar", "app.jar")

    crac = world.start([world.thump_path, "run", "--", program.home / "bin" / "java",
                        f"-XX:CRaCRestoreFrom={image}", "-Dchanged=crac", "Changed$Other", "x"],
                       "crac")
    output = java.expect_end(crac)
    if "property crac old [null]\n" not in output or "main main [x]\n" not in output:
        raise Failure(f"CRaCRestoreFrom: {output}")


if __name__ == "__main__":
    java.run("changes", test, 100)
