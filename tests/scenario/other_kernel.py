#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""On another kernel: Debian's, in a virtual machine without hardware support. Workloads of tests/kinds
that were checkpointed here go on there and the other way round, over another vdso and processor;
others go through checkpoint and restore there."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import io
import os
import shutil
import stat
import subprocess
import tarfile

from thumptest import containers, scenario
from thumptest.events import Failure, Skip
from thumptest.workload import SKIPPED, verify_restored, wait_ready

LEVEL = "x86-64-v2"  # of all processors of the last ten years, and of the virtual one
CPU = "max,-avx,-avx2,-f16c,-fma,-la57,-mpx,-pku"


class Archive:
    """A file system for the kernel's start: "newc" of cpio(5)."""

    def __init__(self, path):
        self.file, self.names = open(path, "wb"), set()

    def _entry(self, name, mode, content=b""):
        if name in self.names:
            return
        self.names.add(name)
        fields = (len(self.names), mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        self.file.write(head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4))

    def directory(self, path):
        for folder in (*reversed(pathlib.Path(path).parents), path):
            if str(folder) != "/":
                self._entry(str(folder).lstrip("/"), stat.S_IFDIR | 0o755)

    def text(self, path, text):
        self.directory(pathlib.Path(path).parent)
        self._entry(str(path).lstrip("/"), stat.S_IFREG | 0o644, text.encode())

    def link(self, path, target):
        self.directory(pathlib.Path(path).parent)
        self._entry(str(path).lstrip("/"), stat.S_IFLNK | 0o777, str(target).encode())

    def copy(self, path, source):
        self.directory(pathlib.Path(path).parent)
        self._entry(str(path).lstrip("/"), stat.S_IFREG | 0o755, pathlib.Path(source).read_bytes())

    def close(self):
        self._entry("TRAILER!!!", 0)
        self.file.close()


def libraries(program):
    """What the dynamic linker loads, itself included, by the names under which it does."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    words = [word for line in said.splitlines() for word in line.split()]
    return [word for word in words if word.startswith("/")]


class Machine:
    def __init__(self, world):
        self.world, self.lines = world, []
        self.archive = Archive(world.path("initramfs"))
        for place in ("/dev", "/images", "/programs"):
            self.archive.directory(place)
        self.archive.copy("/init", scenario.ROOT / "tests/scenario/guest-init")
        self.archive.copy("/bin/busybox", shutil.which("busybox"))
        self.archive.copy("/bin/thump", world.thump_path)
        self.archive.directory(world.directory)
        self.archive.link("/work", world.directory)

    def add(self, what, program):
        """At the path that it has here, by which an image knows it."""
        self.lines.append(f"{what} {program.name}\n")
        self.archive.copy(program, program)
        self.archive.link(f"/programs/{program.name}", program)
        for library in libraries(program):
            real = pathlib.Path(library).resolve()
            self.archive.copy(real, real)
            for folder in ("/lib", "/lib64"):
                self.archive.link(folder, pathlib.Path(folder).resolve())
            if pathlib.Path(library).parent.resolve() / pathlib.Path(library).name != real:
                self.archive.link(pathlib.Path(library).parent.resolve() / pathlib.Path(library).name,
                                  real)

    def run(self, kernel):
        """What it said, and the images that it made."""
        for module in kernel.glob("*.ko"):
            self.archive.copy(f"/modules/{module.name}", module)
        self.archive.text("/tests", "".join(self.lines))
        self.archive.close()
        output = self.world.path("from-guest")
        self.world.run(["qemu-system-x86_64", "-accel", "tcg", "-cpu", CPU, "-m", "1024", "-nographic",
                        "-nodefaults", "-no-reboot", "-kernel", kernel / "vmlinuz", "-initrd",
                        self.world.path("initramfs"), "-append", "console=ttyS0 quiet panic=-1",
                        "-serial", f"file:{self.world.path('console')}",
                        "-serial", f"file:{output}"], "qemu", as_user=False)
        said, found, images = output.read_bytes().partition(b"\nend\n")
        if not found:
            raise Failure(f"the guest did not come to its end:\n{said.decode(errors='replace')}\n"
                          f"{self.world.path('console').read_text(errors='replace')}")
        return said.decode(errors="replace").splitlines(), images


def start_here(world, program):
    """Within the level, so that its image fits the virtual processor."""
    process = world.start([world.thump_path, "run", "--cpu", LEVEL, "--no-preload", "--json", "--",
                           program], f"{program.name}-here")
    pid = process.json()["pid"]
    wait_ready(process)
    return pid


def check(said, tests):
    print("\n".join(said))
    wanted = [f"{what} {name}" for what, name in tests]
    told = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in said}
    bad = [test for test in wanted if told.get(test) not in ("passed", "skipped")]
    if bad:
        raise Failure(f"on Linux {said[0]}: {', '.join(bad)}")
    # What the older kernel has not is skipped by name, and only that.
    if not any(told[test] == "passed" for test in wanted):
        raise Failure("everything was skipped")
    if said[0] == os.uname().release:
        print("note: this is the same kernel as here")


def test(world, options):
    for tool in ("qemu-system-x86_64", "busybox"):
        if shutil.which(tool) is None:
            raise Skip(f"{tool} is not installed")
    status, folder = world.run([scenario.ROOT / "tests/scenario/debian-kernel", containers.CACHE],
                               "debian-kernel", statuses=(0, SKIPPED), as_user=False)
    if status == SKIPPED:
        raise Skip("apt knows no linux-image-cloud-amd64")
    kernel = pathlib.Path(folder.strip())
    machine, tests = Machine(world), []
    programs = {pathlib.Path(path).name: world.reachable(path)
                for path in (*options.both, *options.there)}
    for path in options.both:
        name = pathlib.Path(path).name
        image = world.path(f"image-{name}")
        world.checkpoint(start_here(world, programs[name]), image)
        machine.archive.copy(f"/images/{name}", image)
        for what in ("restore", "image"):
            tests.append((what, name))
            machine.add(what, programs[name])
    for path in options.there:
        tests.append(("round", pathlib.Path(path).name))
        machine.add("round", programs[pathlib.Path(path).name])
    said, images = machine.run(kernel)
    check(said, tests)
    with tarfile.open(fileobj=io.BytesIO(images)) as archive:
        for path in options.both:
            name = pathlib.Path(path).name
            image = world.path(f"from-guest-{name}")
            image.write_bytes(archive.extractfile(f"./{name}").read())
            image.chmod(0o400)
            process, report = world.restore(image, name=f"{name}-from-there")
            verify_restored(process, report["pid"])
            print(f"{name} from there passed")


if __name__ == "__main__":
    scenario.run("other_kernel", test, 1500, both={"nargs": "+", "required": True},
                 there={"nargs": "*", "default": []})
