#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second reader of thump images, written from docs/FORMAT.md alone and sharing no code with thump.

usage: read_image.py IMAGE            print what was found as one JSON object
       read_image.py --against THUMP IMAGE   also compare with `THUMP inspect --json`

Checks the layout, the seal and every checksum. XXH3 comes from the package python3-xxhash where it is
installed, else from the few lines below (slow: for small images).
Exit status: 0 whole, 1 not, 2 usage.
"""
import json
import os
import struct
import subprocess
import sys

import packed
from packed import Damaged, require

PAGE = 4096
CHUNK = 1 << 20
NONE = 0xFFFFFFFF
M64 = (1 << 64) - 1

# ---- XXH3-64, inputs over 240 bytes, seed 0 ------------------------------------------------------

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def accumulate(acc, data, secret):
    for i in range(8):
        key = data[i] ^ secret[i]
        acc[i ^ 1] = (acc[i ^ 1] + data[i]) & M64
        acc[i] = (acc[i] + (key & 0xFFFFFFFF) * (key >> 32)) & M64


def fold(a, b):
    product = a * b
    return (product & M64) ^ (product >> 64)


def xxh3_plain(data):
    assert len(data) > 240
    acc = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]
    secrets = [struct.unpack_from("<8Q", SECRET, 8 * i) for i in range(16)]
    last_secret = struct.unpack_from("<8Q", SECRET, len(SECRET) - 64 - 7)
    scramble = struct.unpack_from("<8Q", SECRET, len(SECRET) - 64)
    nr_stripes = (len(data) - 1) // 64
    for stripe in range(nr_stripes):
        accumulate(acc, struct.unpack_from("<8Q", data, stripe * 64), secrets[stripe % 16])
        if stripe % 16 == 15 and (stripe + 1) * 64 <= (len(data) - 1) // 1024 * 1024:
            for i in range(8):
                acc[i] = ((acc[i] ^ (acc[i] >> 47) ^ scramble[i]) * P32_1) & M64
    accumulate(acc, struct.unpack_from("<8Q", data, len(data) - 64), last_secret)
    result = len(data) * P64_1 & M64
    for i in range(4):
        low, high = struct.unpack_from("<2Q", SECRET, 11 + 16 * i)
        result = (result + fold(acc[2 * i] ^ low, acc[2 * i + 1] ^ high)) & M64
    result = ((result ^ (result >> 37)) * 0x165667919E3779F9) & M64
    return result ^ (result >> 32)


try:
    from xxhash import xxh3_64_intdigest as xxh3
except ImportError:
    xxh3 = xxh3_plain


# ---- fields --------------------------------------------------------------------------------------

class Fields:
    """The payload of a record, taken from front to back."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def raw(self, size):
        require(self.at + size <= len(self.data), "a record is too short")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, fmt):
        return struct.unpack("<" + fmt, self.raw(struct.calcsize("<" + fmt)))[0]

    def u8(self):
        return self.number("B")

    def u16(self):
        return self.number("H")

    def u32(self):
        return self.number("I")

    def u64(self):
        return self.number("Q")

    def i32(self):
        return self.number("i")

    def boolean(self):
        value = self.u8()
        require(value <= 1, "a bool is neither 0 nor 1")
        return value == 1

    def blob(self):
        return self.raw(self.u32())

    def text(self):
        data = self.blob()
        require(b"\0" not in data, "a str holds a 0")
        return data.decode("utf-8", "replace")

    def list(self, element):
        return [element(self) for _ in range(self.u32())]

    def done(self, name):
        require(self.at == len(self.data), f"{name} is not used up")


def named(*fields):
    """A decoder that takes the named fields in order: "u32 prot" -> {"prot": ...}."""
    def take(r):
        out = {}
        for field in fields:
            kind, names = field.split(" ", 1)
            for name in names.replace(",", " ").split():
                out[name] = getattr(r, kind)()
        return out
    return take


IDENTITY = named("u64 size edge_hash", "u32 mode", "u64 mtime dev ino", "blob build_id")
SIGINFO = (lambda r: r.raw(128))


def machine(r):
    out = named("text hostname kernel_release thump_version", "u64 boottime monotonic realtime",
                "text boot_id", "u64 xcr0", "u32 xsave_size", "text cpu_name")(r)
    out["cpuid"] = r.list(Fields.u32)
    out["mmap_min_addr"] = r.u64()
    return out


