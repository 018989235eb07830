"""Options that bound a transfer in rate and time, order its syncs, or remember its digest."""

import os
import re
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import Raw, TestCase, noise, sha256

MIB = 1 << 20


class Timed(TestCase):
    def timed(self, *args, **kwargs):
        began = time.monotonic()
        result = harness.run(*args, **kwargs)
        return (*result, time.monotonic() - began)


class LimitRate(Timed):
    """Not faster than asked, and not much slower: the bounds are the option's own."""

    def bounded(self, seconds, *args, **kwargs):
        status, _, err, took = self.timed(*args, **kwargs)
        self.assertEqual(status, 0, err)
        self.assertGreater(took, 0.85 * seconds)
        self.assertLess(took, 1.5 * seconds + harness.scaled(4))

    def test_put_and_get(self):
        server = self.serve()
        data = noise(MIB)
        self.make("a", data)
        self.bounded(1, "put", self.path("a"), f"{server.addr}/", "--limit-rate", "1M")
        self.assertEqual(self.read(server.path("a")), data)
        self.bounded(1, "get", f"{server.addr}/a", self.path("b"), "--limit-rate", "1024K")
        self.assertEqual(self.read("b"), data)
        self.bounded(1, "get", f"{server.addr}/a", "-", "--limit-rate", "8388608bit")

    def test_over_all_connections_and_many_small_files(self):
        server = self.serve()
        for i in range(200):
            self.make(f"src/{i}", noise(5000, i))
        self.bounded(1, "put", "-r", "-j", "4", self.path("src"), f"{server.addr}/",
                     "--limit-rate", "1M")
        self.bounded(1, "get", "-r", "-j", "4", f"{server.addr}/src", self.path("dst"),
                     "--limit-rate", "8mbit")

    def test_a_rate_so_low_that_silence_could_be_taken_for_death(self):
        """The server is told of the limit: it does not end what is slow on purpose."""
        server = self.serve("--timeout", "1")
        self.make("a", noise(3000))
        self.make(server.path("b"), noise(3000))
        put = harness.start("put", self.path("a"), f"{server.addr}/", "--limit-rate", "1000",
                            "--timeout", "1", "--retries", "0")
        get = harness.start("get", f"{server.addr}/b", self.tmp, "--limit-rate", "1000",
                            "--timeout", "1", "--retries", "0")
        for process in (put, get):
            status, _, err = harness.finish(process)
            self.assertEqual(status, 0, err)
        self.assertEqual(self.read(server.path("a")), noise(3000))
        self.assertEqual(self.read("b"), noise(3000))


