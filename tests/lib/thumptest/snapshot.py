# SPDX-License-Identifier: Apache-2.0
"""What /proc shows of a process, in a form that a checkpoint and a restore must not change.

Left out, because it is documented to change: inode numbers, mount ids, parent, process group and
session, times and counters of use, and what thump is asked to replace (the standard streams). The
pid is the one that the process itself sees.
"""
import os
import re

from thumptest.events import Failure

STATUS_KEYS = ("Name", "Umask", "TracerPid", "Uid", "Gid", "Groups", "Threads", "SigPnd",
               "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd",
               "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "VmLck", "THP_enabled",
               "Cpus_allowed", "Speculation_Store_Bypass", "SpeculationIndirectBranch")
TASK_KEYS = ("Name", "State", "SigPnd", "SigBlk", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
             "NoNewPrivs", "Seccomp", "Cpus_allowed")
# Fields of proc(5) /proc/PID/stat, numbered as there.
STAT_FIELDS = {18: "priority", 19: "nice", 26: "startcode", 27: "endcode", 28: "startstack",
               38: "exit_signal", 40: "rt_priority", 41: "policy", 45: "start_data",
               46: "end_data", 47: "start_brk", 48: "arg_start", 49: "arg_end", 50: "env_start",
               51: "env_end"}
# Flags that say something about use, not about the mapping.
NOISE_FLAGS = {"sd", "??"}
FDINFO_NOISE = ("mnt_id", "ino", "eventfd-id", "scm_fds")
STANDARD = (0, 1, 2)


def read(path, binary=False):
    with open(path, "rb") as file:
        content = file.read()
    return content if binary else content.decode(errors="surrogateescape")


def status_of(path):
    return dict(line.split(":", 1) for line in read(path).splitlines() if ":" in line)


def own_id(status):
    """The pid or tid in the innermost namespace."""
    return int(status["NSpid"].split()[-1])


def stat_fields(path):
    text = read(path)
    words = text[text.rindex(")") + 2:].split()
    return {name: words[number - 3] for number, name in STAT_FIELDS.items()}


def _state(word):
    """Running and sleeping are moments; stopped is a state."""
    letter = word.strip()[0]
    return "alive" if letter in "RSDI" else letter


def task_snapshot(path):
    status = status_of(f"{path}/status")
    task = {key: status[key].strip() for key in TASK_KEYS if key in status}
    task["State"] = _state(status["State"])
    task["syscall"] = read(f"{path}/syscall").split()
    return own_id(status), task


def resident_bytes(pid):
    """What the process has touched, about (proc(5)); with ASan it has reserved 20 TB."""
    return int(status_of(f"/proc/{pid}/status")["VmRSS"].split()[0]) << 10


def tasks(pid):
    result = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        own, task = task_snapshot(f"/proc/{pid}/task/{tid}")
        result[own] = task
    return result


MAP_LINE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ (\d+) *(.*)$")


def mappings(pid, image=None):
    """[start, end, permissions, path, offset, flags], neighbours that differ in nothing merged.
    What is mapped from `image` counts as the anonymous memory that it stands for."""
    result, current = [], None
    for line in read(f"/proc/{pid}/smaps").splitlines():
        match = MAP_LINE.match(line)
        if match:
            start, end, permissions, offset, inode, path = match.groups()
            start, end, offset = int(start, 16), int(end, 16), int(offset, 16)
            if image is not None and path.replace(" (deleted)", "") == image:
                path = inode = ""
            if not int(inode or 0):
                offset = 0
            current = [start, end, permissions, _without_name(path), offset, []]
            result.append(current)
        elif line.startswith("VmFlags:"):
            current[5] = sorted(set(line.split()[1:]) - NOISE_FLAGS)
    return merge(result)


def merge(regions):
    merged = []
    for region in regions:
        last = merged[-1] if merged else None
        if last and last[1] == region[0] and last[2:4] == region[2:4] and \
                last[5] == region[5] and (last[4] + region[0] - last[0] == region[4] or
                                          region[4] == last[4] == 0):
            last[1] = region[1]
        else:
            merged.append(list(region))
    return merged


def without_flags(regions):
    """For lazily restored memory: ranges and permissions only, as file mappings have other flags
    and no names."""
    return merge([[start, end, permissions, "" if path.startswith(("[heap", "[anon")) else path,
                   offset, []]
                  for start, end, permissions, path, offset, _ in regions])


# Bits that open(2) of a nameless file leaves in its flags; the restored one was opened otherwise.
O_TMPFILE_BITS = 0o20200000


def _without_name(link):
    """A deleted file was somewhere; that is all that is left of its name."""
    if link.endswith(" (deleted)") and not link.startswith(("/memfd:", "/dev/zero")):
        return os.path.dirname(link) + "/ (deleted)"
    return link


def _number_objects(links):
    """pipe:[123] and socket:[456] become pipe:#1, socket:#2 in order of descriptors: what refers to
    the same object does so afterwards."""
    seen, result = {}, {}
    for fd, link in sorted(links.items()):
        match = re.match(r"^(\w+):\[\d+\]$", link)
        if match:
            number = seen.setdefault(link, len(seen) + 1)
            link = f"{match.group(1)}:#{number}"
        result[fd] = link
    return result


