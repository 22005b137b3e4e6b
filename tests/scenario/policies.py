#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Resource policies: what cannot be saved is closed in the restored program, whose numbers stay
taken; the original keeps everything; a rule that refuses does; wrong files are named by line. Those
of a restore are asked before anything is looked at here."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import socket
import subprocess

from thumptest import scenario
from thumptest.events import Failure

REFUSED = 3
MISSING = 777  # no descriptor has this number

# argv: ports of two servers, a file, a UNIX socket. Each line on standard input is answered with
# what the descriptors are like.
PROGRAM = r"""
import errno, os, select, socket, sys
one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
two = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect(("127.0.0.1", int(sys.argv[1])))
local = socket.socket(socket.AF_UNIX)
local.connect(sys.argv[4])
file = os.open(sys.argv[3], os.O_RDONLY)
pipe = int(sys.argv[5])
epoll = select.epoll()
for item in (one, two, local, udp):
    epoll.register(item, select.EPOLLIN | select.EPOLLRDHUP)
duplicate = os.dup(file)
numbers = [one.fileno(), two.fileno(), udp.fileno(), local.fileno(), file, pipe]

def state(fd):
    try:
        os.set_blocking(fd, False)
        return "end" if os.read(fd, 10) == b"" else "data"
    except OSError as error:
        return errno.errorcode[error.errno]

print("ready", *numbers, duplicate, flush=True)
for line in sys.stdin:
    with open("/dev/null") as another:
        if another.fileno() in numbers:
            print("a number was given twice", flush=True)
    print(*[state(fd) for fd in numbers], flush=True)
"""

POLICIES = """# what this program has open
- type: SOCKET
  family: inet
  remotePort: {one}
  action: close
  warn: false
- type: socket
  remoteAddress: 127.0.0.1
  remotePort: "*"
  action: reopen
- type: socket
  remotePath: "**/server.{{sock,socket}}"
  action: close
- type: file
  path: "**/*.txt"
  action: {file}
- type: pipe
  action: close
"""


def refused(world, pid, policies, *wanted):
    path = world.path("wrong.yaml")
    path.write_text(policies)
    report = world.thump_json("checkpoint", pid, "--dry-run", "--policy", path,
                              statuses=(REFUSED,))[1]
    texts = [problem["text"] for problem in report["problems"]] + [report["error"]["text"]]
    for text in wanted:
        if not any(text in given for given in texts):
            raise Failure(f"'{text}' is not in {texts}")


# What can be saved is: the file, and the UDP socket.
WARN = """- type: socket
  listening: false
  action: warn
- type: pipe
  action: warn
- type: filedescriptor
  kind: file
  action: warn
"""


def warned(world, pid, numbers):
    """What cannot be saved is closed instead of refused, and why is said."""
    path, image = world.path("warn.yaml"), world.path("with-warnings")
    path.write_text(WARN.replace("listening: false", "listening: true"))
    world.thump_json("checkpoint", pid, "--dry-run", "--policy", path,
                     statuses=(REFUSED,))
    path.write_text(WARN)
    report = world.checkpoint(pid, image, "--leave-running", "--policy", path)
    closed = {problem["fd"] for problem in report["problems"] if
              f"closed in the restored program by the policy of {path}:" in problem["text"]}
    wanted = {int(numbers[i]) for i in (0, 1, 3, 5)}
    expect_notes(report, {int(numbers[2]): f"warn by the policy of {path}:1",
                          int(numbers[4]): f"warn by the policy of {path}:6"})
    if closed != wanted or any(problem["fatal"] for problem in report["problems"]):
        raise Failure(f"closed {closed}, not {wanted}: {report['problems']}")
    if not any("a connection cannot be saved" in problem["text"] for problem in report["problems"]):
        raise Failure(f"why is not said: {report['problems']}")
    process, report = world.restore(image, name="after-warnings", stdin=subprocess.PIPE)
    expect_states(process, "end end EAGAIN end data end")
    scenario.end(process, report["pid"])


