# SPDX-License-Identifier: Apache-2.0
"""Checks one rule of docs/HACKING.md over the whole tree.

usage: style.py RULE BUILD-DIR

Every rule is a function below that yields one line per violation. Exit status 0 pass, 1 fail,
77 skip with a reason.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FUNCTION_LINES_MAX = 80
FUNCTION_LINES_P90 = 40
FILE_LINES_MAX = 850
SKIP = 77

# What a folder of src may include beside itself. Single headers are contracts between two parts.
LAYERS = {
    "base": (),
    "model": ("base",),
    "proc": ("base", "model"),
    "image": ("base", "model"),
    "pack": ("base", "model", "proc", "image"),
    "trace": ("base", "model", "proc"),
    "kinds": ("base", "model", "proc", "image", "trace"),
    "capture": ("base", "model", "proc", "image", "trace", "kinds",
                "coord/abi.h"),
    "rebuild": ("base", "model", "proc", "image", "trace", "kinds",
                "resume/abi.h", "resume/blob.h"),
    "resume": (),
    "coord": ("base/clock.h",),
    "libthump": ("coord", "thump/thump.h"),
    "cli": ("base", "model", "proc", "image", "pack", "trace", "kinds", "capture", "rebuild",
            "coord/abi.h", "coord/find.h"),
}
PRINT_OR_EXIT = re.compile(
    r"\b(?:v?printf|puts|putchar|perror|exit|err|errx|warn|warnx)\s*\("
    r"|\bf(?:printf|puts|write|flush)\s*\([^;]*\bstd(?:out|err)\b")


def sources(*folders, suffixes=(".c", ".h")):
    for folder in folders:
        yield from sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes)


def code_of(path):
    """The text with comments and string contents blanked, line numbers unchanged."""
    def blank(match):
        text = match.group(0)
        return re.sub(r"[^\n]", " ", text) if text.startswith("/") else '""'
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, path.read_text(), flags=re.S)


def at(path, text, offset):
    return f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, offset) + 1}"


def layer_of(path):
    return path.relative_to(ROOT / "src").parts[0]


def layers():
    """A folder includes only what the dependency rule lets it."""
    for path in sources("src", suffixes=(".c", ".h", ".S")):
        own = layer_of(path)
        if own not in LAYERS:
            yield f"{path.relative_to(ROOT)}: folder {own} has no place in the dependency rule"
            continue
        text = path.read_text()
        for match in re.finditer(r'^\s*#\s*include\s+"([^"]+)"', text, re.M):
            header = match.group(1)
            folder = header.split("/")[0]
            allowed = (own, *LAYERS[own])
            in_place = (path.parent / header).exists()
            if folder in allowed or header in allowed or header == "version.h" or in_place:
                continue
            yield f"{at(path, text, match.start())}: {own} may not include {header}"


def calls():
    """Only src/trace calls ptrace; only src/cli prints or exits."""
    for path in sources("src"):
        own, code = layer_of(path), code_of(path)
        if own != "trace":
            for match in re.finditer(r"\bptrace\s*\(", code):
                yield f"{at(path, code, match.start())}: only src/trace calls ptrace(2)"
        if own != "cli":
            for match in PRINT_OR_EXIT.finditer(code):
                yield f"{at(path, code, match.start())}: only src/cli prints or exits"


def function_lengths(path):
    """(line, length) of every function: in this style it is what lies between `{` and `}` in
    column 0."""
    start = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line == "{":
            start = number
        elif line.startswith("}") and start:
            yield start, number - start - 1
            start = None


def functions():
    """No function is long, and most are short."""
    lengths = []
    for path in sources("src", "tests", "bench"):
        for line, length in function_lengths(path):
            if length > FUNCTION_LINES_MAX:
                yield (f"{path.relative_to(ROOT)}:{line}: function of {length} lines, "
                       f"{FUNCTION_LINES_MAX} at most")
            if path.is_relative_to(ROOT / "src"):
                lengths.append(length)
    lengths.sort()
    p90 = lengths[len(lengths) * 9 // 10]
    if p90 > FUNCTION_LINES_P90:
        yield f"src: one function in ten is longer than {p90} lines, {FUNCTION_LINES_P90} at most"


def files():
    """No file is long, and each says its licence."""
    suffixes = (".c", ".h", ".S", ".py", ".sh", ".java", ".cmake", ".lds")
    names = ("CMakeLists.txt",)
    folders = ("src", "include", "tests", "bench", "tools", "cmake", "examples", "bindings", "jvm", ".ci")
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            script = path.is_file() and not path.suffix and path.read_bytes()[:2] == b"#!"
            if not (script or path.suffix in suffixes or path.name in names):
                continue
            lines = path.read_text().splitlines()
            if not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:2]):
                yield f"{path.relative_to(ROOT)}:1: no SPDX-License-Identifier"
            if len(lines) > FILE_LINES_MAX:
                yield f"{path.relative_to(ROOT)}: {len(lines)} lines, {FILE_LINES_MAX} at most"


def marks():
    """No work left as a comment, no conflict markers."""
    pattern = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b|^(?:<{7}|>{7}) ", re.M)
    for path in sources("src", "tests", "bench", "tools", "man", "docs", "cmake",
                        suffixes=(".c", ".h", ".S", ".py", ".md", ".scd", ".cmake", ".txt")):
        text = path.read_text()
        for match in pattern.finditer(text):
            yield f"{at(path, text, match.start())}: {match.group(0)}"


def globals_():
    """No library has writable data: state hangs off structs that callers own."""
    build = pathlib.Path(sys.argv[2])
    for archive in sorted(build.glob("libthump_*.a")) + sorted(build.glob("src/*/*.a")):
        listing = subprocess.run(["objdump", "-t", archive], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
        for line in listing.splitlines():
            match = re.match(r"\S+ .{7} ((?:\.data|\.bss|\*COM\*|\.tdata|\.tbss)\S*)\s+\S+\s+(\S+)$",
                             line)
            if not match or match.group(1).startswith(".data.rel.ro"):
                continue
            if match.group(2) != match.group(1): # not the section itself
                yield f"{archive.name}: mutable global {match.group(2)} in {match.group(1)}"


def completions():
    """completions/ is what the man pages say."""
    result = subprocess.run([sys.executable, ROOT / "tools" / "gen-completions", "--check"],
                            text=True, stderr=subprocess.PIPE)
    if result.returncode:
        yield result.stderr.strip()


def man():
    """scdoc makes a page of every source in man/, without which `make install` fails."""
    if not shutil.which("scdoc"):
        print("skipped: scdoc is not installed")
        sys.exit(SKIP)
    for path in sources("man", suffixes=(".scd",)):
        result = subprocess.run(["scdoc"], input=path.read_text(), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if result.returncode or not result.stdout.strip():
            yield f"{path.relative_to(ROOT)}: {result.stderr.strip()}"


def dangling_links(folder):
    for path in sorted(folder.rglob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
            if "://" not in link and not (path.parent / link).exists():
                yield f"{path.relative_to(folder)} links {link}, which is not installed"


def install():
    """A verb has its man page where it is installed, thump(1) names documents that are there, and so
    do they."""
    if not shutil.which("scdoc"):
        print("skipped: scdoc is not installed")
        sys.exit(SKIP)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["cmake", "--install", sys.argv[2], "--prefix", "/opt/of thump"], check=True,
                       stdout=subprocess.PIPE, env={**os.environ, "DESTDIR": folder})
        pages = pathlib.Path(folder) / "opt" / "of thump" / "share" / "man"
        wanted = {path.stem for path in sources("man", suffixes=(".scd",))}
        for name in sorted(wanted - {path.name for path in pages.glob("man[13]/*")}):
            yield f"{name} is not installed"
        text = (pages / "man1" / "thump.1").read_text().replace("\\&", "")
        documents = re.findall(r"(/opt/of thump/\S+?\.md)", text)
        if not documents:
            yield "thump(1) does not say where its documents are installed"
        for path in documents:
            if not pathlib.Path(folder + path).exists():
                yield f"thump(1) names {path}, which is not installed"
            yield from dangling_links(pathlib.Path(folder + path).parents[1])


def shells():
    """The completions are valid in the shells they are for."""
    skipped = []
    for shell, name in (("bash", "thump.bash"), ("zsh", "_thump"), ("fish", "thump.fish")):
        if not shutil.which(shell):
            skipped.append(shell)
            continue
        result = subprocess.run([shell, "-n", ROOT / "completions" / name], text=True,
                                stderr=subprocess.PIPE)
        if result.returncode or result.stderr:
            yield f"completions/{name}: {result.stderr.strip()}"
    if skipped:
        print(f"skipped: not installed: {', '.join(skipped)}")
        sys.exit(SKIP)


def named_tests(line):
    return re.findall(r"`((?:kinds|scenario|unit|image|faults|jvm|fuzz)\.[\w.]+)`", line)


def support():
    """Every row of docs/SUPPORT.md names a test, and all that are named exist."""
    listing = subprocess.run(["ctest", "--test-dir", sys.argv[2], "-N"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    tests = re.findall(r"^ +Test +#\d+: (\S+)", listing, re.M)
    lines = (ROOT / "docs" / "SUPPORT.md").read_text().splitlines()
    for number, line in enumerate(lines, 1):
        is_row = line.startswith("| ") and not lines[number].startswith("|---")
        if is_row and not named_tests(line):
            yield f"docs/SUPPORT.md:{number}: this row names no test"
        for name in named_tests(line):
            # Without a JDK there are none of the agent.
            if name.startswith("jvm.") and not any(test.startswith("jvm.") for test in tests):
                continue
            if not any(test == name or test.startswith(f"{name}.") for test in tests):
                yield f"docs/SUPPORT.md:{number}: there is no test {name}"


def help_text(thump, verb):
    return subprocess.run([thump, *([verb] if verb else []), "--help"], text=True,
                          stdout=subprocess.PIPE, check=True).stdout


def help_options(text):
    """Option name -> whether the help shows an argument after it."""
    shown = {}
    for name, argument in re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)(?:[ =]\[?([A-Z]+)\b)?", text):
        shown[name] = shown.get(name, False) or bool(argument)
    return shown


def help_():
    """--help of every verb and its man page name the same verbs and options."""
    sys.path.insert(0, str(ROOT / "tools"))
    import manpages
    thump = pathlib.Path(sys.argv[2]) / "thump"
    general = help_text(thump, "")
    for verb in manpages.verbs():
        if not re.search(rf"^\s+{verb.name}\b", general, re.M):
            yield f"thump --help lacks {verb.name}"
            continue
        shown = help_options(help_text(thump, verb.name))
        known = {name: option for option in verb.options for name in option.names}
        what = f"thump {verb.name} --help"
        for name in sorted(known.keys() - shown.keys()):
            yield f"{what} lacks {name}, which its man page has"
        for name in sorted(shown.keys() - known.keys()):
            yield f"the man page lacks {name}, which {what} has"
        for name in sorted(known.keys() & shown.keys()):
            if name.startswith("--") and shown[name] != bool(known[name].argument):
                yield f"{what} and the man page disagree on an argument of {name}"


def format_():
    """clang-format of the version in use has nothing to say."""
    tool = shutil.which("clang-format-14")
    if not tool:
        print("skipped: clang-format-14 is not installed")
        sys.exit(SKIP)
    paths = list(sources("src", "tests", "bench", "include"))
    result = subprocess.run([tool, "--dry-run", "--Werror", *paths], text=True,
                            stderr=subprocess.PIPE)
    yield from (line for line in result.stderr.splitlines() if " error: " in line)


RULES = {
    "layers": layers, "calls": calls, "functions": functions, "files": files, "marks": marks,
    "globals": globals_, "completions": completions, "help": help_, "man": man,
    "install": install, "shells": shells, "support": support, "format": format_,
}


def main():
    violations = list(RULES[sys.argv[1]]())
    for violation in violations:
        print(violation.replace(f"{ROOT}/", ""))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
