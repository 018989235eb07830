"""Requests that mean harm, by hand: a clear answer, nothing lost, and the server goes on.

XFER_TEST_FULL=1 adds what takes long: the deadlines that no option shortens, more random sessions.
"""

import os
import random
import signal
import socket
import time

import harness
from harness import Raw, TestCase, noise, scaled, sha256, tree, wait_for

FULL = bool(os.environ.get("XFER_TEST_FULL"))
SEED = int(os.environ.get("XFER_SEED") or 1)
F = b"the file that must stay\n"
SUM = sha256(F)
CLIENT_HELLO = bytes.fromhex("160301007a010000760303") + noise(100)

# Requests without a body that are refused, and the connection goes on.
REFUSED = [
    ("GET /../f", 559), ("GET ..", 559), ("GET /d/../f", 559), ("GET /d/..", 559),
    ("GET /%2e%2e/f", 559), ("GET /d/%2E./f", 559), ("SUM /../f", 559), ("LIST /..", 559),
    ("LIST /d/../.. recursive=1", 559), ("MKDIR /../x", 559), ("MKDIR /d/../../x mkpath=1", 559),
    ("GET /.xfer-" + "0" * 32 + ".part", 559), ("SUM /.xfer-" + "A" * 32 + ".tmp", 559),
    ("MKDIR /.xfer-" + "0" * 32 + ".part/x mkpath=1", 559),
    ("GET /etc/passwd", 550), ("GET /nothing", 550), ("GET /dangling", 550), ("GET /%c3%28", 550),
    ("GET /f/x", 557), ("LIST /f", 557), ("MKDIR /f", 557), ("MKDIR /f/x mkpath=1", 557),
    ("GET /d", 556), ("GET /", 556), ("GET /d/", 556), ("SUM /d", 556), ("SUM /", 556),
    ("GET /out", 553), ("GET /outside/passwd", 553), ("SUM /out", 553), ("LIST /outside", 553),
    ("LIST /outside recursive=1", 553), ("MKDIR /outside/x", 553), ("GET /magic/passwd", 553),
    ("GET /fifo", 558), ("SUM /fifo", 558), ("LIST /fifo", 557), ("GET /socket", 558),
    ("GET /loop", 563), ("GET /" + "n" * 256, 562), ("GET /" + "d/" * 2047 + "x", 550),
    ("MKDIR /" + "n" * 256, 562), ("MKDIR /nothing/x", 550), ("SUM /f etag=other", 451),
    ("BREW /coffee", 502), ("get /f", 502), ("GETTY /f", 502), ("X", 502), ("XFER/1", 502),
    ("COMMIT /f id=00 sha256=00", 502), ("A-very-1-long-verb" * 100, 502),
]

# Not refused, however odd.
ACCEPTED = [
    "GET f", "GET //f", "GET /./f", "GET /d/.//up", "GET /%66", "GET /f new=1 other=%zz=",
    "GET /f offset=1000", "GET /f offset=9223372036854775807", "GET /f length=0",
    "GET /f offset=5 etag=other", "GET /f offset=5 prefix=" + "0" * 64, "GET /f\r",
    "GET /f length=9223372036854775807 offset=1", "GET /f if=absent resume=" + "0" * 32,
]

