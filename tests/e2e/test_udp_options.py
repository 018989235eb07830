"""What the UDP side of the server agrees to: the cases of TFTP by number."""

import hashlib
import os
import pathlib
import signal
import time

import harness
from harness import noise, sha256
from tftp import Peer, TestCase, ack, data, error, rrq, wrq

CONTENT = noise(1000)


class Options(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve("--timeout", "20")
        self.make(self.server.path("a"), CONTENT)

    def peer(self, **kwargs):
        return self.enter_context(Peer(self.server.udp_addr, **kwargs))

    def agreed(self, packet):
        """The options of the OACK as pairs of text, or None when DATA or ACK came at once."""
        with Peer(self.server.udp_addr) as peer:
            answer = peer.ask(packet)
            peer.send(error(0, "that was all"))
        if answer[0] in ("DATA", "ACK"):
            return None
        self.assertEqual(answer[0], "OACK", answer)
        return [(name.decode(), value.decode()) for name, value in answer[1]]

    def dropped(self, *options):
        """Options that are treated as if nobody had asked, on a read and on a write."""
        self.assertEqual(self.agreed(rrq("a", *options)), None)
        self.assertEqual(self.agreed(wrq("b", *options)), None)

    def test_17_no_options(self):
        self.assertEqual(self.peer().ask(rrq("a")), ("DATA", 1, CONTENT[:512]))

    def test_18_unknown_options(self):
        self.dropped(("foo", "bar"))
        self.dropped(("foo", ""), ("bar", "1"))

    def test_19_nothing_but_what_was_asked(self):
        with Peer(self.server.udp_addr) as peer:
            peer.send(rrq("a", ("foo", 1), ("blksize", 600), ("bar", 2)))
            self.assertEqual(peer.raw(), b"\0\6blksize\000600\0")

    def test_20_names_in_any_case(self):
        self.assertEqual(self.agreed(rrq("a", ("BlkSize", 1024))), [("blksize", "1024")])

    def test_21_to_23_block_sizes(self):
        for asked, got in ((8, 8), (9, 9), (512, 512), (1428, 1428), (65464, 65464),
                           (65465, 65464), (70000, 65464), (4294967295, 65464)):
            for op in (rrq, wrq):
                with self.subTest(asked=asked, op=op.__name__):
                    self.assertEqual(self.agreed(op("a", ("blksize", asked))),
                                     [("blksize", str(got))])

    def test_22_block_sizes_that_are_none(self):
        for value in ("0", "7", "-1", "abc", "512x", "", "9" * 20, " 512", "5 12", "+512", "0x200",
                      "512.0"):
            with self.subTest(value=value):
                self.dropped(("blksize", value))

    def test_24_the_same_option_twice(self):
        self.assertEqual(self.agreed(rrq("a", ("blksize", 600), ("blksize", 700))),
                         [("blksize", "600")])
        self.assertEqual(self.agreed(rrq("a", ("blksize", 600), ("BLKSIZE", 700))),
                         [("blksize", "600")])

    def test_25_tsize_of_a_read(self):
        for size in (0, 1, 1000, 100_000):
            with self.subTest(size=size):
                self.make(self.server.path("s"), noise(size))
                agreed = [("tsize", str(size))] if size else None  # curl takes 0 for an error
                self.assertEqual(self.agreed(rrq("s", ("tsize", 0))), agreed)
        self.assertEqual(self.agreed(rrq("a", ("tsize", 5))), [("tsize", "1000")])

    def test_26_tsize_of_a_write(self):
        self.assertEqual(self.agreed(wrq("b", ("tsize", 1000))), [("tsize", "1000")])
        self.assertEqual(self.agreed(wrq("b", ("tsize", 0))), [("tsize", "0")])
        for value in ("-1", "abc", "1.5", ""):
            with self.subTest(value=value):
                self.assertEqual(self.agreed(wrq("b", ("tsize", value))), None)

    def test_27_more_than_there_is_room(self):
        for size in (99999999999999999, 2**63 - 1):
            with self.subTest(size=size):
                answer = self.peer().ask(wrq("b", ("tsize", size)))
                self.assertEqual(answer[:2], ("ERROR", 3), answer)
        self.assertNoLeftovers(self.server.root)

    def test_28_more_than_was_announced(self):
        peer = self.peer()
        self.assertEqual(peer.ask(wrq("b", ("tsize", 600)))[0], "OACK")
        self.assertEqual(peer.ask(data(1, b"x" * 512)), ("ACK", 1))
        answer = peer.ask(data(2, b"x" * 100))
        self.assertEqual(answer[:2], ("ERROR", 3), answer)
        self.server.wait_log(r"PUT b .* failed")
        self.assertFalse(os.path.exists(self.server.path("b")))
        self.assertNoLeftovers(self.server.root)

    def test_28_less_than_was_announced(self):
        peer = self.peer()
        self.assertEqual(peer.ask(wrq("b", ("tsize", 600)))[0], "OACK")
        self.assertEqual(peer.ask(data(1, b"x" * 500))[0], "ERROR")
        self.server.wait_log(r"PUT b .* failed")
        self.assertFalse(os.path.exists(self.server.path("b")))
        self.assertNoLeftovers(self.server.root)

    def test_29_timeouts(self):
        for value in (1, 2, 255):
            with self.subTest(value=value):
                self.assertEqual(self.agreed(rrq("a", ("timeout", value))),
                                 [("timeout", str(value))])
        for value in ("0", "256", "abc", "-1", "1.5"):
            with self.subTest(value=value):
                self.dropped(("timeout", value))

    def test_30_options_of_others(self):
        self.dropped(("utimeout", 1000000), ("rollover", 0), ("multicast", ""))

    def test_31_windows(self):
        for value in ("0", "-1", "abc", ""):
            with self.subTest(value=value):
                self.dropped(("windowsize", value))
        self.assertEqual(self.agreed(rrq("a", ("windowsize", 4))), [("windowsize", "4")])
        for value in (65535, 65536):
            with self.subTest(value=value):
                got = int(dict(self.agreed(rrq("a", ("windowsize", value))))["windowsize"])
                self.assertLess(got, 32768)
                self.assertGreater(got, 16)

    def test_32_a_window_that_fits_the_buffer(self):
        content = noise(3_000_000)
        with Peer(self.server.udp_addr) as peer:
            answer = peer.ask(wrq("b", ("windowsize", 64), ("blksize", 8192)))
            window = int(dict(answer[1])[b"windowsize"])
            self.assertLessEqual(window, 64)
            blocks = [content[i:i + 8192] for i in range(0, len(content) + 1, 8192)]
            for start in range(0, len(blocks), window):
                part = blocks[start:start + window]
                peer.send(*(data(start + 1 + i, block) for i, block in enumerate(part)))
                # the whole of it, at once: nothing was lost
                self.assertEqual(peer.recv(), ("ACK", start + len(part)))
        self.assertEqual(sha256(self.read(self.server.path("b"))), sha256(content))

    def test_33_oack_waits_for_its_ack(self):
        peer = self.peer()
        peer.send(rrq("a", ("blksize", 600)))
        first = peer.raw()
        again = peer.raw()  # when its time has come
        self.assertEqual(first, b"\0\6blksize\000600\0")
        self.assertEqual(again, first)
        peer.to = peer.came
        answer = peer.ask(ack(0))
        if answer[0] == "OACK":  # that was on its way
            answer = peer.recv()
        self.assertEqual(answer, ("DATA", 1, CONTENT[:600]))

    def test_34_the_client_refuses_what_was_agreed(self):
        for packet in (rrq("a", ("blksize", 600)), wrq("b", ("blksize", 600))):
            with self.subTest(packet=packet[:4]):
                peer = self.peer()
                self.assertEqual(peer.ask(packet)[0], "OACK")
                peer.send(error(8, "not like that"))
                self.server.wait_log("(GET a|PUT b) .* failed.*not like that" if packet[1] == 1 else
                                     "PUT b .* failed.*not like that")
                self.assertTrue(peer.quiet(0))
        self.assertFalse(os.path.exists(self.server.path("b")))
        self.assertNoLeftovers(self.server.root)

    def test_35_request_again_to_the_new_port(self):
        peer = self.peer()
        packet = rrq("a", ("blksize", 600), ("timeout", 200))
        first = peer.ask(packet)
        self.assertEqual(peer.ask(packet), first)
        self.assertEqual(peer.ask(ack(0)), ("DATA", 1, CONTENT[:600]))
        peer.send(error(0, "that was all"))

    def test_36_request_again_to_the_listening_port(self):
        """Each lost answer brings the same request again, but no second transfer."""
        for options, answer in (([], ("ACK", 0)),
                                ([("blksize", 600)], ("OACK", [(b"blksize", b"600")]))):
            with self.subTest(options=options):
                peer = self.peer()
                packet = wrq("b", *options)
                self.assertEqual(peer.ask(packet), answer)
                tid = peer.came
                peer.send(packet, to=("127.0.0.1", self.server.udp_port))
                self.assertEqual(peer.recv(), answer)  # from the timer
                self.assertEqual(peer.came, tid)
                self.assertEqual(peer.ask(data(1, b"written once")), ("ACK", 1))
                self.assertEqual(self.read(self.server.path("b")), b"written once")


class Digests(TestCase):
    """Case 37: sha256, our own option."""

    def setUp(self):
        super().setUp()
        self.server = self.serve()

    def peer(self):
        return self.enter_context(Peer(self.server.udp_addr))

    def test_37_read_with_a_digest(self):
        self.make(self.server.path("a"), CONTENT)
        with Peer(self.server.udp_addr) as peer:
            got, agreed = peer.fetch(rrq("a", ("sha256", 0)))
        self.assertEqual(got, CONTENT)
        self.assertEqual(agreed, {b"sha256": sha256(CONTENT).encode()})

    def test_37_netascii_has_the_digest_of_the_file(self):
        self.make(self.server.path("t"), b"a\nb\n")
        with Peer(self.server.udp_addr) as peer:
            got, agreed = peer.fetch(rrq("t", ("sha256", 0), mode="netascii"))
        self.assertEqual(got, b"a\r\nb\r\n")
        self.assertEqual(agreed[b"sha256"].decode(), sha256(b"a\nb\n"))
        with Peer(self.server.udp_addr) as peer:
            peer.store(wrq("u", ("sha256", sha256(b"a\nb\n")), mode="netascii"), b"a\r\nb\r\n")
        self.assertEqual(self.read(self.server.path("u")), b"a\nb\n")

    def test_37_a_digest_that_takes_long_comes_later(self):
        size = 1 << 30
        path = self.server.path("big")
        with open(path, "wb") as f:
            f.truncate(size)
        packet = rrq("big", ("sha256", 0), ("blksize", 65464), ("windowsize", 16))
        with Peer(self.server.udp_addr, rcvbuf=4 << 20, timeout=60) as peer:
            answer = peer.ask(packet)
            value = dict(answer[1])[b"sha256"].decode()
            harness.skip_unless(value.startswith("later:"), "a machine that hashes 10 GB a second")
            peer.send(error(0, "too much"))
        os.truncate(path, size + 1)
        with Peer(self.server.udp_addr, timeout=60) as peer:  # that version is gone
            answer = peer.ask(rrq("big", ("sha256", value[6:])))
            other = dict(answer[1])[b"sha256"].decode()
            self.assertRegex(other, "^later:")
            self.assertNotEqual(other, value)
            peer.send(error(8, "the digest was all"))
        os.truncate(path, 64 << 10)
        with Peer(self.server.udp_addr) as peer:
            value = dict(peer.ask(rrq("big", ("sha256", 0)))[1])[b"sha256"].decode()
            self.assertEqual(value, sha256(b"\0" * (64 << 10)))
            peer.send(error(8, "the digest was all"))

    def test_37_digest_of_a_version(self):
        """A file of /proc has no size beforehand: its digest comes with its end."""
        self.make(self.server.path("grown"), noise(100_000))
        etag = "no-such-version"
        with Peer(self.server.udp_addr) as peer:
            answer = peer.ask(rrq("grown", ("sha256", etag)))
            self.assertRegex(dict(answer[1])[b"sha256"].decode(), "^later:.")
            etag = dict(answer[1])[b"sha256"].decode()[6:]
            peer.send(error(8, "the digest was all"))
        with Peer(self.server.udp_addr) as peer:
            answer = peer.ask(rrq("grown", ("sha256", etag)))
            self.assertEqual(dict(answer[1])[b"sha256"].decode(), sha256(noise(100_000)))
            peer.send(error(8, "the digest was all"))
        self.server.wait_log(r"SUM grown .* ok")

    def test_37_a_digest_does_not_keep_a_server_from_its_end(self):
        server = self.serve()

        def read_so_far():
            text = pathlib.Path(f"/proc/{server.proc.pid}/io").read_text(encoding="ascii")
            return int(text.split()[1])

        with open(server.path("big"), "wb") as f:
            f.truncate(256 << 20)
        begun = time.monotonic()
        harness.sha256_file(server.path("big"))
        size = int((256 << 20) / (time.monotonic() - begun)) * 25  # bytes in 25 s; 60 are allowed
        os.truncate(server.path("big"), size)
        with Peer(server.udp_addr) as peer:
            value = dict(peer.ask(rrq("big", ("sha256", 0)))[1])[b"sha256"].decode()
            peer.send(error(8, "the digest was all"))
        with Peer(server.udp_addr) as peer:
            before = read_so_far()
            peer.send(rrq("big", ("sha256", value[6:])))
            harness.wait_for(lambda: read_so_far() > before + (50 << 20) or not peer.quiet(0),
                             "it is hashed, or told to take too long")
            harness.skip_unless(peer.got is None, "a machine whose speed varies too much")
            server.proc.send_signal(signal.SIGTERM)
            self.assertEqual(dict(peer.recv(harness.scaled(10))[1])[b"sha256"].decode(), value)
            peer.send(error(8, "the digest was all"))
            self.assertEqual(server.wait(), 0)

    def test_37_write_with_a_digest(self):
        with Peer(self.server.udp_addr) as peer:
            agreed = peer.store(wrq("b", ("sha256", sha256(CONTENT))), CONTENT)
            self.assertEqual(agreed, {b"sha256": sha256(CONTENT).encode()})
        self.assertEqual(self.read(self.server.path("b")), CONTENT)

    def test_37_write_with_another_digest(self):
        self.make(self.server.path("b"), b"old")
        with Peer(self.server.udp_addr) as peer:
            self.assertEqual(peer.ask(wrq("b", ("sha256", sha256(b"else"))))[0], "OACK")
            self.assertEqual(peer.ask(data(1, CONTENT[:512])), ("ACK", 1))
            answer = peer.ask(data(2, CONTENT[512:]))
            self.assertEqual(answer[:2], ("ERROR", 0))
            self.assertIn("digest does not match", answer[2])
        self.server.wait_log(r"PUT b .* failed digest-mismatch")
        self.assertEqual(self.read(self.server.path("b")), b"old")
        self.assertNoLeftovers(self.server.root)

    def test_37_values_that_are_none(self):
        self.make(self.server.path("a"), CONTENT)
        for op, value in ((rrq, hashlib.sha256(b"").hexdigest()), (rrq, ""), (rrq, "later:x"),
                          (rrq, "x" * 65), (wrq, "0"), (wrq, "ab"), (wrq, "g" * 64)):
            with self.subTest(op=op.__name__, value=value), Peer(self.server.udp_addr) as peer:
                self.assertIn(peer.ask(op("a", ("sha256", value)))[0], ("DATA", "ACK"))
                peer.send(error(0, "that was all"))


if __name__ == "__main__":
    harness.main()
