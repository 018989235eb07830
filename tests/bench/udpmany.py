"""Two hundred UDP transfers at once, stop-and-wait: every one was answered before any block is asked
for. A quarter of them are puts."""

import hashlib
import os
import selectors
import socket
import struct
import time
from statistics import median

from measure import MIB, bound, fill, mib, sha256
from peers import TICK, Failed, Xfer, stat_fields, wait_until

TRANSFERS = 200
FILES = 8
SIZE = MIB // 2
BLKSIZE = 1428
AGAIN = 1.0  # seconds of silence until what was sent last is sent again
RESIDENT_MAX = 100 * MIB
UNFAIR_MAX = 4  # the slowest against the median
IDLE_FOR = 2.0
IDLE_CPU_MAX = 2 / TICK  # as fine as it is counted

RRQ, WRQ, DATA, ACK, ERROR, OACK = range(1, 7)


class Transfer:
    """One client; packets come by take(), what is sent last is kept for sending again."""

    def __init__(self, address, op, name, data):
        host, _, port = address.rpartition(":")
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer = (host, int(port))
        self.op = op
        self.name = name
        self.data = data
        self.hash = hashlib.sha256()
        self.block = 0
        self.answered = False
        self.end = None
        code = RRQ if op == "get" else WRQ
        self.send(struct.pack("!H", code) + b"\0".join(
            [name.encode(), b"octet", b"blksize", str(BLKSIZE).encode(), b""]))

    def send(self, packet):
        self.last = packet
        self.at = time.monotonic()
        self.sock.sendto(packet, self.peer)

    def begin(self):
        self.began = time.monotonic()
        if self.op == "get":
            self.send(struct.pack("!HH", ACK, 0))
        else:
            self.send_block(1)

    def send_block(self, block):
        self.block = block
        at = (block - 1) * BLKSIZE
        self.send(struct.pack("!HH", DATA, block) + self.data[at:at + BLKSIZE])

    def take(self):
        packet, self.peer = self.sock.recvfrom(4 + BLKSIZE)
        code, block = struct.unpack("!HH", packet[:4])
        if code == ERROR:
            raise Failed(f"{self.name}: {packet[4:]!r}")
        if code == OACK:
            self.answered = True
        elif self.op == "get" and block == self.block + 1:
            self.block = block
            self.hash.update(packet[4:])
            self.send(struct.pack("!HH", ACK, block))
            if len(packet) < 4 + BLKSIZE:
                self.end = time.monotonic()
        elif self.op == "put" and block == self.block:
            if block * BLKSIZE > len(self.data):
                self.end = time.monotonic()
            else:
                self.send_block(block + 1)


def pump(transfers, done):
    """Receives until done(t) holds for all."""
    with selectors.DefaultSelector() as s:
        for t in transfers:
            s.register(t.sock, selectors.EVENT_READ, t)
        left = set(transfers)
        while left:
            for key, _ in s.select(AGAIN):
                key.data.take()
                if done(key.data):
                    s.unregister(key.fileobj)
                    left.discard(key.data)
            now = time.monotonic()
            for t in left:
                if now - t.at > AGAIN:
                    t.send(t.last)


def one_round(server, served, digests, data):
    made = []
    for i in range(TRANSFERS):
        put = i % 4 == 0
        name = f"put{i}" if put else f"f{i % FILES}"
        made.append(Transfer(server.address, "put" if put else "get", name, data if put else None))
    try:
        pump(made, lambda t: t.answered)
        for t in made:
            t.begin()
        pump(made, lambda t: t.end is not None)
    finally:
        for t in made:
            t.sock.close()
    for t in made:
        if t.op == "get" and t.hash.hexdigest() != digests[t.name]:
            raise Failed(f"{t.name}: wrong digest")
        if t.op == "put" and sha256(served / t.name) != hashlib.sha256(data).hexdigest():
            raise Failed(f"{t.name}: it did not arrive as it was")
        if t.op == "put":
            os.unlink(served / t.name)
    return sorted(t.end - t.began for t in made)


def ticks(server):
    return sum(map(int, stat_fields(server.pid)[11:13])) / TICK


def threads(server):
    with open(f"/proc/{server.pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Threads:"))


def idle_cpu(server, at_rest):
    """CPU seconds of a while without any request, after all transfers and lingering have ended."""
    wait_until(lambda: threads(server) <= at_rest, "the transfers' threads to end")
    wait_until(lambda: sockets(server) <= server.sockets, "lingering to end")
    before = ticks(server)
    time.sleep(IDLE_FOR)
    return ticks(server) - before


def sockets(server):
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def check(part, what, got, limit):
    ok = got <= limit
    print(f"bound: {what}: {got:.2f}, at most {limit:.2f} ({'kept' if ok else 'BROKEN'})",
          flush=True)
    part["bounds"].append({"what": what, "value": got, "limit": limit, "kept": ok})


def run(bench, part):
    served = bench.memory / "served"
    served.mkdir()
    for i in range(FILES):
        fill(served / f"f{i}", SIZE)
    digests = {f"f{i}": sha256(served / f"f{i}") for i in range(FILES)}
    data = os.urandom(SIZE)
    server = bench.start(Xfer, bench.xfer, served)
    at_rest, idle, server.sockets = threads(server), server.peak(), sockets(server)
    rounds = [one_round(server, served, digests, data) for _ in range(bench.rounds)]
    slowest, middle = (median(f(r) for r in rounds) for f in (max, median))
    unfair = max(r[-1] / median(r) for r in rounds)
    print(f"\nudpmany: {TRANSFERS} transfers at once of {SIZE // 1024} KiB, {TRANSFERS // 4} of them "
          f"puts, one server\nall done after {slowest:.2f} s, half of them after {middle:.2f} s, "
          f"every digest right\nserver: {mib(server.peak())} MiB at most, "
          f"{(server.peak() - idle) / TRANSFERS / 1024:.0f} KiB a transfer beyond the {mib(idle)} "
          f"MiB of an idle one", flush=True)
    bound(part, "server's peak", server.peak(), RESIDENT_MAX)
    check(part, "the slowest transfer against the median", unfair, UNFAIR_MAX)
    check(part, "CPU seconds of the idle server in 2 s", idle_cpu(server, at_rest), IDLE_CPU_MAX)
    part["tables"].append({"title": "udpmany", "transfers": TRANSFERS, "bytes": SIZE,
                           "server_idle_bytes": idle, "rounds": rounds})
