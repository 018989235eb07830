"""The server as its operator sees it: where it listens, its log, how it ends, who it is."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import unittest

import harness
from harness import Raw, Server, TestCase, noise

LINE = re.compile(r"(\S+) (\S+) (\S+) (\S+)(?: [^ ]+)* offset=(\d+) bytes=(\d+) resent=(\d+) "
                  r"seconds=(\d+\.\d{3}) (?:\S+ )*?(ok|failed \S+: .*)")
YEAR_2001 = 10**18


class Listen(TestCase):
    def listens(self, *listen, args=()):
        """The addresses that a server with these --listen options printed."""
        server = self.serve(*args, listen=listen)
        self.make(server.path("f"), b"data")
        return server

    def reached(self, addr):
        self.assertEqual(self.xfer("get", f"{addr}/f", "-")[0], b"data")

    def test_forms(self):
        for spec, shown in (("127.0.0.1:0", r"127\.0\.0\.1:\d+"), ("[::1]:0", r"\[::1\]:\d+"),
                            ("127.3.2.1:0", r"127\.3\.2\.1:\d+")):
            with self.subTest(spec):
                server = self.listens(spec, args=("--no-udp",))
                self.assertRegex(server.out(), rf"^listening on tcp {shown}\n$")
                self.reached(server.addr)

    def test_several(self):
        server = self.listens("127.0.0.1:0", "[::1]:0", "127.0.0.2:0")
        self.assertEqual(len(set(server.addrs)), 3)
        for addr in server.addrs:
            self.reached(addr)

    def test_a_port_of_our_choice(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        server = self.listens(f"127.0.0.1:{port}")
        self.assertEqual(server.addr, f"127.0.0.1:{port}")
        self.reached(server.addr)

    def test_localhost_by_name(self):
        server = Server(listen=("localhost:0",))
        server.sockets = 1  # at least: the name may stand for two addresses
        with server:
            self.make(server.path("f"), b"data")
            self.reached(server.addr)

    def test_every_address_with_insecure(self):
        server = Server("--insecure", listen=(":0",))
        server.sockets = 1
        with server:
            self.make(server.path("f"), b"data")
            harness.wait_for(lambda: server.out().endswith("\n"), "whole lines")
            self.assertRegex(server.out(), r"(?m)^listening on tcp 0\.0\.0\.0:\d+$")
            port = re.search(r"0\.0\.0\.0:(\d+)", server.out())[1]
            self.reached(f"127.0.0.1:{port}")

    def test_beyond_loopback_needs_insecure(self):
        for spec in (":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0"):
            with self.subTest(spec):
                out, err = self.xfer("serve", "--listen", spec, self.tmp, status=2)
                self.assertEqual(out, b"")
                self.assertRegex(err, r"^xfer: .*--insecure.*\n$")

    def test_an_address_in_use(self):
        server = self.listens("127.0.0.1:0")
        out, err = self.xfer("serve", "--listen", server.addr, self.tmp, status=6)
        self.assertEqual(out, b"")
        self.assertRegex(err, rf"^xfer: {server.addr}: Address already in use\n$")
        self.reached(server.addr)

    def test_by_default_both_loopbacks_on_7069(self):
        """In a network of its own, since the port is a fixed one."""
        harness.need_tool("unshare")
        script = 'ip link set lo up 2>/dev/null || ifconfig lo up || exit 77; exec "$0" serve "$1"'
        process = subprocess.Popen(["unshare", "-rn", "sh", "-c", script, harness.XFER, self.tmp],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.ENV)
        self.addCleanup(harness.end, process)
        lines = [process.stdout.readline()]
        if not lines[0]:
            _, err = process.communicate()
            raise unittest.SkipTest(f"no network of our own: {err[:80]!r}")
        lines += [process.stdout.readline() for _ in range(3)]
        self.assertEqual(lines, [b"listening on %s %s:7069\n" % (protocol, address)
                                 for protocol in (b"tcp", b"udp")
                                 for address in (b"127.0.0.1", b"[::1]")])
        process.terminate()
        self.assertEqual(harness.finish(process, 10)[:2], (0, b""))

    def test_ipv6_client(self):
        server = self.listens("[::1]:0", "127.0.0.1:0")
        six, four = server.addrs
        source = self.make("g", b"six")
        self.xfer("put", source, f"{six}/")
        self.assertEqual(self.xfer("get", f"{six}/g", "-", "-6")[0], b"six")
        self.xfer("get", f"{six}/g", "-", "-4", status=3)
        self.xfer("get", f"{four}/g", "-", "-6", status=3)
        self.assertEqual(self.xfer("ls", f"xfer://{six}/g")[0], b"g\n")
        server.wait_log(r" \[::1\]:\d+ PUT /g ")

    def test_bind(self):
        server = self.listens("127.0.0.1:0")
        self.xfer("get", f"{server.addr}/f", "-", "--bind", "127.0.0.9")
        server.wait_log(r" 127\.0\.0\.9:\d+ GET /f ")
        self.xfer("get", f"{server.addr}/f", "-", "--bind", "192.0.2.1", "--retries", "0", status=3)

    def test_ready_means_ready(self):
        """Who reads the line connects at once, ten times over; nothing else is on that stream."""
        for _ in range(10):
            process = harness.start("serve", "--no-udp", "--listen", "127.0.0.1:0", self.tmp)
            line = process.stdout.readline().decode()
            with Raw(line.split()[-1]) as peer:
                peer.hello()
            process.terminate()
            status, out, _ = harness.finish(process)
            self.assertEqual((status, out), (0, b""))

    def test_nobody_reads_the_line(self):
        """A server that cannot say where it is is of no use to whoever waits for that."""
        with open("/dev/full", "wb") as full:
            status, _, err = harness.run("serve", "--listen", "127.0.0.1:0", self.tmp, stdout=full)
        self.assertEqual(status, 6, err)


class Log(TestCase):
    def requests(self, addr):
        """One of each kind, and failures: what the log has to have, in order."""
        with Raw(addr) as peer:
            peer.hello()
            peer.send("PUT /d%20e/a size=5")
            peer.put_body(b"hello")
            self.assertEqual(peer.reply()[0], 550)
            peer.send("MKDIR /d%20e", "PUT /d%20e/a size=5 mtime=1000000000")
            peer.put_body(b"hello")
            self.assertEqual(peer.reply()[0] // 100, 2)
            self.assertEqual(peer.reply()[0], 201)
            peer.send("GET /d%20e/a", "GET /nope", "SUM /d%20e/a", "LIST /", "GET /../etc/passwd",
                      "PUT /b size=1")
            peer.put_body(b"x" * 10)
            peer.sock.shutdown(socket.SHUT_WR)
            while peer.line() is not None:
                pass
        return [("PUT", "failed"), ("MKDIR", "ok"), ("PUT", "ok"), ("GET", "ok"), ("GET", "failed"),
                ("SUM", "ok"), ("LIST", "ok"), ("GET", "failed"), ("PUT", None)]

    def drain(self, server, n):
        harness.wait_for(lambda: server.log().count("\n") >= n, f"{n} lines of log")
        return server.log().splitlines()

    def test_text(self):
        server = self.serve()
        expected = self.requests(server.addr)
        lines = self.drain(server, len(expected))
        self.assertEqual(len(lines), len(expected), server.log())
        for line, (verb, outcome) in zip(lines, expected):
            match = LINE.fullmatch(line)
            self.assertTrue(match, line)
            self.assertRegex(match[1], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertRegex(match[2], r"^127\.0\.0\.1:\d+$")
            self.assertEqual(match[3], verb)
            if outcome:
                self.assertTrue(match[9].startswith(outcome), line)
        self.assertRegex(lines[2], r" PUT /d\\x20e/a offset=0 bytes=5 .* ok$")
        self.assertRegex(lines[4], r" GET /nope .* failed not-found: ")
        self.assertRegex(lines[7], r" GET \S*\.\. ?\S* .*failed bad-name|failed bad-name: ")

    def test_json(self):
        server = self.serve("--log-format", "json")
        expected = self.requests(server.addr)
        for line, (verb, outcome) in zip(self.drain(server, len(expected)), expected):
            record = json.loads(line)
            self.assertEqual((record["type"], record["schema"], record["verb"]),
                             ("request", 1, verb))
            if outcome:
                self.assertEqual(record["outcome"], outcome, line)
            for key in ("time", "peer", "path", "offset_bytes", "bytes", "resent_segments",
                        "size_bytes", "seconds"):
                self.assertIn(key, record)

    def test_quiet_tells_failures_only(self):
        server = self.serve("-q")
        self.requests(server.addr)
        lines = self.drain(server, 3)
        self.assertTrue(all(" failed " in line for line in lines), lines)

    def test_xferlog(self):
        log = self.path("xferlog")
        self.make("xferlog", b"an older line\n")
        server = self.serve("--xferlog", log)
        self.make("sp ace", b"12345")
        self.xfer("put", self.path("sp ace"), f"{server.addr}/")
        self.xfer("get", f"{server.addr}/sp ace", "-")
        self.xfer("get", f"{server.addr}/nope", "-", status=4)
        self.xfer("ls", f"{server.addr}/")
        harness.wait_for(lambda: self.read(log).count(b"\n") >= 4, "the lines")
        lines = self.read(log).decode().splitlines()
        date = r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}"
        self.assertEqual(lines[0], "an older line")
        self.assertRegex(lines[1], rf"^{date} \d+ 127\.0\.0\.1 5 /sp_ace b _ i a anonymous xfer 0 "
                                   r"\* c$")
        self.assertRegex(lines[2], rf"^{date} \d+ 127\.0\.0\.1 5 /sp_ace b _ o .* c$")
        self.assertRegex(lines[3], rf"^{date} \d+ 127\.0\.0\.1 0 /nope b _ o .* i$")
        self.assertEqual(len(lines), 4)

    def test_xferlog_that_cannot_be(self):
        self.fails(6, "no/where: No such file", "serve", "--xferlog", self.path("no/where"),
                   "--listen", "127.0.0.1:0", self.tmp)

    def test_a_resumed_transfer_says_so(self):
        server = self.serve()
        self.make(server.path("f"), noise(1000), mtime=YEAR_2001)
        with Raw(server.addr) as peer:
            peer.hello()
            peer.send("GET /f offset=400")
            self.assertEqual(peer.reply()[0], 200)
            self.assertEqual(peer.body()[0], noise(1000)[400:])
            peer.send("GET /f offset=400 length=10")
            self.assertEqual(peer.reply()[0], 200)
            self.assertEqual(peer.body()[0], noise(1000)[400:410])
        server.wait_log(r"GET /f offset=400 bytes=600 ")
        server.wait_log(r"GET /f length=10 offset=400 bytes=10 ")


class End(TestCase):
    def slow_get(self, server, seconds=2):
        """A transfer that is under way and takes some seconds more."""
        size = 2_000_000 * seconds
        self.make(server.path("f"), noise(size))
        process = harness.start("put", server.path("f"), f"{server.addr}/copy", "--limit-rate",
                                "2000000", "--retries", "0")
        self.addCleanup(harness.end, process)
        harness.wait_for(lambda: any(name.startswith(".xfer-") for name in os.listdir(server.root)),
                         "the transfer has begun")
        return process

    def refused(self, addr):
        host, port = addr.rsplit(":", 1)
        try:
            socket.create_connection((host, int(port)), 1).close()
        except ConnectionRefusedError:
            return True
        except (ConnectionResetError, TimeoutError):
            pass  # it was about to be accepted; the next one is refused
        return False

    def drains(self, signo, status):
        server = self.serve(status=None)
        process = self.slow_get(server)
        server.proc.send_signal(signo)
        harness.wait_for(lambda: self.refused(server.addr), "no new connections")
        self.assertIsNone(server.proc.poll())
        got, _, err = harness.finish(process)
        self.assertEqual(got, 0, err)
        self.assertEqual(server.wait(), status)
        self.assertEqual(self.read(server.path("copy")), self.read(server.path("f")))
        self.assertNoLeftovers(server.root)
        self.assertRegex(server.log(), r"(?m) PUT /copy .* ok$")

    def test_sigterm_drains(self):
        self.drains(signal.SIGTERM, 0)

    def test_sigint_once_drains(self):
        self.drains(signal.SIGINT, 130)

    def test_sigint_twice_ends_at_once(self):
        for first, status in ((signal.SIGINT, 130), (signal.SIGTERM, 130)):
            with self.subTest(first):
                server = self.serve(status=None)
                process = self.slow_get(server, 20)
                server.proc.send_signal(first)
                harness.wait_for(lambda: self.refused(server.addr), "no new connections")
                began = time.monotonic()
                server.proc.send_signal(signal.SIGINT)
                self.assertEqual(server.wait(), status)
                self.assertLess(time.monotonic() - began, harness.scaled(3))
                got, _, err = harness.finish(process)
                self.assertEqual(got, 3, err)
                self.assertFalse(os.path.exists(server.path("copy")))

    def test_idle_connections_do_not_hold_it_up(self):
        server = self.serve()
        peers = [Raw(server.addr) for _ in range(5)]
        for peer in peers[:3]:
            peer.hello()
        began = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - began, harness.scaled(3))
        for peer in peers:
            peer.close()

    def test_nothing_to_do(self):
        self.assertEqual(self.serve().stop(), 0)
        self.assertEqual(self.serve(status=None).stop(signal.SIGINT), 130)

    def test_sighup_and_sigpipe(self):
        """A log that nobody reads any more is no reason to die."""
        read, write = os.pipe()
        process = harness.start("serve", "--listen", "127.0.0.1:0", self.tmp, stderr=write)
        self.addCleanup(harness.end, process)
        os.close(write)
        addr = process.stdout.readline().decode().split()[-1]
        os.close(read)
        self.make("f", b"data")
        for _ in range(3):
            self.assertEqual(self.xfer("get", f"{addr}/f", "-")[0], b"data")
        process.terminate()
        self.assertEqual(process.wait(harness.scaled(10)), 0)
        process.stdout.close()


class Bounds(TestCase):
    def test_one_too_many_is_told_so(self):
        server = self.serve("--max-connections", "2")
        self.make(server.path("f"), b"data")
        with Raw(server.addr) as one, Raw(server.addr) as two:
            one.hello()
            two.hello()
            with Raw(server.addr) as three:
                three.send("XFER/1", "GET /f")
                lines = []
                while (line := three.line()) is not None:
                    lines.append(line)
                self.assertTrue(any(line.startswith(b"421 ") for line in lines), lines)
            self.fails(4, "busy", "get", f"{server.addr}/f", "-", "--retries", "0")
        self.assertEqual(self.xfer("get", f"{server.addr}/f", "-")[0], b"data")

    def test_a_full_server_is_asked_again(self):
        server = self.serve("--max-connections", "1")
        self.make(server.path("f"), b"data")
        one = Raw(server.addr)
        one.hello()
        process = harness.start("get", f"{server.addr}/f", "-", "-v")
        self.addCleanup(harness.end, process)
        while b"trying again" not in process.stderr.readline():
            self.assertIsNone(process.poll())
        one.close()
        status, out, err = harness.finish(process)
        self.assertEqual((status, out), (0, b"data"), err)

    def test_more_jobs_than_connections(self):
        server = self.serve("--max-connections", "2")
        for i in range(50):
            self.make(f"src/{i}", noise(10_000, i))
        self.xfer("put", "-r", "-j", "4", self.path("src"), f"{server.addr}/")
        self.assertEqual(len(os.listdir(server.path("src"))), 50)

    def test_silence_is_ended(self):
        """No hello, half a hello, a hello and no more, half a request."""
        server = self.serve("--timeout", "0.3")
        for said in (b"", b"XFE", b"XFER/1\n", b"XFER/1\nGET /", b"XFER/1\nPUT /f size=10\nDATA 10\nab"):
            with self.subTest(said), Raw(server.addr, timeout=10) as peer:
                peer.send_raw(said)
                while peer.line() is not None:
                    pass
        self.assertEqual(harness.tree(server.root), {})

    def test_a_directory_of_100000_entries(self):
        """Listed as it is read: the server's memory does not grow with it."""
        server = self.serve()
        os.mkdir(server.path("many"))
        for i in range(100_000):
            if i % 25_000 == 0:  # links of one inode are many on ext4, but not so many
                first = self.make(server.path(f"many/entry-{i}"))
            else:
                os.link(first, server.path(f"many/entry-{i}"))
        self.xfer("ls", f"{server.addr}/")
        before = harness.peak_memory(server.proc.pid)
        out, _ = self.xfer("ls", f"{server.addr}/many")
        self.assertEqual(out.count(b"\n"), 100_000)
        if not harness.SANITIZED:
            self.assertLess(harness.peak_memory(server.proc.pid), before + (4 << 20))
        self.assertEqual(len(set(out.splitlines())), 100_000)

    def test_few_descriptors(self):
        """RLIMIT_NOFILE is what the shell left: the server raises it, or does with what there is."""
        server = self.serve(prefix=("sh", "-c", 'ulimit -Hn 40; exec "$0" "$@"'))
        self.make(server.path("f"), b"data")
        peers = []
        for _ in range(60):
            peers.append(Raw(server.addr))
        for peer in peers:
            peer.close()
        harness.wait_for(lambda: harness.run("get", f"{server.addr}/f", "-")[1] == b"data",
                         "service again")


