"""Objects of the pure modules call nothing but each other and a short list of C's functions."""

import os
import pathlib
import re
import shlex
import subprocess
import tempfile

from rule import BUILD, SRC, catches, done, holds, plain_build, skip

PURE = ["src/wire/*.c", "src/tftp/*.c", "src/link/linkq.c"] + [
    f"src/link/{name}.c" for name in ("damage", "hist", "pcapng")] + [
    f"src/compare/{name}.c" for name in ("link", "method", "packet", "plan", "row", "spec", "theory",
                                         "theory_tcp", "theory_udp")] + [
    f"src/base/{name}.c" for name in ("buf", "err", "escape", "pace", "path", "remote", "units")]
MAY_CALL = {
    "memchr", "memcmp", "memcpy", "memmove", "mempcpy", "memrchr", "memset", "memmem",
    "strchr", "strchrnul", "strcmp", "strcpy", "strcspn", "strlen", "strncasecmp", "strcasecmp",
    "strncmp", "strnlen", "strrchr", "strspn", "strstr", "stpcpy",
    "__ctype_b_loc", "__ctype_tolower_loc", "__ctype_toupper_loc", "__errno_location",
    "snprintf", "vsnprintf", "strtod", "strtoul", "strtoull",  # into and from memory only
    "strerrordesc_np", "strerrorname_np",
    "__assert_fail", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_",
    "__divti3", "__modti3", "__udivti3", "__umodti3",
}
# Arithmetic of units: no state, no I/O.
MAY_CALL |= {"floor", "ceil", "round", "trunc", "lround", "llround", "isfinite", "pow", "fmod",
             "fmax", "fmin", "sqrt"}
MAY_CALL |= {"qsort"}  # of the C library: the array is its caller's, and small
NM = (os.environ.get("NM") or "nm").split()[:1]  # libtool adds -B


def symbols(obj, *flags):
    out = subprocess.run(NM + ["-P", *flags, str(obj)], check=True, stdout=subprocess.PIPE,
                         text=True).stdout
    return {line.split()[0].split("@")[0] for line in out.splitlines() if line.strip()}


def allowed(name):
    fortified = name.startswith("__") and name.endswith("_chk") and name[2:-4] in MAY_CALL
    return fortified or name in MAY_CALL or name.removeprefix("__isoc23_") in MAY_CALL


def impure(objects):
    own = set().union(*(symbols(o, "-g", "--defined-only") for o in objects))
    return [f"{o}: {name}" for o in objects for name in sorted(symbols(o, "-u"))
            if name not in own and not allowed(name)]


def writable(objects):
    """Variables that outlive a call: state hidden in a pure module. Tables of pointers stand in
    .data.rel.ro, which nobody writes after they are relocated."""
    found = []
    for o in objects:
        out = subprocess.run(["objdump", "-t", str(o)], check=True, stdout=subprocess.PIPE,
                             text=True).stdout
        found += [f"{o}: {line.split()[-1]} is a variable" for line in out.splitlines()
                  if re.search(r" O (\.data(?!\.rel\.ro)|\.bss|\*COM\*)", line)]
    return found


def compiled(text):
    with tempfile.TemporaryDirectory() as tmp:
        source, obj = pathlib.Path(tmp) / "a.c", pathlib.Path(tmp) / "a.o"
        source.write_text(text, encoding="utf-8")
        subprocess.run(shlex.split(os.environ.get("CC") or "cc")
                       + ["-O1", "-fPIE", "-c", str(source), "-o", str(obj)], check=True)
        return impure([obj]) + writable([obj])


def pure_objects():
    sources = [path.relative_to(SRC) for pattern in PURE for path in sorted(SRC.glob(pattern))]
    return [(BUILD / path).with_suffix(".o") for path in sources]


if plain_build():
    skip("pure objects", plain_build())
else:
    objs = pure_objects()
    holds("pure objects are there", [f"{o}: missing" for o in objs if not o.exists()])
    objs = [o for o in objs if o.exists()]
    holds("pure objects call nothing that acts", impure(objs))
    holds("pure objects keep no state", writable(objs))
    holds("a pure object is let through",
          compiled("#include <string.h>\nstatic const char *const t[] = {\"a\", \"b\"};"
                   "const char *g(int i); const char *g(int i) { return t[i]; }"
                   "unsigned long f(const char *s); unsigned long f(const char *s)"
                   "{ return strlen(s); }"))
    catches("a call of malloc", compiled("#include <stdlib.h>\nvoid *f(void);"
                                         "void *f(void) { return malloc(3); }"))
    catches("a look at the clock", compiled("#include <time.h>\nlong f(void);"
                                            "long f(void) { return time(NULL); }"))
    catches("a static variable", compiled("int f(void); int f(void) { static int n; return n++; }"))
done()
