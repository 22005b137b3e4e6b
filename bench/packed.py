# SPDX-License-Identifier: Apache-2.0
"""What `bench` measures of packed images: how fast one is made of a warm server's image and how soon the
server answers when it is restored from one, against the eager restore of the image itself."""
import dataclasses
import json
import pathlib
import shutil
import subprocess

import slowdisk
from measuring import evict, limit, say, service, summary

METHODS = ("zstd:1", "zstd:3", "lz4", "none")
COLD_METHODS = ("zstd:1", "lz4")
# (what, key of the figures below, limit, unit, whether lower is better)
BARS = (
    ("packing with zstd:1, all processors", "pack_zstd_mb_s", 500, "MB/s", False),
    ("packing with lz4, all processors", "pack_lz4_mb_s", 1200, "MB/s", False),
    ("restore from lz4, against eager from the image", "restore_lz4", 1.5, "x", True),
    ("restore from zstd:1, against eager from the image", "restore_zstd", 2.5, "x", True),
    ("the same from lz4 encrypted, against lz4", "restore_encrypted", 1.25, "x", True),
    ("packing with lz4 and encryption, against lz4", "pack_encrypted", 1.25, "x", True),
    ("verifying an image, for each processor", "verify_mb_s", 2000, "MB/s", False),
    ("restore from zstd:1 on the disk, against eager from the image there", "cold", 1, "x", True),
)
COLD_RUNS = 5
SLOW_RUNS = 3
# Of disks that are slower than the one here, MB/s.
SLOW_DISKS = (400, 200)


@dataclasses.dataclass
class Server:
    """What is in the image, and how one sees that it runs."""
    name: str
    image: pathlib.Path
    port: int
    path: str = "/search?q=red"
    folder: pathlib.Path = pathlib.Path(".")  # where it was started

    def restore(self, bench, image, *options, runs=None):
        return bench.stopwatch("http", self.port, self.path, bench.thump, "restore", image, *options,
                               runs=runs, cwd=self.folder, stderr=subprocess.DEVNULL)

    def restore_eager(self, bench, runs=None):
        return self.restore(bench, self.image, "--memory", "eager", "--train", "no", runs=runs)