class User(TestCase):
    def test_it_becomes_that_user(self):
        harness.need_root()
        os.chmod(self.tmp, 0o755)
        harness.need_tool("setpriv")
        server = self.serve("--user", "nobody", prefix=("setpriv", "--groups", "0,4"))
        os.chmod(server.tmp, 0o755)
        os.chmod(server.root, 0o777)
        status = pathlib.Path(f"/proc/{server.proc.pid}/status").read_text(encoding="ascii")
        self.assertRegex(status, r"(?m)^Uid:\s+65534\s+65534\s+65534\s+65534$")
        self.assertRegex(status, r"(?m)^Gid:\s+65534\s+65534\s+65534\s+65534$")
        self.assertRegex(status, r"(?m)^CapEff:\s+0+$")
        self.assertNotRegex(status, r"(?m)^Groups:.*\b[04]\b")
        self.xfer("put", self.make("a", b"x"), f"{server.addr}/")
        self.assertEqual(os.stat(server.path("a")).st_uid, 65534)

    def test_an_unknown_one(self):
        self.fails(2, "no user 'nobody-of-that-name'", "serve", "--user", "nobody-of-that-name",
                   self.tmp)

    def test_it_may_not(self):
        _, err = self.xfer("serve", "--user", "root", "--listen", "127.0.0.1:0", self.tmp, status=6,
                           prefix=harness.as_nobody(self.tmp))
        self.assertRegex(err, "^xfer: .*not permitted\n$")


