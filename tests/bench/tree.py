"""Many small files, memory to memory: put and get against rsync -rt."""

import os
import shutil

from measure import Method, alternate, record, table, target, tree_digest
from peers import Failed, Rsync, Xfer

SIZE = 4096


def make_tree(top, files):
    """Directories of 100 files each, with times that are not now."""
    for i in range(files):
        where = top / f"d{i // 100:03d}"
        if i % 100 == 0:
            where.mkdir(parents=True)
        path = where / f"f{i:05d}"
        path.write_bytes(os.urandom(SIZE))
        os.utime(path, (1_600_000_000 + i, 1_600_000_000 + i))


class Tree:
    def __init__(self, bench):
        self.bench = bench
        self.served = bench.memory / "served"
        self.here = bench.memory / "here"
        self.here.mkdir()
        self.source = self.served / "source"
        self.files = 2_000 if bench.quick else 10_000
        make_tree(self.source, self.files)
        self.digest = tree_digest(self.source)
        self.xfer = bench.start(Xfer, bench.xfer, self.served)
        self.rsync = bench.start(Rsync, self.served)

    def method(self, name, command, where, server):
        def check(t):
            if tree_digest(where / t) != self.digest:
                raise Failed(f"{where / t} did not arrive as it was")

        return Method(name, command, server, check=check,
                      remove=lambda t: shutil.rmtree(where / t))

    def puts(self):
        x, r, source = self.xfer, self.rsync, f"{self.source}/"
        return [
            self.method("rsync -rt", lambda t: ["rsync", "-rt", source, r.url(f"{t}/")],
                        self.served, r),
            self.method("xfer -r",
                        lambda t: [self.bench.xfer, "put", "-qr", source, x.url(f"{t}/")],
                        self.served, x),
            self.floor(self.served),
        ]

    def gets(self):
        x, r, here = self.xfer, self.rsync, self.here
        return [
            self.method("rsync -rt", lambda t: ["rsync", "-rt", r.url("source/"), f"{here / t}/"],
                        here, r),
            self.method("xfer -r", lambda t: [self.bench.xfer, "get", "-qr", x.url("source/"),
                                              f"{here / t}/"], here, x),
            self.floor(here),
        ]

    def floor(self, where):
        tar = 'mkdir "$2" && tar -C "$1" -cf - . | tar -C "$2" -xf -'
        return self.method("floor: tar | tar",
                           lambda t: ["sh", "-c", tar, "sh", self.source, where / t], where, None)


def run(bench, part):
    t = Tree(bench)
    for what, methods in (("put", t.puts()), ("get", t.gets())):
        alternate(bench, methods, bench.rounds)
        title = (f"tree, {what}: {t.files} files of {SIZE} bytes, {bench.fs(bench.memory)} to "
                 f"{bench.fs(bench.memory)}")
        table(title, methods, methods[0])
        record(part, title, methods)
        target(part, f"{what} of a tree", methods[0], methods[1])
