"""One large file, page cache to page cache: get and put against rsync and against the floor."""

import os

from measure import MIB, Method, alternate, bound, fill, record, same_file, sha256, table, target
from peers import Rsync, Xfer

RESIDENT_MAX = 20 * MIB


class Big:
    def __init__(self, bench):
        self.bench = bench
        self.size = (256 if bench.quick else 1024) * MIB
        self.served = bench.disk / "served"
        self.here = bench.disk / "here"
        self.served.mkdir()
        self.here.mkdir()
        self.source = self.here / "source"
        fill(self.source, self.size)
        os.link(self.source, self.served / "big")
        self.digest = sha256(self.source)  # and now it is in the page cache
        self.stamp = 1_500_000_000
        self.xfer = bench.start(Xfer, bench.xfer, self.served)
        self.rsync = bench.start(Rsync, self.served)

    def forget(self):
        """Another mtime voids the digest that the server remembers."""
        self.stamp += 1
        os.utime(self.source, (self.stamp, self.stamp))

    def method(self, name, command, where, server, before=None):
        return Method(name, command, server, before,
                      check=lambda t: same_file(self.digest, where / t),
                      remove=lambda t: (where / t).unlink())

    def gets(self):
        xfer, rsync, here = self.xfer, self.rsync, self.here
        program = self.bench.xfer
        return [
            self.method("rsync", lambda t: ["rsync", "--whole-file", rsync.url("big"), here / t],
                        here, rsync),
            self.method("xfer", lambda t: [program, "get", "-q", xfer.url("big"), here / t],
                        here, xfer, self.forget),
            self.method("xfer, digest known",
                        lambda t: [program, "get", "-q", xfer.url("big"), here / t], here, xfer),
            self.method("floor: bare copy",
                        lambda t: [self.bench.floor("copy"), self.source, here / t], here, None),
        ]

    def puts(self):
        xfer, rsync, served = self.xfer, self.rsync, self.served
        return [
            self.method("rsync", lambda t: ["rsync", "--whole-file", self.source, rsync.url(t)],
                        served, rsync),
            self.method("xfer",
                        lambda t: [self.bench.xfer, "put", "-q", self.source, xfer.url(t)],
                        served, xfer),
            self.method("floor: bare copy",
                        lambda t: [self.bench.floor("copy"), self.source, served / t], served,
                        None),
        ]


def floor_line(bench, copy, digest, ours):
    """Nobody can verify a copy for less CPU than the bare copy and the digests on its two ends."""
    cores = min(2, os.cpu_count())
    least = (copy.median("cpu") + 2 * digest.median("cpu")) / cores
    print(f"floor: bare copy {copy.median('cpu'):.2f} s CPU + 2 digests of "
          f"{digest.median('cpu'):.2f} s on {cores} cores: {least:.2f} s; xfer takes "
          f"{ours.median('seconds') / least:.2f} times that, and "
          f"{ours.median('cpu') / (least * cores):.2f} times the CPU")


def run(bench, part):
    b = Big(bench)
    digest = Method("floor: one SHA-256", lambda t: [bench.floor("hash", "-lcrypto"), b.size])
    for what, methods in (("get", b.gets()), ("put", b.puts())):
        alternate(bench, methods + [digest], bench.rounds)
        rsync, ours = methods[0], methods[1]
        title = f"big, {what}: {b.size // MIB} MiB on {bench.fs(bench.disk)}, warm page cache"
        table(title, methods + [digest], rsync)
        floor_line(bench, methods[-1], digest, ours)
        record(part, title, methods + [digest])
        target(part, f"{what} of {b.size // MIB} MiB", rsync, ours)
        bound(part, f"{what}: client's peak", ours.peak("client_peak_bytes"), RESIDENT_MAX)
    bound(part, "server's peak, get and put", b.xfer.peak(), RESIDENT_MAX)
