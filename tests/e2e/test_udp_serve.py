"""Both ends of ours over UDP: files there and back, ports, losses, many at once."""

import json
import os
import random
import re
import signal
import socket
import threading
import time

import harness
from harness import noise, sha256
from tftp import Peer, Relay, TestCase, ack, data, error, rrq, wrq

SIZES = (0, 1, 511, 512, 513, 1427, 1428, 1429, 100_000, 3_000_000)


def free_ports(count):
    """So many adjacent UDP ports that were free a moment ago; the first of them."""
    while True:
        sockets = []
        try:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sockets.append(s)
            s.bind(("127.0.0.1", 0))
            first = s.getsockname()[1]
            for port in range(first + 1, first + count):
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                sockets.append(s)
                s.bind(("127.0.0.1", port))
            return first
        except (OSError, OverflowError):
            continue
        finally:
            for s in sockets:
                s.close()


class Files(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve()

    def remote(self, name=""):
        return f"{self.server.udp_addr}/{name}"

    def test_there_and_back(self):
        for options in ((), ("--blksize", "512"), ("--blksize", "8192", "--window", "64"),
                        ("--blksize", "65464", "--window", "4"), ("--window", "16", "--no-spin")):
            for size in SIZES:
                with self.subTest(options=options, size=size):
                    content = noise(size)
                    self.make("source", content)
                    _, err = self.xfer("put", "--udp", *options, self.path("source"),
                                       self.remote("there"))
                    self.assertRegex(err, rf"source .*sha256 {sha256(content)[:8]}….*  verified\n")
                    self.assertEqual(self.read(self.server.path("there")), content)
                    _, err = self.xfer("get", "--udp", *options, self.remote("there"),
                                       self.path("back"))
                    self.assertRegex(err, rf"there .*sha256 {sha256(content)[:8]}….*  verified\n")
                    self.assertEqual(self.read("back"), content)
        self.assertNoLeftovers(self.tmp)
        self.assertNoLeftovers(self.server.root)

    def test_tiny_blocks(self):
        content = noise(5000)
        self.make("source", content)
        self.xfer("put", "--udp", "--blksize", "8", "--window", "32", self.path("source"),
                  self.remote("b"))
        self.xfer("get", "--udp", "--blksize", "8", self.remote("b"), self.path("back"))
        self.assertEqual(self.read("back"), content)

    def test_netascii_there_and_back(self):
        content = b"a\nb\rc\r\n\n\r" * 300
        self.make("source", content)
        url = f"tftp://{self.server.udp_addr}/t;mode=netascii"
        _, err = self.xfer("put", self.path("source"), url)
        self.assertIn("  verified", err)
        self.assertEqual(self.read(self.server.path("t")), content)
        _, err = self.xfer("get", url, self.path("back"))
        self.assertIn("  verified", err)
        self.assertEqual(self.read("back"), content)

    def test_several_files(self):
        names = ["one", "two", "three with spaces"]
        for i, name in enumerate(names):
            self.make(name, noise(2000, i))
        os.mkdir(self.server.path("d"))
        self.xfer("put", "--udp", *map(self.path, names), self.remote("d/"))
        for i, name in enumerate(names):
            self.assertEqual(self.read(self.server.path("d/" + name)), noise(2000, i))
        os.mkdir(self.path("back"))
        _, err = self.xfer("get", "--udp", *(self.remote("d/" + name) for name in names),
                           self.path("back"))
        self.assertEqual(err.count("  verified\n"), 3)
        for i, name in enumerate(names):
            self.assertEqual(self.read("back/" + name), noise(2000, i))

    def test_one_of_several_fails(self):
        self.make(self.server.path("a"), b"a")
        self.make(self.server.path("c"), b"c")
        os.mkdir(self.path("back"))
        _, err = self.xfer("get", "--udp", self.remote("a"), self.remote("b"), self.remote("c"),
                           self.path("back"), status=4)
        self.assertRegex(err, r"xfer: 127\.0\.0\.1:\d+/b: not found\n")
        self.assertEqual(sorted(os.listdir(self.path("back"))), ["a", "c"])

    def test_what_the_server_says_is_the_exit_status(self):
        self.make("source", b"x")
        os.mkdir(self.server.path("d"))
        with harness.Server("--write=new", root=self.server.root, write=False) as fresh, \
                harness.Server(root=self.server.root, write=False) as closed:
            self.make(self.server.path("old"), b"old")
            self.fails(4, "exists already", "put", "--udp", self.path("source"),
                       f"{fresh.udp_addr}/old")
            self.fails(4, "takes no writes.*--write", "put", "--udp", self.path("source"),
                       f"{closed.udp_addr}/new")
        self.fails(4, "is a directory", "put", "--udp", self.path("source"), self.remote("d"))
        self.fails(4, "is a directory", "get", "--udp", self.remote("d"), self.path("x"))
        self.fails(4, "is a directory", "get", "--udp", self.remote("d/"), self.path("x"))
        self.fails(4, "not found", "put", "--udp", self.path("source"), self.remote("no/f"))
        self.fails(6, "No such file", "put", "--udp", self.path("nope"), self.remote("f"))
        self.fails(6, "s a directory", "put", "--udp", self.tmp, self.remote("f"))
        self.fails(6, ".", "get", "--udp", self.remote("old"), self.path("no/f"))
        self.assertEqual(self.read(self.server.path("old")), b"old")

    def test_pipes(self):
        content = noise(200_000)
        self.xfer("put", "--udp", "-", self.remote("p"), input=content)
        self.assertEqual(self.read(self.server.path("p")), content)
        out, _ = self.xfer("get", "--udp", self.remote("p"), "-")
        self.assertEqual(out, content)

    def test_no_clobber_and_dry_run(self):
        self.make(self.server.path("a"), b"new")
        self.make("a", b"old")
        self.xfer("get", "--udp", "-n", self.remote("a"), self.path("a"))
        self.xfer("get", "--udp", "--dry-run", self.remote("a"), self.path("a"))
        self.assertEqual(self.read("a"), b"old")
        self.xfer("put", "--udp", "--dry-run", self.path("a"), self.remote("a"))
        self.assertEqual(self.read(self.server.path("a")), b"new")

    def test_limit_rate(self):
        content = noise(200_000)
        self.make(self.server.path("a"), content)
        out, _ = self.xfer("get", "--udp", "--json", "--limit-rate", "400K", self.remote("a"),
                           self.path("a"))
        self.assertGreater(json.loads(out.splitlines()[0])["seconds"], 0.3)
        self.assertEqual(self.read("a"), content)

    def test_max_time(self):
        self.make(self.server.path("a"), noise(300_000))
        self.fails(3, "time limit", "get", "--udp", "--limit-rate", "10K", "--max-time", "0.5",
                   self.remote("a"), self.path("a"))
        self.assertNoLeftovers(self.tmp)

    def test_stop_and_wait_by_the_counters(self):
        content = noise(100 * 1428)
        self.make(self.server.path("a"), content)
        out, _ = self.xfer("get", "--udp", "--json", self.remote("a"), self.path("a"))
        record, summary = map(json.loads, out.splitlines())
        line = self.server.wait_log("GET a .* ok$")[0]
        if record["timeouts"] == 0 and " resent=0 " in line:  # a busy machine lets both send again
            # request, ACK 0, an ACK a block; OACK and the blocks
            self.assertEqual((record["packets_sent"], record["packets_received"]), (103, 102))
        self.assertEqual((record["block_size_bytes"], record["window"]), (1428, 1))
        self.assertTrue(record["verified"])
        self.assertGreaterEqual(summary["packets_sent"], record["packets_sent"])

    def test_a_file_without_a_size(self):
        with harness.Server(root="/proc/self", write=False) as server:
            _, err = self.xfer("get", "--udp", f"{server.udp_addr}/limits", self.path("limits"))
        self.assertIn(b"Max open files", self.read("limits"))
        self.assertIn("  verified", err)

    def test_a_digest_that_comes_later(self):
        """So large that the digest is not there in 100 ms, or just there."""
        path = self.server.path("big")
        with open(path, "wb") as f:
            f.truncate(300 << 20)
        _, err = self.xfer("get", "--udp", "--blksize", "65464", "--window", "16",
                           self.remote("big"), self.path("big"), timeout=120)
        self.assertIn("  verified", err)
        self.assertEqual(os.path.getsize(self.path("big")), 300 << 20)


class Ports(TestCase):
    def test_beside_tcp_on_the_same_port(self):
        with harness.Server() as server:
            self.assertEqual(server.addr, server.udp_addr)
            self.assertEqual(server.out(), f"listening on tcp {server.addr}\n"
                                           f"listening on udp {server.addr}\n")

    def test_one_without_the_other(self):
        with harness.Server("--no-udp") as server:
            self.assertEqual(server.udp_addrs, [])
        with harness.Server("--no-tcp") as server:
            self.assertEqual(server.addrs, [])
            self.make(server.path("a"), b"hello\n")
            self.xfer("get", "--udp", f"{server.udp_addr}/a", self.path("a"))
            self.fails(3, "refused", "get", f"{server.udp_addr}/a", self.path("b"))

    def test_a_port_of_its_own(self):
        port = free_ports(1)
        with harness.Server("--udp-port", str(port)) as server:
            self.assertEqual(server.udp_port, port)
            status, _, err = harness.run("serve", "--listen", "127.0.0.1:0", "--udp-port",
                                         str(port), self.tmp)
            self.assertEqual(status, 6)
            self.assertIn("--no-udp", err)

    def test_port_69(self):
        harness.need_root()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                s.bind(("127.0.0.69", 69))
            except OSError:
                self.skipTest("port 69 is taken")
        with harness.Server("--tftp", listen=("127.0.0.69:0",)) as server:
            self.assertEqual(server.udp_addr, "127.0.0.69:69")
            self.make(server.path("a"), b"hello\n")
            self.xfer("get", "tftp://127.0.0.69/a", self.path("a"))
            self.assertEqual(self.read("a"), b"hello\n")

    def test_transfer_ports_of_a_range(self):
        low = free_ports(2)
        with harness.Server("--udp-ports", f"{low}-{low + 1}") as server:
            self.make(server.path("a"), b"hello\n")
            peers = [self.enter_context(Peer(server.udp_addr)) for _ in range(3)]
            came = set()
            for peer in peers[:2]:
                self.assertEqual(peer.ask(rrq("a")), ("DATA", 1, b"hello\n"))
                came.add(peer.came[1])
            self.assertEqual(came, {low, low + 1})
            answer = peers[2].ask(rrq("a"))
            self.assertEqual((answer[0], answer[1]), ("ERROR", 0))
            self.assertIn("no port", answer[2])
            self.assertEqual(peers[2].came[1], server.udp_port)
            server.wait_log("GET a .* failed busy: .*no port")
            for peer in peers[:2]:
                peer.send(ack(1))

    def test_a_single_port(self):
        with harness.Server("--udp-single-port") as server:
            content = noise(100_000)
            self.make(server.path("a"), content)
            one, two = (self.enter_context(Peer(server.udp_addr)) for _ in range(2))
            for peer in (one, two):
                self.assertEqual(peer.ask(rrq("a")), ("DATA", 1, content[:512]))
                self.assertEqual(peer.came[1], server.udp_port)
            with Peer(server.udp_addr) as stranger:
                self.assertEqual(stranger.ask(ack(1))[:2], ("ERROR", 5))
                self.assertEqual(stranger.ask(data(1))[:2], ("ERROR", 5))
                stranger.send(error(5, "no"))
                self.assertTrue(stranger.quiet())
            for n in range(2, 100_000 // 512 + 2):
                for peer in (one, two):
                    self.assertEqual(peer.ask(ack(n - 1)),
                                     ("DATA", n, content[(n - 1) * 512:n * 512]))
            for peer in (one, two):
                peer.send(ack(n))
            self.xfer("get", "--udp", f"{server.udp_addr}/a", self.path("a"))
            self.xfer("put", "--udp", self.path("a"), f"{server.udp_addr}/b")
            self.assertEqual(self.read(server.path("b")), content)

    def test_no_request_is_unknown_to_a_single_port(self):
        """Until a new transfer's socket is connected requests of others can come to it: they are lost
        then, and asked again, but not refused. It takes a crowd to see one."""
        with harness.Server("--udp-single-port", "--max-connections", "1024") as server:
            self.make(server.path("a"), b"small")
            for _ in range(100):
                peers = [self.enter_context(Peer(server.udp_addr)) for _ in range(16)]
                for peer in peers:
                    peer.send(rrq("a"))
                for peer in peers:
                    if peer.raw(0.2):
                        self.assertEqual(peer.got, data(1, b"small"))
                        peer.send(ack(1))
                    peer.close()

    def test_two_servers_do_not_share_a_port(self):
        for options in ((), ("--udp-single-port",)):
            with self.subTest(options=options), harness.Server(*options) as server:
                status, _, err = harness.run("serve", "--no-tcp", *options, "--listen",
                                             server.udp_addr, self.tmp)
                self.assertEqual(status, 6, err)


class Ends(TestCase):
    def test_stop_waits_for_what_has_begun(self):
        with harness.Server("--timeout", "10") as server:
            self.make(server.path("a"), b"x" * 600)
            with Peer(server.udp_addr) as peer:
                self.assertEqual(peer.ask(rrq("a"))[0], "DATA")
                server.proc.send_signal(signal.SIGTERM)
                with Peer(("127.0.0.1", server.udp_port)) as late:
                    def closed():
                        late.sock.connect(("127.0.0.1", server.udp_port))
                        try:
                            late.sock.send(rrq("a"))
                            return late.raw(0.05) is None and False
                        except ConnectionRefusedError:
                            return True
                    harness.wait_for(closed, "the listening socket is closed")
                self.assertEqual(peer.ask(ack(1)), ("DATA", 2, b"x" * 88))
                peer.send(ack(2))
            self.assertEqual(server.wait(), 0)
            self.assertRegex(server.log(), r"GET a .* ok")

    def test_who_lingers_is_neither_counted_nor_waited_for(self):
        """A timeout of so many seconds has each of these receivers linger for ten."""
        with harness.Server("--max-connections", "64") as server:
            for i in range(200):
                with Peer(server.udp_addr) as peer:
                    peer.store(wrq(f"f{i}", ("timeout", 255)), b"small")
            self.assertEqual(len(os.listdir(server.root)), 200)
            self.assertNotIn("busy", server.log())
            with Peer(server.udp_addr) as peer:
                peer.store(wrq("last", ("timeout", 255)), b"small")
                self.assertEqual(peer.ask(data(1, b"small")), ("ACK", 1))  # it does linger
                began = time.monotonic()
                self.assertEqual(server.stop(), 0)
                self.assertLess(time.monotonic() - began, 9)

    def test_an_idle_server_uses_no_processor(self):
        with harness.Server() as server:
            with Peer(server.udp_addr) as peer:
                peer.store(wrq("a"), b"x" * 600)
            with Peer(server.udp_addr) as peer:
                peer.fetch(rrq("a"))

            def descriptors():
                return len(os.listdir(f"/proc/{server.proc.pid}/fd"))

            # lingering ends; then nothing moves any more
            harness.wait_for(lambda: descriptors() <= 10, "all sockets of transfers are closed")
            self.assertIdle(server)

    def assertIdle(self, server):
        def ticks():
            with open(f"/proc/{server.proc.pid}/stat", encoding="ascii") as f:
                return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
        before = ticks()
        threading.Event().wait(1)
        self.assertLess(ticks() - before, 5)

    def test_a_server_that_waits_for_a_transfer_uses_no_processor(self):
        with harness.Server("--timeout", "60") as server:
            self.make(server.path("a"), b"x" * 600)
            with Peer(server.udp_addr) as peer:
                self.assertEqual(peer.ask(rrq("a", ("timeout", 20)))[0], "OACK")
                self.assertEqual(peer.ask(ack(0))[0], "DATA")
                server.proc.send_signal(signal.SIGTERM)
                threading.Event().wait(0.5)  # for who might linger
                self.assertIdle(server)
                self.assertEqual(peer.ask(ack(1)), ("DATA", 2, b"x" * 88))
                peer.send(ack(2))
            self.assertEqual(server.wait(), 0)


class Losses(TestCase):
    def through(self, fate, *options, size=150_000):
        """Puts and gets a file through a path of that kind; the server's log."""
        server = self.serve()
        content = noise(size)
        self.make("source", content)
        with Relay(server.udp_addr, fate) as relay:
            self.xfer("put", "--udp", *options, self.path("source"), f"{relay.addr}/there",
                      timeout=120)
            self.assertEqual(self.read(server.path("there")), content)
            self.xfer("get", "--udp", *options, f"{relay.addr}/there", self.path("back"),
                      timeout=120)
            self.assertEqual(self.read("back"), content)
        self.assertNoLeftovers(self.tmp)
        return server.log()

    def test_packets_that_are_lost(self):
        for options in ((), ("--window", "16"), ("--blksize", "512", "--window", "4")):
            with self.subTest(options=options):
                dice = random.Random(7)
                log = self.through(lambda n, packet, up: [] if dice.random() < 0.1 else [packet],
                                   *options)
                self.assertRegex(log, r"resent=[1-9]")

    def test_packets_that_come_twice(self):
        for options in ((), ("--window", "16")):
            with self.subTest(options=options):
                dice = random.Random(8)
                self.through(lambda n, packet, up: [packet] * dice.choice((1, 1, 2)), *options)

    def test_packets_that_are_changed(self):
        """A bit in the payload that no checksum of the network saw: SHA-256 does."""
        def fate(n, packet, up):
            if packet[:2] == b"\0\3" and n == 20:
                return [packet[:-1] + bytes([packet[-1] ^ 1])]
            return [packet]
        server = self.serve()
        content = noise(150_000)
        self.make("source", content)
        self.make(server.path("a"), content)
        for how in ("put", "get"):
            with self.subTest(how=how), Relay(server.udp_addr, fate) as relay:
                ends = ([self.path("source"), f"{relay.addr}/there"] if how == "put"
                        else [f"{relay.addr}/a", self.path("back")])
                self.fails(5, "digest does not match", how, "--udp", *ends)
        server.wait_log("PUT there .* failed digest-mismatch")
        self.assertFalse(os.path.exists(server.path("there")))
        self.assertFalse(os.path.exists(self.path("back")))
        self.assertNoLeftovers(self.tmp)

    def test_the_last_acknowledgment_of_a_put_is_lost(self):
        """Case 48 and 95: the server has the file, and says so when it is asked."""
        state = {"gone": False}

        def fate(n, packet, up):
            if not up and packet == ack(106):
                state["gone"] = True
                return []
            return [packet]
        server = self.serve()
        self.make("source", noise(150_000))
        with Relay(server.udp_addr, fate) as relay:
            _, err = self.xfer("put", "--udp", "--timeout", "1", self.path("source"),
                               f"{relay.addr}/there")
        self.assertTrue(state["gone"])
        self.assertIn("  verified", err)


class Many(TestCase):
    def test_two_hundred_at_once(self):
        server = self.serve()
        content = noise(20_000)
        self.make(server.path("a"), content)
        wrong = []

        def one(i):
            try:
                with Peer(server.udp_addr, timeout=60) as peer:
                    if i % 4 == 0:
                        peer.store(wrq(f"up{i}"), content)
                    elif peer.fetch(rrq("a", ("blksize", 1000)))[0] != content:
                        wrong.append(i)
            except BaseException as e:  # pylint: disable=broad-except
                wrong.append((i, e))
        threads = [threading.Thread(target=one, args=(i,)) for i in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        for i in range(0, 200, 4):
            self.assertEqual(self.read(server.path(f"up{i}")), content)
        harness.wait_for(lambda: len(re.findall(" ok$", server.log(), re.M)) == 200, "all logged")
        self.assertNoLeftovers(server.root)


if __name__ == "__main__":
    harness.main()