def process(r):
    out = named("i32 pid ppid pgid sid pid_host", "u32 tty_nr", "text exe_path")(r)
    out["exe"] = IDENTITY(r)
    out.update(named("text cwd root", "u32 umask personality", "i32 oom_score_adj",
                     "boolean child_subreaper vouched", "text cmdline")(r))
    out["creds"] = named("u32 uid euid suid fsuid gid egid sgid fsgid securebits",
                         "boolean no_new_privs",
                         "u64 inheritable permitted effective bounding ambient")(r)
    out["creds"]["groups"] = r.list(Fields.u32)
    out["rlimits"] = r.list(named("u64 soft hard"))
    out["sigactions"] = r.list(named("u64 handler flags restorer mask"))
    out["itimers"] = r.list(named("u64 interval_us value_us"))
    out["nr_pending"] = len(r.list(SIGINFO))
    require((len(out["rlimits"]), len(out["sigactions"]), len(out["itimers"])) == (16, 64, 3),
            "PROCESS: a table has another length")
    return out


def mm(r):
    out = named("u64 start_code end_code start_data end_data start_brk brk start_stack arg_start "
                "arg_end env_start env_end vdso_start vdso_end vvar_start vvar_end")(r)
    out["vdso_hash"] = r.raw(8)
    out.update(named("u64 syscall_insn", "boolean dumpable_known", "u32 dumpable",
                     "boolean thp_disable membarrier_known", "u32 membarrier_registrations",
                     "boolean mcl_future")(r))
    return out


def thread(r):
    out = named("i32 tid", "u32 state")(r)
    out["comm"] = r.raw(16).split(b"\0")[0].decode("utf-8", "replace")
    out.update(named("u64 sigmask clear_child_tid robust_list robust_list_len rseq_addr",
                     "u32 rseq_len rseq_sig", "u64 altstack_sp altstack_size",
                     "u32 altstack_flags", "i32 sched_policy sched_priority nice",
                     "u32 sched_flags", "i32 ioprio", "u64 timer_slack", "i32 pdeathsig",
                     "u32 blocked_syscall")(r))
    out["cpus"] = r.list(Fields.u64)
    out["nr_pending"] = len(r.list(SIGINFO))
    return out


def vma(r):
    out = named("u64 start end offset", "u32 prot kind traits backing_id pkey name_len")(r)
    length = out.pop("name_len")
    out["name"] = None if length == NONE else r.raw(length).decode("utf-8", "replace")
    return out


def backing(r):
    out = named("u32 kind", "boolean deleted", "u32 seals flags", "u64 content_size",
                "text path")(r)
    out["identity"] = IDENTITY(r)
    out["extents"] = r.list(named("u64 start end file_offset"))
    return out


OFD = named("u16 kind_id version", "u32 open_flags", "u64 pos", "u32 backing_id",
            "i32 owner owner_type owner_signal", "blob record", "text text")
FD = named("i32 fd", "boolean cloexec", "u32 ofd_id")
TIMER = named("i32 id clock_id notify signo", "u64 sigval", "i32 tid", "u64 interval value",
              "u32 overrun")


def checksums(r):
    require(r.u32() == CHUNK, "CHECKSUMS: another chunk size")
    return r.list(Fields.u64)


def tids(r):
    return {"obstacle": r.text(), "words": r.list(Fields.u64)}


RECORDS = {
    0x74680001: ("machine", machine), 0x74680002: ("process", process), 0x74680003: ("mm", mm),
    0x74680004: ("thread", thread), 0x74680005: ("vmas", lambda r: r.list(vma)),
    0x74680006: ("backings", lambda r: r.list(backing)), 0x74680007: ("ofds", lambda r: r.list(OFD)),
    0x74680008: ("fds", lambda r: r.list(FD)), 0x74680009: ("timers", lambda r: r.list(TIMER)),
    0x7468000A: ("layout", named("u64 memory_end backing_end debug_end zero_end")),
    0x7468000D: ("runtime", named("text name", "u64 parameters_addr parameters_size clock_addr")),
    0x7468000B: ("checksums", checksums), 0x7468000C: ("seal", named("u64 file_size hash")),
    0x7468000E: ("vouched", lambda r: r.list(named("u64 start end"))),
    0x7468000F: ("tids", tids),
    0x74680010: ("guards", lambda r: r.list(named("u64 start end"))),
    0x74680011: ("sizes", named("u64 heap_bytes heap_max_bytes", "u32 processors")),
    0x74680012: ("hot", lambda r: {name: r.list(named("u64 start end"))
                                   for name in ("written", "read")}),
    0x74680013: ("pkeys", named("u16 allocated")),
    0x74680014: ("filters", named("u32 count")),
}


