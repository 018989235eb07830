"""`xfer compare` without an emulated link: what it refuses, loopback."""

import csv
import io
import json
import os
import re
import subprocess

import harness
from harness import TestCase, noise, run, skip_unless


def records(out):
    return [json.loads(line) for line in out.splitlines()]


class Refused(TestCase):
    """Bad input is told before anything runs."""

    def test_impossible_links(self):
        for args, pattern in [
                (["--loss", "100%"], "nothing would arrive"),
                (["--loss", "0,5%"], r"decimals have a point: 0\.5%"),
                (["--loss", "1"], "percent sign"),
                (["--rate", "0"], "without a rate"),
                (["--rate", "20"], "needs a unit"),
                (["--rtt", "20"], "needs a unit"),
                (["--mtu", "1400"], "do not fit an MTU of 1400"),
                (["--mtu", "20000"], "MTU"),
                (["--queue", "100"], "holds no packet"),
                (["-m", "udp:blksize=60000"], "never arrives whole"),
                (["-m", "udp", "--sweep", "blksize=512,60000"], "never arrives whole"),
                (["--fix-checksums"], "goes with --corrupt"),
                (["--bind", "127.0.0.1"], "goes with a remote"),
                (["--predict", "--plot", "x.svg"], "goes alone"),
                (["--check", "--report", "x.html"], "goes alone"),
                (["--report", "-"], r"\./- is a file of that name, and /dev/stdout mixes"),
                (["--pcap", "-"], r"\./- is a file of that name, and /dev/stdout mixes"),
                (["--plot", "-"], r"ends in \.svg or \.png"),
                (["--plot", "x.jpg"], r"ends in \.svg or \.png"),
                (["--plot", "\x1b.jpg"], r"--plot '\\x1b\.jpg': the name"),
                (["--sweep", "rtt=1ms,2ms", "--sweep", "loss=0%,1%"], "one sweep at a time"),
                (["--link", "moon"], "neither default, loopback"),
                (["--link", "loopback", "--loss", "1%"], "has no settings"),
                (["--link", "loopback", "--pcap", "x"], "of the emulated link"),
                (["--link", "loopback", "--trace"], "of the emulated link")]:
            with self.subTest(args=args):
                out, _ = self.fails(2, pattern, "compare", *args)
                self.assertEqual(out, b"")

    def test_impossible_methods_and_sweeps(self):
        for args, pattern in [
                (["-m", "quic"], "begins with tcp or udp"),
                (["-m", "udp:blksize=7"], "from 8 to 65464"),
                (["-m", "udp:blksize=65464,window=99"], "udp:blksize=65464,window=16 fits"),
                (["--sweep", "colour=red"], "neither size, blksize or window"),
                (["-m", "tcp", "-m", "tcp"], "given twice"),
                (["-m", "tcp*2", "--direction", "put"], "an upload is one stream"),
                (["--sweep", "rtt"], "KEY=A,B,C"),
                (["--sweep", "loss=1%,100%"], "nothing would arrive"),
                (["--sweep", "mtu=1500,600"], "do not fit"),
                (["--rounds", "0"], "rounds"),
                (["--json", "--csv"], "share standard output"),
                (["--json", "--trace"], "share standard output"),
                (["--report", "/nowhere/x.html"], "No such file"),
                (["--report", "/"], "[Dd]irectory"),
                (["--plot", "/nowhere/x.svg"], "No such file|needs gnuplot"),
                (["--size", "0"], "size"),
                (["nas:/a/", "--rtt", "5ms"], "without a remote"),
                (["tftp://nas/a"], "an xfer server"),
                (["nas:/a", "--direction", "put"], "end the remote with a slash"),
                (["nas:/a/", "--direction", "get"], "no slash at its end"),
                (["a", "b"], "No such file|one FILE and one REMOTE")]:
            with self.subTest(args=args):
                status, out, err = run("compare", *args)
                self.assertIn(status, (2, 6), err)
                self.assertRegex(err, pattern)
                self.assertEqual(out, b"")

    def test_files(self):
        self.fails(6, "No such file", "compare", self.path("none"))
        self.fails(6, "[Dd]irectory", "compare", self.tmp)
        self.fails(6, "is empty", "compare", self.make("empty"))
        self.fails(2, "--size goes without FILE", "compare", self.make("f", b"x"), "--size", "1M")

    def test_a_missing_gnuplot(self):
        self.fails(6, "needs gnuplot", "compare", "--plot", "x.svg", env={"PATH": self.tmp})

    def test_nobody_there(self):
        self.fails(3, "Connection refused", "compare", "127.0.0.1:1/dir/")


