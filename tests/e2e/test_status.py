"""Exit statuses, each produced for real, and every kind of wrong usage: one line, status 2."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import harness
from harness import Raw, TestCase, noise


class Usage(TestCase):
    """Whoever is wrong reads one line that says what to do; nothing is contacted or changed."""

    WRONG = [
        [], ["frobnicate"], ["--nope"], ["help", "frobnicate"], ["-x"], [""],
        ["put"], ["put", "a"], ["put", "a", "b"], ["put", "h:/a", "h:/b"], ["put", "h:/a"],
        ["put", "", "h:/a"], ["put", "a", ""], ["put", "a", "h:"], ["put", "a", "h:b"],
        ["put", "a", "h:7069"], ["put", "a", "h:0/b"], ["put", "a", "h:65536/b"],
        ["put", "a", "h:7x/b"], ["put", "a", ":/b"], ["put", "a", "user@h:/b"],
        ["put", "a", "h:/../b"], ["put", "a", "h:/b/.."], ["put", "a", "::1/b"],
        ["put", "a", "[::1/b"], ["put", "a", "[::1]/b"], ["put", "a", "[h]:/b"],
        ["put", "a", "ftp://h/b"], ["put", "a", "xfers://h/b"],
        ["put", "a", "tftp://h/b;mode=mail"], ["put", "a", "tftp://h/%zz"], ["ls", "tftp://h/"],
        ["ls", "--udp", "h:/"], ["get", "--udp", "-r", "h:/a"], ["get", "--udp", "-u", "h:/a"],
        ["get", "--udp", "-j", "2", "h:/a"], ["put", "-r", "a", "tftp://h/b"],
        ["put", "--udp", "-n", "a", "h:/b"], ["put", "--udp", "--mkpath", "a", "h:/b"],
        ["put", "--udp", "a", "b", "h:/c"], ["get", "--blksize", "512", "h:/a"],
        ["get", "--window", "2", "h:/a"], ["get", "--no-spin", "h:/a"],
        ["get", "--require-verified", "h:/a"], ["get", "--udp", "--blksize", "7", "h:/a"],
        ["get", "--udp", "--blksize", "65465", "h:/a"], ["get", "--udp", "--window", "0", "h:/a"],
        ["get", "--udp", "--window", "32768", "h:/a"],
        ["put", "a", "xfer://h/%zz"], ["put", "a", "xfer://h/%00"], ["put", "a", "xfer:///b"],
        ["put", "a", "xfer://h/%2e%2e/b"], ["put", "a", "h:/" + "n" * 256],
        ["put", "a", "h:/" + "n/" * 3000], ["put", "-", "-", "h:/d/"],
        ["get"], ["get", "a"], ["get", "a", "h:/b"], ["get", "h:/a", "b", "c"],
        ["get", "h:a"], ["get", "-r", "h:/a", "-"], ["get", "--json", "h:/a", "-"],
        ["get", "--checksums", "h:/a", "-"], ["get", "h:/a", ""],
        ["get", "--json", "--checksums", "h:/a"], ["get", "-4", "-6", "h:/a"],
        ["get", "--bind", "nonsense", "h:/a"], ["get", "-6", "--bind", "127.0.0.1", "h:/a"],
        ["get", "-j", "0", "h:/a"], ["get", "-j", "65", "h:/a"], ["get", "-j", "x", "h:/a"],
        ["get", "-j"], ["get", "--timeout", "0", "h:/a"], ["get", "--timeout", "-1", "h:/a"],
        ["get", "--timeout", "1x", "h:/a"], ["get", "--timeout", "0,5", "h:/a"],
        ["get", "--max-time", "soon", "h:/a"], ["get", "--retries", "-1", "h:/a"],
        ["get", "--limit-rate", "0", "h:/a"], ["get", "--limit-rate", "fast", "h:/a"],
        ["get", "--progress", "sometimes", "h:/a"], ["get", "--sync", "maybe", "h:/a"],
        ["get", "--update=sometimes", "h:/a"], ["get", "--nope", "h:/a"], ["get", "-z", "h:/a"],
        ["get", "--no-clobber=1", "h:/a"], ["get", "--no", "h:/a"],
        ["ls"], ["ls", "a"], ["ls", "h:/a", "h:/b"], ["ls", "h:a"], ["ls", "--sync", "none", "h:/a"],
        ["serve"], ["serve", "a", "b"], ["serve", "--write=maybe", "."],
        ["serve", "--listen", "127.0.0.1:99999", "."], ["serve", "--listen", "127.0.0.1:x", "."],
        ["serve", "--listen", "", "."], ["serve", "--listen", "::1:7069:", "."],
        ["serve", "--listen", "0.0.0.0:0", "."], ["serve", "--listen", ":0", "."],
        ["serve", "--listen", "[::]:0", "."], ["serve", "--user", "no-such-user-here", "."],
        ["serve", "--max-connections", "0", "."], ["serve", "--log-format", "xml", "."],
        ["serve", "--timeout", "never", "."], ["serve", "--sync", "often", "."],
        ["serve", "--no-tcp", "--no-udp", "."], ["serve", "--tftp", "--udp-port", "70", "."],
        ["serve", "--no-udp", "--tftp", "."], ["serve", "--udp-ports", "5-4", "."],
        ["serve", "--udp-ports", "0-9", "."], ["serve", "--udp-ports", "1-65536", "."],
        ["serve", "--udp-ports", "x", "."], ["serve", "--udp-port", "0", "."],
        ["serve", "--udp-ports", "5000-5001", "--udp-single-port", "."],
    ]

    def test_every_kind(self):
        for args in self.WRONG:
            with self.subTest(args):
                status, out, err = harness.run(*args, cwd=self.tmp, timeout=20)
                self.assertEqual(status, 2, err)
                self.assertEqual(out, b"")
                self.assertRegex(err, r"^xfer( \w+)?: [^\n]+\n$")
                self.assertLess(len(err), 600)

    def test_what_to_do_is_said(self):
        for args, hint in ((["get", "nas:a"], r"write nas:/a, or \./nas:a for a local file"),
                           (["get", "--timeout", "0,5", "h:/a"], r"0\.5"),
                           (["serve", "--listen", ":0", "."], "--insecure"),
                           (["get", "-r", "h:/a", "-"], "standard output"),
                           (["ls", "h:/a", "h:/b"], "quote"),
                           (["put", "a", "user@h:/b"], "write h:/PATH")):
            with self.subTest(args):
                self.fails(2, hint, *args, cwd=self.tmp)

    def test_help_and_version(self):
        for args in (["--help"], ["help"], ["help", "put"], ["put", "--help"], ["get", "--help"],
                     ["ls", "--help"], ["serve", "--help"], ["help", "serve"]):
            with self.subTest(args):
                out, err = self.xfer(*args)
                self.assertEqual(err, "")
                self.assertTrue(out.startswith(b"Usage: xfer "))
                self.assertLessEqual(max(len(line) for line in out.splitlines()), 80)
        self.assertRegex(self.xfer("--version")[0], rb"^xfer \d+\.\d+\.\d+\n$")

    def test_long_options_can_be_shortened_and_stand_anywhere(self):
        server = self.serve()
        self.make("a", b"x")
        self.xfer("put", self.path("a"), f"{server.addr}/", "--no-c", "--qui")
        self.assertEqual(self.xfer("ls", f"{server.addr}/", "--rev", "-l")[0].count(b"\n"), 1)


class Status(TestCase):
    def setUp(self):
        super().setUp()
        self.source = self.make("a", noise(100_000))

    def fake(self, script):
        """A server of one connection: its hello, then what script(connection) does; its address."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            with listener.accept()[0] as peer:
                peer.settimeout(harness.scaled(20))
                peer.sendall(b"XFER/1\n")
                with contextlib.suppress(ConnectionError):
                    script(peer)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.addCleanup(thread.join, harness.scaled(20))
        return "127.0.0.1:%d" % listener.getsockname()[1]

    def test_3_unknown_host_at_once(self):
        began = time.monotonic()
        for host in ("no-such-host.invalid", "a..b", "x" * 64 + ".invalid"):
            with self.subTest(host):
                _, err = self.fails(3, "host name unknown", "get", f"{host}:/a", cwd=self.tmp)
                self.assertEqual(err.count("\n"), 1)
        self.assertLess(time.monotonic() - began, harness.scaled(15))

    def test_3_closed_port_at_once(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            addr = "127.0.0.1:%d" % closed.getsockname()[1]
            for args in (["get", f"{addr}/a"], ["put", self.source, f"{addr}/"],
                         ["ls", f"{addr}/"], ["get", "-r", "-j", "4", f"{addr}/"]):
                with self.subTest(args):
                    began = time.monotonic()
                    _, err = self.fails(3, "Connection refused", *args, cwd=self.tmp)
                    self.assertLess(time.monotonic() - began, harness.scaled(2))
                    self.assertEqual(err.count("\n"), 1, err)
                    self.assertIn("xfer serve", err)

    def test_3_no_xfer_there(self):
        for greeting in (b"SSH-2.0-OpenSSH_9.2p1\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n",
                         b"220 ftp\r\n", b"\0\1\2\3\n", b"x" * 20000):
            listener = socket.create_server(("127.0.0.1", 0))

            def serve(listener=listener, greeting=greeting):
                for _ in range(2):
                    try:
                        with listener.accept()[0] as peer:
                            peer.sendall(greeting)
                            peer.shutdown(socket.SHUT_WR)
                            while peer.recv(4096):
                                pass
                    except OSError:
                        return
            threading.Thread(target=serve, daemon=True).start()
            with self.subTest(greeting[:20]):
                addr = "127.0.0.1:%d" % listener.getsockname()[1]
                _, err = self.fails(3, "protocol|connection lost", "get", f"{addr}/a", "--retries", "0",
                                    cwd=self.tmp)
                self.assertEqual(err.count("\n"), 1, err)
            listener.close()

    def test_3_lost_after_all_retries(self):
        for how in ("close", "reset"):
            listener = socket.create_server(("127.0.0.1", 0))
            count = []

            def serve(listener=listener, how=how, count=count):
                while True:
                    try:
                        peer = listener.accept()[0]
                    except OSError:
                        return
                    count.append(1)
                    if how == "reset":
                        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                        struct.pack("ii", 1, 0))
                    peer.close()
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            with self.subTest(how):
                addr = "127.0.0.1:%d" % listener.getsockname()[1]
                self.fails(3, "connection lost|reset", "put", self.source, f"{addr}/", "--retries",
                           "1")
                self.assertEqual(len(count), 2)
            listener.close()

    def test_4_refused(self):
        server = self.serve(write=False)
        self.make(server.path("d/x"), b"")
        for args in (["get", f"{server.addr}/nope"], ["get", f"{server.addr}/d"],
                     ["put", self.source, f"{server.addr}/"], ["ls", f"{server.addr}/d/nope"],
                     ["get", f"{server.addr}/*.nope"]):
            with self.subTest(args):
                self.xfer(*args, status=4, cwd=self.tmp)

    def test_4_no_space_there(self):
        harness.need_root()
        harness.need_tool("mount")
        small = self.path("small")
        os.mkdir(small)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small],
                                 check=False, stderr=subprocess.DEVNULL).returncode == 0
        harness.skip_unless(mounted, "may not mount")
        self.addCleanup(subprocess.run, ["umount", "-l", small], check=False)
        server = self.serve(root=small)
        self.make(os.path.join(small, "old"), b"old")
        big = self.make("big", noise(3 << 20))
        self.fails(4, rf"{server.addr}/old: no space over there", "put", big, f"{server.addr}/old")
        self.assertEqual(self.read(os.path.join(small, "old")), b"old")
        self.assertNoLeftovers(small)
        other = self.serve()
        self.make(other.path("big"), noise(3 << 20))
        self.fails(6, "No space left", "get", f"{other.addr}/big", small)
        self.assertNoLeftovers(small)

    def test_5_integrity(self):
        """A digest that does not match: nothing kept, the old file stays."""
        def script(peer):
            peer.recv(4096)
            peer.sendall(b"200 size=5\nDATA 5\nhelloEND size=5 sha256=" + b"0" * 64 + b"\n")
            while peer.recv(4096):
                pass
        old = self.make("old", b"old")
        self.fails(5, "digest does not match", "get", f"{self.fake(script)}/x", old)
        self.assertEqual(self.read(old), b"old")
        out, err = self.xfer("get", f"{self.fake(script)}/x", "-", status=5)
        self.assertEqual(out, b"hello")
        self.assertNotIn("verified", err)
        self.assertNoLeftovers(self.tmp)

    def test_5_wins_over_others(self):
        def script(peer):
            peer.recv(4096)
            peer.sendall(b"200 size=5\nDATA 5\nhelloEND size=5 sha256=" + b"0" * 64 + b"\n"
                         b"550 not-found\n200 size=0\nEND size=0 sha256="
                         + harness.sha256(b"").encode() + b"\n")
            while peer.recv(4096):
                pass
        addr = self.fake(script)
        os.mkdir(self.path("d"))
        _, err = self.xfer("get", f"{addr}/x", f"{addr}/y", f"{addr}/z", self.path("d"), status=5)
        self.assertEqual(os.listdir(self.path("d")), ["z"])

    def test_less_than_promised_is_no_success(self):
        """END with the right digest of fewer bytes than the END's size, or none at all."""
        body = b"200 size=5\nDATA 3\nhel"
        for end in (b"END size=5 sha256=" + harness.sha256(b"hel").encode() + b"\n",
                    b"END size=3\n", b"END\n"):
            with self.subTest(end):
                def script(peer, end=end):
                    peer.recv(4096)
                    peer.sendall(body + end)
                    while peer.recv(4096):
                        pass
                self.xfer("get", f"{self.fake(script)}/x", self.path("x"), status=5)
                self.assertFalse(os.path.exists(self.path("x")))

    def test_6_local(self):
        server = self.serve()
        self.make(server.path("a"), b"x")
        for args in (["put", self.path("nope"), f"{server.addr}/"],
                     ["get", f"{server.addr}/a", self.path("no/where")],
                     ["get", f"{server.addr}/a", "/proc/nope"],
                     ["serve", self.path("nope")], ["serve", self.source]):
            with self.subTest(args):
                _, err = self.xfer(*args, status=6)
                self.assertEqual(err.count("\n"), 1, err)

    def test_1_several_reasons(self):
        server = self.serve()
        self.make(server.path("d/x"), b"")
        self.make(server.path("f"), b"")
        os.mkdir(self.path("t"))
        self.make("t/f/below", b"")
        status, _, err = harness.run("get", f"{server.addr}/nope", f"{server.addr}/f",
                                     f"{server.addr}/d/x", self.path("t"))
        self.assertEqual(status, 1, err)
        self.assertEqual(sorted(os.listdir(self.path("t"))), ["f", "x"])

    def interrupt(self, *args, signals=(signal.SIGINT,)):
        # The second signal ends it where it stands: threads that nobody joined are no fault then.
        tsan = os.environ.get("TSAN_OPTIONS", "") + " report_thread_leaks=0"
        process = harness.start(*args, "--limit-rate", "20K", "-v", env={"TSAN_OPTIONS": tsan})
        self.addCleanup(harness.end, process)
        line = process.stderr.readline()
        self.assertRegex(line, b"^connected")
        for signo in signals:
            process.send_signal(signo)
        return harness.finish(process)

    def test_130_interrupted(self):
        server = self.serve()
        self.make(server.path("f"), noise(100_000))
        self.make("here/old", b"old")
        for args in (["put", self.source, f"{server.addr}/"],
                     ["get", f"{server.addr}/f", self.path("here")],
                     ["get", f"{server.addr}/f", "-"], ["put", "-", f"{server.addr}/x"]):
            with self.subTest(args):
                status, _, err = self.interrupt(*args)
                self.assertEqual(status, 130, err)
                self.assertIn("interrupted", err)
        self.assertEqual(self.interrupt("put", self.source, f"{server.addr}/",
                                        signals=(signal.SIGTERM,))[0], 143)
        self.assertEqual(self.interrupt("put", self.source, f"{server.addr}/",
                                        signals=(signal.SIGINT, signal.SIGINT))[0], 130)
        self.assertEqual(self.read("here/old"), b"old")
        self.assertFalse(os.path.exists(server.path("a")))

    def test_130_while_connecting_and_while_waiting(self):
        def script(peer):
            while peer.recv(4096):
                pass
        for args in (["ls", f"{self.fake(script)}/"], ["get", f"{self.fake(script)}/a", self.tmp],
                     ["put", self.source, f"{self.fake(script)}/"]):
            with self.subTest(args):
                process = harness.start(*args, "-v")
                self.addCleanup(harness.end, process)
                self.assertRegex(process.stderr.readline(), b"^connected")
                process.send_signal(signal.SIGINT)
                self.assertEqual(harness.finish(process, 10)[0], 130)

    def test_141_is_silent(self):
        """In test_output; here with head, as people do it."""
        server = self.serve()
        self.make(server.path("f"), noise(3 << 20))
        status = subprocess.run(["bash", "-c", '"$0" get "$1" - | head -c 5 >/dev/null; '
                                 'echo ${PIPESTATUS[0]}', harness.XFER, f"{server.addr}/f"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                                env=harness.ENV)
        self.assertEqual((status.stdout, status.stderr), (b"141\n", b""))

    def test_6_nothing_readable(self):
        nobody = harness.as_nobody(self.tmp)
        server = self.serve()
        secret = self.make("secret", b"x", mode=0o600)
        self.make("open", b"x", mode=0o644)
        self.xfer("put", self.path("open"), f"{server.addr}/", prefix=nobody)
        self.fails(6, "secret: Permission denied", "put", secret, self.path("open"),
                   f"{server.addr}/", prefix=nobody)


if __name__ == "__main__":
    harness.main()