class Writing(TestCase):
    def test_read_only_means_all_of_it(self):
        server = self.serve(write=False)
        self.make(server.path("f"), noise(2 << 20), mtime=YEAR_2001)
        before = os.stat(server.path("f")), os.stat(server.root)
        with Raw(server.addr) as peer:
            peer.hello()
            peer.send("MKDIR /d", "MKDIR / mtime=5", "PUT /f size=1")
            peer.put_body(b"x")
            peer.send("PUT /g size=100000 resume=" + "0" * 32)
            peer.send("SUM /f", "GET /f")
            for _ in range(4):
                self.assertEqual(peer.reply()[0], 554)
            self.assertEqual(peer.reply()[0], 200)
            self.assertEqual(peer.reply()[0], 200)
            self.assertEqual(peer.body()[0], noise(2 << 20))
        after = os.stat(server.path("f")), os.stat(server.root)
        for old, new in zip(before, after):
            self.assertEqual((old.st_mtime_ns, old.st_ctime_ns), (new.st_mtime_ns, new.st_ctime_ns))

    def test_write_new(self):
        server = self.serve("--write=new", write=False)
        with Raw(server.addr) as peer:
            peer.hello()
            for code in (201, 555):
                peer.send("PUT /f size=1")
                peer.put_body(b"x")
                self.assertEqual(peer.reply()[0], code)

    def test_two_writers_of_one_name(self):
        """The last complete rename wins; both are told the truth."""
        server = self.serve()
        bodies = [noise(400_000, i) for i in range(2)]
        peers = [Raw(server.addr) for _ in bodies]
        for peer, body in zip(peers, bodies):
            peer.hello()
            peer.send(f"PUT /f size={len(body)}")
            peer.send_raw(b"DATA 200000\n" + body[:200_000])
        for peer, body in zip(reversed(peers), reversed(bodies)):
            peer.send_raw(b"DATA 200000\n" + body[200_000:])
            peer.send(f"END size={len(body)} sha256={harness.sha256(body)}")
            code, fields, _ = peer.reply()
            self.assertEqual((code, fields["sha256"]), (201, harness.sha256(body)))
            self.assertEqual(self.read(server.path("f")), body)
            peer.close()
        self.assertNoLeftovers(server.root)

    def test_two_clients_at_once(self):
        server = self.serve()
        running = []
        for i in range(4):
            source = self.make(f"{i}/f", noise(3_000_000, i))
            running.append(harness.start("put", source, f"{server.addr}/"))
        for process in running:
            status, _, err = harness.finish(process)
            self.assertEqual(status, 0, err)
        self.assertIn(self.read(server.path("f")), [noise(3_000_000, i) for i in range(4)])
        self.assertNoLeftovers(server.root)


if __name__ == "__main__":
    harness.main()