class Deadlines(Timed):
    def silent(self, greeting=b""):
        """A listener that takes a connection and says no more than a greeting: its address."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.peers = []

        def serve():
            while True:
                try:
                    peer = listener.accept()[0]
                except OSError:
                    return
                if greeting:
                    peer.sendall(greeting)
                self.peers.append(peer)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.addCleanup(lambda: [peer.close() for peer in self.peers])
        return "127.0.0.1:%d" % listener.getsockname()[1]

    def test_timeout_without_progress(self):
        self.make("a", noise(1000))
        for greeting in (b"", b"XFER/1\n"):
            addr = self.silent(greeting)
            for args in (["get", f"{addr}/a", self.path("b")], ["put", self.path("a"), f"{addr}/"],
                         ["ls", f"{addr}/"]):
                with self.subTest(greeting=greeting, args=args):
                    status, _, err, took = self.timed(*args, "--timeout", "300ms", "--retries", "1")
                    self.assertEqual(status, 3, err)
                    self.assertGreater(took, 0.6)
                    self.assertLess(took, 2 + harness.scaled(4))
                    self.assertEqual(err.count("\n"), 1, err)
                    self.assertFalse(os.path.exists(self.path("b")))

    def test_retries(self):
        addr = self.silent(b"XFER/1\n")
        self.timed("ls", f"{addr}/", "--timeout", "100ms", "--retries", "2")
        self.assertEqual(len(self.peers), 3)
        _, _, err, _ = self.timed("ls", f"{addr}/", "--timeout", "100ms", "--retries", "0", "-v")
        self.assertEqual(len(self.peers), 4)

    def test_max_time(self):
        server = self.serve()
        self.make("a", noise(MIB))
        self.make(server.path("a"), noise(MIB))
        silent = self.silent(b"XFER/1\n")
        for args in (["put", self.path("a"), f"{server.addr}/b", "--limit-rate", "100K"],
                     ["get", f"{server.addr}/a", self.path("b"), "--limit-rate", "100K"],
                     ["get", f"{silent}/a", self.path("b")], ["ls", f"{silent}/"],
                     ["put", self.path("a"), f"{silent}/"]):
            with self.subTest(args):
                status, _, err, took = self.timed(*args, "--max-time", "0.5")
                self.assertEqual(status, 3, err)
                self.assertRegex(err, "time limit reached")
                self.assertGreater(took, 0.4)
                self.assertLess(took, 1 + harness.scaled(3))
        self.assertFalse(os.path.exists(self.path("b")))
        self.assertFalse(os.path.exists(server.path("b")))

    def test_max_time_that_suffices(self):
        server = self.serve()
        self.make(server.path("a"), noise(MIB))
        self.xfer("get", f"{server.addr}/a", self.path("b"), "--max-time", "1h")
        self.assertEqual(self.read("b"), noise(MIB))

    def test_a_server_that_falls_silent_within_a_body(self):
        addr = self.silent(b"XFER/1\n200 size=1000\nDATA 1000\nonly this")
        status, out, err, _ = self.timed("get", f"{addr}/a", "-", "--timeout", "300ms",
                                         "--retries", "0")
        self.assertEqual(status, 3, err)
        self.assertEqual(out, b"only this")


class Sync(TestCase):
    """The order of system calls: bytes, then the name, then the directory."""

    CALLS = "fsync,fdatasync,syncfs,sync_file_range,rename,renameat,renameat2"

    def setUp(self):
        super().setUp()
        harness.need_tool("strace")
        harness.need_plain()
        probe = subprocess.run(["strace", "-o", "/dev/null", "true"], check=False,
                               stderr=subprocess.DEVNULL).returncode
        harness.skip_unless(probe == 0, "strace may not trace here")
        self.strace = ["strace", "-f", "-y", "-e", f"trace={self.CALLS}", "-o"]
        self.runs = 0

    def trace(self):
        self.runs += 1
        return self.path(f"trace{self.runs}")

    def events(self, trace):
        """[(call, what)] in order: what is "file" of a temporary, "dir", or "" for a rename."""
        found = []
        for line in self.read(trace).decode("utf-8", "replace").splitlines():
            match = re.match(r"\d+ +(\w+)\((\d+<([^>]*)>)?", line)
            if not match or " = 0" not in line:
                continue
            call, path = match[1], match[3] or ""
            if call.startswith("rename"):
                found.append(("rename", ""))
            elif call == "fsync":
                found.append(("fsync", "file" if ".xfer-" in path else "dir"))
            elif call != "sync_file_range":
                found.append((call, ""))
        return found

    def put(self, *options, files=1, server_options=()):
        """The events of a server that takes some files. -D: it is our child, not strace's."""
        trace = self.trace()
        server = harness.Server(*server_options, prefix=[*self.strace, trace, "-D"])
        for i in range(files):
            self.make(f"src{files}/{i}", noise(1000 + i, i))
        with server:
            self.xfer("put", *options, "-r", self.path(f"src{files}/"), f"{server.addr}/")
            self.assertEqual(len(os.listdir(server.root)), files)
        harness.wait_for(lambda: re.search(rb"(?m)^%d +\+\+\+ exited" % server.proc.pid,
                                           self.read(trace)), "the end of the trace")
        return self.events(trace)

    def get(self, *options, files=1):
        trace = self.trace()
        server = self.serve()
        for i in range(files):
            self.make(server.path(f"src/{i}"), noise(1000 + i, i))
        dest = self.path(f"dst{self.runs}")
        os.mkdir(dest)
        self.xfer("get", *options, "-r", f"{server.addr}/src/", dest,
                  prefix=[*self.strace, trace])
        self.assertEqual(len(os.listdir(dest)), files)
        return self.events(trace)

    ONE = [("fsync", "file"), ("rename", ""), ("fsync", "dir")]

    def test_none(self):
        for run in (self.put, self.get):
            with self.subTest(run.__name__):
                self.assertEqual(run("--sync", "none", files=3), [("rename", "")] * 3)
                self.assertEqual(run(files=2), [("rename", "")] * 2)

    def test_file(self):
        for run in (self.put, self.get):
            with self.subTest(run.__name__):
                self.assertEqual(run("--sync", "file", files=3), self.ONE * 3)

    def test_file_by_the_server_s_own_option(self):
        self.assertEqual(self.put(files=2, server_options=("--sync", "file")), self.ONE * 2)

    def check_batches(self, events, files):
        """In each batch all files are synced, then all are renamed, then the directory is synced."""
        text = "".join({"file": "f", "dir": "d", "": "r"}[what] for _, what in events)
        batches = re.fullmatch(r"((f+)(r+)(d+))+", text)
        self.assertTrue(batches, text)
        self.assertEqual((text.count("f"), text.count("r")), (files, files))
        done = 0
        for match in re.finditer(r"(f+)(r+)d", text):
            self.assertEqual(len(match[1]), len(match[2]), text)
            done += len(match[1])
        self.assertEqual(done, files)
        self.assertLess(text.count("d"), files)
        return text.count("d")

    def test_batch(self):
        for run in (self.put, self.get):
            with self.subTest(run.__name__):
                self.check_batches(run("--sync", "batch", files=40), 40)

    def test_batch_closes_at_256_files(self):
        for run in (self.put, self.get):
            with self.subTest(run.__name__):
                self.assertGreaterEqual(self.check_batches(run("--sync", "batch", files=300), 300),
                                        2)

    def test_batch_by_the_server_s_own_option(self):
        self.check_batches(self.put(files=40, server_options=("--sync", "batch")), 40)

    def test_the_answer_waits_for_the_batch(self):
        """A 201 means: synced and renamed. The batch closes when the input is drained."""
        server = self.serve("--sync", "batch")
        with Raw(server.addr) as peer:
            peer.hello()
            for i in range(3):
                peer.send(f"PUT /f{i} size=3")
                peer.put_body(b"abc")
            for i in range(3):
                self.assertEqual(peer.reply()[0], 201)
            self.assertEqual(sorted(os.listdir(server.root)), ["f0", "f1", "f2"])


