"""`xfer compare` against a server elsewhere: what it measures, and what may be wrong on the way."""

import contextlib
import glob
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import fake
import harness
from harness import ENV, SANITIZED, TestCase, XFER, noise, scaled, skip_unless, start, tree, wait_for

BETWEEN = os.path.join(os.path.dirname(XFER), "tests", "link", "between")


def records(out):
    return [json.loads(line) for line in out.splitlines()]


def rounds(out):
    return [r for r in records(out) if r["type"] == "round"]


class Elsewhere(TestCase):
    """A server that runs already."""

    def setUp(self):
        super().setUp()
        self.server = self.serve(write=False)
        self.make(self.server.path("f"), noise(300_000))
        os.mkdir(self.server.path("d"))
        self.make(self.server.path("d/only"), noise(5_000))
        self.before = tree(self.server.root)

    def compare(self, *args, **kwargs):
        return self.xfer("compare", *args, env={"TMPDIR": self.tmp}, **kwargs)

    def test_put_is_thrown_away(self):
        for write in (False, True):
            server = self.serve(write=write)
            out, _ = self.compare(self.make("f", noise(200_000)), f"{server.addr}/sub/", "--json",
                                  "-q")
            found = records(out)
            self.assertEqual({r["method"] for r in found}, {"tcp", "udp:window=16", "udp"})
            self.assertTrue(all(r["outcome"] == "done" for r in found))
            self.assertTrue(all(r["verified"] for r in found if r["type"] == "round"))
            self.assertEqual(os.listdir(server.root), [])

    def test_get(self):
        out, _ = self.compare(f"{self.server.addr}/f", cwd=self.tmp)
        self.assertRegex(out.decode(), r"293 KiB, RTT \S+ ms \(measured\)")
        self.assertEqual(os.listdir(self.tmp), [])
        self.fails(4, "not found", "compare", f"{self.server.addr}/none")

    def test_several_connections(self):
        out, _ = self.compare(f"{self.server.addr}/f", "-m", "tcp*4", "-m", "tcp", "--json", "-q")
        self.assertTrue(all((r["outcome"], r["verified"]) == ("done", True) for r in rounds(out)))
        self.assertEqual({r["connections"] for r in rounds(out)}, {1, 4})

    def test_sweeps_of_what_is_no_link(self):
        for remote, key, values in ((f"{self.server.addr}/f", "window", "1,8"),
                                    (f"{self.server.addr}/", "size", "10K,20K"),
                                    (f"{self.server.addr}/", "blksize", "512,1428")):
            out, err = self.compare(remote, "-m", "udp", "--sweep", f"{key}={values}", "--json")
            self.assertEqual({(r["sweep_value"], r["outcome"]) for r in rounds(out)},
                             {(value, "done") for value in values.split(",")})
            self.assertEqual(err.count(" ms (measured)"), 2, err)
        self.assertEqual(tree(self.server.root), self.before)

    def test_what_a_server_sent_again_is_not_known(self):
        out, _ = self.compare(f"{self.server.addr}/f", "--csv", "-q")
        column = {row.split(",")[0]: row.split(",")[-1] for row in out.decode().split("\r\n")}
        self.assertEqual((column["tcp"], column["udp"]), ("", ""))
        out, _ = self.compare(f"{self.server.addr}/f", "--json", "-q")
        self.assertFalse([r for r in records(out) if "retransmits" in r])
        out, _ = self.compare(f"{self.server.addr}/", "--json", "-q")
        self.assertTrue(all("retransmits" in r for r in records(out)))

    def test_made_bytes_leave_nothing(self):
        self.compare(f"{self.server.addr}/", "--size", "50K")
        self.assertEqual(glob.glob(self.path("*")), [])
        self.assertEqual(tree(self.server.root), self.before)

    def test_names_are_what_they_are(self):
        """With a scheme escapes are decoded, in the remote alone: a file has the name that it has."""
        port = self.server.port
        self.compare(f"xfer://127.0.0.1:{port}/%66", "-m", "tcp")
        for name in ("100%", "50%25 of it", "a b", "%", "\\n"):
            with self.subTest(name=name):
                for remote in (f"xfer://127.0.0.1:{port}/%64/", f"127.0.0.1:{port}/d/"):
                    self.compare(self.make(name, b"x" * 3000), remote, "-m", "tcp", "-m", "udp")
        self.server.wait_log(r"DISCARD /d/100% ")
        self.assertEqual(tree(self.server.root), self.before)

    def test_addresses(self):
        server = self.serve(listen=("[::1]:0", "127.0.0.1:0"))
        self.make(server.path("f"), noise(5000))
        v6, v4 = server.addrs
        for args in ([f"{v6}/"], [f"{v6}/f"], ["-6", f"{v6}/f"], ["-4", f"{v4}/f"],
                     ["--bind", "127.0.0.9", f"{v4}/f"]):
            self.compare(*args, "-m", "tcp", "-m", "udp")
        server.wait_log(r"127\.0\.0\.9:\d+ LIST ")
        server.wait_log(r"127\.0\.0\.9:\d+ GET .*udp")
        self.fails(3, "unknown", "compare", "-6", f"{v4}/f")
        self.fails(3, "assign", "compare", "--bind", "192.0.2.1", f"{v4}/f")

    def test_what_names_no_file(self):
        for name in ("d", "d/*", "f*", "[f]"):
            out, _ = self.fails(6, "names no single file", "compare", f"{self.server.addr}/{name}")
            self.assertEqual(out, b"")
        self.make(self.server.path("[g]"), noise(2000))
        self.compare(f"{self.server.addr}/[g]")
        self.make(self.server.path("empty"))
        self.fails(6, "no bytes", "compare", f"{self.server.addr}/empty")

    def test_what_a_remote_does_not_go_with(self):
        for args, pattern in ((["--direction", "both"], "not both"),
                              (["--size", "1M"], "size"),
                              (["--predict"], "not known"),
                              (["--link", "loopback"], "without a remote"),
                              (["--sweep", "size=1K,2K"], "size"),
                              (["--sweep", "rtt=1ms,2ms"], "without a remote")):
            self.fails(2, pattern, "compare", f"{self.server.addr}/f", *args)
        self.fails(2, "not both", "compare", f"{self.server.addr}/", "--direction", "both")
        self.fails(2, "xfers", "compare", f"xfers://{self.server.addr}/f")
        self.fails(2, "xfer server", "compare", f"tftp://{self.server.addr}/f")


