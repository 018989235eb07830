"""Nothing half done stays in the tree."""

import re

from rule import SRC, catches, done, holds

# Put together here so that this file does not find itself.
MARKS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b|^\s*#\s*if\s+0\b")
PLACES = ["include", "src", "tests", "docs", "m4", ".ci"]
TOP = ["configure.ac", "Makefile.am", "bootstrap", "README.md", "xfer.pc.in"]
WORDS_ALLOWED = {"tests/fuzz/corpus"}


def texts():
    files = [SRC / name for name in TOP if (SRC / name).exists()]
    for place in PLACES:
        files += [p for p in sorted((SRC / place).rglob("*")) if p.is_file()]
    for path in files:
        name = str(path.relative_to(SRC))
        if name.startswith(tuple(WORDS_ALLOWED)) or path.suffix in (".o", ".lo", ".pyc", ".log"):
            continue
        if "/.libs/" in name or "/.deps/" in name or name.startswith(("m4/l", "docs/img")):
            continue
        try:
            yield name, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def leftovers(name, text):
    return [f"{name}:{n}: {line.strip()}" for n, line in enumerate(text.splitlines(), 1)
            if MARKS.search(line)]


holds("no leftovers in the tree", [line for item in texts() for line in leftovers(*item)])
catches("a note to do", leftovers("a.c", "/* TO" + "DO: later */"))
catches("a note to fix", leftovers("a.py", "# FIX" + "ME"))
catches("code switched off", leftovers("a.c", "x\n#if 0\ny\n#endif"))
done()
