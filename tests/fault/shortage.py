"""Shortages that need no injection: few descriptors, and a server that is busy at a bad moment."""

import os
import resource
import socket
import threading

import faults  # noqa: F401  (puts harness on the path)
import harness
from harness import TestCase, noise, sha256, tree


def few_descriptors(n):
    """For preexec_fn."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


class Descriptors(TestCase):
    """Each file on its way holds some, and connections share what a process may have."""

    FILES = 400

    def make_tree(self, top):
        for i in range(self.FILES):
            self.make(f"{top}/d{i % 7}/f{i}", noise(300, i))
        return self.path(top)

    def move(self, verb, *options):
        server = self.serve()
        source = self.make_tree("src" if verb == "put" else server.path("src"))
        back = server.path("back") if verb == "put" else self.path("back")
        os.mkdir(back)
        to = f"{server.addr}/back/" if verb == "put" else back
        source_arg = source if verb == "put" else f"{server.addr}/src"
        self.xfer(verb, "-r", *options, source_arg, to, preexec_fn=few_descriptors(64))
        self.assertEqual(tree(source), tree(back + "/src"))
        self.assertNoLeftovers(back)

    def test_get_of_a_tree_over_one_connection(self):
        self.move("get")

    def test_get_of_a_tree_over_eight_connections(self):
        self.move("get", "-j", "8")

    def test_get_of_a_tree_with_batches(self):
        self.move("get", "-j", "4", "--sync", "batch")

    def test_put_of_a_tree_over_eight_connections(self):
        self.move("put", "-j", "8")

    def test_a_batch_on_a_server_with_few(self):
        server = harness.Server()
        server.command = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *server.command]
        self.enter_context(server)
        self.xfer("put", "-r", "--sync", "batch", self.make_tree("src"), f"{server.addr}/")
        self.assertEqual(tree(self.path("src")), tree(server.path("src")))
        self.assertNoLeftovers(server.root)


class Busy(TestCase):
    """A server that answers its first PUT with 421 while the client is at the body of the second."""

    def setUp(self):
        super().setUp()
        self.stored = {}
        self.refused = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addr = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()
        self.addCleanup(self.stop)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_one, args=(sock,), daemon=True).start()

    def serve_one(self, sock):
        with sock, sock.makefile("rb", 1 << 20) as lines:
            try:
                lines.readline()
                sock.sendall(b"XFER/1\n")
                while line := lines.readline():
                    sock.sendall(self.put(line.split()[1].decode(), lines))
            except OSError:
                pass

    def put(self, name, lines):
        """Takes a body; the reply."""
        data = b""
        while (words := lines.readline().split()) and words[0] == b"DATA":
            data += lines.read(int(words[1]))
        if not words or words[0] == b"ABORT":
            return b"426 canceled\n"
        if not self.refused:
            self.refused = True
            return b"421 busy not now\n"
        self.stored[name] = data
        return b"201 sha256=%s\n" % sha256(data).encode()

    def test_the_answers_after_it_are_not_taken_for_others(self):
        """Every file is sent anew; none is told to be there because another one is."""
        same = noise(5000)
        files = {"a": same, "b": noise(24_000_000, 2), "c": same, "d": same}
        paths = [self.make(name, data) for name, data in files.items()]
        self.xfer("put", "--no-resume", "--retries", "2", "--timeout", "10", *paths,
                  f"{self.addr}/")
        self.assertEqual({"/" + name: data for name, data in files.items()}, self.stored)


harness.main()
