"""The finished program carries the protections that configure promises; read from the binary."""

import os
import pathlib
import platform
import re
import shlex
import subprocess
import tempfile

from rule import BUILD, SRC, XFER, catches, done, holds, plain_build, skip

READELF = os.environ.get("READELF") or "readelf"
CC = shlex.split(os.environ.get("CC") or "cc")


def readelf(flag, path):
    return subprocess.run([READELF, "-W", flag, str(path)], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True).stdout


def segment(path, name):
    """Flags of a program header, None where there is none."""
    match = re.search(rf"^\s*{name}\s+(?:0x\w+\s+){{5}}([RWE ]+?)\s+0x", readelf("-l", path), re.M)
    return match.group(1) if match else None


def no_pie(path):
    pie = re.search(r"Type:\s+DYN", readelf("-h", path)) and "PIE" in readelf("-d", path)
    return [] if pie else ["loaded at a fixed address: no PIE"]


def no_relro(path):
    now = re.search(r"BIND_NOW|FLAGS_1.*\bNOW\b", readelf("-d", path))
    full = now and segment(path, "GNU_RELRO") is not None
    return [] if full else ["relocations stay writable: no full RELRO"]


def stack_executes(path):
    flags = segment(path, "GNU_STACK")
    return ["executable stack"] if flags is None or "E" in flags else []


def no_canary(path):
    return [] if "__stack_chk_fail" in readelf("-s", path) else ["no stack protector"]


def no_fortify(path):
    return [] if re.search(r"__\w+_chk\b(?<!stack_chk)", re.sub(
        r"__stack_chk_\w+", "", readelf("-s", path))) else ["no fortified function"]


# The linker drops the note of the whole program when the C library's start files lack it: the
# project's own objects are what the flags can decide.
BRANCHES = {"x86_64": (r"IBT.*SHSTK", "indirect branches and returns unprotected (CET)"),
            "aarch64": (r"BTI.*PAC", "indirect branches and returns unprotected (BTI, PAC)")}


def no_branch_note(obj):
    pattern, text = BRANCHES[platform.machine()]
    if not os.path.exists(obj):
        return [f"{obj}: missing"]
    return [] if re.search(pattern, readelf("-n", obj)) else [f"{obj}: {text}"]


def own_objects():
    return [(BUILD / path.relative_to(SRC)).with_suffix(".o")
            for room in ("base", "wire", "store", "net", "session")
            for path in sorted(SRC.glob(f"src/{room}/*.c"))]


def planted(name):
    """A program, or an object, that asks for no protection at all."""
    naked = ["-O0", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-fno-pie"]
    if platform.machine() == "x86_64":
        naked.append("-fcf-protection=none")
    linked = ["-no-pie", "-Wl,-z,norelro", "-Wl,-z,lazy", "-Wl,-z,execstack"]
    source = pathlib.Path(name).with_suffix(".c")
    source.write_text("#include <string.h>\nint main(int c, char **v)\n"
                      "{ char b[64]; strcpy(b, v[0]); return c + b[1]; }\n", encoding="utf-8")
    subprocess.run(CC + naked + (linked if not name.endswith(".o") else ["-c"])
                   + [str(source), "-o", name], check=True)
    return name


optimised = re.search(r"-O[1-9sgf]", os.environ.get("CFLAGS", "-O2"))
RULES = [("position-independent", no_pie, None), ("full RELRO", no_relro, None),
         ("no executable stack", stack_executes, None), ("stack protector", no_canary, None),
         ("FORTIFY", no_fortify, None if optimised else "it needs optimisation")]

if plain_build():
    skip("hardening of the program", plain_build())
else:
    with tempfile.TemporaryDirectory() as tmp:
        bare, bare_object = planted(tmp + "/bare"), planted(tmp + "/object.o")
        for title, rule, without in RULES:
            if without:
                skip(title, without)
                continue
            holds(f"xfer: {title}", rule(XFER))
            catches(title, rule(bare))
        if platform.machine() in BRANCHES:
            holds("objects: protected branches",
                  [text for obj in own_objects() for text in no_branch_note(obj)])
            catches("protected branches", no_branch_note(bare_object))
        else:
            skip("objects: protected branches", f"none known for {platform.machine()}")
done()
