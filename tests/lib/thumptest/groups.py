# SPDX-License-Identifier: Apache-2.0
"""Control groups with a limit, where this machine lets us make them."""
import contextlib
import os
import pathlib

GROUPS = pathlib.Path("/sys/fs/cgroup")


class Group:
    """A control group of version 1 or 2 with one limit."""

    def __init__(self, controller, **files):
        parent = GROUPS if (GROUPS / "cgroup.controllers").exists() else GROUPS / controller
        self.path = parent / f"thump-test-{os.getpid()}"
        self.files = files

    def __enter__(self):
        """None where this machine does not let us make one."""
        try:
            self.path.mkdir()
            for name, text in self.files.items():
                if (self.path / name.replace("__", ".")).exists():
                    (self.path / name.replace("__", ".")).write_text(text)
                    return self.path
        except OSError as error:
            print(f"no control group: {error}")
        return None

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.path.rmdir()


def inside(group):
    """The beginning of a command that is to run in the group; of none, where it is."""
    return ["sh", "-c", 'if [ "$0" != - ]; then echo $$ > "$0/cgroup.procs"; fi; exec "$@"',
            group or "-"]


def hierarchies():
    """One of each version that is mounted here."""
    roots = [GROUPS, GROUPS / "unified"], [GROUPS / "freezer"]
    return [next(root for root in each if (root / "cgroup.procs").exists()) for each in roots
            if any((root / "cgroup.procs").exists() for root in each)]


@contextlib.contextmanager
def made(parent, name, owner=None):
    """A group without a limit, which its owner may move processes into: cgroups(7), Delegation."""
    path = parent / name
    path.mkdir()
    try:
        for each in (path, path / "cgroup.procs"):
            if owner is not None:
                os.chown(each, owner, owner)
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.rmdir()


def is_in(pid, group):
    """Whether a process is in the group, by its own words."""
    return f"/{group.name}\n" in pathlib.Path(f"/proc/{pid}/cgroup").read_text()
