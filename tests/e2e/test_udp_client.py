"""The client against servers of every kind: the cases of TFTP by number."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import noise, scaled, sha256
from tftp import FakeServer, Peer, TestCase, ack, data, error, oack, serve_file, take_file

CONTENT = noise(3 * 512 + 10)


def options_of(asked):
    return {name.decode(): value.decode() for name, value in asked[3]}


class Case(TestCase):
    def fake(self, play, **kwargs):
        return self.enter_context(FakeServer(play, **kwargs))

    def url(self, server, name="f"):
        return f"tftp://{server.addr}/{name}"

    def get(self, play, *args, status=0, content=CONTENT, **kwargs):
        """Gets "f" from a server that plays; what was said. On success it is `content`."""
        with FakeServer(play) as server:
            _, err = self.xfer("get", *args, self.url(server), self.path("f"), status=status,
                               **kwargs)
        if status == 0:
            self.assertEqual(self.read("f"), content)
        else:
            self.assertFalse(os.path.exists(self.path("f")))
        self.assertNoLeftovers(self.tmp)
        return err

    def put(self, play, *args, status=0, content=CONTENT, **kwargs):
        self.make("source", content)
        with FakeServer(play) as server:
            _, err = self.xfer("put", *args, self.path("source"), self.url(server), status=status,
                               **kwargs)
        return err


class Addresses(Case):
    def test_what_is_in_its_place_stays_a_success(self):
        """The last ACK cannot even be sent: this machine's network has gone."""
        harness.need_tool("strace")
        harness.need_plain()
        prefix = ("strace", "-o", self.path("calls"), "-e", "trace=sendto",
                  "-e", "inject=sendto:error=ENETDOWN:when=2+")
        probe = subprocess.run([*prefix, "true"], stderr=subprocess.PIPE, check=False)
        harness.skip_unless(probe.returncode == 0, f"nothing can be traced here: {probe.stderr}")
        self.get(lambda peer, asked: peer.send(data(1, b"hello")), content=b"hello", prefix=prefix)
        self.assertIn(b"INJECTED", self.read("calls"))

    def test_80_first_answer_from_another_host(self):
        def play(peer, asked):
            with Peer(peer.to, bind="127.0.0.2") as other:
                other.send(data(1, b"wrong"), error(1, "wrong"))
                serve_file(peer, asked, CONTENT)
                self.assertTrue(other.quiet(0))
        self.get(play)

    def test_81_a_second_answer_to_the_same_request(self):
        def play(peer, asked):
            self.assertEqual(peer.ask(data(1, CONTENT[:512])), ("ACK", 1))
            with Peer(peer.to) as second:
                self.assertEqual(second.ask(data(1, b"x" * 512))[:2], ("ERROR", 5))
                second.send(error(0, "stop"), data(2, b"x" * 512))
                self.assertEqual(second.recv()[:2], ("ERROR", 5))
            for n in (2, 3, 4):
                self.assertEqual(peer.ask(data(n, CONTENT[(n - 1) * 512:n * 512])), ("ACK", n))
        self.get(play)

    def test_81_all_the_rest_from_another_port(self):
        def play(peer, asked):
            self.assertEqual(peer.ask(data(1, CONTENT[:512])), ("ACK", 1))
            with Peer(peer.to) as second:
                for n in range(2, 5):
                    second.send(data(n, b"wrong" * 100))
                    self.assertEqual(second.recv()[:2], ("ERROR", 5))
                peer.send(error(0, "that was all"))
        self.get(play, status=4)

    def test_81_a_write_acknowledged_from_another_port(self):
        def play(peer, asked):
            self.assertEqual(peer.ask(ack(0))[:2], ("DATA", 1))
            with Peer(peer.to) as second:
                self.assertEqual(second.ask(ack(1))[:2], ("ERROR", 5))
            peer.send(error(0, "that was all"))
        self.put(play, status=4)

    def test_96_nobody_is_there(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        began = time.monotonic()
        self.fails(3, "refused", "get", f"tftp://127.0.0.1:{port}/f", self.path("f"))
        self.assertLess(time.monotonic() - began, scaled(1))
        self.assertFalse(os.path.exists(self.path("f")))

    def test_96_the_server_dies(self):
        def play(peer, asked):
            self.assertEqual(peer.ask(data(1, CONTENT[:512])), ("ACK", 1))
            server.close()
            peer.close()  # the next packet meets nobody
        began = time.monotonic()
        with FakeServer(play) as server:
            self.fails(3, ".", "get", self.url(server), self.path("f"))
        self.assertLess(time.monotonic() - began, scaled(2))
        self.assertNoLeftovers(self.tmp)
        self.assertFalse(os.path.exists(self.path("f")))

    def test_v_tells_addresses_and_what_was_agreed(self):
        err = self.get(serve_content, "-v")
        request, answer = re.findall(r"127\.0\.0\.1:(\d+)", err)[:2]
        self.assertNotEqual(request, answer)
        self.assertRegex(err, rf"request to 127\.0\.0\.1:{request} \(udp\)")
        self.assertRegex(err, rf"127\.0\.0\.1:{answer} answers; no options: block size 512")
        self.assertRegex(err, r"\d+ datagrams sent, 0 blocks again, 4 received, 0 timeouts, RTT ")

    def test_ipv6(self):
        with FakeServer(serve_file_of(CONTENT), bind="::1") as server:
            self.xfer("get", self.url(server), self.path("f"))
        self.assertEqual(self.read("f"), CONTENT)


def serve_file_of(content, **kwargs):
    def play(peer, asked):
        serve_file(peer, asked, content, **kwargs)
    return play


# The default of Case.get: a server without options.
def serve_content(peer, asked):
    serve_file(peer, asked, CONTENT)


class Options(Case):
    def test_what_is_asked(self):
        asked_for = []

        def play(peer, asked):
            asked_for.append(asked)
            serve_file(peer, asked, CONTENT)
        self.get(play)
        self.assertEqual(asked_for[0][:3], ("RRQ", b"f", b"octet"))
        self.assertEqual(options_of(asked_for[0]), {"blksize": "1428", "tsize": "0", "sha256": "0"})
        self.get(play, "--blksize", "600", "--window", "8")
        self.assertEqual(options_of(asked_for[1]),
                         {"blksize": "600", "tsize": "0", "sha256": "0", "windowsize": "8"})

    def test_what_is_asked_of_a_write(self):
        asked_for = []

        def play(peer, asked):
            asked_for.append(asked)
            self.assertEqual(take_file(peer, asked), CONTENT)
        self.put(play)
        self.assertEqual(asked_for[0][:3], ("WRQ", b"f", b"octet"))
        self.assertEqual(options_of(asked_for[0]), {"blksize": "1428", "tsize": str(len(CONTENT)),
                                                    "sha256": sha256(CONTENT)})

    def test_82_answers_that_cannot_be_accepted(self):
        bad = [oack(("foo", 1)), oack(("blksize", 1429)), oack(("blksize", 0)),
               oack(("blksize", 7)), oack(("blksize", 70000)), oack(("blksize", "x")),
               oack(("blksize", "")), oack(("windowsize", 1)), oack(("timeout", 5)),
               oack(("blksize", 1024)) + b"tsize\x005",
               oack(("blksize", 1024), ("blksize", 1024)), oack(("blksize", 1024)) + b"x",
               oack(("sha256", "later:")), oack(("sha256", "nonsense")), oack(("tsize", "-1"))]
        for answer in bad:
            for op in (self.get, self.put):
                with self.subTest(answer=answer, op=op.__name__):
                    def play(peer, asked, answer=answer):
                        self.assertEqual(peer.ask(answer)[:2], ("ERROR", 8))
                    op(play, status=3)

    def test_82_a_window_above_ours(self):
        def play(peer, asked):
            self.assertEqual(peer.ask(oack(("windowsize", 9)))[:2], ("ERROR", 8))
        self.get(play, "--window", "8", status=3)

    def test_83_oack_without_blksize(self):
        def play(peer, asked):
            self.assertEqual(peer.ask(oack(("tsize", len(CONTENT)))), ("ACK", 0))
            serve_file(peer, asked, CONTENT)
        self.get(play)

    def test_84_options_ignored(self):
        err = self.get(serve_content, "--blksize", "8192", "--window", "16")
        self.assertIn("unverified", err)
        self.put(take_file, "--blksize", "8192", "--window", "16")

    def test_options_refused(self):
        """A server that answers ERROR 8, or agrees to nothing (ERROR 8), is asked again, without."""
        for op, answer in itertools.product((self.get, self.put), (error(8, "none here"), oack())):
            with self.subTest(op=op.__name__, answer=answer):
                def play(peer, asked, op=op, answer=answer):
                    self.assertNotEqual(asked[3], [])
                    peer.send(answer)
                    if answer == oack():
                        self.assertEqual(peer.recv()[:2], ("ERROR", 8))
                    packet = server_of[0].raw()
                    self.assertNotIn(b"blksize", packet)
                    with Peer(server_of[0].came) as again:
                        if op == self.get:
                            serve_file(again, asked, CONTENT)
                        else:
                            self.assertEqual(take_file(again, asked), CONTENT)
                server_of = []
                self.make("source", CONTENT)
                with FakeServer(play) as server:
                    server_of.append(server)
                    if op == self.get:
                        self.xfer("get", self.url(server), self.path("f"))
                        self.assertEqual(self.read("f"), CONTENT)
                    else:
                        self.xfer("put", self.path("source"), self.url(server))

    def test_smaller_values_are_taken(self):
        def play(peer, asked):
            self.assertEqual(peer.ask(oack(("blksize", 100), ("windowsize", 2))), ("ACK", 0))
            blocks = [CONTENT[i:i + 100] for i in range(0, len(CONTENT) + 1, 100)]
            for n in range(0, len(blocks), 2):
                part = blocks[n:n + 2]
                peer.send(*(data(n + 1 + i, block) for i, block in enumerate(part)))
                self.assertEqual(peer.recv(), ("ACK", n + len(part)))
        self.get(play, "--window", "16")

    def test_modes_and_names(self):
        seen = []

        def play(peer, asked):
            seen.append(asked[1:3])
            serve_file(peer, asked, b"a\r\nb\r\0c")
        for tail, name, mode, content in ((";mode=netascii", b"f", b"netascii", b"a\nb\rc"),
                                          (";mode=OCTET", b"f", b"octet", b"a\r\nb\r\0c"),
                                          ("", b"f", b"octet", b"a\r\nb\r\0c")):
            with self.subTest(tail=tail), FakeServer(play) as server:
                self.xfer("get", self.url(server, "f" + tail), self.path("f"))
                self.assertEqual(self.read("f"), content)
                self.assertEqual(seen[-1], (name, mode))
        for url, name in (("d/f", b"d/f"), ("/abs/f", b"/abs/f"), ("a%20b/f", b"a b/f"),
                          ("%3Bmode=x/f", b";mode=x/f")):
            with self.subTest(url=url), FakeServer(play) as server:
                self.xfer("get", self.url(server, url), self.path("f"))
                self.assertEqual(seen[-1][0], name)


class Faults(Case):
    def test_85_nobody_answers(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            began = time.monotonic()
            self.fails(3, "tftp://.*timed out", "get", "--timeout", "1.5", "--retries", "0",
                       f"tftp://127.0.0.1:{s.getsockname()[1]}/f", self.path("f"))
            self.assertGreater(time.monotonic() - began, 1.4)
            s.setblocking(False)
            first = s.recv(2000)
            self.assertEqual(s.recv(2000), first)
        self.assertFalse(os.path.exists(self.path("f")))
        self.assertNoLeftovers(self.tmp)

    def test_86_87_an_error_in_mid_transfer(self):
        for packet, text in ((error(0, "out of \x1b[2Jluck"), r"out of \\x1b\[2Jluck"),
                             (error(1, "File not found"), "File not found"),
                             (error(99, "what"), "what"), (error(3, "cut", end=b""), "cut"),
                             (error(2), "not permitted"), (error(0, b"\xff\xfe"), r"\\xff\\xfe"),
                             (error(0, "x" * 600), "x" * 200)):
            with self.subTest(packet=packet[:20]):
                def play(peer, asked, packet=packet):
                    self.assertEqual(peer.ask(data(1, CONTENT[:512])), ("ACK", 1))
                    peer.send(packet)
                    self.assertTrue(peer.quiet())  # an ERROR is never answered
                err = self.get(play, status=4)
                self.assertRegex(err, text)
                self.assertEqual(err.count("\n"), 1)

    def test_86_an_error_at_once(self):
        for code, status in ((0, 4), (1, 4), (2, 4), (3, 4), (4, 4), (6, 4), (7, 4)):
            with self.subTest(code=code):
                def play(peer, asked, code=code):
                    peer.send(error(code, "refused"))
                self.get(play, status=status)
                self.put(play, status=status)

    def test_88_an_early_end(self):
        def play(peer, asked):
            self.assertEqual(peer.ask(oack(("tsize", len(CONTENT)))), ("ACK", 0))
            self.assertEqual(peer.ask(data(1, CONTENT[:512])), ("ACK", 1))
            self.assertEqual(peer.ask(data(2, b"short"))[0], "ERROR")
        err = self.get(play, status=5)
        self.assertIn(f"517 bytes came, of {len(CONTENT)} announced", err)

    def test_89_corrupted_data(self):
        wrong = b"X" + CONTENT[1:]

        def play(peer, asked):
            self.assertEqual(peer.ask(oack(("sha256", sha256(CONTENT)))), ("ACK", 0))
            for n in (1, 2, 3):
                self.assertEqual(peer.ask(data(n, wrong[(n - 1) * 512:n * 512])), ("ACK", n))
            self.assertEqual(peer.ask(data(4, wrong[3 * 512:]))[0], "ERROR")
        self.make("f", b"old")
        with FakeServer(play) as server:
            self.fails(5, "digest", "get", self.url(server), self.path("f"))
        self.assertEqual(self.read("f"), b"old")
        self.assertNoLeftovers(self.tmp)

    def test_90_blocks_that_are_too_long(self):
        def play(peer, asked):
            self.assertEqual(peer.ask(data(1, b"x" * 513))[:2], ("ERROR", 4))
        self.get(play, status=3)

        def play_agreed(peer, asked):
            self.assertEqual(peer.ask(oack(("blksize", 100))), ("ACK", 0))
            self.assertEqual(peer.ask(data(1, b"x" * 100)), ("ACK", 1))
            self.assertEqual(peer.ask(data(2, b"x" * 512))[:2], ("ERROR", 4))
        self.get(play_agreed, status=3)

    def test_91_blocks_that_come_twice(self):
        def play(peer, asked):
            for n in (1, 2, 3, 4):
                packet = data(n, CONTENT[(n - 1) * 512:n * 512])
                self.assertEqual(peer.ask(packet), ("ACK", n))
                if n < 4:
                    self.assertEqual(peer.ask(packet), ("ACK", n))
        self.get(play)

    def test_91_the_last_block_again(self):
        """The client lingers: our ACK of the last block may be lost."""
        def play(peer, asked):
            self.assertEqual(peer.ask(data(1, b"x" * 512)), ("ACK", 1))
            last = data(2, b"end")
            peer.send(last, last)
            self.assertEqual([peer.recv(), peer.recv()], [("ACK", 2)] * 2)
        self.get(play, content=b"x" * 512 + b"end")

    def test_91_lingering_without_a_round_trip_measured(self):
        """Of a request that went out twice nothing can be timed; ACKs still come ever more slowly."""
        def play(peer, asked):
            server_of[0].raw()  # the request again
            self.assertEqual(peer.ask(data(1, b"short")), ("ACK", 1))
            while peer.raw(scaled(1)):
                acks.append(1)
        acks, server_of = [], []
        with FakeServer(play) as server:
            server_of.append(server)
            self.xfer("get", self.url(server), self.path("f"))
        self.assertLess(len(acks), 20)

    def test_92_out_of_order(self):
        def play(peer, asked):
            blocks = {n: data(n, CONTENT[(n - 1) * 512:n * 512]) for n in (1, 2, 3, 4)}
            self.assertEqual(peer.ask(blocks[1]), ("ACK", 1))
            peer.send(blocks[4], blocks[3], data(700, b"q" * 512), data(0, b"q"), blocks[1])
            peer.send(blocks[2])
            while peer.recv() != ("ACK", 2):
                pass
            for n in (3, 4):
                peer.send(blocks[n])
                while peer.recv() != ("ACK", n):
                    pass
        self.get(play)

    def test_93_a_long_way(self):
        """300 ms a packet: slower than the first timeouts of many, but no packet goes twice."""
        came = []

        def play(peer, asked):
            time.sleep(0.3)
            for n in (1, 2, 3, 4):
                came.append(peer.ask(data(n, CONTENT[(n - 1) * 512:n * 512])))
                time.sleep(0.3)
        out, _ = self.json_of(play)
        self.assertEqual(came, [("ACK", n) for n in (1, 2, 3, 4)])
        self.assertEqual(out["timeouts"], 0)
        self.assertGreater(out["rtt_seconds"], 0.25)

    def json_of(self, play, *args):
        with FakeServer(play) as server:
            out, err = self.xfer("get", "--json", *args, self.url(server), self.path("f"))
        return json.loads(out.splitlines()[0]), err

    def test_json(self):
        record, _ = self.json_of(serve_content)
        self.assertEqual(record["outcome"], "done")
        self.assertEqual(record["sha256"], sha256(CONTENT))
        self.assertFalse(record["verified"])
        self.assertEqual((record["block_size_bytes"], record["window"]), (512, 1))
        self.assertEqual((record["packets_received"], record["packets_sent"]), (4, 5))
        self.assertEqual((record["retransmits"], record["timeouts"]), (0, 0))
        self.assertGreater(record["rtt_seconds"], 0)
        self.assertRegex(record["server"], r"127\.0\.0\.1:\d+")

    def test_94_packets_that_are_none(self):
        def play(peer, asked):
            for n in (1, 2, 3, 4):
                peer.send(b"\0", b"\0\3", b"\0\3\0", b"\0\7xx", b"\xff" * 40, b"", b"\0\4\0",
                          b"\0\5")
                self.assertEqual(peer.ask(data(n, CONTENT[(n - 1) * 512:n * 512])), ("ACK", n))
        self.get(play)

    def test_94_nothing_else_comes(self):
        def play(peer, asked):
            peer.send(b"\0", b"\0\3", b"\0\7xx")
        self.get(play, "--timeout", "0.5", "--retries", "0", status=3)

    def test_97_an_existing_file_is_replaced_at_the_end(self):
        def play(peer, asked):
            self.assertEqual(peer.ask(data(1, b"x" * 512)), ("ACK", 1))
            self.assertEqual(self.read("f"), b"old")
            self.assertEqual(peer.ask(data(2, b"end")), ("ACK", 2))
        self.make("f", b"old")
        self.get(play, content=b"x" * 512 + b"end")

    def test_97_standard_output(self):
        with FakeServer(serve_content) as server:
            out, _ = self.xfer("get", self.url(server), "-")
        self.assertEqual(out, CONTENT)

    def test_97_standard_output_after_a_loss(self):
        """What is written already must not be written again."""
        def play(peer, asked):
            self.assertEqual(peer.ask(data(1, CONTENT[:512])), ("ACK", 1))
            self.assertEqual(peer.ask(data(2, CONTENT[512:1024])), ("ACK", 2))
            peer.close()
            while True:  # the ACK that met nobody brings the request again
                packet = server_of[0].raw()
                if packet[:2] == b"\0\1":
                    break
            with Peer(server_of[0].came) as again:
                serve_file(again, asked, CONTENT)
        server_of = []
        with FakeServer(play) as server:
            server_of.append(server)
            out, _ = self.xfer("get", self.url(server), "-")
        self.assertEqual(out, CONTENT)

    def test_97_standard_output_has_more_than_there_is_now(self):
        """After a loss the file is shorter: what was written cannot be taken back."""
        content = b"x" * 400000

        def send(peer, asked, content, blocks):
            size = int(options_of(asked)["blksize"])
            answer = peer.ask(oack(("blksize", size), ("sha256", sha256(content))))
            for n in range(blocks):
                self.assertEqual(answer, ("ACK", n))
                answer = peer.ask(data(n + 1, content[n * size:(n + 1) * size]))
            return answer

        def play(peer, asked):
            self.assertEqual(send(peer, asked, content, 6), ("ACK", 6))
            peer.send(error(0, "peer is busy"))
            server_of[0].recv()
            with Peer(server_of[0].came) as again:
                self.assertEqual(send(again, asked, b"short", 1)[0], "ERROR")
        server_of = []
        with FakeServer(play) as server:
            server_of.append(server)
            out, _ = self.xfer("get", "--blksize", "60000", self.url(server), "-", status=5)
        self.assertGreater(len(out), 5)

    def test_97_standard_output_that_is_closed(self):
        """Nobody reads it: that stays so, and nothing is fetched again."""
        def play(peer, asked):
            answer = peer.ask(oack(("blksize", 60000)))
            for n in range(1, 8):
                answer = peer.ask(data(n, b"x" * 60000))
                if answer[0] == "ERROR":
                    return
            self.fail(answer)
        read, write = os.pipe()
        os.close(read)
        with FakeServer(play) as server:
            status, _, err = harness.run("get", "-v", "--blksize", "60000", self.url(server), "-",
                                         stdout=write)
        os.close(write)
        self.assertEqual(status, 141, err)
        self.assertNotIn("trying again", err)

    def test_99_interrupted(self):
        for how in ("get", "put"):
            with self.subTest(how=how):
                begun, told = threading.Event(), []

                def play(peer, asked, how=how, begun=begun, told=told):
                    if how == "get":
                        self.assertEqual(peer.ask(data(1, b"x" * 512)), ("ACK", 1))
                    else:
                        self.assertEqual(peer.ask(ack(0))[:2], ("DATA", 1))
                    begun.set()
                    while (packet := peer.recv())[0] != "ERROR":
                        pass
                    told.append(packet)
                self.make("source", CONTENT)
                with FakeServer(play) as server:
                    ends = ([self.url(server), self.path("f")] if how == "get"
                            else [self.path("source"), self.url(server)])
                    process = harness.start(how, *ends)
                    try:
                        self.assertTrue(begun.wait(scaled(10)))
                        process.send_signal(signal.SIGINT)
                        status, _, err = harness.finish(process)
                    finally:
                        harness.end(process)
                self.assertEqual(status, 130, err)
                self.assertEqual(told[0][:2], ("ERROR", 0))
                self.assertFalse(os.path.exists(self.path("f")))
                self.assertNoLeftovers(self.tmp)


class Writes(Case):
    def test_98_sizes(self):
        for size in (0, 1, 511, 512, 513, 1024, 100_000):
            with self.subTest(size=size):
                got = []

                def play(peer, asked, got=got):
                    got.append(take_file(peer, asked))
                self.put(play, content=noise(size))
                self.assertEqual(got[0], noise(size))

    def test_98_a_pipe(self):
        got = []

        def play(peer, asked):
            got.append(options_of(asked))
            got.append(take_file(peer, asked))
        with FakeServer(play) as server:
            self.xfer("put", "-", self.url(server), input=CONTENT)
        self.assertEqual(got[1], CONTENT)
        self.assertEqual(got[0]["sha256"], sha256(CONTENT))

    def test_a_pipe_that_says_nothing(self):
        """--max-time is of the whole command, of what it waits for to be sent, too."""
        read, write = os.pipe()
        status, _, err = harness.run("put", "--max-time", "0.5", "-", "tftp://127.0.0.1:1/f",
                                     stdin=read)
        os.close(read)
        os.close(write)
        self.assertEqual(status, 3, err)
        self.assertIn("time limit", err)

    def test_95_the_last_acknowledgment_never_comes(self):
        def play(peer, asked):
            self.assertEqual(peer.ask(ack(0))[:2], ("DATA", 1))
            for n in (1, 2, 3):
                self.assertEqual(peer.ask(ack(n))[:2], ("DATA", n + 1))
            for _ in range(3):  # again and again
                self.assertEqual(peer.recv()[:2], ("DATA", 4))
        err = self.put(play, "--timeout", "1", status=3)
        self.assertIn("not confirmed", err)

    def test_95_an_xfer_peer_is_asked(self):
        """One that has to compute the digest first is asked again for that version."""
        right, wrong = (("sha256", sha256(content)) for content in (CONTENT, b"other"))
        later = ("sha256", "later:v1")
        for answers, status in (((right,), 0), ((later, right), 0), ((wrong,), 3),
                                ((later, wrong), 3), ((later, later), 3)):
            with self.subTest(answers=answers):
                def play(peer, asked, answers=answers):
                    asked = dict(asked[3])
                    answer = peer.ask(oack((b"sha256", asked[b"sha256"])))
                    for n in (1, 2, 3):
                        self.assertEqual(answer[:2], ("DATA", n))
                        answer = peer.ask(ack(n))
                    self.assertEqual(answer[:2], ("DATA", 4))
                    for i, value in enumerate(answers):
                        packet = server_of[0].raw()
                        self.assertEqual(packet[:4], b"\0\1f\0")
                        self.assertIn(b"sha256\0v1\0" if i else b"sha256\0" b"0\0", packet)
                        with Peer(server_of[0].came) as again:
                            self.assertEqual(again.ask(oack(value))[0], "ERROR")
                server_of = []
                self.make("source", CONTENT)
                with FakeServer(play) as server:
                    server_of.append(server)
                    _, err = self.xfer("put", "--timeout", "1", self.path("source"),
                                       self.url(server), status=status)
                self.assertIn("verified" if status == 0 else "not confirmed", err)

    def test_acknowledgments_that_come_twice(self):
        blocks = []

        def play(peer, asked):
            answer = peer.ask(ack(0))
            for n in (1, 2, 3, 4):
                blocks.append(answer[1])
                peer.send(ack(n), ack(n), ack(n - 1))
                if n < 4:
                    answer = peer.recv()
            self.assertTrue(peer.quiet())
        self.put(play)
        self.assertEqual(blocks, [1, 2, 3, 4])


class Verified(Case):
    def test_a_put_is_verified_by_what_the_server_says(self):
        """An ACK of the last block counts as proof only where the server said that it would check."""
        def play(peer, asked, *answer):
            took = take_file(peer, asked, first=oack(*answer))
            self.assertEqual(took, CONTENT)
        digest = ("sha256", sha256(CONTENT))
        self.assertIn("  verified\n", self.put(lambda *args: play(*args, digest)))
        for options in ((("tsize", len(CONTENT)),), (("blksize", 512),)):
            err = self.put(lambda *args, o=options: play(*args, *o))
            self.assertIn("  unverified\n", err)

        def play_other(peer, asked):
            answer = oack(("sha256", sha256(b"another")))
            self.assertEqual(peer.ask(answer)[:2], ("ERROR", 8))
        self.put(play_other, status=3)

    def test_require_verified(self):
        def play_get(peer, asked):
            self.assertEqual(peer.ask(data(1, CONTENT[:512]))[0], "ERROR")
        self.assertIn("cannot be verified", self.get(play_get, "--require-verified", status=5))

        def play_put(peer, asked):
            self.assertEqual(peer.ask(ack(0))[0], "ERROR")
        self.assertIn("cannot be verified", self.put(play_put, "--require-verified", status=5))

        def play_oack(peer, asked):
            self.assertEqual(peer.ask(oack(("blksize", 600)))[0], "ERROR")
        for op in (self.get, self.put):
            self.assertIn("cannot be verified", op(play_oack, "--require-verified", status=5))

    def later(self, answers, *args, status=0):
        """A server that has the digest only after the transfer; answers: what it says then, None for
        a server that has gone."""
        def play(peer, asked):
            self.assertEqual(peer.ask(oack(("sha256", "later:v1"))), ("ACK", 0))
            serve_file(peer, asked, CONTENT)
            packet = server_of[0].raw()
            self.assertIn(b"sha256\0v1\0", packet)
            if answers is None:
                server_of[0].close()
                return
            with Peer(server_of[0].came) as again:
                again.send(answers)
                if answers[:2] == b"\0\6":
                    self.assertEqual(again.recv()[0], "ERROR")
        server_of = []
        with FakeServer(play) as server:
            server_of.append(server)
            out, err = self.xfer("get", "--timeout", "2", "--retries", "0", *args,
                                 self.url(server), self.path("f"), status=status)
        self.assertNoLeftovers(self.tmp)
        self.out = out
        return err

    def test_a_digest_that_comes_later(self):
        self.assertIn("  verified", self.later(oack(("sha256", sha256(CONTENT)))))
        self.assertEqual(self.read("f"), CONTENT)

    def test_counters_are_of_the_transfer_alone(self):
        """What the question for a digest took is told apart, and in no total."""
        err = self.later(oack(("sha256", sha256(CONTENT))), "-v", "--json")
        self.assertRegex(err, r"6 datagrams sent, 0 blocks again, 5 received, 0 timeouts, RTT ")
        self.assertEqual(err.count("blocks again"), 1)
        self.assertRegex(err, r"digest asked for: 2 datagrams sent, 1 received")
        for record in map(json.loads, self.out.splitlines()):
            self.assertEqual((record["packets_sent"], record["packets_received"]), (6, 5), record)

    def test_a_digest_that_comes_later_and_differs(self):
        self.later(oack(("sha256", sha256(b"else"))), status=5)
        self.assertFalse(os.path.exists(self.path("f")))

    def test_another_version_by_then(self):
        """That is tried again, and is no error of integrity."""
        err = self.later(oack(("sha256", "later:v2")), status=3)
        self.assertNotIn("digest", err)
        self.assertFalse(os.path.exists(self.path("f")))

    def test_a_digest_that_never_comes(self):
        """A server that cannot tell the digest after all: that is said, and is no success for who
        wants no less."""
        for answer, why in ((oack(("blksize", 512)), "did not come\n"),
                            (error(1, "not found"), "did not come: not found"),
                            (data(1, b"x"), "did not come\n")):
            with self.subTest(answer=answer):
                err = self.later(answer)
                self.assertRegex(err, "^xfer: warning: f: the digest that the server promised " + why)
                self.assertIn("  unverified\n", err)
                self.assertEqual(self.read("f"), CONTENT)
                os.unlink(self.path("f"))
                err = self.later(answer, "--require-verified", status=5)
                self.assertIn("the digest that the server promised " + why, err)
                self.assertFalse(os.path.exists(self.path("f")))

    def test_a_server_that_is_lost_before_it_tells_the_digest(self):
        """Nothing is published: it knows digests, so that what came counts when it is verified."""
        for options in ((), ("--require-verified",)):
            with self.subTest(options=options):
                err = self.later(None, *options, status=3)
                self.assertIn("the digest that the server promised did not come: ", err)
                self.assertFalse(os.path.exists(self.path("f")))


if __name__ == "__main__":
    harness.main()
