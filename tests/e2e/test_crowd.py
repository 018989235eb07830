"""Many at once: pipelined requests, full buffers both ways, more connections than there is room for."""

import contextlib
import fcntl
import os
import re
import resource
import selectors
import socket
import time

import harness
from harness import Raw, TestCase, finish, noise, scaled, sha256, start, wait_for

MIB = 1 << 20


def cpu_seconds(pid):
    """User and system time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def locked(file):
    """Takes the lock of a part, unless somebody has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def small_buffers(addr):
    """A connected nonblocking socket that takes in little, in segments that fit."""
    host, port = addr.rsplit(":", 1)
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    sock.connect((host, int(port)))
    sock.setblocking(False)
    return sock


def push_until_stuck(sock, data):
    """Sends without reading a byte, until nothing has gone out for a while. What is left."""
    while data:
        selector = selectors.DefaultSelector()
        selector.register(sock, selectors.EVENT_WRITE)
        if not selector.select(scaled(0.5)):
            break
        with contextlib.suppress(BlockingIOError):
            data = data[sock.send(data):]
    return data


def exchange(sock, data, last, count, seconds=60):
    """Sends the rest while it reads, until `last` has come `count` times."""
    got, found = bytearray(), 0
    end = time.monotonic() + scaled(seconds)
    selector = selectors.DefaultSelector()
    selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
    while found < count:
        assert time.monotonic() < end, f"stuck: {len(data)} to send, {found} of {count} received"
        if not data:
            selector.modify(sock, selectors.EVENT_READ)
        for _, events in selector.select(1):
            if events & selectors.EVENT_READ:
                part = sock.recv(MIB)
                assert part, f"the server hung up after {len(got)} bytes"
                before = max(0, len(got) - len(last) + 1)
                got += part
                found += got.count(last, before)
            if events & selectors.EVENT_WRITE:
                with contextlib.suppress(BlockingIOError):
                    data = data[sock.send(data[:MIB]):]
    return bytes(got)


class Pipelining(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve()
        self.sock = small_buffers(self.server.addr)
        self.addCleanup(self.sock.close)

    def talk(self, requests, last, replies):
        """All requests at once, and no reading until both directions are full."""
        left = push_until_stuck(self.sock, memoryview(b"XFER/1\n" + requests))
        return left, exchange(self.sock, left, last, replies)

    def test_ten_thousand_gets_before_a_byte_is_read(self):
        data = noise(100)
        self.make(self.server.path("f"), data)
        line = b"GET " + b"/." * 600 + b"/f\n"
        left, got = self.talk(line * 10_000, b"END size=100 ", 10_000)
        self.assertGreater(len(left), 0)  # else nothing was full
        self.assertEqual(got.count(b"\n200 size=100 "), 10_000)
        self.assertGreaterEqual(got.count(b"\nDATA 100\n" + data + b"END size=100 sha256="
                                          + sha256(data).encode()), 9_999)  # the last: in part

    def test_puts_whose_answers_nobody_reads(self):
        """Answers pile up, made long by a listing after each PUT."""
        for i in range(100):
            self.make(self.server.path(f"long/{i:050}"))
        data = noise(5000)
        end = b"END size=5000 sha256=" + sha256(data).encode() + b"\n"
        count = 1500
        requests = b"".join(b"PUT /%05d size=5000\nDATA 5000\n%s%sLIST /long\n" % (i, data, end)
                            for i in range(count))
        left, got = self.talk(requests, b"\nEND count=100\n", count)
        self.assertGreater(len(left), 0)
        self.assertEqual(got.count(b"\n201 sha256=" + sha256(data).encode()), count)
        self.assertEqual(got.count(b"\nENTRY "), 100 * count)
        names = os.listdir(self.server.root)
        self.assertEqual(len(names), count + 1)

    def test_big_bodies_both_ways_at_once(self):
        """Each PUT is followed by a GET of what it has put."""
        data = noise(2 * MIB)
        body = b"".join(b"DATA %d\n%s" % (MIB, data[i:i + MIB]) for i in range(0, len(data), MIB))
        end = b"END sha256=" + sha256(data).encode() + b"\n"
        requests = b"".join(b"PUT /%d\n%s%sGET /%d\n" % (i, body, end, i) for i in range(10))
        left, got = self.talk(requests, b"END size=2097152 sha256=", 10)
        self.assertGreater(len(left), 0)
        self.assertEqual(got.count(b"\n201 sha256=" + sha256(data).encode()), 10)
        self.assertGreaterEqual(got.count(b"END size=2097152 sha256=" + sha256(data).encode()), 9)

    def test_everything_mixed_answered_in_order(self):
        self.make(self.server.path("f"), b"x")
        kinds = [(b"GET /nothing\n", b"550 "), (b"SUM /f\n", b"200 "), (b"BREW\n", b"502 "),
                 (b"MKDIR /d\n", b"20"), (b"PUT /d\nDATA 3\nabcEND\n", b"556 "),
                 (b"PUT /new\nDATA 3\nabcABORT 451 changed\n", b"451 "), (b"LIST /nothing\n", b"550 ")]
        requests = b"".join(kinds[i % len(kinds)][0] for i in range(7000))
        _, got = self.talk(requests, b"\n", 7001)
        lines = got.splitlines()[1:]
        self.assertEqual(len(lines), 7000)
        for i, line in enumerate(lines):
            self.assertTrue(line.startswith(kinds[i % len(kinds)][1]), (i, line))

    def test_a_peer_that_floods_and_never_reads_costs_no_memory(self):
        line = b"GET /" + b"n" * 4000 + b"\n"
        push_until_stuck(self.sock, memoryview(b"XFER/1\n" + line * 20_000))
        with open(f"/proc/{self.server.proc.pid}/status", encoding="ascii") as f:
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1])
        if not harness.SANITIZED:
            self.assertLess(peak, 32 * 1024)


