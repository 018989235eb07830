"""A server by hand: what a script says to each connection."""

import socket
import threading

from harness import scaled


class Fake:
    """A server that runs script(peer) for each connection, in a thread of its own."""

    def __init__(self, script):
        self.script = script
        self.peers = []

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.addr = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
        for peer in self.peers:
            peer.sock.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            peer = Peer(sock)
            self.peers.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        try:
            self.script(peer)
        except (OSError, EOFError):
            pass
        peer.close()


class Peer:
    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(scaled(60))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.taken = 0

    def close(self):
        """Lets what was sent arrive."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
            while self.sock.recv(65536):
                pass
        except OSError:
            pass
        self.sock.close()

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.taken += len(data)
        self.buffer += data

    def line(self):
        while b"\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def drop_body(self):
        while not (line := self.line()).startswith((b"END", b"ABORT")):
            if line.startswith(b"DATA"):
                count = int(line.split()[1])
                while len(self.buffer) < count:
                    self.more()
                self.buffer = self.buffer[count:]

    def send(self, data):
        self.sock.sendall(data)
