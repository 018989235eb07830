"""Docs name only files that exist, and the manual has exactly the options that the program has."""

import re
import subprocess

from rule import SRC, XFER, catches, done, holds

PATH = re.compile(r"(?<![\w/.-])((?:src|tests|docs|include|m4|sample_files|\.ci)/[\w./*{},-]*)")
COMMANDS = ["serve", "put", "get", "ls", "compare"]


def expand(name):
    """src/{a,b}.c as the names that it stands for."""
    match = re.search(r"\{([^{}]*)\}", name)
    if not match:
        return [name]
    return [one for part in match.group(1).split(",")
            for one in expand(name[:match.start()] + part + name[match.end():])]


def missing_paths(where, text):
    found = []
    for written in PATH.findall(text):
        for name in expand(written.rstrip(".,-")):
            if not name.endswith("/") and (SRC / name).exists():
                continue
            if not any(SRC.glob(name.rstrip("/"))):
                found.append(f"{where}: {name} does not exist")
    return found


def help_options(text):
    """Long and short options that stand at the head of a line of --help."""
    found = set()
    for line in text.splitlines():
        match = re.match(r"\s+(-[\w-]+(?:[ =\[][^\s,]*)?(?:,\s+-[^\s,]+)*)", line)
        if match:
            found |= set(re.findall(r"(?<![\w-])(--[a-z][\w-]*|-[A-Za-z0-9])(?![\w-])",
                                    match.group(1)))
    return found


def manual_options(text):
    """Options in the tags of the manual's paragraphs (.TP or .IP, then the tag)."""
    lines = text.replace(r"\-", "-").splitlines()
    found = set()
    for before, line in zip([""] + lines, lines):
        if before.startswith((".TP", ".TQ")) or line.startswith(".IP"):
            tag = re.sub(r"\\f.", " ", re.sub(r"^\.\w+\s*", "", line)).replace('"', " ")
            if re.match(r"\s*-", tag):
                found |= set(re.findall(r"(?<![\w-])(--[a-z][\w-]*|-[A-Za-z0-9])(?![\w-])", tag))
    return found


def disagreements(program, manual):
    return ([f"{o} is in --help, not in docs/xfer.1" for o in sorted(program - manual)]
            + [f"{o} is in docs/xfer.1, not in --help" for o in sorted(manual - program)])


def program_options():
    found = set()
    for command in COMMANDS:
        out = subprocess.run([XFER, command, "--help"], check=True, stdout=subprocess.PIPE,
                             text=True).stdout
        found |= help_options(out)
    return found


TEXTS = [p for p in [SRC / "README.md", *sorted((SRC / "docs").rglob("*.md"))] if p.exists()]
IGNORED = {"--help", "--version", "-h", "-V"}

holds("paths in README.md and docs exist",
      [line for path in TEXTS
       for line in missing_paths(path.relative_to(SRC), path.read_text(encoding="utf-8"))])
catches("a path that does not exist", missing_paths("x.md", "see `src/base/util.c`."))
catches("one of several in braces", missing_paths("x.md", "see src/base/{err,util}.c"))
holds("a path that exists is let through", missing_paths("x.md", "see src/base/err.h, docs/."))

MANUAL = (SRC / "docs" / "xfer.1").read_text(encoding="utf-8")
PROGRAM = program_options()
holds("--help of every command lists options",
      [] if {"--write", "--json", "-r"} <= PROGRAM else [str(sorted(PROGRAM))])
holds("the manual and --help have the same options",
      disagreements(PROGRAM - IGNORED, manual_options(MANUAL) - IGNORED))
holds("tags are read as they are written",
      disagreements(help_options("  -q, --quiet     errors only\n      --limit-rate=RATE  x --y\n"),
                    manual_options(".TP\n.BR \\-q \", \" \\-\\-quiet\nsee \\-\\-no\n.TP\n"
                                   "\\fB\\-\\-limit\\-rate\\fR=\\fIRATE\\fR\nx\n")))
catches("an option without manual", disagreements({"--new"}, set()))
catches("a manual without option", disagreements(set(), {"--old"}))
done()
