"""`xfer compare` over the emulated link: the table, its figures, the end by signals."""

import collections
import contextlib
import csv
import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import time

import harness
from harness import SANITIZED, TestCase, end, finish, scaled, skip_unless, start, wait_for

HEAD = b" Mbit/s, RTT "


def check():
    status, out, _ = harness.run("compare", "--check")
    return status, out.decode()


class Link(TestCase):
    """As the ordinary user that nobody is, where the tests are root's."""

    def setUp(self):
        super().setUp()
        status, text = check()
        skip_unless(status == 0, f"no emulated link here: {text.splitlines()[0]}")
        skip_unless(not SANITIZED, "sanitizers are no measure of time")
        self.prefix = ()
        if os.geteuid() == 0:
            self.prefix = harness.as_nobody(self.tmp)
            os.chown(self.tmp, 65534, 65534)
        self.env = {"TMPDIR": self.tmp}

    def compare(self, *args, **kwargs):
        return self.xfer("compare", *args, prefix=self.prefix, env=self.env, **kwargs)

    def rounds(self, *args, **kwargs):
        out, _ = self.compare("--json", "-q", *args, **kwargs)
        return [r for r in map(json.loads, out.splitlines()) if r["type"] == "round"]

    def begin(self, *args):
        """At work: its head is out, so that transfers have begun."""
        out = self.path("out")
        with open(out, "wb") as f:
            process = start("compare", *args, prefix=self.prefix, env=self.env, stdout=f)
        self.addCleanup(end, process)
        wait_for(lambda: HEAD in self.read(out), "the head of the table", 60)
        return process, out

    def assertGone(self):
        wait_for(lambda: not [n for n in os.listdir(self.tmp) if n.startswith("xfer-")],
                 "the made bytes are removed")


class Default(Link):
    def test_alone(self):
        begun = time.monotonic()
        out, _ = self.compare()
        took = time.monotonic() - begun
        text = out.decode()
        self.assertLess(took, scaled(40))  # 30 are promised on a machine that does nothing else
        self.assertRegex(text, r"1 MiB, 20 Mbit/s, RTT 20 ms \(measured \S+\), no loss, seed 1: ")
        rows = [re.search(rf"^{label} .*$", text, re.M)
                for label in (r"tcp \(\w+\)", "udp window 16", "udp stop-and-wait")]
        self.assertTrue(all(rows), text)
        self.assertRegex(text, r"\d+ blocks × 20\.6 ms = ")
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()), text)
        self.assertGone()


