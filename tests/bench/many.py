"""A thousand requests at once: every one has been answered before any body can end."""

import hashlib
import resource
import selectors
import socket
import time

from measure import MIB, fill, mib, sha256
from peers import Failed, Xfer

REQUESTS = 1000
FILES = 16
SIZE = MIB
# The kernel sizes the sender's buffer, up to 4 MiB, after the segments of the receiver. These keep
# it well below a body, so that none can end before we read.
RECEIVE_BUFFER = 16 * 1024
SEGMENT = 1400


class Client:
    """One connection with one GET, its reply taken apart as it comes."""

    def __init__(self, port, name):
        self.name = name
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        self.sock.connect(("127.0.0.1", port))
        self.sock.sendall(f"XFER/1\nGET /{name}\n".encode())
        self.pending = b""
        self.left = 0
        self.hash = hashlib.sha256()
        self.end = None

    def feed(self):
        data = self.sock.recv(RECEIVE_BUFFER)
        if not data:
            raise Failed(f"{self.name}: the server closed the connection")
        self.pending += data
        while self.pending and self.end is None and (self.take_payload() or self.take_line()):
            pass

    def take_payload(self):
        n = min(self.left, len(self.pending))
        self.hash.update(self.pending[:n])
        self.pending = self.pending[n:]
        self.left -= n
        return n

    def take_line(self):
        line, lf, rest = self.pending.partition(b"\n")
        if not lf:
            return False
        self.pending = rest
        verb, _, words = line.decode().partition(" ")
        if verb == "DATA":
            self.left = int(words)
        elif verb == "END":
            self.end = dict(word.split("=", 1) for word in words.split())
        elif verb not in ("XFER/1", "200"):
            raise Failed(f"{self.name}: unexpected {line!r}")
        return True


def open_all(port):
    clients = [Client(port, f"f{i % FILES}") for i in range(REQUESTS)]
    for c in clients:
        while not c.left:
            c.feed()
    return clients


def drain(clients):
    with selectors.DefaultSelector() as s:
        for c in clients:
            s.register(c.sock, selectors.EVENT_READ, c)
        left = len(clients)
        while left:
            for key, _ in s.select(30) or [(None, None)]:
                if key is None:
                    raise Failed("nothing arrived for 30 s")
                key.data.feed()
                if key.data.end is not None:
                    s.unregister(key.fileobj)
                    left -= 1


def one_round(server, digests):
    logged = server.log_lines("GET")
    cpu = server.cpu()
    began = time.monotonic()
    clients = open_all(server.port)
    opened = time.monotonic()
    if server.log_lines("GET") != logged:
        raise Failed("a body ended before all requests had been answered")
    drain(clients)
    ended = time.monotonic()
    for c in clients:
        c.sock.close()
        if not c.end["sha256"] == c.hash.hexdigest() == digests[c.name]:
            raise Failed(f"{c.name}: wrong digest")
    return {"seconds": ended - began, "seconds_until_all_answered": opened - began,
            "cpu_server": server.cpu() - cpu, "server_peak_bytes": server.peak()}


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < REQUESTS + 64:
        raise Failed(f"needs {REQUESTS + 64} descriptors, may open {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))


def run(bench, part):
    raise_descriptor_limit()
    served = bench.memory / "served"
    served.mkdir()
    for i in range(FILES):
        fill(served / f"f{i}", SIZE)
    digests = {f"f{i}": sha256(served / f"f{i}") for i in range(FILES)}
    server = bench.start(Xfer, bench.xfer, served)
    idle = server.peak()
    rounds = [one_round(server, digests) for _ in range(bench.rounds)]
    seconds = sorted(r["seconds"] for r in rounds)
    middle = seconds[len(seconds) // 2]
    answered = sorted(r["seconds_until_all_answered"] for r in rounds)[len(rounds) // 2]
    print(f"\nmany: {REQUESTS} simultaneous GETs of {SIZE // MIB} MiB, one server\n"
          f"all answered after {answered:.2f} s, all served after {middle:.2f} s "
          f"({seconds[0]:.2f}-{seconds[-1]:.2f}), every digest right\n"
          f"server: {server.peak() / MIB:.0f} MiB at most, "
          f"{(server.peak() - idle) / REQUESTS / 1024:.0f} KiB a connection beyond the "
          f"{mib(idle)} MiB of an idle one", flush=True)
    part["tables"].append({"title": "many", "requests": REQUESTS, "bytes": SIZE,
                           "server_idle_bytes": idle, "rounds": rounds})
