"""Requests to the UDP side of the server, well-formed or not: the cases of TFTP by number."""

import os
import pathlib
import socket
import threading

import harness
from harness import noise
from tftp import Peer, TestCase, ack, data, error, request, rrq, wrq


class Requests(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve("--timeout", "20")
        self.make(self.server.path("a"), b"hello\n")

    def peer(self, **kwargs):
        return self.enter_context(Peer(self.server.udp_addr, **kwargs))

    def refused(self, packet, code, text="."):
        """The packet is answered with this ERROR and nothing else; the server goes on."""
        peer = self.peer()
        answer = peer.ask(packet)
        self.assertEqual(answer[:2], ("ERROR", code), answer)
        self.assertRegex(answer[2], text)
        self.still_serves()
        self.assertTrue(peer.quiet(0))

    def still_serves(self):
        self.assertEqual(self.peer().fetch(rrq("a")), (b"hello\n", None))

    def ignored(self, *packets):
        peer = self.peer()
        peer.send(*packets)
        self.still_serves()  # what came before it has been read by now
        self.assertTrue(peer.quiet())

    def test_01_missing_file(self):
        self.refused(rrq("nope"), 1, "not found")
        self.server.wait_log(r"GET nope .* failed not-found")

    def test_02_empty_file(self):
        self.make(self.server.path("empty"))
        peer = self.peer()
        self.assertEqual(peer.ask(rrq("empty")), ("DATA", 1, b""))
        peer.send(ack(1))
        self.server.wait_log(r"GET empty .* ok")
        self.assertTrue(peer.quiet(0))

    def test_03_exact_multiples(self):
        for blksize, blocks in ((512, 1), (512, 3), (8, 1), (1428, 2)):
            with self.subTest(blksize=blksize, blocks=blocks):
                content = noise(blksize * blocks)
                self.make(self.server.path("b"), content)
                peer = self.peer()
                options = [] if blksize == 512 else [("blksize", blksize)]
                answer = peer.ask(rrq("b", *options))
                if options:
                    answer = peer.ask(ack(0))
                for block in range(blocks):
                    self.assertEqual(answer, ("DATA", block + 1,
                                              content[block * blksize:(block + 1) * blksize]))
                    answer = peer.ask(ack(block + 1))
                self.assertEqual(answer, ("DATA", blocks + 1, b""))

    def test_04_modes_in_any_case(self):
        for mode in ("OcTeT", "OCTET", "NetASCII"):
            with self.subTest(mode=mode):
                self.assertEqual(self.peer().ask(rrq("a", mode=mode))[:2], ("DATA", 1))

    def test_05_other_modes(self):
        for mode in ("mail", "foo", "octe", "octets", ""):
            for op in (1, 2):
                with self.subTest(mode=mode, op=op):
                    self.refused(request(op, "a", mode), 4, "octet or netascii")
        self.server.wait_log(r"PUT a .* failed malformed: mode")

    def test_06_netascii_read(self):
        cases = ((b"a\nb\rc\r\n", b"a\r\nb\r\0c\r\0\r\n"), (b"", b""), (b"\n", b"\r\n"),
                 (b"\r", b"\r\0"), (b"x" * 511 + b"\n", b"x" * 511 + b"\r\n"),
                 (b"x" * 511 + b"\r", b"x" * 511 + b"\r\0"),
                 (b"\n" * 256, b"\r\n" * 256), (b"\r" * 255 + b"z\n" * 9, b"\r\0" * 255 + b"z\r\n" * 9))
        for content, wire in cases:
            with self.subTest(content=content[-20:], n=len(content)):
                self.make(self.server.path("t"), content)
                self.assertEqual(self.peer().fetch(rrq("t", mode="netascii")), (wire, None))

    def test_06_netascii_write(self):
        cases = ((b"a\r\nb\r\0c\r\0\r\n", b"a\nb\rc\r\n"), (b"", b""), (b"\r", b"\r"),
                 (b"a\rb", b"a\rb"), (b"a\nb", b"a\nb"), (b"\r\r\n", b"\r\n"),
                 (b"x" * 511 + b"\r\n", b"x" * 511 + b"\n"),
                 (b"x" * 511 + b"\r\0y", b"x" * 511 + b"\ry"), (b"\r\n" * 256, b"\n" * 256))
        for wire, content in cases:
            with self.subTest(content=content[-20:], n=len(content)):
                self.peer().store(wrq("t", mode="netascii"), wire)
                self.assertEqual(self.read(self.server.path("t")), content)

    def test_07_netascii_drops_tsize(self):
        peer = self.peer()
        self.assertEqual(peer.ask(rrq("a", ("tsize", 0), mode="netascii")),
                         ("DATA", 1, b"hello\r\n"))
        peer = self.peer()
        self.assertEqual(peer.ask(rrq("a", ("tsize", 0), ("blksize", 600), mode="netascii")),
                         ("OACK", [(b"blksize", b"600")]))

    def test_08_broken_requests(self):
        for packet in (b"\0\1a\0octet", b"\0\1a\0", b"\0\1a", b"\0\1\0octet\0", b"\0\1\0\0",
                       b"\0\2a\0octe", b"\0\1"):
            with self.subTest(packet=packet):
                self.refused(packet, 4, "malformed")
        self.ignored(b"\0", b"", b"\1")

    def test_09_option_without_value(self):
        self.assertEqual(self.peer().ask(rrq("a") + b"blksize\0"), ("DATA", 1, b"hello\n"))

    def test_10_option_value_without_its_end(self):
        for tail in (b"blksize\0001024", b"blksize", b"blksize\0", b"\0\0", b"\0008\0"):
            with self.subTest(tail=tail):
                self.assertEqual(self.peer().ask(rrq("a") + tail), ("DATA", 1, b"hello\n"))

    def test_11_long_requests(self):
        self.refused(rrq("n" * 600), 2)
        self.refused(rrq("n/" * 2046 + "n"), 1)
        self.refused(rrq("n/" * 2049 + "n"), 2)
        many = [(f"option{i}", i) for i in range(60)]
        for options in ([("o" * 300, 1)], [("blksize", "9" * 300)], many, many * 5,
                        [("o" * 1900, 1)], [("x", "y" * 60000)]):
            with self.subTest(n=len(options)):
                self.assertEqual(self.peer().ask(rrq("a", *options)), ("DATA", 1, b"hello\n"))

    def test_12_strays_to_the_listening_port(self):
        self.ignored(data(1, b"x"), ack(0), ack(7), error(0, "stray"), error(5), b"\0\0",
                     b"\0\7x", b"\xff\xff", b"\0\6blksize\0001024\0")

    def test_13_control_characters_in_names(self):
        for name in (b"a\n", b"\x1b[2J", b"a\x7f", b"\ta"):
            with self.subTest(name=name):
                self.refused(rrq(name), 2)
                self.refused(wrq(name), 2)
        log = self.server.wait_log(r"GET \\x1b\[2J .* failed bad-name")
        self.assertNotIn("\x1b", log.string)

    def test_14_the_same_request_again(self):
        peer = self.peer()
        first = peer.ask(rrq("a"))
        tid = peer.came
        self.assertEqual(first, ("DATA", 1, b"hello\n"))
        for _ in range(3):
            peer.send(rrq("a"), to=("127.0.0.1", self.server.udp_port))
        # nothing but the timer's own, from the same port
        again = peer.recv()
        self.assertEqual((again, peer.came), (first, tid))
        peer.send(ack(1))
        self.server.wait_log(r"GET a .* ok")
        self.assertEqual(self.server.log().count("GET a"), 1)

    def test_15_two_clients(self):
        one, two = self.peer(), self.peer()
        self.assertEqual(one.ask(rrq("a")), ("DATA", 1, b"hello\n"))
        self.assertEqual(two.ask(rrq("a")), ("DATA", 1, b"hello\n"))
        self.assertNotEqual(one.came, two.came)

    def test_another_request_from_the_same_port(self):
        """A client that has given one up and asks for another file from its old port."""
        self.make(self.server.path("b"), b"another")
        peer = self.peer()
        self.assertEqual(peer.ask(rrq("a")), ("DATA", 1, b"hello\n"))
        old = peer.came
        peer.send(error(0, "not that one"))
        peer.send(rrq("b"), to=("127.0.0.1", self.server.udp_port))
        self.assertEqual(peer.recv(), ("DATA", 1, b"another"))
        self.assertNotEqual(peer.came, old)


class Broadcast(TestCase):
    def test_16_broadcasts_are_ignored(self):
        server = self.serve("--insecure", listen=("0.0.0.0:0",))
        self.make(server.path("a"), b"hello\n")
        with Peer(("127.255.255.255", server.udp_port)) as peer:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            peer.send(rrq("a"), rrq("nope"))
            with Peer(("127.0.0.1", server.udp_port)) as other:
                self.assertEqual(other.fetch(rrq("a"))[0], b"hello\n")
            self.assertTrue(peer.quiet())

    def test_answers_come_from_the_address_asked(self):
        server = self.serve("--insecure", listen=("0.0.0.0:0",))
        self.make(server.path("a"), b"hello\n")
        for host in ("127.0.0.1", "127.0.0.2", "127.9.8.7"):
            with self.subTest(host=host), Peer((host, server.udp_port)) as peer:
                self.assertEqual(peer.ask(rrq("a"))[0], "DATA")
                self.assertEqual(peer.came[0], host)
                peer.send(ack(1))
            with self.subTest(host=host), Peer((host, server.udp_port)) as peer:
                self.assertEqual(peer.ask(request(1, "a", "mail"))[0], "ERROR")
                self.assertEqual(peer.came[0], host)

    def test_ipv6(self):
        server = self.serve(listen=("[::1]:0",))
        self.make(server.path("a"), noise(5000))
        with Peer(server.udp_addr, bind="::1") as peer:
            self.assertEqual(peer.fetch(rrq("a"))[0], noise(5000))


class Limits(TestCase):
    def test_68_idle_clients_do_not_take_all(self):
        server = self.serve("--max-connections", "4")
        self.make(server.path("a"), b"hello\n")
        idle = [self.enter_context(Peer(server.udp_addr)) for _ in range(4)]
        for peer in idle:
            self.assertEqual(peer.ask(rrq("a"))[0], "DATA")
        with Peer(server.udp_addr) as late:
            answer = late.ask(rrq("a"))
            self.assertEqual(answer[:2], ("ERROR", 0))
            self.assertIn("busy", answer[2])
        server.wait_log(r"GET a .* failed busy")
        idle[0].send(ack(1))
        server.wait_log(r"GET a .* ok")

        def served():
            with Peer(server.udp_addr) as again:
                return again.ask(rrq("a"))[0] == "DATA"
        harness.wait_for(served, "room after one has ended")
        for peer in idle[1:]:
            peer.send(error(0, "no more"))

    def test_68_one_address_does_not_take_all(self):
        server = self.serve("--max-connections", "100", "--insecure", listen=("0.0.0.0:0",))
        self.make(server.path("a"), b"hello\n")
        idle = [self.enter_context(Peer(("127.0.0.1", server.udp_port))) for _ in range(65)]
        answers = [peer.ask(rrq("a"))[0] for peer in idle]
        self.assertEqual(answers, ["DATA"] * 64 + ["ERROR"])
        with Peer(("127.0.0.1", server.udp_port), bind="127.0.0.2") as other:
            self.assertEqual(other.fetch(rrq("a"))[0], b"hello\n")
        for peer in idle:
            peer.send(error(0, "no more"))

    def packets(self, peer):
        n = 0
        while peer.raw(0) is not None:
            n += 1
        return n

    def test_a_forged_address_gets_few_packets(self):
        """Who never answers may be a victim: two resends of the first packet, then silence."""
        server = self.serve("--timeout", "5")
        self.make(server.path("a"), b"x" * 2000)
        requests = (rrq("a"), rrq("a", ("blksize", 1400), ("windowsize", 64)), wrq("b"))
        peers = [self.enter_context(Peer(server.udp_addr)) for _ in requests]
        for peer, request_ in zip(peers, requests):
            peer.send(request_)
        harness.wait_for(lambda: server.log().count(" failed ") == 3, "the end", seconds=30)
        self.assertEqual([self.packets(peer) for peer in peers], [3, 3, 3])

    def test_a_forged_address_of_many_requests(self):
        """The ninth and those behind it are sent again for repetitions of the request alone."""
        server = self.serve("--timeout", "5")
        self.make(server.path("a"), b"x" * 2000)
        peers = [self.enter_context(Peer(server.udp_addr)) for _ in range(12)]
        for peer in peers:
            peer.send(rrq("a"))
            self.assertIsNotNone(peer.raw())
        peers[11].send(rrq("a"))
        harness.wait_for(lambda: server.log().count(" failed ") == 12, "the end", seconds=30)
        self.assertEqual([self.packets(peer) for peer in peers], [2] * 8 + [0] * 3 + [1])


class Paths(TestCase):
    def setUp(self):
        super().setUp()
        self.outside = self.make("outside", b"secret\n")
        self.server = self.serve(root=self.path("data"))
        self.make("data/a", b"hello\n")
        self.make("data/d/f", b"deep\n")
        self.make("data-private/f", b"secret\n")

    def ask(self, packet):
        with Peer(self.server.udp_addr) as peer:
            return peer.ask(packet)

    def refused(self, name, codes, ops=(rrq, wrq)):
        for op in ops:
            with self.subTest(name=name, op=op.__name__):
                answer = self.ask(op(name))
                self.assertEqual(answer[0], "ERROR", answer)
                self.assertIn(answer[1], codes)
        self.assertEqual(self.read("outside"), b"secret\n")
        self.assertNoLeftovers(self.tmp)

    def test_69_up_and_out(self):
        for name in ("../x", "/../x", "a/../../x", "a/..", "..\\..\\x", "..\\outside", "d/../a",
                     "..", "/..", "../data/a"):
            self.refused(name, (2,))

    def test_70_sibling_with_the_same_beginning(self):
        for name in ("../data-private/f", "-private/f"):
            self.refused(name, (1, 2), ops=(rrq,))

    def test_71_absolute_names_are_below_the_root(self):
        self.refused("/etc/passwd", (1,), ops=(rrq,))
        self.refused("/etc/passwd", (1,), ops=(wrq,))
        self.assertEqual(self.ask(rrq("/a"))[0], "DATA")

    def test_72_slashes_dots_and_backslashes(self):
        for name in ("./a", "//a", "/./a", "a", "\\a"):
            with self.subTest(name=name):
                self.assertEqual(self.ask(rrq(name)), ("DATA", 1, b"hello\n"))
        for name in ("d/f", "d\\f", "/d//f", "d/./f"):
            with self.subTest(name=name):
                self.assertEqual(self.ask(rrq(name)), ("DATA", 1, b"deep\n"))

    def test_73_symlinks(self):
        os.symlink("../outside", self.path("data/out"))
        os.symlink(self.path("outside"), self.path("data/abs"))
        os.symlink("..", self.path("data/up"))
        os.symlink("a", self.path("data/in"))
        for name in ("out", "abs", "up/outside"):
            self.refused(name, (2,))
        self.assertEqual(self.ask(rrq("in")), ("DATA", 1, b"hello\n"))

    def test_74_directories(self):
        for name in ("d", "d/", ".", "/", "d/.", "a/"):
            self.refused(name, (0, 1, 2))

    def test_75_fifo(self):
        os.mkfifo(self.path("data/pipe"))
        self.refused("pipe", (2,))
        self.assertEqual(self.ask(rrq("a"))[0], "DATA")

    def test_76_device_and_socket(self):
        os.symlink("/dev/zero", self.path("data/zero"))
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(self.path("data/sock"))
            self.refused("zero", (2,))
            self.refused("sock", (2,))

    def swapped(self):
        """data/f is by turns a file and a link to one outside, data/e a directory and a link to one
        outside, as fast as it goes."""
        def turn(name, target):
            os.symlink(target, self.path("data/new"))
            os.rename(self.path("data/new"), self.path("data", name))
        while not self.enough.is_set():
            turn("f", "../outside")
            os.rename(self.path("data/e"), self.path("data/away"))
            turn("e", "../elsewhere")
            turn("f", "a")
            os.unlink(self.path("data/e"))
            os.rename(self.path("data/away"), self.path("data/e"))

    def test_77_symlinks_swapped_between_check_and_use(self):
        for name in ("elsewhere", "data/e"):
            os.mkdir(self.path(name))
        self.make("elsewhere/f", b"secret\n")
        self.make("data/e/f", b"hello\n")
        self.make("data/f", b"hello\n")
        self.enough = threading.Event()
        swapper = threading.Thread(target=self.swapped)
        swapper.start()
        answers = set()
        try:
            for name in ["f", "e/f"] * 150:
                with Peer(self.server.udp_addr) as peer:
                    answer = peer.ask(rrq(name))
                    answers.add(answer[0] if answer[0] == "ERROR" else answer)
                    peer.send(ack(1))
            for name in ["f", "e/f", "e/new"] * 100:
                with Peer(self.server.udp_addr) as peer:
                    if peer.ask(wrq(name)) == ("ACK", 0):
                        answers.add(peer.ask(data(1, b"hello\n"))[0])
        finally:
            self.enough.set()
            swapper.join()
        self.assertLessEqual(answers, {"ERROR", ("DATA", 1, b"hello\n"), "ACK"})
        self.assertLessEqual({"ERROR", ("DATA", 1, b"hello\n")}, answers)
        self.assertEqual(self.read("outside"), b"secret\n")
        self.assertEqual(self.read("elsewhere/f"), b"secret\n")
        self.assertEqual(os.listdir(self.path("elsewhere")), ["f"])

    def test_78_not_readable_not_writable(self):
        if os.geteuid() == 0:
            self.skipTest("root may read and write all")
        os.chmod(self.path("data/a"), 0)
        self.refused("a", (2,), ops=(rrq,))
        os.chmod(self.path("data/d"), 0o500)
        self.refused("d/new", (2,), ops=(wrq,))

    def test_79_names(self):
        long = "n" * 255
        for name in (long, "mit Leerzeichen", "häß-π-日本", "-r", "%41"):
            with self.subTest(name=name), Peer(self.server.udp_addr) as peer:
                peer.store(wrq(name), b"named")
                self.assertEqual(self.read(self.path("data", name)), b"named")
                self.assertEqual(self.ask(rrq(name)), ("DATA", 1, b"named"))
        self.refused("n" * 256, (2,))
        self.refused("d/" + "n" * 256, (2,))

    def test_own_temporaries_are_no_names(self):
        self.refused(".xfer-" + "0" * 32 + ".part", (2,))

    def test_65_writes_only_where_they_are_allowed(self):
        self.make("data/old", b"old")
        with harness.Server("--write=new", root=self.path("data"), write=False) as server:
            with Peer(server.udp_addr) as peer:
                self.assertEqual(peer.ask(wrq("old"))[:2], ("ERROR", 6))
            with Peer(server.udp_addr) as peer:
                peer.store(wrq("new"), b"new")
        with harness.Server(root=self.path("data"), write=False) as server:
            with Peer(server.udp_addr) as peer:
                answer = peer.ask(wrq("more"))
                self.assertEqual(answer[:2], ("ERROR", 2))
                self.assertIn("takes no writes", answer[2])
        self.assertEqual(self.read("data/old"), b"old")
        self.assertEqual(self.read("data/new"), b"new")
        self.assertFalse(pathlib.Path(self.path("data/more")).exists())
        self.assertNoLeftovers(self.path("data"))


class Log(TestCase):
    def test_one_line_a_request(self):
        server = self.serve("--log-format", "json")
        self.make(server.path("a b"), b"hello\n")
        with Peer(server.udp_addr) as peer:
            peer.fetch(rrq("a b", ("blksize", 8), ("tsize", 0)))
            line = server.wait_log(r'.*"path":"a b".*')[0]
        for part in ('"transport":"udp"', '"verb":"GET"', '"options":"blksize=8 windowsize=1"',
                     '"bytes":6', '"outcome":"ok"', f'"peer":"127.0.0.1:{peer_port(line)}"'):
            self.assertIn(part, line)

    def test_a_question_for_the_size_is_no_failure(self):
        server = self.serve()
        self.make(server.path("a"), b"hello\n")
        with Peer(server.udp_addr) as peer:
            self.assertEqual(peer.ask(rrq("a", ("tsize", 0))), ("OACK", [(b"tsize", b"6")]))
            peer.send(error(8, "the size was all"))
            server.wait_log(r"GET a .* ok")
            self.assertTrue(peer.quiet(0))


def peer_port(line):
    return line.split('"peer":"127.0.0.1:')[1].split('"')[0]


if __name__ == "__main__":
    harness.main()
