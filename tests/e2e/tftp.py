"""A TFTP peer by hand: packets in and out, as a client or as a server.

A decoded packet is a tuple: ("RRQ" or "WRQ", name, mode, options) · ("DATA", block, bytes)
· ("ACK", block) · ("ERROR", code, text) · ("OACK", options); options are a list of (name, value),
all as bytes but for the numbers.
"""

import os
import select
import socket
import struct
import threading
import time

import harness
from harness import scaled

OPS = {1: "RRQ", 2: "WRQ", 3: "DATA", 4: "ACK", 5: "ERROR", 6: "OACK"}


def _bytes(value):
    return value if isinstance(value, bytes) else os.fsencode(str(value))


def request(op, name, mode="octet", *options):
    """options: pairs, in the order in which they go out."""
    words = [_bytes(name), _bytes(mode)]
    for key, value in options:
        words += [_bytes(key), _bytes(value)]
    return struct.pack("!H", op) + b"".join(word + b"\0" for word in words)


def rrq(name, *options, mode="octet"):
    return request(1, name, mode, *options)


def wrq(name, *options, mode="octet"):
    return request(2, name, mode, *options)


def data(block, payload=b""):
    return struct.pack("!HH", 3, block & 0xffff) + payload


def ack(block):
    return struct.pack("!HH", 4, block & 0xffff)


def error(code, text="", end=b"\0"):
    return struct.pack("!HH", 5, code) + _bytes(text) + end


def oack(*options):
    return struct.pack("!H", 6) + b"".join(_bytes(w) + b"\0" for pair in options for w in pair)


def decode(packet):
    op = OPS[struct.unpack("!H", packet[:2])[0]]
    if op in ("RRQ", "WRQ", "OACK"):
        assert packet.endswith(b"\0"), packet
        words = packet[2:-1].split(b"\0") if len(packet) > 2 else []
        head = [] if op == "OACK" else [words[0], words[1]]
        rest = words[len(head):]
        assert len(rest) % 2 == 0, packet
        return (op, *head, list(zip(rest[::2], rest[1::2])))
    number = struct.unpack("!H", packet[2:4])[0]
    if op == "ACK":
        assert len(packet) == 4, packet
        return op, number
    if op == "DATA":
        return op, number, packet[4:]
    assert packet.endswith(b"\0") and b"\0" not in packet[4:-1], packet
    return op, number, packet[4:-1].decode()


def split(addr):
    host, port = addr.rsplit(":", 1)
    return host.strip("[]"), int(port)


class TestCase(harness.TestCase):
    """A test in which Python plays one end. The program sends again after 20 ms at least: an answer
    that a busy machine delays for longer is lost for it, and the test sees other packets."""

    TRIES = 3