class Rounds(Link):
    def test_counters_of_stop_and_wait(self):
        rounds = self.rounds("--size", "20K", "-m", "udp", "--rtt", "5ms")
        self.assertEqual([r["round"] for r in rounds], [1, 2, 3])
        for r in rounds:
            self.assertEqual((r["outcome"], r["verified"]), ("done", True))
            # 15 blocks and the request; an answer to each. A slow machine sends some of them again.
            packets = [r[way]["packets"] for way in ("client_to_server", "server_to_client")]
            self.assertGreaterEqual(min(packets), 16)
            if r["retransmits"] == 0:
                self.assertEqual(packets[0], 16)
            self.assertGreater(r["seconds"], 16 * 0.005)

    def test_lost_packets_are_counted_and_sent_again(self):
        rounds = self.rounds("--size", "100K", "-m", "udp", "--rtt", "2ms", "--loss", "5%",
                             "--rounds", "2")
        self.assertTrue(all(r["outcome"] == "done" for r in rounds), rounds)
        lost = sum(r[way]["dropped_loss"] for r in rounds
                   for way in ("client_to_server", "server_to_client"))
        self.assertGreater(lost, 0)
        self.assertGreater(sum(r["retransmits"] for r in rounds), 0)

    LOSSY_GET = ("--size", "100K", "-m", "udp", "--rtt", "2ms", "--loss", "5%", "--direction", "get",
                 "--rounds", "1")

    def test_timeouts_of_both_ends_are_counted(self):
        """Of a get it is the server that waits: stop-and-wait sends again after a timeout alone."""
        out, _ = self.compare(*self.LOSSY_GET, "--json", "-q")
        one, row = map(json.loads, out.splitlines())
        self.assertGreater(one["retransmits"], 0)
        self.assertGreaterEqual(one["timeouts"], one["retransmits"])
        self.assertEqual(row["timeouts"], one["timeouts"])
        out, _ = self.compare(*self.LOSSY_GET, "--csv", "-q")
        row = next(csv.DictReader(io.StringIO(out.decode())))
        self.assertGreater(int(row["retransmits"]), 0)
        self.assertGreaterEqual(int(row["timeouts"]), int(row["retransmits"]))
        out, _ = self.compare(*self.LOSSY_GET, "-v")
        resent = re.search(r"\nudp stop-and-wait .*?(\d+) +\S+ +1\.0\n", out.decode())
        timeouts = re.search(r"time +CPU\n.*\nudp stop-and-wait .*?(\d+) +\S+\n", out.decode())
        self.assertGreater(int(resent[1]), 0)
        self.assertGreaterEqual(int(timeouts[1]), int(resent[1]))

    def test_segments_of_a_download_are_counted_to_their_end(self):
        """All of it fits the server's buffer: it was sent, as far as the request goes, at once."""
        rounds = self.rounds("--size", "200K", "-m", "tcp", "--rtt", "10ms", "--loss", "5%",
                             "--direction", "get", "--rounds", "3")
        self.assertTrue(all(r["outcome"] == "done" for r in rounds), rounds)
        self.assertGreater(sum(r["server_to_client"]["dropped_loss"] for r in rounds), 0)
        self.assertGreaterEqual(sum(r["retransmits"] for r in rounds),
                                sum(r["server_to_client"]["dropped_loss"] for r in rounds) // 2)

    def test_what_checksums_miss_the_digest_finds(self):
        out, _ = self.compare("--size", "300K", "--corrupt", "5%", "--fix-checksums", "-m", "udp:window=16",
                              "-m", "tcp", "--rounds", "1", "-v", status=5)
        self.assertRegex(out.decode(), r"(?m)^(tcp|udp window 16) .*failed: .*digest")
        counts = re.split(r"time +CPU\n", out.decode())[1]
        self.assertRegex(counts, r"(?m)^tcp \(\w+\)( +\d+){4} +0 +\d+ +[1-9]\d* +- +[\d.]+$")
        self.assertRegex(counts, r"(?m)^udp window 16( +\d+){4} +0 +\d+ +[1-9]\d* +\d+ +[\d.]+$")

    def test_congestion_control_is_read_back(self):
        rounds = self.rounds("--size", "100K", "-m", "tcp:reno", "--direction", "both",
                             "--rounds", "1")
        self.assertEqual([(r["direction"], r["congestion_control"]) for r in rounds],
                         [("put", "reno"), ("get", "reno")])

    def test_what_does_not_fit_is_cut_and_said(self):
        _, out, err = harness.run("compare", "-m", "udp", "--size", "100M", "--max-time", "8",
                                  prefix=self.prefix, env=self.env)
        self.assertRegex(out.decode(), r"measured on the first \S+ \w+ of 100 MiB"
                                       r"|did not finish: \S+ s were over", err)

    def test_ways_apart_and_a_second_table(self):
        out, _ = self.compare("--rate", "20mbit/2mbit", "--link", "delay=2ms/8ms", "--size", "100K",
                              "--direction", "both", "-m", "tcp", "-m", "udp", "--rounds", "1",
                              "-v")
        text = out.decode()
        self.assertRegex(text, r"^put and get 100 KiB, 20 Mbit/s up, 2 Mbit/s down, RTT 10 ms ")
        # No get is faster than the way down: 102400 bytes at 2 Mbit/s.
        get = text.split("\nget:\n")[1]
        times = [float(t) for t in re.findall(r"^(?:tcp|udp) .*? ([\d.]+) \(one round\)", get, re.M)]
        self.assertEqual(len(times), 2, text)
        self.assertGreater(min(times), 0.41)
        rows = re.findall(r"^(put:|get:) +to the server +to the client.*\n.*\n(?:(?:tcp|udp).* "
                          r"\d+ +\d+ +\d+ +\d+ +\d+ +\d+ +\d+ +[-\d]+ +[\d.]+\n){2}", text, re.M)
        self.assertEqual(rows, ["put:", "get:"], text)
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()), text)

    def test_sweep(self):
        out, _ = self.compare("--sweep", "blksize=512,1024", "-m", "udp", "--size", "10K",
                              "--rounds", "1", "--csv", "-q")
        self.assertEqual(re.findall(r",blksize,(\d+),done,", out.decode()), ["512", "1024"])

    def test_a_sweep_leaves_the_time_to_whom_needs_it(self):
        """Stop-and-wait takes 4.5 s on the longer way: an equal part of 10 s would not be enough."""
        rounds = self.rounds("--sweep", "rtt=60ms,1ms", "-m", "udp", "--size", "100K", "--rounds",
                             "1", "--max-time", "10")
        self.assertEqual([(r["sweep_value"], r["bytes"]) for r in rounds],
                         [("60ms", 102400), ("1ms", 102400)])


def packets_of(data):
    """{name of the interface: packets} of a pcapng file in this machine's byte order."""
    names, counts, at = [], [], 0
    while at < len(data):
        kind, length = struct.unpack_from("=II", data, at)
        if kind == 1:  # an interface; its options follow link type and snap length
            code, size = struct.unpack_from("=HH", data, at + 16)
            assert code == 2, "the name comes first"
            names.append(data[at + 20:at + 20 + size].rstrip(b"\0").decode())
            counts.append(0)
        elif kind == 6:
            counts[struct.unpack_from("=I", data, at + 8)[0]] += 1
        at += length
    return dict(zip(names, counts))


