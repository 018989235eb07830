"""A TCP relay between client and server that does what networks do, and worse.

    with Relay(server.addr, plan) as relay:
        run("get", f"{relay.addr}/f", ...)
        relay.up, relay.down       bytes that crossed, client to server and back

`plan(i)` gives the Link of the i-th connection (from 0); without a plan every one is plain.
Offsets count the bytes of one connection in one direction, "up" (to the server) or "down".
"""

import contextlib
import socket
import struct
import threading

UP, DOWN = "up", "down"
CHUNK = 65536


class Link:
    """What is done to one connection, and what crossed it."""

    def __init__(self, flip=(), cut=None, stall=None, dribble=False, reset=False, hold=False,
                 record=False, at=()):
        self.flip = flip        # [(direction, offset, bit)]
        self.cut = cut          # (direction, offset): both sides are closed there
        self.stall = stall      # (direction, offset): nothing passes there until .release()
        self.dribble = dribble  # one byte at a time
        self.reset = reset      # a cut is a RST, which takes what was not read yet with it
        self.hold = hold        # when the client goes, the server is not told
        self.record = record    # keep the bytes in .bytes
        self.at = at            # [(direction, offset, function)]: called when it was passed on
        self.count = {UP: 0, DOWN: 0}
        self.bytes = {UP: bytearray(), DOWN: bytearray()}
        self.stalled = threading.Event()
        self.released = threading.Event()
        self.done = threading.Event()
        self.sockets = ()

    def release(self, drop=False):
        """Ends a stall: everything goes on, or both sides are closed there and then."""
        if drop:
            _close(self)
        self.released.set()

    def marks(self, direction):
        """Offsets before which a chunk must end, so that things happen exactly there."""
        found = [offset for way, offset, _ in self.at if way == direction]
        found += [place[1] for place in (self.cut, self.stall) if place and place[0] == direction]
        return found


class Relay:
    def __init__(self, target, plan=None):
        self.target = target
        self.plan = plan or (lambda i: Link())
        self.links = []
        self.old = []
        self.closing = False
        self.threads = []

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.addr = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self._spawn(self._accept)
        return self

    def __exit__(self, *_):
        self.closing = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for link in self.old + self.links:
            link.release()
            _close(link, reset=True)
        for thread in self.threads:
            thread.join(10)

    def fresh(self, plan=None):
        """Connections from now on are counted and planned anew, at the same address."""
        self.old += self.links
        self.links = []
        self.plan = plan or (lambda i: Link())

    @property
    def up(self):
        return sum(link.count[UP] for link in self.links)

    @property
    def down(self):
        return sum(link.count[DOWN] for link in self.links)

    def _spawn(self, fn, *args):
        thread = threading.Thread(target=fn, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        while not self.closing:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                host, port = self.target.rsplit(":", 1)
                server = socket.create_connection((host, int(port)), 10)
                server.settimeout(None)
            except OSError:
                _reset(client)
                client.close()
                continue
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = self.plan(len(self.links))
            link.sockets = (client, server)
            self.links.append(link)
            self._spawn(self._pump, link, UP, client, server)
            self._spawn(self._pump, link, DOWN, server, client)

    def _pump(self, link, direction, source, sink):
        marks = sorted(set(link.marks(direction)))
        try:
            while True:
                if not self._reached(link, direction):
                    break
                at = link.count[direction]
                limit = next((m for m in marks if m > at), at + CHUNK) - at
                data = source.recv(1 if link.dribble else min(CHUNK, limit))
                if not data:
                    break
                data = _flipped(data, [(o - at, b) for way, o, b in link.flip if way == direction])
                if link.record:
                    link.bytes[direction] += data
                sink.sendall(data)
                link.count[direction] += len(data)
        except OSError:
            pass
        if link.hold and direction == UP:
            return
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        if link.done.is_set():
            _close(link)
        link.done.set()

    @staticmethod
    def _reached(link, direction):
        """What was planned for this offset. False when the connection ends here."""
        at = link.count[direction]
        for way, offset, fn in link.at:
            if (way, offset) == (direction, at):
                fn()
        if link.stall == (direction, at):
            link.stalled.set()
            link.released.wait()
        if link.cut == (direction, at):
            _close(link, link.reset)
            return False
        return True


def _flipped(data, flips):
    here = [(offset, bit) for offset, bit in flips if 0 <= offset < len(data)]
    if not here:
        return data
    data = bytearray(data)
    for offset, bit in here:
        data[offset] ^= 1 << bit
    return bytes(data)


def _reset(sock):
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _close(link, reset=False):
    for sock in link.sockets:
        if reset:
            _reset(sock)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()
