"""Sources that are no plain quiet file: pipes, holes, /proc, and files that change while read."""

import os
import subprocess
import threading
import time

import harness
from harness import Raw, TestCase, noise, sha256

GIB = 1 << 30


class Streams(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve()

    def test_standard_input(self):
        for size in (0, 1, 511, 512, 513, 131072, 3_000_001):
            with self.subTest(size):
                data = noise(size, size)
                _, err = self.xfer("put", "-", f"{self.server.addr}/f", input=data)
                self.assertEqual(self.read(self.server.path("f")), data)
                self.assertRegex(err, rf"sha256 {sha256(data)[:8]}….  verified\n$|"
                                      rf"sha256 {sha256(data)[:8]}….*verified\n$")

    def test_standard_output(self):
        for size in (0, 1, 511, 512, 513, 131072, 3_000_001):
            with self.subTest(size):
                data = self.read(self.make(self.server.path("f"), noise(size, size)))
                out, err = self.xfer("get", f"{self.server.addr}/f", "-")
                self.assertEqual(out, data)
                self.assertRegex(err, "verified\n$")

    def test_a_slow_pipe(self):
        """Bytes in dribbles: none lost, and the file is there only at the end."""
        process = harness.start("put", "-", f"{self.server.addr}/f",
                                stdin=subprocess.PIPE)
        for i in range(5):
            process.stdin.write(b"%d" % i)
            process.stdin.flush()
            harness.wait_for(lambda: any(name.startswith(".xfer-")
                                         for name in os.listdir(self.server.root)), "a temporary")
            self.assertFalse(os.path.exists(self.server.path("f")))
        self.assertEqual(harness.finish(process)[0], 0)
        self.assertEqual(self.read(self.server.path("f")), b"01234")

    def test_standard_input_needs_a_name(self):
        os.mkdir(self.server.path("d"))
        self.make("f", b"f")
        for args in (["-", f"{self.server.addr}/"], ["-", f"{self.server.addr}/d"],
                     ["-", f"{self.server.addr}/d/"]):
            with self.subTest(args):
                self.fails(2, "standard input", "put", *args, input=b"x")
        self.fails(2, "standard input", "put", "-", "-", f"{self.server.addr}/d", input=b"x")
        self.assertEqual(harness.tree(self.server.path("d")), {})

    def test_standard_input_beside_files(self):
        self.make("f", b"f")
        os.mkdir(self.server.path("d"))
        status, _, err = harness.run("put", self.path("f"), "-", f"{self.server.addr}/d", input=b"x")
        self.assertIn(status, (1, 2), err)

    def test_standard_input_replaces_and_asks(self):
        self.make(self.server.path("f"), b"old")
        _, err = self.xfer("put", "-n", "-", f"{self.server.addr}/f", input=b"new")
        self.assertEqual(self.read(self.server.path("f")), b"old")
        self.xfer("put", "-", f"{self.server.addr}/f", input=b"new")
        self.assertEqual(self.read(self.server.path("f")), b"new")

    def test_several_to_standard_output(self):
        for name in "abc":
            self.make(self.server.path(name), name.encode() * 1000)
        out, _ = self.xfer("get", "-j", "4", *(f"{self.server.addr}/{name}" for name in "cab"), "-")
        self.assertEqual(out, b"c" * 1000 + b"a" * 1000 + b"b" * 1000)

    def test_standard_output_of_something_missing(self):
        out, _ = self.fails(4, "not found", "get", f"{self.server.addr}/nope", "-")
        self.assertEqual(out, b"")

    def test_a_file_named_minus(self):
        self.make(self.server.path("-"), b"minus")
        self.assertEqual(self.xfer("get", f"{self.server.addr}/-", "-")[0], b"minus")
        self.xfer("get", f"{self.server.addr}/-", "./-", cwd=self.tmp)
        self.assertEqual(self.read("-"), b"minus")

    def test_standard_streams_that_are_closed(self):
        """A socket must not become standard output: bytes would go who knows where."""
        self.make(self.server.path("f"), noise(100_000))
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            with self.subTest(closed):
                status = subprocess.run(
                    ["sh", "-c", f'"$0" get "$1" "$2" {closed}', harness.XFER,
                     f"{self.server.addr}/f", self.path("f")], check=False,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    env=harness.ENV, timeout=harness.scaled(30)).returncode
                self.assertEqual(status, 0)
                self.assertEqual(self.read("f"), noise(100_000))
                os.unlink(self.path("f"))
        status = subprocess.run(
            ["sh", "-c", '"$0" get "$1" - >&-', harness.XFER, f"{self.server.addr}/f"], check=False,
            stderr=subprocess.PIPE, env=harness.ENV, timeout=harness.scaled(30)).returncode
        self.assertNotEqual(status, 0)

    def test_a_full_device(self):
        self.make(self.server.path("f"), noise(100_000))
        with open("/dev/full", "wb") as full:
            for args in (["get", f"{self.server.addr}/f", "-"], ["ls", f"{self.server.addr}/"],
                         ["ls", "--json", f"{self.server.addr}/"], ["--help"],
                         ["get", "--checksums", f"{self.server.addr}/f", self.path("f")]):
                with self.subTest(args):
                    status, _, err = harness.run(*args, stdout=full)
                    self.assertEqual(status, 6, err)
                    self.assertRegex(err, "No space left")
                    self.assertEqual(err.count("No space left"), 1, err)


class Holes(TestCase):
    def used(self, path):
        return os.stat(path).st_blocks * 512

    def sparse(self, path, size, *data):
        """A file of holes but for (offset, bytes)."""
        with open(path, "wb") as f:
            for offset, piece in data:
                f.seek(offset)
                f.write(piece)
            f.truncate(size)
        harness.skip_unless(self.used(path) < size // 4 + 65536, "needs a file system with holes")
        return path

    def test_there_and_back(self):
        server = self.serve()
        for size, data in ((64 << 20, [(1 << 20, b"x" * 5000), (40 << 20, noise(100_000))]),
                           (10 << 20, []), ((10 << 20) + 1, [(0, b"begin")]),
                           (8 << 20, [((8 << 20) - 1, b"e")])):
            with self.subTest(size=size):
                source = self.sparse(self.path("a"), size, *data)
                self.xfer("put", source, f"{server.addr}/")
                self.xfer("get", f"{server.addr}/a", self.path("b"))
                for copy in (server.path("a"), self.path("b")):
                    self.assertEqual(os.path.getsize(copy), size)
                    self.assertEqual(harness.sha256_file(copy), harness.sha256_file(source))
                    self.assertLess(self.used(copy), 1 << 20)

    def test_zeros_from_a_pipe_and_over_an_old_file(self):
        server = self.serve()
        self.make(server.path("a"), noise(9 << 20))
        self.xfer("put", "-", f"{server.addr}/a", input=b"head" + bytes(8 << 20) + b"tail")
        self.assertEqual(self.read(server.path("a")), b"head" + bytes(8 << 20) + b"tail")
        self.assertLess(self.used(server.path("a")), 1 << 20)

    def test_more_than_4_gib(self):
        """2^32 + 1 bytes sent, in 20 MiB of memory on either side, and their end fetched."""
        harness.need_plain()
        server = self.serve()
        size = 4 * GIB + 1
        source = self.sparse(self.path("big"), size, (0, b"begin"), (size - 1, b"e"))
        process = harness.start("put", source, f"{server.addr}/")
        self.addCleanup(harness.end, process)
        peak = 0
        while process.poll() is None:
            peak = max(peak, harness.peak_memory(process.pid))
            time.sleep(0.02)
        status, _, err = harness.finish(process)
        self.assertEqual(status, 0, err)
        self.assertGreater(peak, 0)
        self.assertLess(peak, 20 << 20)
        self.assertLess(harness.peak_memory(server.proc.pid), 20 << 20)
        copy = server.path("big")
        self.assertEqual(os.path.getsize(copy), size)
        self.assertLess(self.used(copy), 1 << 20)
        with open(copy, "rb") as f:
            self.assertEqual(f.read(5), b"begin")
        with Raw(server.addr) as peer:
            peer.hello()
            peer.send(f"GET /big offset={4 * GIB - 2}")
            code, fields, _ = peer.reply()
            self.assertEqual((code, int(fields["offset"])), (200, 4 * GIB - 2))
            data, _, fields = peer.body()
            self.assertEqual((data, fields["sha256"]), (b"\0\0e", sha256(b"\0\0e")))


class Unsized(TestCase):
    """Files of /proc and /sys: they say 0 or 4096, and hold something else."""

    def test_sent(self):
        server = self.serve()
        for path in ("/proc/version", "/proc/cpuinfo", "/sys/kernel/mm/transparent_hugepage/enabled"):
            with self.subTest(path):
                if not os.path.exists(path):
                    continue
                expected = self.read(path)
                self.assertNotEqual(os.path.getsize(path), len(expected))
                name = os.path.basename(path)
                self.xfer("put", path, f"{server.addr}/")
                self.assertEqual(self.read(server.path(name)), expected)

    def test_served(self):
        server = self.serve(root="/proc/sys/kernel", write=False)
        for name in ("ostype", "osrelease", "random/poolsize"):
            out, _ = self.xfer("get", f"{server.addr}/{name}", "-")
            self.assertEqual(out, self.read(f"/proc/sys/kernel/{name}"))
            self.xfer("get", f"{server.addr}/{name}", self.tmp)
            self.assertEqual(self.read(os.path.basename(name)), out)

    def test_served_from_sys(self):
        path = "/sys/kernel/mm/transparent_hugepage"
        harness.skip_unless(os.path.isdir(path), "needs /sys")
        server = self.serve(root=path, write=False)
        out, _ = self.xfer("get", f"{server.addr}/enabled", "-")
        self.assertEqual(out, self.read(f"{path}/enabled"))


class Changing(TestCase):
    """A source that changes while it is read: it fails, or the copy is right; the others arrive."""

    SIZE = 3 << 20
    KINDS = ("grow", "shrink", "write", "restore")

    def setUp(self):
        super().setUp()
        self.server = self.serve()

    def slow(self, *args):
        """A transfer that takes a while, begun: its first bytes have moved."""
        process = harness.start(*args, "--limit-rate", str(self.SIZE), "-v")
        self.addCleanup(harness.end, process)
        return process

    def wait_temporary(self, root):
        """Until something of a file has arrived, and not yet all of it."""
        def some():
            for name in os.listdir(root):
                if name.startswith(".xfer-"):
                    return 0 < os.stat(os.path.join(root, name)).st_size < self.SIZE
            return False
        harness.wait_for(some, "some bytes")

    def changed(self, kind, path):
        with open(path, "r+b") as f:
            if kind == "grow":
                f.seek(0, os.SEEK_END)
                f.write(b"more")
            elif kind == "shrink":
                f.truncate(self.SIZE // 8)
            elif kind == "write":
                f.seek(-10, os.SEEK_END)
                f.write(b"new bytes")
            elif kind == "restore":
                sb = os.stat(path)
                f.seek(self.SIZE - 10)
                f.write(b"new bytes")
                f.flush()
                os.utime(path, ns=(sb.st_atime_ns, sb.st_mtime_ns))

    def changed_once(self, root, target, command, size, allow_old):
        """All kinds at once. What changed is read again; in the end the copy is as the source."""
        running = {}
        self.SIZE = size
        data = noise(size)
        old = sha256(data)
        for kind in self.KINDS:
            source = self.make(os.path.join(root, kind, "f"), data, mtime=10**18)
            os.makedirs(os.path.join(target, kind), exist_ok=True)
            running[kind] = source, self.slow(*command(kind))
        for kind, (source, _) in running.items():
            self.wait_temporary(os.path.join(target, kind))
            self.changed(kind, source)
        for kind, (source, process) in running.items():
            status, _, err = harness.finish(process)
            self.assertEqual(status, 0, f"{kind}: {err}")
            got = sha256(self.read(os.path.join(target, kind, "f")))
            self.assertIn(got, {sha256(self.read(source)), old if allow_old else None}, kind)
            self.assertRegex(err, "verified")
        self.assertNoLeftovers(target)

    def test_put_once_changed(self):
        self.changed_once(self.path("src"), self.server.root, lambda kind: (
            "put", self.path("src", kind, "f"), f"{self.server.addr}/{kind}/"), self.SIZE, False)

    def test_get_once_changed(self):
        """The server may have sent all of it before the change: the buffers between are large."""
        self.changed_once(self.server.root, self.path("dst"), lambda kind: (
            "get", f"{self.server.addr}/{kind}/f", self.path("dst", kind)), 4 * self.SIZE, True)

    def test_replaced_by_rename_meanwhile(self):
        """The one that was opened is read to its end, or the new one: never a mixture."""
        old, new = noise(self.SIZE), noise(self.SIZE, 2)
        for direction in ("put", "get"):
            with self.subTest(direction):
                root, target = (self.tmp, self.server.root) if direction == "put" else \
                    (self.server.root, self.tmp)
                source = self.make(os.path.join(root, f"{direction}-f"), old)
                args = ("put", source, f"{self.server.addr}/") if direction == "put" else \
                    ("get", f"{self.server.addr}/get-f", self.tmp)
                process = self.slow(*args)
                self.wait_temporary(target)
                os.rename(self.make(os.path.join(root, "new"), new), source)
                status, _, err = harness.finish(process)
                self.assertEqual(status, 0, err)
                self.assertIn(self.read(os.path.join(target, f"{direction}-f")), (old, new))

    def test_vanishing_meanwhile(self):
        source = self.make("f", noise(self.SIZE))
        process = self.slow("put", source, f"{self.server.addr}/")
        self.wait_temporary(self.server.root)
        os.unlink(source)
        status, _, err = harness.finish(process)
        if status == 0:
            self.assertEqual(self.read(self.server.path("f")), noise(self.SIZE))
        else:
            self.assertEqual(status, 6, err)
            self.assertFalse(os.path.exists(self.server.path("f")))
        self.assertNoLeftovers(self.server.root)

    def restless(self, path):
        """Writes to the file all the time until the test ends."""
        stop = threading.Event()

        def write():
            with open(path, "r+b") as f:
                i = 0
                while not stop.is_set():
                    f.seek(i * 4096 % self.SIZE)
                    f.write(b"%d" % i)
                    f.flush()
                    i += 1
                    stop.wait(0.0005)
        thread = threading.Thread(target=write)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stop.set)
        return stop, thread

    def test_a_file_that_never_rests_fails_and_the_others_arrive(self):
        self.make("src/a", b"a")
        self.make("src/log", noise(self.SIZE))
        self.make("src/z", b"z")
        self.make(self.server.path("src/log"), b"old")
        self.restless(self.path("src/log"))
        status, _, err = harness.run("put", "-r", self.path("src"), f"{self.server.addr}/",
                                     "--limit-rate", str(2 * self.SIZE))
        self.assertEqual(status, 4, err)
        self.assertRegex(err, "(?m)^xfer: .*src/log: source changed while it was read")
        self.assertRegex(err, r"(?m)^2 files .* verified; 1 failed$")
        self.assertEqual(self.read(self.server.path("src/log")), b"old")
        self.assertEqual(self.read(self.server.path("src/a")), b"a")
        self.assertEqual(self.read(self.server.path("src/z")), b"z")
        self.assertNoLeftovers(self.server.root)

    def test_the_same_from_a_server(self):
        self.make(self.server.path("src/a"), b"a")
        # More than what the buffers of sockets take: the server reads as slowly as the client.
        self.make(self.server.path("src/log"), noise(8 * self.SIZE))
        self.make(self.server.path("src/z"), b"z")
        self.make("src/log", b"old")
        self.restless(self.server.path("src/log"))
        status, _, err = harness.run("get", "-r", f"{self.server.addr}/src", self.tmp,
                                     "--limit-rate", str(4 * self.SIZE))
        self.assertEqual(status, 4, err)
        self.assertRegex(err, "(?m)^xfer: .*src/log: source changed while it was read")
        self.assertEqual(self.read("src/log"), b"old")
        self.assertEqual(self.read("src/a"), b"a")
        self.assertEqual(self.read("src/z"), b"z")
        self.assertNoLeftovers(self.tmp)

    def test_a_growing_source_on_standard_output(self):
        """What was written cannot be taken back: the status says that it is no copy."""
        path = self.make(self.server.path("f"), noise(4 * self.SIZE))
        process = harness.start("get", f"{self.server.addr}/f", "-", "--limit-rate", "6M",
                                bufsize=0)
        self.addCleanup(harness.end, process)
        first = process.stdout.read(10)
        self.changed("write", path)
        status, out, err = harness.finish(process)
        self.assertEqual(status, 4, err)
        self.assertNotIn("verified", err)
        self.assertEqual((first + out)[:100_000], noise(self.SIZE)[:100_000])

    def test_a_file_that_shrinks_within_a_data_is_padded_then_aborted(self):
        path = self.make(self.server.path("f"), noise(64 << 20))
        with Raw(self.server.addr) as peer:
            peer.hello()
            peer.send("GET /f")
            self.assertEqual(peer.reply()[0], 200)
            peer.exactly(100)
            os.truncate(path, 1 << 20)
            peer.buffer = b""
            # A DATA of at most 1 MiB was announced: its count holds, whatever the file does.
            end = time.monotonic() + harness.scaled(20)
            rest = b""
            while b"ABORT " not in rest[-4096:]:
                self.assertLess(time.monotonic(), end)
                rest = rest[-8192:] + peer.sock.recv(1 << 20)
            self.assertRegex(rest, rb"\nABORT 451 |ABORT 451 ")
            peer.buffer = b""
            peer.send("GET /f")
            while b"\n200 " not in rest and not rest.startswith(b"200 "):
                rest = rest[-8192:] + peer.sock.recv(1 << 16)
                self.assertLess(time.monotonic(), end)


if __name__ == "__main__":
    harness.main()
