"""Transfers that are hashed and thrown away, to measure a network: nothing is made, replaced or kept."""

import os
import subprocess

import harness
import relay
import tftp
from harness import ENV, Raw, TestCase, XFER, noise, scaled, sha256, tree, wait_for
from tftp import oack, wrq

PROGRAM = os.path.join(os.path.dirname(XFER), "tests", "e2e", "discard")
CONTENT = noise(3_000_000)
OLD = b"what is there\n"
EMPTY = sha256(b"")


class Discards(TestCase):
    def setUp(self):
        super().setUp()
        self.source = self.make("source", CONTENT)
        self.server = self.serve(write=False)
        self.make(self.server.path("old"), OLD)
        self.make(self.server.path("big"), CONTENT)
        self.before = tree(self.server.root)

    def discard(self, *words, status=0):
        """The lines that it prints."""
        done = subprocess.run([PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, cwd=self.tmp, env=ENV, text=True,
                              timeout=scaled(120), check=False)
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout.splitlines()

    def unchanged(self):
        self.assertEqual(tree(self.server.root), self.before)

    # ---- over TCP ----

    def test_an_upload_leaves_and_replaces_nothing(self):
        for name in ("new", "old", "no/such/directory/new", "into/"):
            with self.subTest(name=name):
                self.assertEqual(self.discard("put", self.source, f"{self.server.addr}/{name}"),
                                 [f"done {len(CONTENT)} verified {sha256(CONTENT)} "])
        self.unchanged()
        self.server.wait_log(r"DISCARD /?new")

    def test_a_server_that_takes_writes_keeps_nothing_either(self):
        server = self.serve()
        self.make(server.path("old"), OLD)
        before = tree(server.root)
        for name in ("new", "old"):
            self.discard("put", self.source, f"{server.addr}/{name}")
        self.assertEqual(tree(server.root), before)

    def test_logs(self):
        """A line in the log for each, and none in a list of the files that were transferred."""
        server = self.serve("--xferlog", self.path("xferlog"), write=False)
        self.make(server.path("f"), OLD)
        self.discard("put", self.source, f"{server.addr}/x")
        self.discard("put", "-u", self.source, f"{server.udp_addr}/x")
        self.discard("get", f"{server.addr}/f", "x")
        for words in (r"/x ", r"x transport=udp "):
            server.wait_log(rf"DISCARD {words}.*bytes={len(CONTENT)} .* ok")
        server.wait_log("GET /f .* ok")
        wait_for(lambda: self.read("xferlog"), "a line of the download")
        self.assertRegex(self.read("xferlog"), rb"\A[^\n]* /f b _ o a [^\n]*\n\Z")

    def test_an_empty_upload(self):
        self.assertEqual(self.discard("put", self.make("empty"), f"{self.server.addr}/x"),
                         [f"done 0 verified {EMPTY} "])

    def test_an_upload_with_several_connections(self):
        self.assertEqual(self.discard("put", "-j", "4", self.source, f"{self.server.addr}/x"),
                         [f"done {len(CONTENT)} verified {sha256(CONTENT)} "])
        self.unchanged()

    def test_a_corrupted_upload_says_so(self):
        with relay.Relay(self.server.addr,
                         lambda i: relay.Link(flip=[(relay.UP, 1_000_000, 3)])) as between:
            lines = self.discard("put", self.source, f"{between.addr}/x", status=5)
        self.assertEqual(len(lines), 1)
        self.assertRegex(lines[0], "^failed .*digest")
        self.unchanged()

    def test_an_upload_that_is_cut_is_sent_again(self):
        with relay.Relay(self.server.addr, lambda i: relay.Link(
                cut=(relay.UP, 1_000_000) if i == 0 else None)) as between:
            lines = self.discard("put", self.source, f"{between.addr}/x")
        self.assertEqual(lines, [f"done {len(CONTENT)} verified {sha256(CONTENT)} "])
        self.unchanged()

    def test_a_download_keeps_nothing(self):
        before = tree(self.tmp)
        self.assertEqual(self.discard("get", f"{self.server.addr}/big", "nowhere/at/all"),
                         [f"done {len(CONTENT)} verified {sha256(CONTENT)} "])
        self.assertEqual(tree(self.tmp), before)

    def test_a_corrupted_download_says_so(self):
        with relay.Relay(self.server.addr,
                         lambda i: relay.Link(flip=[(relay.DOWN, 1_000_000, 3)])) as between:
            lines = self.discard("get", f"{between.addr}/big", "x", status=5)
        self.assertRegex(lines[0], "^failed .*digest")

    def test_an_unknown_verb_does_not_write_its_body(self):
        """What an older server makes of a request to discard."""
        server = self.serve()
        with Raw(server.addr) as peer:
            peer.hello()
            peer.send("FORGET /x size=5")
            peer.put_body(b"hello")
            self.assertEqual(peer.reply()[0], 502)
            peer.send("LIST /")
            self.assertEqual(peer.reply()[0], 200)
        self.assertEqual(tree(server.root), {})

    def test_conditions_make_no_sense(self):
        lines = self.discard("put", "-n", self.source, f"{self.server.addr}/x", status=2)
        self.assertRegex(lines[0], "compared with nothing")

    # ---- by hand ----

    def test_the_reply_has_the_digest_of_what_came(self):
        with Raw(self.server.addr) as peer:
            peer.hello()
            peer.send("DISCARD /any/name size=5 if=absent mtime=7")
            peer.put_body(b"hello")
            code, fields, _ = peer.reply()
            self.assertEqual((code, fields["size"], fields["sha256"]), (200, "5", sha256(b"hello")))
            peer.send("DISCARD /x")
            peer.send("END")
            self.assertEqual(peer.reply()[2].split()[:2], [b"561", b"digest-mismatch"])
            peer.send("DISCARD /x", "DATA 2")
            peer.send_raw(b"hi")
            peer.send(f"END size=3 sha256={sha256(b'hi')}")
            self.assertEqual(peer.reply()[0], 561)
            peer.send("DISCARD /x", "DATA 2")
            peer.send_raw(b"hi")
            peer.send("ABORT 426 canceled")
            self.assertEqual(peer.reply()[0], 426)
            peer.send("DISCARD /../x")
            peer.put_body(b"hello")
            self.assertGreaterEqual(peer.reply()[0], 500)
            peer.send("SUM /old")
            self.assertEqual(peer.reply()[1]["sha256"], sha256(OLD))
        self.unchanged()

    # ---- over UDP ----

    def test_an_upload_by_udp_leaves_and_replaces_nothing(self):
        for name in ("new", "old", "no/such/new"):
            with self.subTest(name=name):
                self.assertEqual(
                    self.discard("put", "-u", self.source, f"{self.server.udp_addr}/{name}"),
                    [f"done {len(CONTENT)} verified {sha256(CONTENT)} "])
        self.unchanged()
        self.server.wait_log(r"DISCARD new transport=udp .* ok")

    def test_a_download_by_udp_keeps_nothing(self):
        before = tree(self.tmp)
        self.assertEqual(self.discard("get", "-u", f"{self.server.udp_addr}/big", "x/y"),
                         [f"done {len(CONTENT)} verified {sha256(CONTENT)} "])
        self.assertEqual(tree(self.tmp), before)

    def test_a_wrong_digest_by_udp_says_so(self):
        with tftp.Peer(self.server.udp_addr) as peer:
            answer = peer.ask(wrq("x", ("discard", 1), ("sha256", sha256(b"other"))))
            self.assertEqual(answer, ("OACK", [(b"sha256", sha256(b"other").encode()),
                                               (b"discard", b"1")]))
            self.assertEqual(peer.ask(tftp.data(1, b"hello"))[0], "ERROR")
        self.unchanged()

    def test_a_read_and_another_value_are_not_for_it(self):
        for packet in (tftp.rrq("old", ("discard", 1)),):
            with tftp.Peer(self.server.udp_addr) as peer:
                self.assertEqual(peer.ask(packet), ("DATA", 1, OLD))
        with tftp.Peer(self.server.udp_addr) as peer:
            self.assertEqual(peer.ask(wrq("x", ("discard", 0)))[:2], ("ERROR", 2))
        self.unchanged()

    def test_a_udp_server_that_knows_no_discard_gets_no_byte(self):
        got = []

        def plain(peer, asked):
            peer.send(*(asked and [tftp.ack(0)]))
            got.append(peer.recv())

        def other(peer, asked):
            peer.send(oack(("blksize", 512)))
            got.append(peer.recv())

        for play in (plain, other):
            with self.subTest(play=play.__name__), tftp.FakeServer(play) as server:
                lines = self.discard("put", "-u", self.source, f"{server.addr}/x", status=4)
                self.assertRegex(lines[0], "^failed .*unknown to the peer")
        self.assertEqual([packet[0] for packet in got], ["ERROR", "ERROR"])


harness.main()
