# SPDX-License-Identifier: Apache-2.0
"""Reads the options of every verb out of the man pages, which are the one source for them.

An option in the OPTIONS section of man/thump-VERB.1.scd looks like this:

    *-o* _FILE_, *--output* _FILE_
    	Write the image to _FILE_. Required.
"""
import dataclasses
import pathlib
import re

MAN = pathlib.Path(__file__).resolve().parent.parent / "man"


@dataclasses.dataclass(frozen=True)
class Option:
    names: tuple     # ("-o", "--output")
    argument: str    # "FILE", or "" when it takes none
    summary: str     # the first sentence, without markup

    @property
    def long(self):
        return next(name[2:] for name in self.names if name.startswith("--"))

    @property
    def short(self):
        return next((name[1:] for name in self.names if not name.startswith("--")), "")


@dataclasses.dataclass(frozen=True)
class Verb:
    name: str
    summary: str
    options: tuple
    arguments: tuple  # of the synopsis: ("PID",), ("FILE",), ("COMMAND", "ARG") or ()
    words: tuple      # of the synopsis, one of which comes first: ("before", "after") or ()


def plain(text):
    return re.sub(r"(?<![A-Za-z0-9])[*_]([^*_]+)[*_]", r"\1", text).replace("\\", "")


def section(text, name):
    """The body of a top-level section; empty when it is not there."""
    match = re.search(rf"^# {re.escape(name)}\n(.*?)(?=^# |\Z)", text, re.M | re.S)
    return match.group(1) if match else ""


def first_sentence(text):
    return re.split(r"[.;:](?:\s|$)", plain(" ".join(text.split())), maxsplit=1)[0]


def options_of(text):
    found = []
    for head, body in re.findall(r"^(\*-.*)\n((?:\t.*\n?)+)", section(text, "OPTIONS"), re.M):
        names = tuple(re.findall(r"\*(--?[a-z-]+)\*", head))
        argument = re.search(r"_([A-Z:]+)_", head)
        found.append(Option(names, argument.group(1) if argument else "", first_sentence(body)))
    return tuple(found)


def arguments_of(text):
    synopsis = re.sub(r"\*-.*?\*\s*_\w+_|\[.*?\]", "", section(text, "SYNOPSIS"))
    return tuple(re.findall(r"_([A-Z]+)_", synopsis))


def words_of(text):
    return tuple(re.findall(r"\*thump \w+\* \*([a-z]+)\*", section(text, "SYNOPSIS")))


def verb(name):
    text = (MAN / f"thump-{name}.1.scd").read_text()
    summary = section(text, "NAME").strip().partition(" - ")[2]
    return Verb(name, summary, options_of(text), arguments_of(text), words_of(text))


def verbs():
    """Every verb, in the order of thump(1)."""
    names = re.findall(r"^\*(\w+)\*$", section((MAN / "thump.1.scd").read_text(), "VERBS"), re.M)
    return [verb(name) for name in names]


def general_options():
    return options_of((MAN / "thump.1.scd").read_text())