# ---- the file ------------------------------------------------------------------------------------

def notes_of(data):
    at = 0
    while at < len(data):
        name_size, desc_size, kind = struct.unpack_from("<3I", data, at)
        at += 12
        name = data[at:at + name_size].rstrip(b"\0").decode()
        at += (name_size + 3) & ~3
        yield name, kind, data[at:at + desc_size]
        at += (desc_size + 3) & ~3
    require(at == len(data), "the last note is cut off")


def header_of(data):
    require(data[:16] == b"\x7fELF\2\1\1" + bytes(9), "not an ELF file of 64 bits")
    names = "type machine version entry phoff shoff flags ehsize phentsize phnum"
    header = dict(zip(names.split(), struct.unpack_from("<HHIQQQIHHH", data, 16)))
    require((header["type"], header["machine"], header["phentsize"]) == (4, 62, 56),
            "not a core file of x86-64")
    require(1 <= header["phnum"] <= 60001, "e_phnum")
    require(not any(data[58:PAGE]), "the header page is not zero behind the header")
    return header


def segments_of(data, header):
    names = ("type", "flags", "offset", "vaddr", "paddr", "filesz", "memsz", "align")
    for i in range(header["phnum"]):
        yield dict(zip(names, struct.unpack_from("<IIQQQQQQ", data, header["phoff"] + 56 * i)))


def read_notes(data):
    image, last = {"threads": []}, None
    for owner, kind, desc in notes_of(data):
        last = (owner, kind)
        if owner == "CORE" and kind == 1:
            image["threads"].append({"pr_pid": struct.unpack_from("<i", desc, 32)[0],
                                     "rip": struct.unpack_from("<Q", desc, 112 + 16 * 8)[0]})
        if owner == "LINUX" and kind == 0x202:
            image["threads"][-1]["xstate_size"] = len(desc)
        if owner != "thump":
            continue
        fields = Fields(desc)
        version, flags, zero = fields.u16(), fields.u16(), fields.u32()
        require(zero == 0 and flags & ~1 == 0, "the head of a record")
        if kind not in RECORDS or version != 1:
            require(not flags & 1, f"record {kind:#x} is required and not known")
            continue
        name, decode = RECORDS[kind]
        value = decode(fields)
        fields.done(name)
        if name == "thread":
            require(value["tid"] == image["threads"][-1]["pr_pid"], "THREAD of another thread")
            image["threads"][-1].update(value)
        else:
            require(name not in image, f"{name} is there twice")
            image[name] = value
    require(last == ("thump", 0x7468000C), "SEAL is not the last note")
    return image


def check_ranges(name, ranges):
    """Pages, in ascending order, without overlaps."""
    at = 0
    for entry in ranges:
        require(at <= entry["start"] < entry["end"] <= 2 ** 56 - PAGE, f"{name} is not sorted")
        require(entry["start"] % PAGE == entry["end"] % PAGE == 0, f"{name}: whole pages")
        at = entry["end"]


def check_tids(addresses):
    require(all(address % 4 == 0 and address < 2 ** 56 - PAGE for address in addresses),
            "TIDS: an address")
    require(all(a < b for a, b in zip(addresses, addresses[1:])), "TIDS is not sorted")


def check_content(data, image):
    """Checksums, and that parts lie back to back."""
    layout = image["layout"]
    content = data[PAGE:layout["zero_end"]]
    chunks = [content[at:at + CHUNK] for at in range(0, len(content), CHUNK)]
    require(len(chunks) == len(image["checksums"]), "number of checksums")
    for number, (chunk, expected) in enumerate(zip(chunks, image["checksums"])):
        require(xxh3(chunk) == expected, f"checksum of chunk {number}")
    require(not any(data[layout["debug_end"]:layout["zero_end"]]), "the zero block is not zero")