def timed(bench, *command):
    """A verb, several times to its end."""
    runs = []
    for _ in range(max(3, bench.runs // 3)):
        with limit(" ".join(map(str, command))):
            result = subprocess.run([bench.helpers / "bench_stopwatch", "wait", bench.thump, *command],
                                    text=True, capture_output=True)
        if result.returncode:
            raise service.Failure(f"{command}: {result.stdout}{result.stderr}")
        runs.append(json.loads(result.stderr.splitlines()[-1]))
    return summary(runs)


def cold_restores(bench, server, copies, runs, prepare=lambda: None):
    """Nothing of them is in memory; in turns, as all drift."""
    results = {"raw": [], **{method: [] for method in copies}}
    for _ in range(runs):
        evict(server.image)
        prepare()
        results["raw"] += server.restore_eager(bench, runs=1)
        for method, copy in copies.items():
            evict(copy)
            prepare()
            results[method] += server.restore(bench, copy, runs=1)
    return {name: summary(values) for name, values in results.items()}


def measure_cold(bench, server, copies):
    """On the disk that the bench keeps images on, and as if it were slower."""
    say(f"restores of {server.name} from a cold disk")
    seconds = min(slowdisk.read_seconds(server.image) for _ in range(COLD_RUNS))
    result = {**cold_restores(bench, server, copies, COLD_RUNS), "slow": [],
              "disk_mb_s": server.image.stat().st_size / seconds / 1e6}
    other = bench.dir / "other-file"
    shutil.copyfile(server.image, other)
    for mb_s in SLOW_DISKS:
        try:
            with slowdisk.slow_disk(server.image, other, mb_s) as disk:
                result["slow"].append({"mb_s": disk.mb_s, **cold_restores(
                    bench, server, copies, SLOW_RUNS, disk.tire)})
        except slowdisk.NotHere as why:
            say(f"no disk of {mb_s} MB/s: {why}")
            result["no_slow_disk"] = str(why)
    other.unlink()
    return result


def measure(bench, server, eager, tmpfs):
    """`eager` is the summary of its eager restores. What is packed goes to a tmpfs: a disk is not what is
    measured."""
    key, packed = bench.dir / "bench.key", tmpfs / "bench-packed.thump"
    image, copies = server.image, {}
    if not key.exists():
        with limit("keygen"):
            (bench.dir / "bench.pub").write_text(subprocess.run(
                [bench.thump, "keygen", "-o", key], check=True, text=True,
                stdout=subprocess.PIPE).stdout)
    say(f"verifying the image of {server.name}")
    result = {"name": server.name, "raw_bytes": image.stat().st_size, "eager": eager, "ways": {},
              "verify": timed(bench, "verify", image),
              "codecs_mb_s": json.loads(bench.helper("codecs", image))}
    ways = [(method, ["--compress", method], []) for method in METHODS]
    ways.append(("lz4, encrypted", ["--compress", "lz4", "--encrypt-to", bench.dir / "bench.pub"],
                 ["--decrypt-with", str(key)]))
    try:
        for name, packing, opening in ways:
            say(f"packed image of {server.name}, {name}")
            pack = timed(bench, "pack", image, "-o", packed, *packing)
            result["ways"][name] = {"pack": pack, "bytes": packed.stat().st_size,
                                    "restore": summary(server.restore(bench, packed, *opening)),
                                    "verify": timed(bench, "verify", packed, *opening)}
            if name in COLD_METHODS:
                copies[name] = bench.dir / f"cold-{len(copies)}.thump"
                shutil.copyfile(packed, copies[name])
                copies[name].chmod(0o400)
        result["cold"] = measure_cold(bench, server, copies)
    finally:
        for path in (packed, *copies.values()):
            path.unlink(missing_ok=True)
    return result


def bars(result, cpus):
    ways, raw = result["ways"], result["raw_bytes"]
    lz4, sealed = ways["lz4"], ways["lz4, encrypted"]

    def rate(way):
        return raw / way["best_us"]  # bytes per us are MB per s

    def ratio(way, other):
        return way["best_us"] / other["best_us"]

    figures = {
        "pack_zstd_mb_s": rate(ways["zstd:1"]["pack"]),
        "pack_lz4_mb_s": rate(lz4["pack"]),
        "restore_lz4": ratio(lz4["restore"], result["eager"]),
        "restore_zstd": ratio(ways["zstd:1"]["restore"], result["eager"]),
        "restore_encrypted": ratio(sealed["restore"], lz4["restore"]),
        "pack_encrypted": ratio(sealed["pack"], lz4["pack"]),
        "cold": ratio(result["cold"]["zstd:1"], result["cold"]["raw"]),
        "verify_mb_s": rate(result["verify"]) / min(2, cpus),  # it has two threads
    }
    return [(what, figures[key], bar, unit, lower) for what, key, bar, unit, lower in BARS]


def in_turn_ms(*parts):
    """What (bytes, MB/s) take one after the other, each on every processor."""
    return sum(count / rate for count, rate in parts) / 1e3  # bytes per MB/s are us


def library_ms(result, name):
    """(packing, unpacking): what the libraries alone take for this content."""
    rates, raw = result["codecs_mb_s"], result["raw_bytes"]
    stored = result["ways"][name]["bytes"]
    pack, unpack = [(stored, rates["blake2b"])], []
    method = name.partition(",")[0].replace(":", "")
    if method != "none":
        pack.append((raw, rates[f"{method}_pack"]))
        unpack.append((raw, rates[f"{method}_unpack"]))
    if "encrypted" in name:
        pack.append((stored, rates["aes256_ocb"]))
        unpack.append((stored, rates["aes256_ocb"]))
    return in_turn_ms(*pack), in_turn_ms(*unpack)


def details(result):
    """Rows of a table: how small, and how long; in brackets what the libraries take of it at least."""
    rows = []
    for name, way in result["ways"].items():
        packing, unpacking = library_ms(result, name)
        pack, verify, restore = (way[what]["best_us"] / 1e3 for what in ("pack", "verify", "restore"))
        rows.append((name, f"{100 * way['bytes'] / result['raw_bytes']:.1f}%",
                     f"{pack:.0f} ({packing:.0f})", f"{result['raw_bytes'] / pack / 1e3:.0f}",
                     f"{verify:.0f}", f"{restore:.0f} ({unpacking:.0f})",
                     f"{way['restore']['best_us'] / result['eager']['best_us']:.2f}x"))
    return [("", "size", "pack, ms (libraries)", "MB/s", "verify, ms", "restore to 200, ms (libraries)",
             "of eager"), *rows]


def slow_disks(result):
    """Rows of a table: restores from a disk that has to be read, of the eager ones of the image there."""
    cold, rows = result["cold"], []
    for disk in ({"mb_s": cold["disk_mb_s"], **cold}, *cold["slow"]):
        raw = disk["raw"]["best_us"]
        rows.append((f"{disk['mb_s']:.0f} MB/s", f"{raw / 1e3:.0f}",
                     *(f"{disk[name]['best_us'] / 1e3:.0f} ({disk[name]['best_us'] / raw:.2f}x)"
                       for name in COLD_METHODS)))
    return [("the disk reads", "eager from the image, ms", *COLD_METHODS), *rows]


def limits(result):
    """A line on what the libraries can do at all."""
    codecs = ", ".join(f"{name.replace('_', ' ')} {rate}"
                       for name, rate in result["codecs_mb_s"].items())
    why = result["cold"].get("no_slow_disk")
    return (f"The libraries alone, all processors, MB/s of this content: {codecs}."
            + (f" No slower disks: {why}." if why else ""))


def markdown_table(rows):
    head, *rows = rows
    return ["| " + " | ".join(head) + " |", "|---" * len(head) + "|",
            *("| " + " | ".join(row) + " |" for row in rows)]


def markdown(result, bar_lines):
    return [f"{result['name'][0].upper()}{result['name'][1:]}, an image of "
            f"{result['raw_bytes'] / 1e6:.0f} MB:", "", *bar_lines, "", *markdown_table(details(result)),
            "", *markdown_table(slow_disks(result)), "", limits(result)]