class Remember(TestCase):
    """Digests in extended attributes: of what xfer wrote, and of nothing else unless asked."""

    NAMES = ["user.shatag.sha256", "user.shatag.ts", "user.xfer.id"]

    def setUp(self):
        super().setUp()
        harness.need_xattrs(self.tmp)
        self.server = self.serve()
        self.data = noise(2 * MIB)

    def xattrs(self, path):
        return {name: os.getxattr(path, name) for name in sorted(os.listxattr(path))
                if name.startswith("user.")}

    def assertRecord(self, path):
        got = self.xattrs(path)
        self.assertEqual(sorted(got), sorted(self.NAMES))
        sb = os.stat(path)
        self.assertEqual(got["user.shatag.sha256"].decode(), sha256(self.read(path)))
        seconds, ns = divmod(sb.st_mtime_ns, 10**9)
        self.assertEqual(got["user.shatag.ts"].decode(), f"{seconds}.{ns:09d}")
        self.assertEqual(got["user.xfer.id"].decode(), f"{sb.st_size}:{sb.st_ino}")

    def test_written_files_get_a_record_sources_do_not(self):
        source = self.make("a", self.data, mtime=10**18 + 5)
        self.xfer("put", source, f"{self.server.addr}/")
        self.assertRecord(self.server.path("a"))
        self.assertEqual(self.xattrs(source), {})
        plain = self.make(self.server.path("b"), self.data, mtime=10**18)
        self.xfer("get", f"{self.server.addr}/b", self.tmp)
        self.assertRecord(self.path("b"))
        self.assertEqual(self.xattrs(plain), {})

    def test_not_below_1_mib(self):
        self.xfer("put", self.make("a", self.data[:MIB - 1], mtime=10**18), f"{self.server.addr}/")
        self.assertEqual(self.xattrs(self.server.path("a")), {})

    def test_not_while_the_mtime_is_young(self):
        self.xfer("put", self.make("a", self.data), f"{self.server.addr}/", "--no-preserve")
        self.assertEqual(self.xattrs(self.server.path("a")), {})

    def test_a_reader_s_server_touches_nothing(self):
        server = self.serve(write=False)
        path = self.make(server.path("a"), self.data, mtime=10**18)
        before = os.stat(path)
        out, _ = self.xfer("ls", "--sha256", f"{server.addr}/")
        self.assertIn(sha256(self.data).encode(), out)
        self.xfer("get", f"{server.addr}/a", self.tmp)
        self.assertEqual(self.xattrs(path), {})
        self.assertEqual(os.stat(path).st_ctime_ns, before.st_ctime_ns)

    def test_when_asked(self):
        server = self.serve("--remember", write=False)
        path = self.make(server.path("a"), self.data, mtime=10**18)
        self.xfer("ls", "--sha256", f"{server.addr}/")
        self.assertRecord(path)
        source = self.make("src/a", self.data, mtime=10**18)
        self.make(self.server.path("a"), self.data)
        self.xfer("put", "--update=digest", "--remember", source, f"{self.server.addr}/")
        self.assertRecord(source)

    def test_a_stale_record_is_not_believed(self):
        """Size, mtime or inode differ: the digest is computed anew."""
        self.xfer("put", self.make("a", self.data, mtime=10**18), f"{self.server.addr}/")
        path = self.server.path("a")
        with open(path, "r+b") as f:
            f.write(b"changed")
        changed = self.read(path)
        out, _ = self.xfer("ls", "--sha256", f"{self.server.addr}/")
        self.assertEqual(out.decode(), f"{sha256(changed)}  a\n")
        self.xfer("get", f"{self.server.addr}/a", self.path("b"))
        self.assertEqual(self.read("b"), changed)

    def test_a_record_that_lies_is_caught_by_the_receiver(self):
        """Content changed, mtime restored: the hole that the manual admits. No wrong file is kept."""
        self.xfer("put", self.make("a", self.data, mtime=10**18), f"{self.server.addr}/")
        path = self.server.path("a")
        with open(path, "r+b") as f:
            f.write(b"changed")
        os.utime(path, ns=(10**18, 10**18))
        self.make("b", b"old")
        _, err = self.xfer("get", f"{self.server.addr}/a", self.path("b"), status=5)
        self.assertRegex(err, "digest does not match")
        self.assertEqual(self.read("b"), b"old")
        with Raw(self.server.addr) as peer:
            peer.hello()
            peer.send("SUM /a", "SUM /a fresh=1")
            self.assertEqual(peer.reply()[1]["sha256"], sha256(self.data))
            self.assertEqual(peer.reply()[1]["sha256"], sha256(self.read(path)))


if __name__ == "__main__":
    del Timed
    harness.main()