def check_segments(segments, image):
    layout, memory, debug, address = image["layout"], PAGE, image["layout"]["backing_end"], 0
    for s in segments:
        require(s["type"] == 1 and s["vaddr"] >= address, "PT_LOADs are sorted")
        address = s["vaddr"] + s["memsz"]
        owner = [v for v in image["vmas"] if v["start"] <= s["vaddr"] and address <= v["end"]]
        require(len(owner) == 1, "a segment lies in one VMA")
        if s["filesz"] == 0:
            require(s["offset"] == layout["zero_end"], "p_offset of a segment without bytes")
            continue
        require(s["filesz"] == s["memsz"], "p_filesz")
        if s["offset"] < layout["memory_end"]:
            require(s["offset"] == memory, "extents lie back to back")
            memory += s["filesz"]
            owner[0]["stored"] = owner[0].get("stored", 0) + s["filesz"]
        elif layout["backing_end"] <= s["offset"] < layout["debug_end"]:
            require(s["offset"] == debug, "debug content lies back to back")
            debug += s["filesz"]
    require(memory == layout["memory_end"] and debug == layout["debug_end"],
            "content that belongs to no segment")
    at = layout["memory_end"]
    for extent in (e for b in image["backings"] for e in b["extents"]):
        require(extent["file_offset"] == at, "content of backings lies back to back")
        at += extent["end"] - extent["start"]
    require(at == layout["backing_end"], "content that belongs to no backing")


def read_image(path):
    with open(path, "rb") as file:
        data = file.read()
    return read_bytes(packed.unpack(data, os.path.dirname(path)) if data[:8] == packed.MAGIC else data)


def read_bytes(data):
    header = header_of(data)
    first, *rest = segments_of(data, header)
    notes_at = header["phoff"] + 56 * header["phnum"]
    require((first["type"], first["offset"]) == (4, notes_at), "PT_NOTE comes first")
    require(notes_at + first["filesz"] == len(data), "the notes are the rest of the file")
    image = read_notes(data[notes_at:])
    require(image["seal"]["file_size"] == len(data), "file size")
    require(image["seal"]["hash"] == xxh3(data[:PAGE] + data[header["phoff"]:-8]), "seal")
    require(image["layout"]["zero_end"] == header["phoff"], "LAYOUT")
    check_ranges("VOUCHED", image.get("vouched", []))
    for ranges in image.get("hot", {}).values():
        check_ranges("HOT", ranges)
    check_tids(image.get("tids", {}).get("words", []))
    check_content(data, image)
    check_segments(rest, image)
    return image


def runtime_of(image):
    """An image of before there was SIZES says nothing about them."""
    if not image.get("runtime", {}).get("name"):
        return None
    sizes = image.get("sizes", {"heap_bytes": 0, "heap_max_bytes": 0, "processors": 0})
    return {"name": image["runtime"]["name"], **sizes}


def path_of(image, mapping):
    if mapping["backing_id"] != NONE:
        return image["backings"][mapping["backing_id"]]["path"]
    return mapping["name"]


def compare(image, thump, path):
    """What thump's own reader says must be what was found here."""
    out = subprocess.run([thump, "inspect", path, "--json", "--fds", "--maps", "--threads"],
                         check=True, stdout=subprocess.PIPE)
    said = json.loads(out.stdout)
    pairs = [
        (said["program"]["pid"], image["process"]["pid"]),
        (said["program"]["command"], image["process"]["cmdline"]),
        (said["program"]["stands_other_pids"],
         image["process"]["vouched"] and not image.get("tids", {}).get("obstacle")),
        (said["made"]["realtime_ns"], image["machine"]["realtime"]),
        (said["needs"]["cpuid_words"], image["machine"]["cpuid"]),
        ([(t["tid"], t["name"]) for t in said["threads"]],
         [(t["tid"], t["comm"]) for t in image["threads"]]),
        ([(f["fd"], f["cloexec"], f["description"], f["text"]) for f in said["fds"]],
         [(f["fd"], f["cloexec"], f["ofd_id"], image["ofds"][f["ofd_id"]]["text"])
          for f in image["fds"]]),
        ([(int(v["start"], 16), int(v["end"], 16)) for v in said["vouched"]],
         [(v["start"], v["end"]) for v in image.get("vouched", [])]),
        ([(int(m["start"], 16), int(m["end"], 16), m["stored_bytes"], m["path"])
          for m in said["maps"]],
         [(v["start"], v["end"], v.get("stored", 0), path_of(image, v)) for v in image["vmas"]]),
        (said["runtime"], runtime_of(image)),
    ]
    for theirs, ours in pairs:
        require(theirs == ours, f"thump says {theirs}, here it is {ours}")


def main(args):
    thump = None
    if len(args) == 3 and args[0] == "--against":
        thump = args[1]
    elif len(args) != 1:
        sys.stderr.write(__doc__)
        return 2
    try:
        image = read_image(args[-1])
        if thump:
            compare(image, thump, args[-1])
    except (Damaged, struct.error, KeyError, IndexError) as error:
        sys.stderr.write(f"{args[-1]}: {error}\n")
        return 1
    json.dump(image, sys.stdout, indent=1, default=lambda data: data.hex())
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