class Peer:
    """A UDP socket that talks to one other; a context manager.

    .to: where send() sends; .came: from where the last packet came
    """

    def __init__(self, to=None, bind="127.0.0.1", timeout=10, rcvbuf=None):
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.bind((bind, 0))
        self.timeout = scaled(timeout)
        self.to = split(to) if isinstance(to, str) else to
        self.came = self.got = self.asked = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    @property
    def port(self):
        return self.sock.getsockname()[1]

    @property
    def addr(self):
        host, port = self.sock.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def send(self, *packets, to=None):
        for packet in packets:
            self.sock.sendto(packet, to or self.to)

    def raw(self, timeout=None):
        """The next packet as it came; None when there is none in time."""
        self.sock.settimeout(self.timeout if timeout is None else timeout)
        try:
            packet, came = self.sock.recvfrom(65536)
        except (TimeoutError, BlockingIOError):
            return None
        self.came = came[:2]
        self.got = packet
        return packet

    def recv(self, timeout=None):
        """The next packet, decoded. Answers go to where it came from."""
        packet = self.raw(timeout)
        assert packet is not None, "no answer"
        self.to = self.came
        return decode(packet)

    def ask(self, packet, timeout=None):
        """Sends, and returns what comes; not DATA that was sent again before this was there."""
        stale = self.got if packet != self.asked and (self.got or b"")[:2] == b"\0\3" else None
        self.asked = packet
        self.send(packet)
        while (answer := self.recv(timeout)) and self.got == stale:
            pass
        return answer

    def quiet(self, seconds=0.1):
        """True when nothing comes for a moment: short, so put a fence in front where there is one."""
        return self.raw(seconds) is None

    # ---- a whole transfer, done right ----

    def fetch(self, packet, blksize=512, window=1):
        """A read to its end: (bytes, options of the OACK or None)."""
        first = self.ask(packet)
        agreed, got, block = None, b"", 0
        if first[0] == "OACK":
            agreed = dict(first[1])
            blksize = int(agreed.get(b"blksize", 512))
            window = int(agreed.get(b"windowsize", 1))
            self.send(ack(0))
            first = self.recv()
        while True:
            assert first[0] == "DATA", first
            if first[1] == (block + 1) & 0xffff:
                block += 1
                got += first[2]
                last = len(first[2]) < blksize
                if last or block % window == 0:
                    self.send(ack(block))
                if last:
                    return got, agreed
            first = self.recv()

    def store(self, packet, content, blksize=512):
        """A write to its end: the options of the OACK or None."""
        first = self.ask(packet)
        agreed = None
        if first[0] == "OACK":
            agreed = dict(first[1])
            blksize = int(agreed.get(b"blksize", 512))
        else:
            assert first == ("ACK", 0), first
        for block in range(len(content) // blksize + 1):
            part = content[block * blksize:(block + 1) * blksize]
            answer = self.ask(data(block + 1, part))
            assert answer == ("ACK", (block + 1) & 0xffff), answer
        return agreed


class FakeServer(Peer):
    """A server that does what a test tells it: `play(peer, request, come)` runs in a thread for the
    first request, with a Peer on a port of its own. A context manager; an error in play is raised
    when it is left."""

    def __init__(self, play, bind="127.0.0.1", timeout=10):
        super().__init__(bind=bind, timeout=timeout)
        self.play = play
        self.trouble = None
        self.transfer = Peer(bind=bind, timeout=timeout)
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            packet = self.raw()
            assert packet is not None, "no request"
            self.transfer.to = self.came
            self.play(self.transfer, decode(packet))
        except BaseException as e:  # pylint: disable=broad-except
            self.trouble = e

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.thread.join(self.timeout + 5)
        alive = self.thread.is_alive()
        self.close()
        self.transfer.close()
        if kind is None:
            assert not alive, "the server's part does not end"
            if self.trouble:
                raise self.trouble


def serve_file(peer, asked, content, blksize=512, delay=0.0):
    """Plays a plain server without options: sends content block by block."""
    del asked
    for block in range(len(content) // blksize + 1):
        if delay:
            time.sleep(delay)
        answer = peer.ask(data(block + 1, content[block * blksize:(block + 1) * blksize]))
        assert answer == ("ACK", (block + 1) & 0xffff), answer


def take_file(peer, asked, blksize=512, first=None):
    """Plays a plain server that is written to; returns what came."""
    del asked
    got, block = b"", 0
    answer = peer.ask(first or ack(0))
    while True:
        assert answer[0] == "DATA" and answer[1] == (block + 1) & 0xffff, answer[:2]
        block += 1
        got += answer[2]
        if len(answer[2]) < blksize:
            peer.send(ack(block))
            return got
        answer = peer.ask(ack(block))


class Relay:
    """A path between clients and a server that loses, doubles or changes datagrams; a context
    manager. fate(number, packet, to_server) returns the packets that go on. Clients send to .addr;
    each port of theirs has a socket of its own towards the server, and each port of the server one
    towards the client."""

    def __init__(self, server, fate):
        self.server = split(server)
        self.fate = fate
        self.counts = [0, 0]
        self.front = self._socket()
        self.addr = "127.0.0.1:%d" % self.front.getsockname()[1]
        self.routes = {}   # socket: (socket to send from, address, to_server)
        self.behind = {}   # (client, server address): the pair's two sockets
        self.stop = False
        self.thread = threading.Thread(target=self._run)

    @staticmethod
    def _socket():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", 0))
        s.setblocking(False)
        return s

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()
        for s in [self.front, *self.routes]:
            s.close()

    def _send(self, s, packet, to, to_server):
        self.counts[to_server] += 1
        for out in self.fate(self.counts[to_server], packet, to_server):
            s.sendto(out, to)

    def _take(self, s):
        packet, came = s.recvfrom(65536)
        if s is self.front:  # a request
            if came not in self.behind:
                self.behind[came] = self._socket()
                self.routes[self.behind[came]] = (came, {})
            self._send(self.behind[came], packet, self.server, True)
            return
        client, ports = self.routes[s]
        if isinstance(ports, dict):  # from a port of the server to the client
            if came not in ports:
                ports[came] = self._socket()
                self.routes[ports[came]] = (client, (s, came))
            self._send(ports[came], packet, client, False)
        else:
            back, server = ports
            self._send(back, packet, server, True)

    def _run(self):
        while not self.stop:
            ready, _, _ = select.select([self.front, *self.routes], [], [], 0.05)
            for s in ready:
                try:
                    self._take(s)
                except (BlockingIOError, ConnectionRefusedError):
                    pass
