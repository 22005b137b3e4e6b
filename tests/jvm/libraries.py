#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fetches with mvn what the tests of the JVM agent need: org.crac, or the applications of
tests/apps, built. Ends with 77 where there is no mvn, or no network and nothing cached."""
import argparse
import hashlib
import pathlib
import shutil
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import java
from thumptest.events import Failure, Skip
from thumptest.scenario import ROOT
from thumptest import world as worlds

APPS = ROOT / "tests" / "apps"
COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"


def need_maven():
    if not shutil.which("mvn"):
        raise Skip("there is no mvn")


def run_maven(*words):
    fine, output = java.maven(*words)
    if not fine:
        print(output[-2000:])
        raise Skip(f"mvn {' '.join(words)} failed")


def fetch_crac(directory):
    if (directory / "crac-1.5.0.jar").exists():
        return
    need_maven()
    directory.mkdir(parents=True, exist_ok=True)
    run_maven(COPY_GOAL, f"-Dartifact={java.CRAC}", f"-DoutputDirectory={directory}")


def digest(folder):
    """Of everything that an application is built from."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "target" not in path.relative_to(folder).parts:
            total.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def build_app(name, directory):
    """Builds one application in a copy of its folder, unless that has been done."""
    folder, target = APPS / name, directory / name
    stamp, wanted = target / "built", digest(folder)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    need_maven()
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("target"))
    run_maven("-f", str(target / "pom.xml"), "-DskipTests", "package")
    if not (target / "target" / "app.jar").exists():
        raise Failure(f"mvn made no app.jar of {name}")
    stamp.write_text(wanted)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=pathlib.Path, required=True)
    parser.add_argument("what", nargs="+", help="crac, or names of applications")
    options = parser.parse_args()
    for what in options.what:
        if what == "crac":
            fetch_crac(options.directory)
        else:
            build_app(what, options.directory)


if __name__ == "__main__":
    sys.exit(worlds.main(main))