class Capture(Link):
    def captured(self):
        path = self.path("x.pcapng")
        rounds = self.rounds("--size", "20K", "--pcap", path, "--rounds", "1", "--loss", "1%")
        counted = {f"{r['method']} {r['direction']}, round {r['round']}":
                   r["client_to_server"]["packets"] + r["server_to_client"]["packets"]
                   for r in rounds}
        return path, counted

    def test_each_transfer_is_an_interface(self):
        path, counted = self.captured()
        self.assertEqual(packets_of(self.read(path)), counted)

    def test_others_read_the_same(self):
        harness.need_tool("tshark")
        path, counted = self.captured()
        listed = subprocess.run(["tshark", "-r", path, "-T", "fields", "-e",
                                 "frame.interface_name"], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True, check=True)
        self.assertEqual(collections.Counter(listed.stdout.splitlines()), counted)

    def test_a_file_that_cannot_be(self):
        out, _ = self.fails(6, "No such file", "compare", "--pcap", self.path("no", "x"))
        self.assertEqual(out, b"")


class Pictures(Link):
    def test_ladders_plot_and_page(self):
        chart, page = self.path("chart.svg"), self.path("page.html")
        plot = ["--plot", chart] if shutil.which("gnuplot") else []
        out, _ = self.compare("--size", "20K", "--loss", "3%", "--trace", "--report", page, *plot,
                              "--rounds", "1")
        text = out.decode()
        self.assertRegex(text, r"\n +0\.0  \|--- SYN seq 0 -+>\|")
        self.assertRegex(text, r"\|--- DATA 1, 1428 bytes -+")
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()), text)
        html = self.read(page).decode()
        self.assertIn("<title>", html)
        self.assertIn("DATA 1, 1428 bytes", html)
        self.assertNotRegex(html, r'(src|href)="https?:')
        if plot:
            made = [chart, *(self.path(f"chart-trace-{i}.svg") for i in (1, 2, 3))]
            for path in made:
                self.assertIn(b"<svg", self.read(path)[:1000], path)


class Ends(Link):
    LONG = ("--size", "10M", "-m", "udp", "--rounds", "1", "--max-time", "600")

    def test_interrupt_prints_what_was_measured(self):
        process, out = self.begin("--size", "10M", "-m", "tcp", "-m", "udp", "--rounds", "1",
                                  "--max-time", "600", "-v")
        # The first round is told on standard error, then stop-and-wait begins, with a link, a server
        # and a client.
        self.assertIn(b"round 1", process.stderr.readline())
        wait_for(lambda: len(harness.descendants(process.pid)) >= 7, "the second transfer", 60)
        process.send_signal(signal.SIGINT)
        status, _, err = finish(process)
        text = self.read(out).decode()
        self.assertEqual(status, 130, err)
        self.assertRegex(text, r"tcp \(\w+\) +\d")
        self.assertIn("interrupted", text)
        self.assertGone()

    def test_interrupt_does_not_wait_for_a_long_link(self):
        """What is on its way then, for two seconds each way, is counted and captured all the same."""
        for method in ("udp:window=16", "tcp"):
            with self.subTest(method=method):
                capture, out = self.path("x.pcapng"), self.path("out")
                # Without its check, which would take 20 s.
                with open(out, "wb") as f:
                    process = start("compare", "--rtt", "4s", "--size", "10M", "-m", method,
                                    "--direction", "get", "--rounds", "1", "--max-time", "50",
                                    "--json", "--pcap", capture, prefix=self.prefix, env=self.env,
                                    stdout=f)
                self.addCleanup(end, process)
                while HEAD not in process.stderr.readline():
                    self.assertIsNone(process.poll())
                wait_for(lambda: self.received(process) > 3, "data on its way", 40)
                process.send_signal(signal.SIGINT)
                begun = time.monotonic()
                status, _, err = finish(process)
                self.assertLess(time.monotonic() - begun, scaled(3))
                self.assertEqual(status, 130, err)
                one = json.loads(self.read(out).splitlines()[0])
                self.assertEqual((one["outcome"], one["message"]), ("unfinished", "interrupted"))
                counts = [one[way]["packets"] for way in ("client_to_server", "server_to_client")]
                self.assertGreater(min(counts), 1)
                self.assertEqual(list(packets_of(self.read(capture)).values())[-1], sum(counts))
                self.assertGone()

    @staticmethod
    def received(process):
        """IP packets that came to an end of the link; to this process's own network none count."""
        def network(pid):
            return os.readlink(f"/proc/{pid}/ns/net")

        found = []
        for pid in harness.descendants(process.pid):
            with contextlib.suppress(OSError):
                if network(pid) != network("self"):
                    with open(f"/proc/{pid}/net/snmp", encoding="ascii") as f:
                        names, values = f.readline().split(), f.readline().split()
                    found.append(int(values[names.index("InReceives")]))
        return max(found, default=0)

    def test_kill_leaves_nothing(self):
        process, _ = self.begin(*self.LONG)
        process.kill()
        process.communicate()  # ends when the last process that holds the streams is gone
        self.assertGone()


harness.main()
