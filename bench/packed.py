# SPDX-License-Identifier: Apache-2.0
"""What `bench` measures of packed images: how fast one is made of the warm server's image and how soon the
server answers when it is restored from one, against the eager restore of the image itself."""
import json
import shutil
import subprocess
import time

from measuring import evict, limit, say, service, summary

METHODS = ("zstd:1", "lz4", "none")
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


def read_cold(path):
    """How long one reader takes that finds nothing of it in memory."""
    evict(path)
    begin = time.monotonic()
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
    return time.monotonic() - begin


def measure_cold(bench, image, packed, port):
    """Both on the disk that the bench keeps images on, nothing of them in memory."""
    copy = bench.dir / "cold.thump"
    shutil.copyfile(packed, copy)
    copy.chmod(0o400)

    def restores(path, *options):
        runs = []
        for _ in range(COLD_RUNS):
            evict(path)
            runs += bench.stopwatch("http", port, "/search?q=red", bench.thump, "restore", path, *options,
                                    runs=1)
        return summary(runs)
    seconds = min(read_cold(image) for _ in range(COLD_RUNS))
    return {"raw": restores(image, "--memory", "eager"), "packed": restores(copy),
            "disk_mb_s": image.stat().st_size / seconds / 1e6}


def measure(bench, image, port, eager, tmpfs):
    """`image` answers on `port` when it is restored; `eager` is the summary of that. What is packed goes to
    a tmpfs: a disk is not what is measured."""
    key, packed = bench.dir / "bench.key", tmpfs / "bench-packed.thump"
    with limit("keygen"):
        public = subprocess.run([bench.thump, "keygen", "-o", key], check=True, text=True,
                                stdout=subprocess.PIPE).stdout.strip()
    say("verifying the image of the server")
    result = {"raw_bytes": image.stat().st_size, "eager": eager, "ways": {},
              "verify": timed(bench, "verify", image),
              "codecs_mb_s": json.loads(bench.helper("codecs", image))}
    ways = [(method, ["--compress", method], []) for method in METHODS]
    ways.append(("lz4, encrypted", ["--compress", "lz4", "--encrypt-to", public],
                 ["--decrypt-with", str(key)]))
    try:
        for name, packing, opening in ways:
            say(f"packed image of the server, {name}")
            pack = timed(bench, "pack", image, "-o", packed, *packing)
            restore = summary(bench.stopwatch("http", port, "/search?q=red", bench.thump, "restore",
                                              packed, *opening))
            result["ways"][name] = {"pack": pack, "restore": restore,
                                    "bytes": packed.stat().st_size,
                                    "verify": timed(bench, "verify", packed, *opening)}
            if name == "zstd:1":
                result["cold"] = measure_cold(bench, image, packed, port)
    finally:
        packed.unlink(missing_ok=True)
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
        "cold": ratio(result["cold"]["packed"], result["cold"]["raw"]),
        "verify_mb_s": rate(result["verify"]) / min(2, cpus),  # it has two threads
    }
    return [(what, figures[key], bar, unit, lower) for what, key, bar, unit, lower in BARS]


def details(result):
    """Rows of a table: how small, and how long."""
    rows = []
    for name, way in result["ways"].items():
        rows.append((name, f"{100 * way['bytes'] / result['raw_bytes']:.0f}%",
                     *(f"{way[what]['best_us'] / 1e3:.1f}" for what in ("pack", "verify", "restore"))))
    return [("", "size", "pack, ms", "verify, ms", "restore to 200, ms"), *rows]


def in_turn(rates, *names):
    """What comes of several that each take every processor."""
    return 1 / sum(1 / rates[name] for name in names)


def limits(result):
    """A line on what the libraries, and the disk, can do at all."""
    rates = result["codecs_mb_s"]
    codecs = ", ".join(f"{name.replace('_', ' ')} {rate}" for name, rate in rates.items())
    return (f"The libraries alone, all processors, MB/s of this content: {codecs}. What lz4 has packed "
            f"is hashed, too: {in_turn(rates, 'lz4_pack', 'blake2b'):.0f} at most, before anything is "
            f"read or written. The disk reads {result['cold']['disk_mb_s']:.0f} MB/s.")