class Connections(TestCase):
    def turned_away(self, server):
        with Raw(server.addr) as peer:
            peer.send("XFER/1", "SUM /f")
            self.assertEqual(peer.line(), b"XFER/1")
            code, _, line = peer.reply()
            self.assertEqual(code, 421, line)
            self.assertTrue(peer.ended())

    def test_one_too_many_is_told_so(self):
        server = self.serve("--max-connections", "2")
        self.make(server.path("f"), b"x")
        first, second = (self.enter_context(Raw(server.addr)) for _ in range(2))
        for peer in (first, second):
            peer.hello()
        began = time.monotonic()
        self.turned_away(server)
        self.assertLess(time.monotonic() - began, scaled(1))
        server.wait_log("turned away")
        _, err = self.fails(4, "busy|too many connections", "get", "--retries", "0",
                            f"{server.addr}/f", self.path("g"))
        for peer in (first, second):
            peer.send("SUM /f")
            self.assertEqual(peer.reply()[0], 200)
        for _ in range(200):  # none of them costs anything that lasts
            self.turned_away(server)
        first.close()

        def served():
            with Raw(server.addr) as peer:
                peer.send("XFER/1", "SUM /f")
                return peer.line() and peer.reply()[0] == 200
        wait_for(served, "there is room again")

    def test_a_client_comes_back_until_there_is_room(self):
        server = self.serve("--max-connections", "1")
        self.make(server.path("f"), noise(1000))
        with Raw(server.addr) as peer:
            peer.hello()
            client = start("get", f"{server.addr}/f", self.path("f"))
            server.wait_log("turned away")
        status, _, err = finish(client)
        self.assertEqual(status, 0, err)
        self.assertEqual(self.read("f"), noise(1000))

    def test_those_who_never_say_hello_are_counted_too(self):
        server = self.serve("--max-connections", "2")
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
        wait_for(lambda: len(os.listdir(f"/proc/{server.proc.pid}/task")) >= 3, "two threads")
        self.turned_away(server)
        for sock in silent:
            sock.close()

    def test_more_jobs_than_the_server_has_room_for(self):
        server = self.serve("--max-connections", "3")
        for i in range(60):
            self.make(server.path(f"t/f{i}"), noise(5000, i))
        self.xfer("get", "-r", "-j", "8", f"{server.addr}/t/", self.path("t"))
        self.xfer("put", "-r", "-j", "8", self.path("t"), f"{server.addr}/copy/", "--mkpath")
        for copy in (self.path("t"), server.path("copy/t")):
            self.assertTrue(harness.tree(server.path("t")) == harness.tree(copy), copy)

    def test_refused_connections_leave_their_files_to_the_others(self):
        """Longer than all attempts of one that is refused take."""
        server = self.serve("--max-connections", "2")
        for i in range(24):
            self.make(server.path(f"t/f{i}"), noise(100_000, i))
        few = ("-r", "-j", "8", "--retries", "2", "--limit-rate", "800K")
        self.xfer("get", *few, f"{server.addr}/t/", self.path("t"))
        self.xfer("put", *few, self.path("t"), f"{server.addr}/copy/", "--mkpath")
        for copy in (self.path("t"), server.path("copy/t")):
            self.assertTrue(harness.tree(server.path("t")) == harness.tree(copy), copy)

    def test_a_file_that_stays_busy_fails_alone(self):
        """Somebody holds its part; those before and after it arrive."""
        server = self.serve()
        names = [self.make(f"f{i}", noise(2 * MIB, i)) for i in range(5)]
        cut = start("put", "--limit-rate", "1M", names[2], f"{server.addr}/")

        def part():
            return next((n for n in os.listdir(server.root) if n.endswith(".part")), None)
        wait_for(lambda: part() and os.stat(server.path(part())).st_size > 0, "a part")
        harness.end(cut)
        with open(server.path(part()), "rb") as held:
            wait_for(lambda: locked(held), "the part's lock")
            self.fails(4, "busy", "put", "--retries", "1", *names, f"{server.addr}/")
        self.assertEqual(sorted(os.listdir(server.root))[1:], ["f0", "f1", "f3", "f4"])
        self.xfer("put", *names, f"{server.addr}/")
        self.assertEqual(self.read(server.path("f2")), self.read(names[2]))

    def test_a_thousand_requests_at_once(self):
        count, names = 1000, 10
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        harness.skip_unless(hard >= 2 * count + 200, f"needs {2 * count + 200} descriptors, has {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count + 200)), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        server = self.serve()
        sums = []
        for i in range(names):
            data = noise(512 * 1024, i)
            sums.append(sha256(data))
            self.make(server.path(f"f{i}"), data)
        socks = [small_buffers(server.addr) for _ in range(count)]
        selector = selectors.DefaultSelector()
        for i, sock in enumerate(socks):
            self.addCleanup(sock.close)
            sock.send(b"XFER/1\nGET /f%d\n" % (i % names))
            selector.register(sock, selectors.EVENT_READ, i)
        # The barrier: every body has begun, and none can have been read to its end.
        begun, end = set(), time.monotonic() + scaled(60)
        while len(begun) < count:
            self.assertLess(time.monotonic(), end, f"{len(begun)} of {count} bodies have begun")
            for key, _ in selector.select(1):
                if b"\nDATA " in key.fileobj.recv(4096, socket.MSG_PEEK):
                    begun.add(key.data)
                    selector.unregister(key.fileobj)
        self.assertIsNone(server.proc.poll())
        got = [bytearray() for _ in socks]
        left = set(range(count))
        for i, sock in enumerate(socks):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
            selector.register(sock, selectors.EVENT_READ, i)
        while left:
            self.assertLess(time.monotonic(), end + scaled(60), f"{len(left)} bodies do not end")
            for key, _ in selector.select(1):
                i = key.data
                part = key.fileobj.recv(256 * 1024)
                got[i] += part
                if not part or b"END size=524288 " in got[i][-300:] and got[i].endswith(b"\n"):
                    selector.unregister(key.fileobj)
                    left.discard(i)
        for i, stream in enumerate(got):
            self.assertEqual(sha256(payload(bytes(stream))), sums[i % names], i)
            self.assertIn(b"sha256=" + sums[i % names].encode(), stream[-300:])

    def test_no_descriptors_left(self):
        """It waits without spinning, serves who is there, and goes on when there are some again."""
        harness.need_tool("prlimit")
        server = self.serve(prefix=("prlimit", "--nofile=24:24"))
        self.make(server.path("f"), b"x")
        peers = [self.enter_context(Raw(server.addr)) for _ in range(60)]
        server.wait_log("cannot accept|turned away")
        pid = server.proc.pid
        before = cpu_seconds(pid)
        time.sleep(1.5)  # what it does in this time is what is tested
        self.assertLess(cpu_seconds(pid) - before, 0.3)
        self.assertLess(len(server.log().splitlines()), 50)
        peers[0].hello()
        for peer in peers[1:]:
            peer.close()

        def answer():
            peers[0].send("SUM /f")
            return peers[0].reply()[0] == 200
        wait_for(answer, "descriptors are there again")

        def served():
            with Raw(server.addr) as peer:
                peer.hello()
                peer.send("SUM /f")
                return peer.reply()[0] == 200
        wait_for(served, "connections are taken again")


def payload(stream):
    """The bytes of a body in what one connection received."""
    data, at = bytearray(), 0
    while at < len(stream):
        end = stream.index(b"\n", at) + 1
        words = stream[at:end].split()
        at = end
        if words[0] == b"DATA":
            data += stream[at:at + int(words[1])]
            at += int(words[1])
    return bytes(data)


harness.main()
