"""UDP over loopback: stop-and-wait and windows, against foreign pairs and against bare programs."""

import json
import os
from pathlib import Path

import foreign
from measure import MIB, Method, alternate, fill, one_round, record, same_file, sha256, target
from peers import Failed, Xfer

SIZE = 32 * MIB
TRIAL = 4 * MIB  # for choosing a peer
BLOCK_SIZES = (512, 1428, 8192)
TIMES_PEER = 4
OF_FLOOR = 0.6
WINDOW = 64
WINDOW_TIMES_PEER = 3
SPIN_US = 200


class Udp:
    """Files, servers and methods of both parts."""

    def __init__(self, bench):
        self.bench = bench
        self.served = bench.disk / "served"
        self.here = bench.disk / "here"
        self.served.mkdir()
        self.here.mkdir()
        os.chmod(bench.disk, 0o755)  # one of the servers becomes nobody
        self.digests = {}
        for name, size in (("file", SIZE), ("trial", TRIAL)):
            fill(self.here / name, size)
            os.link(self.here / name, self.served / name)
            self.digests[name] = sha256(self.here / name)
        self.stamp = 1_500_000_000
        self.xfer = bench.start(Xfer, bench.xfer, self.served)
        self.pairs = foreign.pairs(bench, foreign.load(Path(bench.xfer).parent))
        for pair in self.pairs:
            for name in self.digests:
                if not (pair.daemon.root / name).exists():
                    os.link(self.here / name, pair.daemon.root / name)
                    os.chmod(pair.daemon.root / name, 0o644)

    def forget(self):
        """Another mtime voids the digest that is remembered: both ends have to hash."""
        self.stamp += 1
        os.utime(self.here / "file", (self.stamp, self.stamp))

    # ---- methods ----

    def method(self, title, op, root, command, server, name="file", prove=None):
        where = self.here if op == "get" else root

        def check(target):
            same_file(self.digests[name], where / target)
            if prove:
                prove(facts(self.bench))

        return Method(title, command, server, self.forget if prove else None, check,
                      lambda target: (where / target).unlink())

    def foreign(self, pair, op, blksize, window=0, name="file"):
        def command(t):
            remote, local = (name, self.here / t) if op == "get" else (t, self.here / name)
            return pair.command(op, remote, local, blksize, window)

        return self.method(pair.name, op, pair.daemon.root, command, pair.daemon, name)

    def ours(self, op, blksize, window=1):
        def command(t):
            remote = self.xfer.url("file" if op == "get" else t)
            local = self.here / (t if op == "get" else "file")
            ends = (remote, local) if op == "get" else (local, remote)
            return [self.bench.xfer, op, "--udp", "--json", "-q", "--blksize", blksize,
                    *(("--window", window) if window > 1 else ()), *ends]

        def prove(f):
            prove_window(f, op, blksize, window)

        return self.method("xfer", op, self.served, command, self.xfer, prove=prove)

    def ping_pong(self, blksize, spin):
        program = self.bench.floor("pingpong")
        title = "floor: spinning" if spin else "floor: blocking"
        return Method(title, lambda t: [program, SIZE, blksize, spin])

    def bare_window(self, blksize, window, how):
        program = self.bench.floor("window")
        return Method(f"floor: {how}", lambda t: [program, SIZE, blksize, window, how])

    # ---- the fastest pair ----

    def fastest(self, op, blksize, window=0):
        """Of all that can do it at all, by one short transfer each."""
        best = None
        for pair in self.pairs:
            m = self.foreign(pair, op, blksize, window, "trial")
            try:
                for i in range(2):
                    one_round(self.bench, m, i)
            except (Failed, OSError):
                continue
            m.took = min(r["seconds"] for r in m.rounds)
            if best is None or m.took < best[0].took:
                best = (m, pair)
        return best and best[1]


def facts(bench):
    """What xfer says of the transfer that has just ended."""
    with open(bench.work / "command.log", encoding="utf-8") as f:
        return json.loads(f.readline())


def prove_window(f, op, blksize, window):
    """Each window was acknowledged by a packet of its own, and all of it verified."""
    blocks = SIZE // blksize + 1
    acks = f["packets_sent" if op == "get" else "packets_received"]
    if not f["verified"] or f["block_size_bytes"] != blksize:
        raise Failed(f"not what was asked for: {f}")
    if window == 1 and (f["window"] != 1 or acks < blocks):
        raise Failed(f"{acks} acknowledgments for {blocks} blocks are no stop-and-wait")


