"""Blocks and acknowledgments of the server, as they are lost, doubled and made up: the cases of TFTP
by number."""

import os
import time

import harness
from harness import noise, scaled, sha256
from tftp import Peer, TestCase, ack, data, error, rrq, wrq

CONTENT = noise(5 * 512 + 100)


def block(n, blksize=512, content=CONTENT):
    return ("DATA", n & 0xffff, content[(n - 1) * blksize:n * blksize])


class Case(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve("--timeout", "20")
        self.make(self.server.path("a"), CONTENT)

    def peer(self, **kwargs):
        return self.enter_context(Peer(self.server.udp_addr, **kwargs))

    def expect(self, peer, *blocks, blksize=512, content=CONTENT):
        for n in blocks:
            self.assertEqual(peer.recv(), block(n, blksize, content))

    def read_on(self, peer, answer, blksize=512):
        """Acknowledges blocks from the first, `answer`, on: (bytes, the packet that ended it). The
        last block is left without an answer."""
        got, n = b"", 0
        while answer[0] == "DATA":
            if answer[1] == (n + 1) & 0xffff:  # not one that a slow machine sent again
                got += answer[2]
                n += 1
                if len(answer[2]) < blksize:
                    break
            answer = peer.ask(ack(n))
        return got, answer

    def finish(self, peer, first, blksize=512, content=CONTENT):
        """Acknowledges block `first` and all that follow; a block that comes twice is no fault of
        this test."""
        last = len(content) // blksize + 1
        peer.send(ack(first))
        while first < last:
            got = peer.recv()
            if got == block(first + 1, blksize, content):
                first += 1
                peer.send(ack(first))
            else:
                self.assertEqual(got, block(first, blksize, content))


class Sender(Case):
    def test_38_acknowledgments_that_come_twice(self):
        # a timeout of its own keeps the timer out of it
        peer = self.peer()
        self.assertEqual(peer.ask(rrq("a", ("timeout", 100)))[0], "OACK")
        peer.send(ack(0))
        for n in range(1, 6):
            self.expect(peer, n)
            peer.send(ack(n - 1), ack(n), ack(n), ack(n))
        self.expect(peer, 6)
        peer.send(ack(5))
        self.assertTrue(peer.quiet())
        peer.send(ack(6))
        self.server.wait_log(r"GET a .* resent=0 .* ok")

    def test_39_resends_come_slower_and_end(self):
        server = self.serve("--timeout", "30")
        self.make(server.path("a"), CONTENT)
        with Peer(server.udp_addr, timeout=20) as peer:
            peer.send(rrq("a"))
            times, packets = [], []
            for _ in range(3):
                packets.append(peer.raw())
                times.append(time.monotonic())
            gaps = [b - a for a, b in zip(times, times[1:])]
            self.assertGreater(gaps[0], 0.2)
            self.assertLess(gaps[0], scaled(1.5))
            self.assertGreater(gaps[1], gaps[0] * 1.2)
            self.assertEqual(set(packets), {data(1, CONTENT[:512])})  # 40: byte for byte
            peer.send(error(0, "enough"), to=peer.came)

    def test_39_gives_up(self):
        server = self.serve("--timeout", "2")
        self.make(server.path("a"), CONTENT)
        with Peer(server.udp_addr) as peer:
            self.assertEqual(peer.ask(rrq("a")), block(1))
            peer.send(ack(1))
            server.wait_log(r"GET a .* failed lost", seconds=20)
            while peer.raw(0) is not None:
                pass
            self.assertTrue(peer.quiet())

    def test_40_a_resend_after_some_blocks(self):
        peer = self.peer()
        self.assertEqual(peer.ask(rrq("a")), block(1))
        peer.send(ack(1))
        for _ in range(3):
            self.assertEqual(peer.recv(), block(2))
        self.finish(peer, 2)
        self.server.wait_log(r"GET a .* resent=[1-9]\d* timeouts=[1-9]\d* .* ok")

    def test_41_to_43_acknowledgments_of_something_else(self):
        peer = self.peer()
        self.assertEqual(peer.ask(rrq("a", ("timeout", 100)))[0], "OACK")
        peer.send(ack(0))
        self.expect(peer, 1)
        peer.send(ack(5), ack(2), ack(65535), ack(32769), b"\0\4", b"\0\4\0", b"\0", b"")
        self.assertTrue(peer.quiet())
        peer.send(ack(1) + b"padding")
        self.expect(peer, 2)
        peer.send(ack(2))
        self.expect(peer, 3)
        peer.send(ack(0), ack(65535))  # three back
        self.assertTrue(peer.quiet())
        self.finish(peer, 3)
        self.server.wait_log(r"GET a .* resent=0 .* ok")

    def test_44_error_ends_it(self):
        for packet in (error(0, "stop"), error(99, "stop"), error(3, "stop", end=b"")):
            with self.subTest(packet=packet):
                peer = self.peer()
                self.assertEqual(peer.ask(rrq("a")), block(1))
                before = self.server.log().count("failed")
                peer.send(packet)
                harness.wait_for(lambda b=before: self.server.log().count("failed") > b, "the end")
                self.assertTrue(peer.quiet(0))
        self.assertIn(": stop", self.server.log())

    def test_45_46_strangers(self):
        with harness.Server("--insecure", root=self.server.root, listen=("0.0.0.0:0",)) as server:
            peer = self.enter_context(Peer(("127.0.0.1", server.udp_port)))
            self.assertEqual(peer.ask(rrq("a", ("timeout", 100)))[0], "OACK")
            peer.send(ack(0))
            self.expect(peer, 1)
            strangers = (Peer(peer.to), Peer(peer.to, bind="127.0.0.2"))
            for stranger in strangers:
                with self.subTest(stranger=stranger.addr), stranger:
                    self.assertEqual(stranger.ask(ack(1))[:2], ("ERROR", 5))
                    self.assertEqual(stranger.came, peer.came)
                    self.assertEqual(stranger.ask(data(1, b"x"))[:2], ("ERROR", 5))
                    stranger.send(error(5, "no"), b"\0\7", b"x")  # none of it is answered
                    self.assertEqual(stranger.ask(ack(1))[:2], ("ERROR", 5))
                    self.assertTrue(stranger.quiet())
            self.finish(peer, 1)
            server.wait_log(r"GET a .* ok")

    def test_47_block_numbers_begin_anew(self):
        content = noise(8 * 65536 + 8 * 70 + 3)
        self.make(self.server.path("many"), content)
        for window in (1, 32):
            with self.subTest(window=window), Peer(self.server.udp_addr, timeout=60) as peer:
                got, _ = peer.fetch(rrq("many", ("blksize", 8), ("windowsize", window)))
                self.assertEqual(sha256(got), sha256(content))

    def test_48_the_last_acknowledgment_is_lost(self):
        server = self.serve("--timeout", "2")
        self.make(server.path("s"), b"short")
        with Peer(server.udp_addr) as peer:
            self.assertEqual(peer.ask(rrq("s", ("tsize", 0)))[0], "OACK")
            peer.send(ack(0))
            self.assertEqual(peer.recv(), ("DATA", 1, b"short"))
            self.assertEqual(peer.recv(), ("DATA", 1, b"short"))
            server.wait_log(r"GET s .* failed unconfirmed", seconds=20)

    def test_49_a_file_that_shrinks(self):
        self.make(self.server.path("s"), noise(400_000))
        with Peer(self.server.udp_addr) as peer:
            answer = peer.ask(rrq("s"))
            os.truncate(self.server.path("s"), 1000)
            _, end = self.read_on(peer, answer)
            self.assertEqual(end[:2], ("ERROR", 0))
            self.assertIn("changed", end[2])
        self.server.wait_log(r"GET s .* failed changed")

    def test_49_a_file_that_grows(self):
        content = noise(400_000)
        path = self.make(self.server.path("g"), content)
        with Peer(self.server.udp_addr) as peer:
            answer = peer.ask(rrq("g"))
            with open(path, "ab") as f:
                f.write(b"more" * 1000)
            got, end = self.read_on(peer, answer)
            self.assertEqual((end[0], sha256(got)), ("DATA", sha256(content)))
            peer.send(ack(end[1]))

    def test_49_a_file_that_changes_is_not_verified(self):
        content = noise(400_000)
        path = self.make(self.server.path("c"), content)
        with Peer(self.server.udp_addr) as peer:
            answer = peer.ask(rrq("c", ("sha256", 0)))
            self.assertEqual(answer[0], "OACK")
            with open(path, "r+b") as f:
                f.write(b"changed")
            _, end = self.read_on(peer, peer.ask(ack(0)))
            self.assertEqual(end[:2], ("ERROR", 0))

    def test_50_a_read_error(self):
        with harness.Server(root="/proc/self", write=False) as server, \
                Peer(server.udp_addr) as peer:
            answer = peer.ask(rrq("mem"))
            self.assertEqual(answer[0], "ERROR")
            self.assertNotEqual(answer[2], "")

    def test_files_without_a_size(self):
        with harness.Server(root="/proc/self", write=False) as server, \
                Peer(server.udp_addr) as peer:
            got, agreed = peer.fetch(rrq("limits", ("tsize", 0), ("blksize", 100)))
            self.assertIn(b"Max open files", got)
            self.assertEqual(agreed, {b"blksize": b"100"})


class Windows(Case):
    def begin(self, window, *options, content=None):
        peer = self.peer()
        answer = peer.ask(rrq("a", ("windowsize", window), ("timeout", 100), *options))
        self.assertEqual(dict(answer[1])[b"windowsize"], str(window).encode())
        peer.send(ack(0))
        return peer

    def test_51_so_many_and_then_silence(self):
        peer = self.begin(4)
        self.expect(peer, 1, 2, 3, 4)
        self.assertTrue(peer.quiet())
        peer.send(ack(4))
        self.expect(peer, 5, 6)
        self.assertTrue(peer.quiet(0))
        peer.send(ack(6))
        self.server.wait_log(r"GET a .*windowsize=4 .*resent=0 .*ok")

    def test_51_acknowledgment_within_the_window(self):
        peer = self.begin(4)
        self.expect(peer, 1, 2, 3, 4)
        self.assertTrue(peer.quiet())
        peer.send(ack(2))
        self.assertEqual(peer.recv(), block(3))
        got = {3}
        while 6 not in got:
            answer = peer.recv()
            self.assertEqual(answer, block(answer[1]))
            got.add(answer[1])
        self.assertEqual(got, {3, 4, 5, 6})
        peer.send(ack(6))
        self.server.wait_log(r"GET a .* ok")

    def write(self, window, *options):
        peer = self.peer()
        answer = peer.ask(wrq("b", ("windowsize", window), *options))
        self.assertEqual(dict(answer[1])[b"windowsize"], str(window).encode())
        return peer

    def test_52_a_gap_is_told_once(self):
        peer = self.write(4, ("timeout", 100))
        peer.send(data(1, b"x" * 512), data(3, b"z" * 512), data(4, b"z" * 512))
        self.assertEqual(peer.recv(), ("ACK", 1))
        self.assertTrue(peer.quiet())
        peer.send(data(2, b"y" * 512), data(3, b"z" * 512), data(4, b"w" * 5))
        self.assertEqual(peer.recv(), ("ACK", 4))
        self.assertEqual(self.read(self.server.path("b")),
                         b"x" * 512 + b"y" * 512 + b"z" * 512 + b"w" * 5)

    def test_53_the_tail_is_lost(self):
        peer = self.write(4)
        peer.send(data(1, b"x" * 512), data(2, b"y" * 512))
        self.assertEqual(peer.recv(), ("ACK", 2))
        peer.send(data(3, b""))
        while (answer := peer.recv()) != ("ACK", 3):
            self.assertEqual(answer, ("ACK", 2))

    def test_54_a_shorter_last_window(self):
        peer = self.write(8, ("timeout", 100))
        peer.send(data(1, b"x" * 512), data(2, b"y"))
        self.assertEqual(peer.recv(), ("ACK", 2))

    def test_55_writes_across_the_rollover(self):
        content = noise(8 * 65536 + 8 * 70 + 3)
        for window in (1, 64):
            with self.subTest(window=window), Peer(self.server.udp_addr, timeout=60) as peer:
                peer.ask(wrq("many", ("windowsize", window), ("blksize", 8)))
                last = len(content) // 8 + 1
                for start in range(1, last + 1, window):
                    end = min(start + window, last + 1)
                    peer.send(*(data(n, content[(n - 1) * 8:n * 8]) for n in range(start, end)))
                    while (answer := peer.recv())[1] != (end - 1) & 0xffff:
                        self.assertEqual(answer[0], "ACK", answer)
                self.assertEqual(sha256(self.read(self.server.path("many"))), sha256(content))

    def test_56_the_first_of_a_window_is_lost(self):
        peer = self.write(4, ("timeout", 100))
        peer.send(*(data(n, b"x" * 512) for n in range(1, 5)))
        self.assertEqual(peer.recv(), ("ACK", 4))
        peer.send(data(6, b"x" * 512), data(7, b"x" * 512))
        self.assertEqual(peer.recv(), ("ACK", 4))
        self.assertTrue(peer.quiet())
        peer.send(data(5, b"end"))
        self.assertEqual(peer.recv(), ("ACK", 5))


    def fetch_in_order(self, name, window):
        """Reads as RFC 7440 has it, with what a small receive buffer left: (bytes, datagrams)."""
        with Peer(self.server.udp_addr, rcvbuf=4096) as peer:
            answer = peer.ask(rrq(name, ("blksize", 1428), ("windowsize", window)))
            self.assertEqual(dict(answer[1])[b"windowsize"], str(window).encode())
            peer.send(ack(0))
            got, n, acked, told, came = b"", 0, 0, None, 0
            while True:
                answer, came = peer.recv(), came + 1
                if answer[1] == n + 1:
                    got, n = got + answer[2], n + 1
                    if len(answer[2]) < 1428:
                        peer.send(ack(n))
                        return got, came
                elif answer[1] <= n or told == n:
                    continue
                else:
                    told = n
                if n - acked == window or told == n:
                    peer.send(ack(n))
                    acked = n

    def test_57_a_window_larger_than_the_receive_buffer(self):
        """The buffer holds three blocks. Bursts become smaller, and it ends: each block goes out some
        times, and no loss of a window waits for the longest timeouts."""
        content = noise(300 * 1428 + 5)
        self.make(self.server.path("w"), content)
        began = time.monotonic()
        for window in (8, 64, 500):
            with self.subTest(window=window):
                got, came = self.fetch_in_order("w", window)
                self.assertEqual(sha256(got), sha256(content))
                self.assertLess(came, 10 * 300)
                log = self.server.wait_log(rf"GET w .*windowsize={window} .*resent=(\d+) .*ok")
                self.assertLess(int(log[1]), 40 * 300)
        self.assertLess(time.monotonic() - began, scaled(30))


class Receiver(Case):
    def begin(self, name="b", *options):
        peer = self.peer()
        peer.ask(wrq(name, ("timeout", 100), *options))
        return peer

    def gone(self, name="b"):
        self.server.wait_log(rf"PUT {name} .* failed")
        self.assertFalse(os.path.exists(self.server.path(name)))
        self.assertNoLeftovers(self.server.root)

    def test_58_the_last_acknowledgment_means_it_is_there(self):
        for size in (0, 1, 511, 512, 513, 5000):
            with self.subTest(size=size):
                with Peer(self.server.udp_addr) as peer:
                    peer.store(wrq("b"), noise(size))
                self.assertEqual(self.read(self.server.path("b")), noise(size))
                self.assertNoLeftovers(self.server.root)

    def test_59_a_block_that_comes_again(self):
        peer = self.begin()
        for n in (1, 1, 1, 2, 2, 1, 2):
            peer.send(data(n, b"%d" % n * 512))
        answers = [peer.recv() for _ in range(6)]
        self.assertEqual(answers, [("ACK", 1)] * 3 + [("ACK", 2)] * 3)
        self.assertEqual(peer.ask(data(3, b"end")), ("ACK", 3))
        self.assertEqual(self.read(self.server.path("b")), b"1" * 512 + b"2" * 512 + b"end")

    def test_60_the_request_again_in_mid_transfer(self):
        peer = self.begin()
        self.assertEqual(peer.ask(data(1, b"x" * 512)), ("ACK", 1))
        peer.send(wrq("b", ("timeout", 100)))
        peer.send(wrq("b", ("timeout", 100)), to=("127.0.0.1", self.server.udp_port))
        self.assertEqual(peer.ask(data(2, b"y")), ("ACK", 2))
        self.assertEqual(self.read(self.server.path("b")), b"x" * 512 + b"y")

    def test_61_gaps_are_not_written(self):
        peer = self.begin()
        peer.send(data(3, b"z" * 512), data(2, b"y" * 512), data(0, b"q" * 512), data(65535, b"q"))
        self.assertEqual(peer.ask(data(1, b"x" * 512)), ("ACK", 1))
        peer.send(data(3, b"z" * 5))
        self.assertEqual(peer.ask(data(2, b"y" * 512)), ("ACK", 2))
        self.assertEqual(peer.ask(data(3, b"end")), ("ACK", 3))
        self.assertEqual(self.read(self.server.path("b")), b"x" * 512 + b"y" * 512 + b"end")

    def test_62_a_block_that_is_too_long(self):
        for options, size in (((), 513), ((), 1000), ((("blksize", 8),), 9),
                              ((("blksize", 1428),), 1429)):
            with self.subTest(options=options, size=size):
                name = f"b{size}"
                peer = self.begin(name, *options)
                self.assertEqual(peer.ask(data(1, b"x" * size))[:2], ("ERROR", 4))
                self.gone(name)

    def test_63_lingers(self):
        peer = self.begin()
        self.assertEqual(peer.ask(data(1, b"x")), ("ACK", 1))
        self.server.wait_log(r"PUT b .* ok")
        for _ in range(3):
            self.assertEqual(peer.ask(data(1, b"x")), ("ACK", 1))
        with Peer(peer.to) as stranger:
            self.assertEqual(stranger.ask(data(1, b"x"))[:2], ("ERROR", 5))
        self.assertEqual(peer.ask(data(1, b"x")), ("ACK", 1))
        self.assertEqual(self.server.log().count("PUT b"), 1)

    def test_64_broken_off(self):
        self.make(self.server.path("b"), b"old")
        peer = self.begin()
        self.assertEqual(peer.ask(data(1, b"x" * 512)), ("ACK", 1))
        peer.send(error(0, "never mind"))
        self.server.wait_log(r"PUT b .* failed .*never mind")
        self.assertEqual(self.read(self.server.path("b")), b"old")
        self.assertNoLeftovers(self.server.root)

    def test_64_fallen_silent(self):
        server = self.serve("--timeout", "1")
        self.make(server.path("b"), b"old")
        with Peer(server.udp_addr) as peer:
            self.assertEqual(peer.ask(wrq("b")), ("ACK", 0))
            self.assertEqual(peer.ask(data(1, b"x" * 512)), ("ACK", 1))
            server.wait_log(r"PUT b .* failed lost", seconds=20)
        self.assertEqual(self.read(server.path("b")), b"old")
        self.assertNoLeftovers(server.root)

    def test_66_the_disk_is_full(self):
        harness.need_tool("prlimit")
        with harness.Server(prefix=("prlimit", "--fsize=100000")) as server, \
                Peer(server.udp_addr) as peer:
            answer, n = peer.ask(wrq("b")), 0
            while answer[0] == "ACK" and n < 1000:
                n += 1
                answer = peer.ask(data(n, b"x" * 512))
            self.assertEqual(answer[:2], ("ERROR", 3), answer)
            server.wait_log(r"PUT b .* failed no-space")
            self.assertNoLeftovers(server.root)
            with Peer(server.udp_addr) as again:
                again.store(wrq("b"), b"small")
            self.assertEqual(self.read(server.path("b")), b"small")

    def test_67_two_writers_of_one_name(self):
        one, two = self.begin(), self.begin()
        for peer, letter in ((one, b"1"), (two, b"2")):
            self.assertEqual(peer.ask(data(1, letter * 512)), ("ACK", 1))
        for peer, letter in ((one, b"1"), (two, b"2")):
            self.assertEqual(peer.ask(data(2, letter * 5)), ("ACK", 2))
            self.assertEqual(self.read(self.server.path("b")), letter * 517)
        self.assertNoLeftovers(self.server.root)


if __name__ == "__main__":
    harness.main()
