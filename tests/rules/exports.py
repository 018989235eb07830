"""libxfer shows what xfer.h declares and nothing else."""

import re
import subprocess

from rule import BUILD, SRC, catches, done, holds, skip

LIBRARY = BUILD / ".libs" / "libxfer.so"


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", "-P", str(library)], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    return {line.split()[0].split("@")[0] for line in out.splitlines() if line.strip()}


def declared(header):
    return set(re.findall(r"^XFER_API[^;(]*?\b(\w+)\s*\(", header, re.M))


def differences(names, promised):
    return ([f"{name} is exported, but not in xfer.h" for name in sorted(names - promised)]
            + [f"{name} is in xfer.h, but not exported" for name in sorted(promised - names)])


def linkable():
    """A sanitizer's own symbols stand in the library too."""
    return {name for name in exported(LIBRARY)
            if not re.match(r"__(asan|ubsan|tsan|lsan|odr_asan|sancov|start|stop)_|_end$|_edata$"
                            r"|__bss_start$|_init$|_fini$", name)}


PROMISED = declared((SRC / "include" / "xfer.h").read_text(encoding="utf-8"))
holds("xfer.h declares functions", [] if "xfer_get" in PROMISED else [str(PROMISED)])
holds("all begin with xfer_", [name for name in PROMISED if not name.startswith("xfer_")])
if LIBRARY.exists():
    holds("the library exports exactly those", differences(linkable(), PROMISED))
else:
    skip("the library exports exactly those", "configured with --disable-shared")
catches("an inside function that shows", differences(PROMISED | {"buf_free"}, PROMISED))
catches("a function that hides", differences(PROMISED - {"xfer_get"}, PROMISED))
done()