def show(title, methods, peer, floor):
    """Prints rows of speeds; ratios by medians."""
    print(f"\n{title}")
    print(f"{'method':<22}{'MB/s (min-max)':>24}{'CPU s client + server':>24}{'of peer':>9}"
          f"{'of floor':>9}")
    for m in methods:
        speeds = sorted(SIZE / 1e6 / r["seconds"] for r in m.rounds)
        speed = SIZE / 1e6 / m.median("seconds")
        spread = f"{speed:.1f} ({speeds[0]:.1f}-{speeds[-1]:.1f})"
        cpu = f"{m.median('cpu_client'):.2f} + {m.median('cpu_server'):.2f}"
        of = [f"{o.median('seconds') / m.median('seconds'):.2f}" if o else "-"
              for o in (peer, floor)]
        print(f"{m.name:<22}{spread:>24}{cpu:>24}{of[0]:>9}{of[1]:>9}", flush=True)


def condemn(ours, floor):
    if ours.median("seconds") < floor.median("seconds"):
        print(f"{floor.name} is no floor here: xfer is faster", flush=True)


def measure_one(u, part, op, blksize):
    pair = u.fastest(op, blksize)
    ours = u.ours(op, blksize)
    spinning, blocking = u.ping_pong(blksize, SPIN_US), u.ping_pong(blksize, 0)
    peer = u.foreign(pair, op, blksize) if pair else None
    methods = [m for m in (peer, ours, spinning, blocking) if m]
    alternate(u.bench, methods, u.bench.rounds)
    title = f"udp, {op}: {SIZE // MIB} MiB, stop-and-wait, block size {blksize}"
    show(title, methods, peer, spinning)
    record(part, title, methods)
    if peer:
        target(part, f"{op}, block size {blksize}", peer, ours, TIMES_PEER)
    target(part, f"{op}, block size {blksize}", spinning, ours, OF_FLOOR)
    condemn(ours, spinning)


def run(bench, part):
    u = Udp(bench)
    for op in ("get", "put"):
        for blksize in BLOCK_SIZES:
            measure_one(u, part, op, blksize)


# ---- windows ----

def no_stall(u, part, what, ours):
    """A window beyond what the receive buffer holds shows in timeouts."""
    timeouts = sum(f["timeouts"] for f in ours.facts)
    again = sum(f["retransmits"] for f in ours.facts)
    print(f"target: {what} without a stall: {timeouts} timeouts, {again} blocks again in "
          f"{len(ours.facts)} rounds, window {ours.facts[-1]['window']} "
          f"({'met' if timeouts == 0 else 'missed'})", flush=True)
    part["targets"].append({"what": what, "timeouts": timeouts, "retransmits": again,
                            "window": ours.facts[-1]["window"], "met": timeouts == 0})


def remember_facts(u, m):
    check, m.facts = m.check, []

    def and_facts(target):
        check(target)
        m.facts.append(facts(u.bench))

    m.check = and_facts
    return m


def measure_window(u, part, op, blksize, how):
    ours = remember_facts(u, u.ours(op, blksize, WINDOW))
    floor = u.bare_window(blksize, min(WINDOW, MIB // (blksize + 4)), how)
    pair = u.fastest(op, blksize, WINDOW) if blksize == 1428 else None
    peer = u.foreign(pair, op, blksize, WINDOW) if pair else None
    methods = [m for m in (peer, ours, floor) if m]
    alternate(u.bench, methods, u.bench.rounds)
    title = f"window, {op}: {SIZE // MIB} MiB, window {WINDOW}, block size {blksize}"
    show(title, methods, peer, floor)
    record(part, title, methods)
    if peer:
        target(part, f"{op}, window {WINDOW}, block size {blksize}", peer, ours,
               WINDOW_TIMES_PEER)
    no_stall(u, part, f"{op}, window {WINDOW}, block size {blksize}", ours)


def run_window(bench, part):
    u = Udp(bench)
    for op in ("get", "put"):
        for blksize, how in ((1428, "gso"), (8192, "gso"), (65464, "mmsg")):
            measure_window(u, part, op, blksize, how)