class NoLink(TestCase):
    """Where the kernel allows no link, nothing runs, and the remedy is told."""

    # Root of a user namespace that may make no further ones, and without any right of its own.
    PREFIX = ("unshare", "-Ur", "sh", "-c", "echo 0 >/proc/sys/user/max_user_namespaces && "
              'exec setpriv --bounding-set=-all "$@"', "-")

    def setUp(self):
        super().setUp()
        probe = subprocess.run([*self.PREFIX, "true"], stderr=subprocess.PIPE, check=False)
        skip_unless(probe.returncode == 0, f"no namespace to refuse in: {probe.stderr[:80]!r}")

    def test_no_fall_back(self):
        out, err = self.fails(6, "max_user_namespaces", "compare", prefix=self.PREFIX)
        self.assertEqual(out, b"")
        self.assertIn("sysctl", err)
        self.assertIn("--link loopback, or --predict", err)

    def test_check(self):
        out, _ = self.xfer("compare", "--check", status=6, prefix=self.PREFIX)
        self.assertRegex(out.decode(), r"emulated link: no: .*\n +remedy: .*sysctl")

    def test_what_needs_no_link_runs(self):
        self.xfer("compare", "--link", "loopback", "--size", "10K", prefix=self.PREFIX)


class Predicted(TestCase):
    def test_theory_alone(self):
        out, _ = self.xfer("compare", "--predict")
        text = out.decode()
        self.assertIn("predicted, not measured", text)
        self.assertRegex(text, r"udp stop-and-wait +15\.2 ")
        with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="ascii") as f:
            self.assertIn(f"\ntcp ({f.read().strip()}) ", text)

    def test_slow_is_not_told_as_0(self):
        out, _ = self.xfer("compare", "--predict", "-m", "udp", "--link", "satellite")
        self.assertRegex(out.decode(), r"udp stop-and-wait +\d+ +0\.019\n")

    def test_more_delay_more_time(self):
        out, _ = self.xfer("compare", "--predict", "--sweep", "rtt=10ms,100ms", "-m", "udp")
        times = [float(line.split()[2]) for line in out.decode().splitlines()
                 if line.startswith("udp stop-and-wait")]
        self.assertEqual(len(times), 2)
        self.assertGreater(times[1], 8 * times[0])


class Loopback(TestCase):
    def compare(self, *args, **kwargs):
        return self.xfer("compare", "--link", "loopback", *args, **kwargs)

    def test_table(self):
        out, err = self.compare("--size", "300K", env={"TMPDIR": self.tmp})
        text = out.decode()
        self.assertRegex(text, r"300 KiB, the loopback device, RTT \S+ ms \(measured\)")
        for label in ("tcp (", "udp window 16", "udp stop-and-wait"):
            self.assertIn("\n" + label, text)
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()), text)
        self.assertEqual(err, "")
        self.assertEqual(os.listdir(self.tmp), [])

    def test_json(self):
        out, _ = self.compare("--size", "100K", "--json", "-q", "--direction", "both",
                              "-m", "tcp", "-m", "udp:blksize=512,window=4")
        found = records(out)
        rounds = [r for r in found if r["type"] == "round"]
        summaries = [r for r in found if r["type"] == "summary"]
        self.assertEqual(len(summaries), 4)
        self.assertEqual({(r["method"], r["direction"]) for r in rounds},
                         {(m, d) for m in ("tcp", "udp:blksize=512,window=4")
                          for d in ("put", "get")})
        for r in rounds:
            self.assertEqual((r["outcome"], r["verified"], r["bytes"]), ("done", True, 102400))
            self.assertGreater(r["seconds"], 0)
        udp = next(r for r in rounds if r["transport"] == "udp")
        self.assertEqual((udp["block_size_bytes"], udp["window"]), (512, 4))
        self.assertTrue(all(r["congestion_control"] for r in rounds if r["transport"] == "tcp"))

    def test_csv(self):
        out, _ = self.compare("--size", "10K", "--csv", "-q", "--direction", "get",
                              "-m", "tcp*3", "-m", "udp")
        rows = list(csv.DictReader(io.StringIO(out.decode())))
        self.assertEqual([row["method"] for row in rows], ["tcp*3", "udp"])
        self.assertTrue(all(row["bytes"] == "10240" and row["outcome"] == "done" for row in rows))

    def test_a_file(self):
        path = self.make("some file", noise(70_000))
        out, _ = self.compare(path, "--json", "-q")
        self.assertTrue(all(r["bytes"] == 70_000 for r in records(out)))

    def test_several_connections_turn_to_get(self):
        out, _ = self.compare("--size", "10K", "-m", "tcp*2", "-m", "udp")
        self.assertRegex(out.decode(), r"^get 10 KiB, .*\n.*\n.*tcp \(\w+\) x 2 +\d")

    def test_several_connections_cannot_put(self):
        out, _ = self.compare("--size", "10K", "-m", "tcp*2", "-m", "udp", "--direction", "both",
                              status=1)
        self.assertEqual(len(self.lines_of(out, "refused: an upload is one stream")), 1)
        self.assertEqual(len(self.lines_of(out, r"tcp \(\w+\) x 2 +\d.* ")), 1)

    @staticmethod
    def lines_of(out, pattern):
        return [line for line in out.decode().splitlines() if re.search(pattern, line)]

    def test_what_the_kernel_refuses_has_its_row(self):
        out, _ = self.compare("--size", "10K", "-m", "tcp:nosuch", "-m", "udp", "--direction",
                              "both", status=6)
        self.assertEqual(out.decode().count("refused: the kernel has no nosuch"), 2)
        self.assertIn("modprobe", out.decode())
        self.assertEqual(out.decode().count("\nudp stop-and-wait"), 2)


harness.main()