def expect_notes(report, wanted):
    """Exactly these rules were used without a warning, for these descriptors."""
    notes = {problem["fd"]: problem["text"] for problem in report["problems"] if problem["note"]}
    if notes.keys() != wanted.keys() or any(not notes[fd].endswith(text)
                                            for fd, text in wanted.items()):
        raise Failure(f"notes {notes}, not {wanted}")


def every_rule_is_named(world, pid, numbers, duplicate):
    """Whatever it does; to people, too. The number that an option names may be a second one."""
    path = world.path("named.yaml")
    one, two, udp, local, file, pipe = map(int, numbers)
    path.write_text(f"- {{type: filedescriptor, value: {udp}, action: ignore}}\n"
                    "- {type: socket, action: reopen}\n"
                    "- {type: pipe, action: close, warn: false}\n")
    rules = {one: "reopen by the policy of {}:2", two: "reopen by the policy of {}:2",
             local: "reopen by the policy of {}:2", pipe: "close by the policy of {}:3",
             udp: "ignore by the policy of {}:1", file: "ignore by the policy of --ignore-fd {dup}"}
    rules = {fd: text.format(path, dup=duplicate) for fd, text in rules.items()}
    options = ("--policy", path, "--ignore-fd", duplicate)
    status, report = world.thump_json("checkpoint", pid, "--dry-run", *options, statuses=(0, REFUSED))
    expect_notes(report, rules)
    world.thump("checkpoint", pid, "--dry-run", *options, name="named", statuses=(status,))
    said = world.log("named").read_text()
    for fd, text in rules.items():
        if not any(line.startswith(f"thump checkpoint: note: fd {fd}: ") and line.endswith(text)
                   for line in said.splitlines()):
            raise Failure(f"fd {fd}: {text} is not said: {said}")


# Only CRaC's syntax has values that begin with an asterisk.
CRAC = """# of CRaC
type: file
path: **/data.txt
action: error
"""


def crac_of_command_line(world, pid):
    """A JVM names its file itself; an own policy counts instead of it."""
    texts = [problem["text"] for problem in world.thump_json(
        "checkpoint", pid, "--dry-run", statuses=(REFUSED,))[1]["problems"]]
    if not any("refused by the policy of" in text and "crac.yaml:2" in text for text in texts):
        raise Failure(f"the file of the command line is not asked: {texts}")
    refused(world, pid, CRAC, "wrong.yaml:2: a list of rules")


def remedy_is_told(world, pid):
    """To people, once, with a number that was refused; not where policies have refused, themselves."""
    for policies, wanted in (("- {type: file, action: ignore}\n", 1),
                             ("- {type: file, path: '**/data.txt', action: error}\n"
                              "- {type: socket, action: close}\n- {type: pipe, action: close}\n", 0)):
        path = world.path("remedy.yaml")
        path.write_text(policies)
        name = f"remedy-{wanted}"
        world.thump("checkpoint", pid, "--dry-run", "--policy", path, name=name,
                    statuses=(REFUSED,))
        lines = world.log(name).read_text().splitlines()
        told = [line for line in lines if "--close-fd" in line]
        refusals = [line for line in lines if line.startswith("thump checkpoint: refused: fd ")]
        if len(told) != wanted or not refusals:
            raise Failure(f"a remedy was to be told {wanted} times: {lines}")
        if wanted and f"--close-fd {refusals[0].split()[4].rstrip(':')}" not in told[0]:
            raise Failure(f"{told[0]} names none that is in the way: {refusals}")