def _fdinfo(text, deleted):
    lines, periodic = [], re.search(r"^it_interval: (?!\(0, 0\))", text, re.M)
    for line in text.splitlines():
        key = line.split(":", 1)[0].strip()
        if key in FDINFO_NOISE:
            continue
        if key == "it_value":
            # A periodic timer is due now and then.
            line = "it_value: " + ("none" if "(0, 0)" in line and not periodic else "some")
        elif key == "flags" and deleted:
            line = f"flags: {int(line.split()[1], 8) & ~O_TMPFILE_BITS:o}"
        elif key == "ticks":
            continue
        elif key == "tfd":
            line = re.sub(r"\s+pos:.*", "", line)
        elif key == "lock":
            line = re.sub(r"\S+:\S+:\d+", "INODE", re.sub(r"lock:\s+\d+:", "lock:", line))
            line = re.sub(r"(READ|WRITE)\s+-?\d+", r"\1 PID", line)
        lines.append(" ".join(line.split()))
    return sorted(lines)


def descriptors(pid):
    links, infos = {}, {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        fd = int(name)
        try:
            links[fd] = _without_name(os.readlink(f"/proc/{pid}/fd/{name}"))
            infos[fd] = _fdinfo(read(f"/proc/{pid}/fdinfo/{name}"),
                                links[fd].endswith("/ (deleted)"))
        except FileNotFoundError:
            raise Failure(f"descriptor {fd} of process {pid} vanished while we looked") from None
    for fd in STANDARD:
        # Replaced by the restoring command's, unless the null device.
        if fd in links and links[fd] != "/dev/null":
            links[fd], infos[fd] = "standard stream", []
    return {fd: [link, *infos[fd]] for fd, link in _number_objects(links).items()}


def timers(pid):
    try:
        text = read(f"/proc/{pid}/timers")
    except FileNotFoundError:
        return []
    # notify: signal/pid.4711: the pid as the reader sees it.
    return [re.sub(r"\.\d+$", ".PID", line) for line in text.splitlines()]


def link(pid, name):
    return os.readlink(f"/proc/{pid}/{name}")


def take(pid, image=None):
    """Everything; `image` is the file that it was lazily restored from, if it was."""
    status = status_of(f"/proc/{pid}/status")
    base = f"/proc/{pid}"
    return {
        "pid": own_id(status),
        "status": {key: status[key].strip() for key in STATUS_KEYS if key in status},
        "stat": stat_fields(f"{base}/stat"),
        "tasks": tasks(pid),
        "maps": mappings(pid, image),
        "fds": descriptors(pid),
        "timers": timers(pid),
        "exe": link(pid, "exe"), "cwd": link(pid, "cwd"), "root": link(pid, "root"),
        "cmdline": read(f"{base}/cmdline"), "environ": read(f"{base}/environ"),
        "auxv": read(f"{base}/auxv", binary=True).hex(),
        "limits": read(f"{base}/limits").splitlines(),
        "personality": read(f"{base}/personality").strip(),
        "oom_score_adj": read(f"{base}/oom_score_adj").strip(),
        "coredump_filter": read(f"{base}/coredump_filter").strip(),
    }


# Restarted by the kernel under this number (restart_syscall(2)) after any stop.
RESTART_SYSCALL = "219"


def _same_syscall(before, after):
    """A thread that was blocked is blocked in the same system call, with the same stack."""
    if before[0] in ("running", "-1"):
        return True
    if after[0] in ("running", "-1"):
        return False
    return before[-2:] == after[-2:] and (before[0] == after[0] or
                                          RESTART_SYSCALL in (before[0], after[0]))


def _describe(value):
    if isinstance(value, list) and len(value) == 6 and isinstance(value[0], int):
        start, end, permissions, path, offset, flags = value
        return f"{start:x}-{end:x} {permissions} {offset:x} {path} {' '.join(flags)}"
    return str(value)


def _compare_value(name, before, after):
    if before == after:
        return []
    if isinstance(before, dict):
        differences = []
        for key in sorted(set(before) | set(after), key=str):
            if key == "syscall" and key in before and key in after:
                if before.get("State") != "T" and not _same_syscall(before[key], after[key]):
                    differences.append(f"{name} {key}: {before[key]} became {after[key]}")
            elif key not in after:
                differences.append(f"{name} {key}: {_describe(before[key])} is gone")
            elif key not in before:
                differences.append(f"{name} {key}: {_describe(after[key])} is new")
            else:
                differences += _compare_value(f"{name} {key}", before[key], after[key])
        return differences
    if isinstance(before, list):
        keys = [{str(item) for item in items} for items in (before, after)]
        gone = [_describe(item) for item in before if str(item) not in keys[1]]
        new = [_describe(item) for item in after if str(item) not in keys[0]]
        return [f"{name}: gone: {item}" for item in gone] + \
            [f"{name}: new:  {item}" for item in new] or [f"{name}: order changed"]
    return [f"{name}: {before!r} became {after!r}"]


def compare(before, after, lazy=False, ignore=()):
    """Lines that name every difference. `lazy`: after was lazily restored. `ignore`: patterns of
    differences that the workload makes by itself."""
    if lazy:
        before = {**before, "maps": without_flags(before["maps"])}
        after = {**after, "maps": without_flags(after["maps"])}
    differences = _compare_value("", before, after)
    return [line.strip() for line in differences
            if not any(re.search(pattern, line) for pattern in ignore)]
