"""A directory of a million entries: the server lists it in bounded memory."""

import os

from measure import MIB, Method, alternate, bound, record, table, target
from peers import Failed, Rsync, Xfer

RESIDENT_MAX = 20 * MIB


def run(bench, part):
    entries = 100_000 if bench.quick else 1_000_000
    served = bench.memory / "served"
    (served / "dir").mkdir(parents=True)
    for i in range(entries):
        os.mknod(served / "dir" / f"entry-{i:07d}")
    xfer = bench.start(Xfer, bench.xfer, served)
    rsync = bench.start(Rsync, served)

    def count(more):
        def check(_):
            with open(bench.work / "command.log", "rb") as f:
                lines = sum(1 for _ in f)
            if lines != entries + more:
                raise Failed(f"{lines} lines for {entries} entries")
        return check

    methods = [
        Method("rsync", lambda t: ["rsync", rsync.url("dir/")], rsync, check=count(1)),
        Method("xfer ls -l", lambda t: [bench.xfer, "ls", "-l", xfer.url("dir/")], xfer,
               check=count(0)),
    ]
    alternate(bench, methods, bench.rounds)
    title = f"list: a directory of {entries} entries on {bench.fs(bench.memory)}"
    table(title, methods, methods[0])
    record(part, title, methods)
    target(part, "listing", methods[0], methods[1])
    bound(part, "server's peak", xfer.peak(), RESIDENT_MAX)
