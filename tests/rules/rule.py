"""What the rules share: TAP on standard output, the paths of the source and the build.

A rule is a function that returns its complaints as a list of lines. `holds` expects none of the
project itself; `catches` expects some of an input with a planted fault, so that no rule passes by
being unable to fail.
"""

import os
import pathlib
import sys

SRC = pathlib.Path(os.environ.get("srcdir", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("builddir", "."))
XFER = os.environ.get("XFER", str(BUILD / "xfer"))

_results = 0
_failed = 0


def _line(good, name):
    global _results, _failed
    _results += 1
    _failed += not good
    print(f"{'ok' if good else 'not ok'} {_results} - {name}")


def holds(name, complaints):
    _line(not complaints, name)
    for text in complaints:
        print(f"# {text}")


def catches(name, complaints):
    _line(bool(complaints), f"planted fault is caught: {name}")


def skip(name, reason):
    _line(True, f"{name} # SKIP {reason}")


def done():
    print(f"1..{_results}")
    sys.exit(1 if _failed else 0)


def plain_build():
    """None, or why the objects are not those that a user gets."""
    if os.environ.get("XFER_SANITIZE", "no") != "no":
        return "sanitizers change the objects"
    if os.environ.get("XFER_COVERAGE", "no") == "yes":
        return "coverage counters change the objects"
    return None