# Malformed lines: one last line, and the end.
CLOSING = [
    (500, line) for line in [
        b"", b" ", b"\r", b"\r\r", b" GET /f", b"GET", b"GET ", b"GET  /f", b"GET /f ", b"GET /f  a=1",
        b"GET /f x", b"GET /f =x", b"GET /f\t", b"GET /f\0", b"GET /\x01", b"GET /f\x7f", b"GET /f\r\r",
        b"GET /%", b"GET /%2", b"GET /%zz", b"GET /%%20", b"GET /f offset=", b"GET /f offset=-1",
        b"GET /f offset=+1", b"GET /f offset=0x10", b"GET /f offset=1.5", b"GET /f offset=1e3",
        b"GET /f offset=9223372036854775808", b"GET /f length=99999999999999999999999999",
        b"GET /f offset=1 offset=1", b"GET /f offset=%zz", b"GET /f prefix=12", b"GET /f prefix=",
        b"GET /f prefix=" + b"g" * 64, b"GET /f prefix=" + b"0" * 65, b"GET /f etag=",
        b"GET /f etag=" + b"e" * 65, b"GET /f etag=%00", b"GET /f offset=1%00",
        b"PUT /x size=-5", b"PUT /x mode=9", b"PUT /x mode=777777", b"PUT /x mode=-1",
        b"PUT /x mtime=nan", b"PUT /x mtime=1.", b"PUT /x mtime=.5", b"PUT /x mtime=1.0000000000",
        b"PUT /x mtime=--1", b"PUT /x mtime=99999999999999", b"PUT /x if=maybe", b"PUT /x if=",
        b"PUT /x if=sha256:12", b"PUT /x resume=12", b"PUT /x resume=" + b"0" * 33,
        b"PUT /x sync=never", b"PUT /x mkpath=2", b"LIST /d recursive=yes", b"LIST /d recursive=",
        b"DATA", b"DATA ", b"DATA -1", b"DATA x", b"DATA 1048577", b"DATA 99999999999999999999",
        b"DATA 1 1", b"FROM", b"FROM -1", b"FROM x", b"ABORT", b"ABORT 200", b"ABORT 600 x",
        b"ENTRY", b"12 x", b"99", b"600", b"099", b"1000", b"20x", b"-GET /f", b"1GET /f", b"G\xc3T /f",
        b"\xff\xfe\xfd", b"XFER/", b"XFER/0", b"XFER/x", b"XFER/1000", b"{\"get\": \"/f\"}",
        b"GET /f HTTP/1.1",
    ]
] + [
    (559, b"GET /%00"), (559, b"GET /f%00.txt"), (559, b"PUT /f%00"), (559, b"LIST /d/%00"),
    (562, b"GET /" + b"p" * 4097), (562, b"GET /" + b"%61" * 4097), (562, b"GET /" + b"x" * 16378),
    (562, b"GET /" + b"x" * 16379), (562, b"A" * 16384), (562, b"A" * 100_000),
]

# What is said in place of a hello.
NO_HELLO = [
    b"GET /f\n", b"HELLO\n", b"\n", b"XFER/0\n", b"XFER/\n", b"XFER/-1\n", b"XFER/1x\n",
    b"XFER/1000\n", b"xfer/1\n", b"XFER 1\n", b"XFER/1 \n", b"XFER/1  a=1\n", b"XFER/1 x\n",
    b"XFER/1 agent=\n", b"XFER/1 rate=fast\n", b"XFER/1 rate=1 rate=1\n", b"DATA 5\nXFER/1\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"EHLO me\r\n", b"200\n",
    CLIENT_HELLO + b"\n", b"\x80\x2e\x01\x03\x01\n", b"\0" * 50 + b"\n", noise(1000) + b"\n",
]


class Hostile(TestCase):
    server_args = ()
    server_kwargs = {}

    def setUp(self):
        super().setUp()
        self.outside = self.make("outside/passwd", b"secret\n")
        self.server = self.serve(*self.server_args, **self.server_kwargs)
        root = self.server.root
        self.make(os.path.join(root, "f"), F)
        os.mkdir(os.path.join(root, "d"))
        for name, to in (("out", self.outside), ("outside", os.path.dirname(self.outside)),
                         ("dangling", "nowhere"), ("loop", "loop"), ("magic", "/proc/self/root/etc"),
                         ("d/up", "../f")):
            os.symlink(to, os.path.join(root, name))
        os.mkfifo(os.path.join(root, "fifo"))
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(os.path.join(root, "socket"))
        self.before = tree(root)

    def raw(self, **kwargs):
        peer = Raw(self.server.addr, **kwargs)
        self.addCleanup(peer.close)
        return peer

    def greeted(self, **kwargs):
        peer = self.raw(**kwargs)
        peer.hello()
        return peer

    def assertGoesOn(self, peer):
        peer.send("SUM /f")
        code, fields, line = peer.reply()
        self.assertEqual((code, fields.get("sha256")), (200, SUM), line)

    def assertClosed(self, peer, code):
        got, _, line = peer.reply()
        self.assertEqual(got, code, line)
        self.assertTrue(peer.ended(), line)

    def assertUnharmed(self):
        wait_for(lambda: tree(self.server.root) == self.before, "the tree is as it was")
        self.assertEqual(self.read(self.outside), b"secret\n")
        self.assertEqual(os.listdir(os.path.dirname(self.outside)), ["passwd"])
        with Raw(self.server.addr) as peer:
            peer.hello()
            self.assertGoesOn(peer)