class OutOfOrder(TestCase):
    """What is not there, or not for long."""

    def test_without_udp(self):
        server = self.serve("--no-udp")
        out, _ = self.xfer("compare", f"{server.addr}/", "--json", "-q", status=3)
        self.assertEqual({(r["method"], r["outcome"]) for r in rounds(out)},
                         {("tcp", "done"), ("udp:window=16", "failed"), ("udp", "failed")})
        self.fails(3, "refused", "compare", f"{server.addr}/", "-m", "udp")

    def test_without_tcp(self):
        server = self.serve("--no-tcp")
        out, _ = self.xfer("compare", f"{server.udp_addr}/", "-m", "tcp", "-m", "udp", "--json",
                           "-q", status=3)
        self.assertEqual({(r["method"], r["outcome"]) for r in rounds(out)},
                         {("tcp", "failed"), ("udp", "done")})

    def test_get_without_tcp(self):
        """The size is asked for over UDP, too."""
        server = self.serve("--no-tcp")
        self.make(server.path("f"), noise(30_000))
        out, _ = self.xfer("compare", f"{server.udp_addr}/f", "-m", "udp", "--json", "-q")
        self.assertEqual({(r["outcome"], r["bytes"]) for r in rounds(out)}, {("done", 30_000)})
        out, _ = self.xfer("compare", f"{server.udp_addr}/f", "--json", "-q", status=3)
        self.assertEqual({(r["method"], r["outcome"]) for r in rounds(out)},
                         {("tcp", "failed"), ("udp:window=16", "done"), ("udp", "done")})
        self.fails(4, "none: not found", "compare", f"{server.udp_addr}/none", "-m", "udp")
        self.make(server.path("empty"))
        self.fails(4, "tells no size", "compare", f"{server.udp_addr}/empty", "-m", "udp")
        self.fails(3, "refused", "compare", f"{server.udp_addr}/f", "-m", "tcp")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silence:
            silence.bind(("127.0.0.1", 0))
            self.fails(3, "time limit|timed out", "compare", "-m", "udp", "--max-time", "1",
                       f"127.0.0.1:{silence.getsockname()[1]}/f")

    def serve_beside_udp(self):
        """A server of TCP alone, and a socket of UDP at its address, where that is free."""
        for _ in range(100):
            server, udp = self.serve("--no-udp"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                udp.bind(("127.0.0.1", server.port))
                return server, udp
            except OSError:
                udp.close()
        raise AssertionError("no port is free")

    def test_udp_is_blocked(self):
        """Whatever is sent there is heard by nobody, and no word comes back."""
        server, silence = self.serve_beside_udp()
        with silence:
            self.make(server.path("f"), noise(50_000))
            for path in ("", "f"):
                out, _ = self.xfer("compare", f"{server.addr}/{path}", "--max-time", "24",
                                   "--rounds", "2", "--json", "-q", status=3, timeout=120)
                found = rounds(out)
                self.assertEqual([r["outcome"] for r in found if r["method"] == "tcp"],
                                 ["done", "done"])
                for name in ("udp", "udp:window=16"):
                    self.assertEqual([r["outcome"] for r in found if r["method"] == name],
                                     ["unfinished"])
                self.assertRegex(next(r["message"] for r in found if r["method"] == "udp"),
                                 "no answer within .* blocked")
            self.fails(3, "no answer within", "compare", f"{server.addr}/", "-m", "udp",
                       "--max-time", "3")

    def test_a_server_that_cannot_discard(self):
        """An older one: it is told nothing that it would keep."""
        def old(peer):
            peer.line()
            peer.send(b"XFER/1\n")
            while True:
                verbs.add(peer.line().split()[0])
                peer.drop_body()
                peer.send(b"502 unknown-request\n")

        verbs = set()
        with fake.Fake(old) as server:
            self.fails(4, "cannot throw an upload away", "compare", f"{server.addr}/", "-m", "tcp")
        self.assertEqual(verbs, {b"DISCARD"})

    def test_words_of_a_server_are_escaped(self):
        """They may be made for a terminal, for a spreadsheet, or be no text at all."""
        server, rude = self.serve_beside_udp()
        with rude:
            threading.Thread(target=self.answer_rudely, args=(rude,), daemon=True).start()
            of_both = ("compare", f"{server.addr}/", "-m", "tcp", "-m", "udp", "--rounds", "1")
            out, err = self.xfer(*of_both, "-v", status=4)
            self.assertRegex((out + err.encode()).decode(), r"failed: =1\\x1b\[31m\\x0d\\nx\\xff\n")
            self.assertNotRegex(out + err.encode(), rb"[\x00-\x09\x0b-\x1f\xff]")
            out, _ = self.xfer(*of_both, "--csv", "-q", status=4)
            self.assertIn(b",failed,'=1\\x1b[31m\\x0d\\nx\\xff,", out)
            out, _ = self.xfer(*of_both, "--json", "-q", status=4)
            self.assertEqual([r["message"] for r in rounds(out) if r["outcome"] == "failed"],
                             ["=1\\x1b[31m\\x0d\\nx\\xff"])
            self.fails(4, r": =1\\x1b\[31m\\x0d\\nx\\xff\n", "compare", f"{server.addr}/", "-m", "udp")

    @staticmethod
    def answer_rudely(udp):
        with contextlib.suppress(OSError):  # the socket is closed
            while True:
                udp.sendto(b"\0\5\0\1=1\x1b[31m\r\nx\xff\0", udp.recvfrom(2048)[1])

    def test_a_server_that_disappears(self):
        server = self.serve(write=False)
        process = start("compare", "-v", "--rounds", "100", "-m", "tcp", "-m", "udp", "--json",
                        f"{server.addr}/")
        self.addCleanup(harness.end, process)
        line = process.stderr.readline()
        while b"round 2" not in line:
            self.assertTrue(line)
            line = process.stderr.readline()
        server.kill()
        server.status = -signal.SIGKILL
        status, out, err = harness.finish(process, timeout=120)
        self.assertEqual(status, 3, err)
        found = rounds(out)
        self.assertGreaterEqual(len([r for r in found if r["outcome"] == "done"]), 3)
        summaries = [r for r in records(out) if r["type"] == "summary"]
        self.assertEqual({r["method"] for r in summaries}, {"tcp", "udp"})
        self.assertTrue(all(r["outcome"] == "done" and r["rounds_failed"] > 0 for r in summaries))


class Path(TestCase):
    """A long path with loss: programs that know nothing of the link between them."""

    LINK = "rtt=40ms,loss=5%,rate=20mbit"

    def setUp(self):
        super().setUp()
        probe = subprocess.run([BETWEEN, "rtt=0", "echo", "--", "true"], stderr=subprocess.PIPE,
                               check=False)
        skip_unless(probe.returncode == 0, f"no emulated link here: {probe.stderr[:80]!r}")
        skip_unless(not SANITIZED, "sanitizers are no measure of time")
        os.mkdir(self.path("root"))
        self.make("root/f", noise(400_000))

    def between(self, *args, link=LINK, status=0):
        """What compare prints, and how long it took."""
        begun = time.monotonic()
        command = [BETWEEN, link, XFER, "serve", "--insecure", "--listen", "10.77.0.2:7069",
                   self.path("root"), "--", XFER, "compare", *args]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, env=ENV | {"TMPDIR": self.tmp}, text=True,
                              timeout=scaled(120), check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout, time.monotonic() - begun

    def test_put(self):
        out, took = self.between("10.77.0.2:/", "--size", "300K", "--rounds", "1",
                                 "--max-time", "40")
        self.assertLess(took, scaled(45))
        head = re.match(r"300 KiB, RTT (\S+) ms \(measured\), seed 1: about (\d+) s\n", out)
        self.assertTrue(head, out)
        self.assertGreater(float(head[1]), 39.9)
        self.assertRegex(out, r"\nudp stop-and-wait \d")
        self.assertRegex(out, r"blocks × \d\d\.\d ms\s\(the\smeasured\sRTT\) = \S+ s\.")
        self.assertEqual(tree(self.path("root")).keys(), {b"f"})

    def test_what_does_not_fit_says_so(self):
        out, took = self.between("10.77.0.2:/", "--size", "4M", "--max-time", "10", "--json",
                                 "-m", "udp", link="rtt=40ms,rate=20mbit")
        self.assertLess(took, scaled(20))
        cut = rounds(out)[0]
        self.assertEqual((cut["outcome"], cut["verified"]), ("done", True))
        self.assertLess(cut["bytes"], cut["size_bytes"])

    def test_get_is_cut_by_the_time(self):
        out, took = self.between("10.77.0.2:/f", "--max-time", "6", "-m", "tcp", "-m", "udp",
                                 status=3)
        self.assertLess(took, scaled(20))
        self.assertRegex(out, r"\nudp stop-and-wait did not finish: \S+ s were over after \S+ KiB")

    def test_a_first_transfer_that_takes_too_long_is_an_answer(self):
        out, _ = self.between("10.77.0.2:/f", "--max-time", "6", "-m", "udp", status=3)
        self.assertRegex(out, r"^get \S+ KiB, RTT \d\d\.\S* ms \(measured\)")
        self.assertRegex(out, r"\nudp stop-and-wait did not finish: \S+ s were over after \S+ KiB")

    def test_udp_and_tcp_that_nobody_answers(self):
        """Nothing comes back: a firewall that drops."""
        out, took = self.between("10.77.0.3:/", "--max-time", "4", status=3)
        self.assertEqual(out, "")
        self.assertLess(took, scaled(20))


harness.main()