def restore_by_policies(world, image, numbers):
    """Of an image that holds them all: a file that is another by now, and a pipe."""
    path = world.path("of-restore.yaml")
    refusal = world.thump_json("restore", image, "--dry-run", statuses=(REFUSED,))[1]
    if [problem["kind"] for problem in refusal["problems"]] != ["changed-file"]:
        raise Failure(f"without policies: {refusal['problems']}")
    path.write_text("- type: file\n  path: '**/data.txt'\n  action: error\n")
    texts = [problem["text"] for problem in world.thump_json(
        "restore", image, "--dry-run", "--policy", path, statuses=(REFUSED,))[1]["problems"]]
    if not any(f"refused by the policy of {path}:1" in text for text in texts):
        raise Failure(f"the rule that refuses is not named: {texts}")
    for action, wanted in (("reopen", "end end end end data end"),
                           ("close", "end end end end EBADF end")):
        path.write_text(f"# comment\n- type: file\n  path: '**/data.txt'\n  action: {action}\n")
        process, report = world.restore(image, "--policy", path,
                                        name=f"with-{action}", stdin=subprocess.PIPE)
        expect_states(process, wanted)
        told = [(problem["fd"], problem["note"]) for problem in report["problems"]
                if problem["text"].endswith(f"{action}{'d' if action == 'close' else ''} by the "
                                            f"policy of {path}:2")]
        if told != [(int(numbers[4]), action == "reopen")]:
            raise Failure(f"{action}: {report['problems']}")
        scenario.end(process, report["pid"])
    process, report = world.restore(image, "--close-fd", numbers[4], "--close-fd", MISSING,
                                    name="closed-by-number", stdin=subprocess.PIPE)
    expect_missing(report, "--close-fd")
    expect_states(process, "end end end end EBADF end")
    scenario.end(process, report["pid"])


def expect_missing(report, *options):
    """An option for a descriptor that is not there is told, not one for another descriptor."""
    texts = [problem["text"] for problem in report["problems"]
             if problem["kind"] == "no-descriptor"]
    wanted = [f"{option} {MISSING}: the program has no descriptor {MISSING}" for option in options]
    if texts != wanted:
        raise Failure(f"expected {wanted}: {report['problems']}")


def expect_states(process, wanted):
    process.popen.stdin.write(b"?\n")
    process.popen.stdin.flush()
    process.expect_line(wanted)


def test(world, _options):
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    one, two = (server.getsockname()[1] for server in servers)
    local_path = str(world.path("server.sock"))
    local = socket.create_server(local_path, family=socket.AF_UNIX)
    world.path("server.sock").chmod(0o777)
    world.path("data.txt").write_text("data")
    other_end = subprocess.Popen(["sleep", "1000"], stdout=subprocess.PIPE)
    world.path("crac.yaml").write_text(CRAC)
    process = world.start(["/usr/bin/python3", "-c", PROGRAM, one, two, world.path("data.txt"),
                           local_path, other_end.stdout.fileno(),
                           f"-Djdk.crac.resource-policies={world.path('crac.yaml')}"], "program",
                          stdin=subprocess.PIPE, pass_fds=(other_end.stdout.fileno(),))
    *numbers, duplicate = process.line("its descriptors").split()[1:]

    refused(world, process.pid, POLICIES.format(one=one, file="error"),
            "refused by the policy of")
    refused(world, process.pid, "- type: file\n", "wrong.yaml:1: this rule has no action")
    refused(world, process.pid, "- type: file\n  action: explode\n", "wrong.yaml:2: action: explode")
    refused(world, process.pid, "- sort: file\n", "wrong.yaml:1: sort is not known")
    crac_of_command_line(world, process.pid)
    remedy_is_told(world, process.pid)
    every_rule_is_named(world, process.pid, numbers, duplicate)
    warned(world, process.pid, numbers)
    path = world.path("policies.yaml")
    path.write_text(POLICIES.format(one=one, file="close"))
    image = world.path("image")
    world.checkpoint(process.pid, image, "--leave-running", "--policy", path)
    # The file is closed in the one image by a file of policies, kept in the other by its number.
    with_file = world.path("with-file")
    report = world.checkpoint(process.pid, with_file, "--leave-running", "--policy", path,
                              "--ignore-fd", numbers[4], "--close-fd", numbers[0],
                              "--ignore-fd", MISSING, "--close-fd", MISSING)
    expect_missing(report, "--ignore-fd", "--close-fd")
    expect_states(process, "EAGAIN EAGAIN EAGAIN EAGAIN data EAGAIN")
    process.popen.kill()
    process.status()
    other_end.kill()
    other_end.wait()
    local.close()
    for number in (1, 2):
        process, report = world.restore(image, name=f"restore-{number}", stdin=subprocess.PIPE)
        expect_states(process, "end end end end EBADF end")
        scenario.end(process, report["pid"])
    world.path("data.txt").write_text("other data")
    restore_by_policies(world, with_file, numbers)


if __name__ == "__main__":
    scenario.run("policies", test, 100)
