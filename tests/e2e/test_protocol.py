"""docs/PROTOCOL.md holds: its session, played line by line; its table of errors; digests of ranges."""

import re

import harness
from harness import SRC, Raw, TestCase, noise, sha256

TEXT = (SRC / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")


def session():
    """(who, line) of the block that is marked as a session."""
    block = re.search(r"^```session\n(.*?)^```", TEXT, re.M | re.S)[1]
    return [(line[0], line[3:]) for line in block.splitlines()]


def documented_errors():
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| (\d+(?:, \d+)*) \|", TEXT, re.M)
    return {(name, code) for names, codes in rows
            for name, code in zip(re.findall(r"`([a-z-]+)`", names), codes.split(", "))}


class Protocol(TestCase):
    def test_the_session_can_be_typed(self):
        lines = session()
        self.assertGreater(sum(who == "S" for who, _ in lines), 10)
        server = self.serve()
        with Raw(server.addr) as peer:
            for who, line in lines:
                if who == "C":
                    peer.send(line)
                    continue
                pattern = ".+".join(re.escape(part) for part in line.split("..."))
                self.assertRegex(peer.line().decode(), f"^{pattern}$")
        self.assertEqual(self.read(server.path("in/hello.txt")), b"hello, world\n")
        self.assertEqual(self.read(server.path("in/again.txt")), b"hello,\nagain\n")
        self.assertNoLeftovers(server.root)

    def test_errors_are_those_of_the_program(self):
        source = (SRC / "src" / "base" / "err.c").read_text(encoding="utf-8")
        rows = re.findall(r'\{XFER_E\w+, "([a-z-]+)", (\d+),', source)
        self.assertGreater(len(rows), 20)
        self.assertEqual(documented_errors(), set(rows))


class Ranges(TestCase):
    def get(self, peer, request):
        peer.send(request)
        code, head, line = peer.reply()
        self.assertEqual(code, 200, line)
        body, verb, end = peer.body()
        self.assertEqual((verb, int(end["size"])), ("END", len(body)))
        return body, head, end

    def test_a_range_has_its_own_digest_known_whole_or_not(self):
        data = noise(200_000)
        server = self.serve()
        self.make(server.path("a"), data, mtime=10**18)
        with Raw(server.addr) as peer:
            peer.hello()
            for known in (False, True):
                for start, length in ((0, 7), (5, 7), (199_990, None), (199_990, 50), (0, 0)):
                    asked = f"GET /a offset={start}" + ("" if length is None
                                                        else f" length={length}")
                    for extra in ("", f" prefix={sha256(data[:start])}"):
                        if extra and length is None:
                            continue
                        with self.subTest(known=known, asked=asked + extra):
                            body, head, end = self.get(peer, asked + extra)
                            stop = len(data) if length is None else start + length
                            self.assertEqual(body, data[start:stop])
                            self.assertEqual(end["sha256"], sha256(body))
                            self.assertEqual("whole" in head, known)
                            self.assertEqual(end.get("whole", sha256(data)), sha256(data))
                peer.send("SUM /a")
                self.assertEqual(peer.reply()[1]["sha256"], sha256(data))

    def test_a_resumed_get_ends_with_the_digest_of_the_whole(self):
        data = noise(200_000)
        server = self.serve()
        self.make(server.path("a"), data, mtime=10**18)
        with Raw(server.addr) as peer:
            peer.hello()
            good = self.get(peer, f"GET /a offset=150000 prefix={sha256(data[:150000])}")
            self.assertEqual(good[0], data[150000:])
            self.assertEqual((good[1]["offset"], good[2]["whole"]), ("150000", sha256(data)))
            self.assertNotIn("sha256", good[2])
            for wrong in (f"offset=150000 prefix={sha256(b'')}",
                          f"offset=300000 prefix={sha256(data)}", "offset=5 etag=x"):
                with self.subTest(wrong):
                    body, head, end = self.get(peer, f"GET /a {wrong}")
                    self.assertEqual((body, head["offset"]), (data, "0"))
                    self.assertEqual(end["sha256"], sha256(data))


harness.main()