class Lines(Hostile):
    def test_what_is_refused_on_one_connection(self):
        peer = self.greeted()
        for line, wanted in REFUSED:
            with self.subTest(line[:80]):
                peer.send(line)
                code, _, reply = peer.reply()
                self.assertEqual(code, wanted, reply)
        self.assertGoesOn(peer)
        self.assertUnharmed()

    def test_what_is_refused_all_in_one_packet(self):
        peer = self.greeted()
        peer.send(*(line for line, _ in REFUSED))
        self.assertEqual([peer.reply()[0] for _ in REFUSED], [code for _, code in REFUSED])
        self.assertGoesOn(peer)

    def test_what_is_odd_but_right(self):
        peer = self.greeted()
        for line in ACCEPTED:
            with self.subTest(line):
                peer.send(line)
                code, _, reply = peer.reply()
                self.assertEqual(code, 200, reply)
                data, verb, end = peer.body()
                self.assertEqual(verb, "END")
                self.assertIn(data, F)
        self.assertGoesOn(peer)

    def test_malformed_lines_end_the_connection(self):
        for code, line in CLOSING:
            with self.subTest(line[:60]):
                peer = self.greeted()
                peer.send_raw(line + b"\n")
                self.assertClosed(peer, code)
        self.assertUnharmed()

    def test_what_comes_before_is_still_answered(self):
        peer = self.greeted()
        peer.send("SUM /f", "GET /nothing", "GET", "SUM /f")
        self.assertEqual([peer.reply()[0] for _ in range(3)], [200, 550, 500])
        self.assertTrue(peer.ended())

    def test_no_hello(self):
        for data in NO_HELLO:
            with self.subTest(data[:60]):
                peer = self.raw()
                peer.send_raw(data)
                self.assertClosed(peer, 500)
        self.assertUnharmed()

    def test_an_endless_hello(self):
        peer = self.raw()
        try:
            for _ in range(1000):
                peer.send_raw(b"XFER/1 a=" + b"x" * 100_000)
        except OSError:
            pass
        self.assertUnharmed()

    def test_hellos_of_the_future(self):
        for hello in ("XFER/2", "XFER/999", "XFER/1 new=1 more=%20%25", "XFER/1 agent=a rate=100",
                      "XFER/001", "XFER/1\r"):
            with self.subTest(hello):
                peer = self.raw()
                peer.send(hello)
                self.assertEqual(peer.line(), b"XFER/1")
                self.assertGoesOn(peer)

    def test_damaged_checks(self):
        good = b"SUM /f check=" + sha256(b"SUM /f")[:8].encode()
        for lines, code in (([good, b"SUM /d check=" + good[-8:]], 561), ([good, b"SUM /f"], 561),
                            ([b"SUM /f check=00000000"], 561)):
            with self.subTest(lines):
                peer = self.greeted()
                peer.send(*lines)
                for _ in lines[1:]:
                    self.assertEqual(peer.reply()[0], 200)
                self.assertClosed(peer, code)
        peer = self.greeted()
        peer.send(good, good + b"\r", b"DATA 3\nabc" + good, b"SUM /f check=xyz")
        self.assertEqual([peer.reply()[0] for _ in range(3)], [200] * 3)
        self.assertClosed(peer, 561)

    def test_what_is_left_over_between_requests_is_ignored(self):
        peer = self.greeted()
        peer.send("END", "END sha256=" + "0" * 64, "ABORT 426 canceled", "FROM 0", "FROM 5",
                  "ENTRY x type=f", "200", "102", "550 not-found nothing", "DATA 0")
        self.assertGoesOn(peer)
        for size in (1, 7, 300_000, 1 << 20):
            peer.send_raw(b"DATA %d\n" % size + (b"MKDIR /x\n" * (size // 9 + 1))[:size])
        self.assertGoesOn(peer)
        self.assertUnharmed()

    def test_one_byte_at_a_time(self):
        peer = self.raw()
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"XFER/1\nSUM /f\nBREW\nDATA 5\nhelloGET /../f\nSUM /f\n":
            peer.send_raw(bytes([byte]))
        self.assertEqual(peer.line(), b"XFER/1")
        self.assertEqual([peer.reply()[0] for _ in range(4)], [200, 502, 559, 200])

    def test_random_sessions(self):
        """Seeded damage to a right session: no more than an answer and an end, whatever comes."""
        body = noise(500)
        whole = (b"XFER/1 agent=x\nGET /f\nPUT /new size=500 mode=0644\nDATA 300\n" + body[:300] +
                 b"DATA 200\n" + body[300:] + b"END size=500 sha256=" + sha256(body).encode() +
                 b"\nLIST / recursive=1\nSUM /f\nMKDIR /m\nPUT /new if=absent\nEND\n"
                 b"PUT /part resume=" + b"ab" * 16 + b"\nFROM 0\nDATA 3\nabcABORT 451 changed\n")
        rng = random.Random(SEED)
        for i in range(3000 if FULL else 150):
            data = bytearray(whole)
            for _ in range(rng.randrange(1, 6)):
                at, n = rng.randrange(len(data)), rng.randrange(1, 40)
                what = rng.randrange(4)
                if what == 0:
                    data[at] = rng.randrange(256)
                elif what == 1:
                    del data[at:at + n]
                elif what == 2:
                    data[at:at] = data[max(0, at - n):at]
                else:
                    data[at:at] = rng.choice((b"\n", b"%", b"=", b" ", b"DATA 9\n", b"END\n", b"\0"))
            with self.subTest(i, data=bytes(data)):
                with Raw(self.server.addr) as peer:
                    peer.send_raw(data)
                    peer.sock.shutdown(socket.SHUT_WR)
                    while peer._more():
                        pass
                self.assertIsNone(self.server.proc.poll())
        for name in os.listdir(self.server.root):
            wait_for(lambda: not any(n.endswith(".tmp") for n in os.listdir(self.server.root)),
                     "no temporary stays")
            if os.fsencode(name) not in self.before:
                harness.remove_tree(self.server.path(name)) if os.path.isdir(
                    self.server.path(name)) else os.unlink(self.server.path(name))
        self.assertUnharmed()


class Bodies(Hostile):
    """Bodies of PUTs: damaged, unwanted, unfinished."""

    def put(self, peer, request, *body):
        peer.send(request)
        for piece in body:
            peer.send_raw(piece)

    def test_ends_that_do_not_fit(self):
        peer = self.greeted()
        data = b"DATA 5\nhello"
        right = sha256(b"hello")
        for end in ("END", "END size=5", "END size=4 sha256=" + right, "END size=6 sha256=" + right,
                    "END sha256=" + SUM, "END sha256=" + "0" * 64, "END whole=" + right):
            for target in ("/f", "/new", "/d/new mode=0600 mtime=5"):
                with self.subTest(end, target=target):
                    self.put(peer, "PUT " + target, data, end.encode() + b"\n")
                    self.assertEqual(peer.reply()[0], 561)
        self.assertGoesOn(peer)
        self.assertUnharmed()

    def test_what_does_not_belong_into_a_body(self):
        for bad in (b"GET /f", b"PUT /f", b"LIST /", b"XFER/1", b"FROM 0", b"BREW", b"ENTRY x type=f",
                    b"200", b"550 not-found", b"END sha256=12", b"DATA 1048577", b"DATA -1", b"",
                    b"ABORT", b"ABORT 12", b"A" * 20_000):
            for target in (b"/f", b"/new"):
                with self.subTest(bad[:40], target=target):
                    peer = self.greeted()
                    peer.send_raw(b"PUT " + target + b"\nDATA 5\nhello" + bad + b"\n")
                    self.assertClosed(peer, 562 if len(bad) > 16384 else 500)
        self.assertUnharmed()

    def test_aborts(self):
        peer = self.greeted()
        for abort, code in (("ABORT 426 canceled", 426), ("ABORT 451 changed it grew", 451),
                            ("ABORT 450 io-error", 450), ("ABORT 599 unheard-of", 450),
                            ("ABORT 599", 450), ("ABORT 561 digest-mismatch", 561)):
            for target in ("/f", "/new"):
                with self.subTest(abort, target=target):
                    self.put(peer, "PUT " + target, b"DATA 5\nhello", abort.encode() + b"\n")
                    self.assertEqual(peer.reply()[0], code)
        self.assertGoesOn(peer)
        self.assertUnharmed()

    def test_the_end_in_mid_body(self):
        for data in (b"", b"DATA 5\n", b"DATA 5\nhel", b"DATA 5\nhello", b"DATA 5\nhelloEND sha2",
                     b"DATA 1000000\n" + noise(900_000)):
            for target in (b"/f", b"/new"):
                for how in ("FIN", "RST"):
                    with self.subTest(data[:30], target=target, how=how):
                        peer = self.greeted()
                        peer.send_raw(b"PUT " + target + b"\n" + data)
                        if how == "RST":
                            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                 b"\1\0\0\0\0\0\0\0")
                        peer.close()
        self.assertUnharmed()

    def refused(self, server, cases):
        """A refused PUT has one reply, its body is no command, and the next request works."""
        evil = b"END\nMKDIR /evil\nPUT /evil\nEND\n" * 40_000
        bodies = {
            "short": b"DATA 10\n" + evil[:10],
            "empty": b"",
            "long": b"".join(b"DATA 1000\n" + evil[i:i + 1000] for i in range(0, 1_000_000, 1000)),
        }
        ends = {"END": b"END size=1 sha256=" + SUM.encode() + b"\n", "bare": b"END\n",
                "ABORT": b"ABORT 426 canceled\n"}
        before = tree(server.root)
        with Raw(server.addr) as peer:
            peer.hello()
            for request, code in cases:
                for body in bodies:
                    for end in ends:
                        with self.subTest(request, body=body, end=end):
                            self.put(peer, request, bodies[body], ends[end])
                            peer.send("SUM /f")
                            self.assertEqual([peer.reply()[0], peer.reply()[0]], [code, 200])
        self.assertEqual(tree(server.root), before)

    def test_refused_early(self):
        self.refused(self.server, [
            ("PUT /../x", 559), ("PUT /d/../../x", 559), ("PUT /d", 556), ("PUT /", 556),
            ("PUT /new/", 556), ("PUT /nothing/x", 550), ("PUT /f/x", 557), ("PUT /f/x mkpath=1", 557),
            ("PUT /f if=absent", 555), ("PUT /f if=sha256:" + "0" * 64, 560),
            ("PUT /new if=sha256:" + SUM, 560), ("PUT /out", 553), ("PUT /outside/x", 553),
            ("PUT /outside/x/y mkpath=1", 553), ("PUT /fifo", 558), ("PUT /socket", 558),
            ("PUT /" + "n" * 256, 562), ("PUT /.xfer-" + "0" * 32 + ".tmp", 559), ("PUT /loop", 563),
        ])
        self.assertUnharmed()

    def test_refused_early_by_a_read_only_server(self):
        server = self.serve(write=False)
        self.make(server.path("f"), F)
        self.refused(server, [("PUT /new", 554), ("PUT /f", 554), ("PUT /../x", 554),
                              ("PUT /f if=absent", 554)])
        with Raw(server.addr) as peer:
            peer.hello()
            peer.send("MKDIR /m", "PUT /f resume=" + "0" * 32, "MKDIR /m/n mkpath=1")
            self.assertEqual([peer.reply()[0] for _ in range(3)], [554] * 3)
            self.assertGoesOn(peer)

    def test_refused_early_by_a_server_that_takes_new_files_only(self):
        server = self.serve("--write=new", write=False)
        self.make(server.path("f"), F)
        self.refused(server, [("PUT /f", 555)])
        with Raw(server.addr) as peer:
            peer.hello()
            peer.send("PUT /g")
            peer.put_body(b"new")
            self.assertEqual(peer.reply()[0], 201)
        self.assertEqual(self.read(server.path("f")), F)

    def test_a_refusal_comes_before_the_body_has_ended(self):
        peer = self.greeted()
        peer.send("PUT /d")
        peer.send_raw(b"DATA 100\nhalf of")
        self.assertEqual(peer.reply()[0], 556)
        peer.send_raw(b"x" * 93 + b"END\nSUM /f\n")
        self.assertEqual(peer.reply()[0], 200)

    def test_resumes_that_are_refused_have_no_body(self):
        peer = self.greeted()
        for target, code in (("/../x", 559), ("/d", 556), ("/nothing/x", 550), ("/fifo", 558)):
            peer.send(f"PUT {target} resume=" + "ab" * 16, "SUM /f")
            self.assertEqual([peer.reply()[0], peer.reply()[0]], [code, 200])
        self.assertUnharmed()

    def test_what_does_not_answer_the_100(self):
        for bad in (b"FROM 5", b"FROM 9223372036854775807", b"END sha256=" + SUM.encode(), b"GET /f",
                    b"DATA 5\nhello", b"BREW", b"200"):
            with self.subTest(bad):
                peer = self.greeted()
                peer.send("PUT /new resume=" + "ab" * 16)
                self.assertEqual(peer.reply()[0], 100)
                peer.send_raw(bad + b"\n")
                self.assertClosed(peer, 500)
        peer = self.greeted()
        peer.send("PUT /new resume=" + "ab" * 16)
        self.assertEqual(peer.reply()[0], 100)
        peer.send("DATA 0", "DATA 0", "ABORT 426 canceled")
        self.assertEqual(peer.reply()[0], 426)
        self.assertGoesOn(peer)
        self.assertUnharmed()

    def test_parts_are_hidden_and_belong_to_their_id_and_name(self):
        def begin(peer, target, id):
            peer.send(f"PUT {target} resume={id}")
            code, fields, line = peer.reply()
            self.assertEqual(code, 100, line)
            return int(fields["offset"])
        peer = self.greeted()
        self.assertEqual(begin(peer, "/new", "ab" * 16), 0)
        peer.send_raw(b"FROM 0\nDATA 5\nhelloABORT 426 canceled\n")
        self.assertEqual(peer.reply()[0], 426)
        part, = (name for name in os.listdir(self.server.root) if name.endswith(".part"))
        peer.send(f"GET /{part}", f"SUM /{part.upper()}", f"MKDIR /{part}", "LIST /")
        self.assertEqual([peer.reply()[0] for _ in range(4)], [559, 559, 559, 200])
        while (line := peer.line()).startswith(b"ENTRY"):
            self.assertNotIn(b".xfer-", line)
        for target, id, kept in (("/new", "cd" * 16, 0), ("/other", "ab" * 16, 0),
                                 ("/d/new", "ab" * 16, 0), ("/new", "AB" * 16, 5)):
            self.assertEqual(begin(peer, target, id), kept, (target, id))
            peer.send("ABORT 451 changed")
            self.assertEqual(peer.reply()[0], 451)
        self.assertUnharmed()

    def test_a_part_made_by_somebody_else_is_not_written_through(self):
        """A symlink, a FIFO or a second name in the part's place."""
        peer = self.greeted()
        peer.send("PUT /new resume=" + "ab" * 16)
        peer.reply()
        peer.send_raw(b"FROM 0\nDATA 5\nhelloABORT 426 canceled\n")
        peer.reply()
        part, = (name for name in os.listdir(self.server.root) if name.endswith(".part"))
        part = self.server.path(part)
        victim = self.make("outside-victim", b"hello, victim")
        for make in (lambda: os.symlink(victim, part), lambda: os.mkfifo(part),
                     lambda: os.link(victim, part), lambda: os.symlink("f", part)):
            os.unlink(part)
            make()
            peer.send("PUT /new resume=" + "ab" * 16)
            code, fields, _ = peer.reply()
            self.assertEqual((code, fields["offset"]), (100, "0"))
            peer.send_raw(b"FROM 0\nDATA 5\nworldABORT 426 canceled\n")
            self.assertEqual(peer.reply()[0], 426)
            self.assertEqual(self.read(victim), b"hello, victim")
            self.assertEqual(self.read(self.server.path("f")), F)
            if not os.path.lexists(part):
                open(part, "wb").close()
        os.unlink(part)
        for name in os.listdir(self.server.root):
            self.assertFalse(name.endswith(".tmp"))
        self.assertUnharmed()


class Slow(Hostile):
    """Peers that take their time, with a server that gives them one second."""

    server_args = ("--timeout", "1")

    def assertEnds(self, peer, least=0.5, most=4):
        began = time.monotonic()
        self.assertClosed(peer, 425)
        self.assertGreater(time.monotonic() - began, least)
        self.assertLess(time.monotonic() - began, scaled(most))

    def test_silence_between_requests(self):
        peer = self.greeted()
        self.assertEnds(peer)
        self.assertUnharmed()

    def test_silence_in_a_line(self):
        peer = self.greeted()
        peer.send_raw(b"GET /")
        self.assertEnds(peer)

    def test_silence_in_a_body(self):
        for body in (b"", b"DATA 0\n", b"DATA 100\nhalf", b"DATA 5\nhello"):
            with self.subTest(body):
                peer = self.greeted()
                peer.send_raw(b"PUT /f\n" + body)
                self.assertEnds(peer)
        self.assertUnharmed()

    def test_silence_after_a_100(self):
        peer = self.greeted()
        peer.send("PUT /f resume=" + "ab" * 16)
        self.assertEqual(peer.reply()[0], 100)
        self.assertEnds(peer)
        self.assertUnharmed()

    def test_silence_in_a_refused_body(self):
        peer = self.greeted()
        peer.send_raw(b"PUT /d\nDATA 100\nhalf")
        self.assertEqual(peer.reply()[0], 556)
        self.assertEnds(peer)

    def test_a_peer_that_never_reads(self):
        big = self.make(self.server.path("big"), b"")
        os.truncate(big, 1 << 30)
        peer = self.greeted()
        peer.send("GET /big")
        self.server.wait_log(r"GET /?big .*")
        peer.close()
        os.unlink(big)
        self.assertUnharmed()

    def test_a_peer_that_pauses_for_less(self):
        data = noise(12_000_000)
        self.make(self.server.path("big"), data)
        peer = self.raw()
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.hello()
        peer.send("GET /big")
        self.assertEqual(peer.reply()[0], 200)
        got = bytearray()
        began = time.monotonic()
        while len(got) < len(data):
            count = int(peer.line().split()[1])
            got += peer.exactly(count)
            if len(got) % 3 == 0 and time.monotonic() - began < 4:
                time.sleep(0.6)  # the pause is what is tested: shorter than the server's second
        self.assertEqual(sha256(got), sha256(data))
        self.assertEqual(peer.body()[1], "END")
        os.unlink(self.server.path("big"))
        self.assertUnharmed()

    def test_signs_of_life_hold_a_body(self):
        peer = self.greeted()
        peer.send("PUT /new")
        for _ in range(5):
            peer.send("DATA 0")
            time.sleep(0.4)  # the silence is what is tested: 2 s in all
        peer.put_body(b"late")
        self.assertEqual(peer.reply()[0], 201)
        os.unlink(self.server.path("new"))
        self.assertUnharmed()

    def test_many_that_come_and_go(self):
        for i in range(300):
            with Raw(self.server.addr) as peer:
                if i % 3:
                    peer.send_raw(b"XFER/1\nGET /f\n"[:i % 17])
                if i % 2:
                    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.assertUnharmed()

    def test_sigterm_with_all_kinds_of_peers_at_hand(self):
        peers = [self.raw(), self.greeted(), self.greeted()]
        peers[2].send_raw(b"GET /")
        busy = self.greeted()
        busy.send("PUT /last")
        busy.send_raw(b"DATA 5\nhel")
        wait_for(lambda: any(n.startswith(".xfer-") for n in os.listdir(self.server.root)),
                         "the PUT to begin")
        self.server.proc.send_signal(signal.SIGTERM)
        self.assertClosed(peers[1], 421)
        busy.send_raw(b"lo")
        busy.send("END sha256=" + sha256(b"hello"))
        self.assertEqual(busy.reply()[0], 201)
        self.assertEqual(self.server.wait(), 0)
        self.assertEqual(self.read(self.server.path("last")), b"hello")


class VerySlow(Hostile):
    """Deadlines that no option shortens."""

    server_args = ("--timeout", "60")

    def setUp(self):
        harness.skip_unless(FULL, "takes 90 s: XFER_TEST_FULL=1")
        super().setUp()

    def drip(self, peer, byte, every, most):
        """A byte now and then, until the server has had enough: after how long."""
        began = time.monotonic()
        peer.sock.settimeout(every)
        while time.monotonic() - began < most:
            try:
                peer.send_raw(byte)
                if not peer._more():
                    break
                if b"425" in peer.buffer:
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        self.assertIn(b"425 lost", peer.buffer)
        return time.monotonic() - began

    def test_a_hello_has_10_seconds(self):
        peer = self.raw()
        took = self.drip(peer, b"X", 3, 30)
        self.assertTrue(9 < took < 16, took)

    def test_a_request_line_has_10_seconds(self):
        peer = self.greeted()
        took = self.drip(peer, b"X", 3, 30)
        self.assertTrue(9 < took < 16, took)

    def test_a_body_has_a_minimum_rate(self):
        peer = self.greeted()
        peer.send_raw(b"PUT /new\nDATA 1000\n")
        took = self.drip(peer, b"X", 2, 60)
        self.assertTrue(18 < took < 45, took)
        self.assertUnharmed()

    def test_a_refused_body_has_a_minimum_rate(self):
        peer = self.greeted()
        peer.send_raw(b"PUT /d\nDATA 1000\n")
        took = self.drip(peer, b"X", 2, 60)
        self.assertTrue(18 < took < 45, took)


harness.main()
