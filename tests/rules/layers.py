"""Rooms include only what the house allows, and the pure ones no header that acts."""

import pathlib
import re
import tempfile

from rule import SRC, catches, done, holds

# What a room may include, besides itself and config.h: rooms as "base/", files as they are.
PURE_BASE = ["base/err.h", "base/buf.h", "base/path.h", "base/units.h", "base/escape.h"]
MAY = {
    "base": ["xfer.h"],
    "wire": PURE_BASE,
    "tftp": PURE_BASE,
    "store": ["base/", "xfer.h"],
    "net": ["base/", "xfer.h"],
    "session": ["base/", "wire/", "tftp/", "store/", "net/", "xfer.h"],
    "link": ["base/"],
    "compare": ["base/", "link/link.h", "xfer.h"],
    "cli": ["base/", "compare/", "xfer.h"],
}
# <time.h> for struct timespec alone: purity.py sees a call of its functions.
PURE_SYSTEM = {"assert.h", "ctype.h", "errno.h", "inttypes.h", "limits.h", "stdarg.h", "stdbool.h",
               "stddef.h", "stdint.h", "string.h", "strings.h", "sys/types.h", "time.h"}
PURE_ROOMS = {"wire", "tftp"}
# Pure though its room is not: the simulator uses it too. It includes nothing of ours but itself.
ALONE = {"src/link/linkq.c": "link/linkq.h", "src/link/linkq.h": None}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def complaint(room, name, quote, header):
    alone = str(name) in ALONE
    if quote == "<":
        if (room in PURE_ROOMS or alone) and header not in PURE_SYSTEM:
            return f"{name}: <{header}> in a pure room"
        return None
    if alone and header not in ("config.h", ALONE[str(name)]):
        return f'{name}: "{header}" beside a file that stands alone'
    if header == "config.h" or header.startswith(room + "/"):
        return None
    if any(header == may or (may.endswith("/") and header.startswith(may))
           for may in MAY.get(room, [])):
        return None
    return f'{name}: "{header}" is not for {room}'


def layers(tree):
    found = []
    for path in sorted(tree.glob("src/**/*.[ch]")):
        name = path.relative_to(tree)
        room = name.parts[1]
        includes = INCLUDE.findall(path.read_text(encoding="utf-8"))
        if room not in MAY or len(name.parts) != 3:
            found.append(f"{name}: not in a room of the house")
        if path.suffix == ".c" and (not includes or includes[0] != ('"', "config.h")):
            found.append(f"{name}: config.h is not the first include")
        found += [text for text in (complaint(room, name, *inc) for inc in includes) if text]
    return found


def planted(name, text):
    with tempfile.TemporaryDirectory() as tmp:
        path = pathlib.Path(tmp) / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
        return layers(pathlib.Path(tmp))


CONFIG = '#include "config.h"\n'
holds("rooms include only what is below them", layers(SRC))
holds("a good file is let through",
      planted("src/wire/a.c", CONFIG + '#include <string.h>\n#include "base/err.h"\n'))
catches("base includes net", planted("src/base/a.c", CONFIG + '#include "net/addr.h"\n'))
catches("store includes net", planted("src/store/a.c", CONFIG + '#include "net/addr.h"\n'))
catches("cli includes session", planted("src/cli/a.c", CONFIG + '#  include "session/a.h"\n'))
catches("wire includes digest", planted("src/wire/a.c", CONFIG + '#include "base/digest.h"\n'))
catches("wire includes stdio", planted("src/wire/a.h", "#include <stdio.h>\n"))
catches("tftp includes net", planted("src/tftp/a.c", CONFIG + '#include "net/clock.h"\n'))
catches("tftp reads a clock by itself", planted("src/tftp/a.c", CONFIG + "#include <sys/time.h>\n"))
catches("the link's queue includes base",
        planted("src/link/linkq.c", CONFIG + '#include "base/buf.h"\n'))
catches("the link's queue does I/O", planted("src/link/linkq.h", "#include <stdio.h>\n"))
catches("a header without its room", planted("src/net/a.c", CONFIG + '#include "addr.h"\n'))
catches("config.h not first", planted("src/net/a.c", '#include <stdio.h>\n' + CONFIG))
catches("a file outside the rooms", planted("src/util/a.h", "\n"))
done()
