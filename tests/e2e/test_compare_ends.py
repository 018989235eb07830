"""`xfer compare` and its surroundings: its time, signals, files, shortages, processes that die.
Most of it over the loopback device: what ends a run is the same wherever it runs."""

import contextlib
import json
import os
import pathlib
import pty
import resource
import signal
import subprocess
import tempfile
import time
import unittest

import harness
from harness import TestCase, end, finish, noise, scaled, skip_unless, start, wait_for

LOOPBACK = ("compare", "--link", "loopback")
FAILS = b"cat >/dev/null\nexit 1\n"  # a gnuplot that can draw nothing
BIG = ("--size", "8G", "--max-time", "600")  # made while it is at work, hours over stop-and-wait


def children(pid):
    """From the oldest to the youngest, as the kernel lists them; numbers begin again."""
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(pid) for pid in text.split()]
    return []


def rounds(out):
    return [r for r in map(json.loads, out.splitlines()) if r["type"] == "round"]


class Case(TestCase):
    def setUp(self):
        super().setUp()
        self.data = self.path("data")
        os.mkdir(self.data)
        self.env = {"TMPDIR": self.data}

    def compare(self, *args, **kwargs):
        return self.xfer(*LOOPBACK, *args, env=self.env, **kwargs)

    def begin(self, *args, **popen):
        process = start(*LOOPBACK, *args, env=self.env, **popen)
        self.addCleanup(end, process)
        return process

    def at_work(self, *args, **popen):
        """A stop-and-wait transfer that will not end by itself; its head has been told."""
        file = self.path("big")
        with open(file, "wb") as f:
            f.truncate(1 << 40)
        process = self.begin(file, "-m", "udp", "--max-time", "600", *args, **popen)
        self.assertIn(b"1 TiB", process.stdout.readline())
        # The directory's keeper, a server, a client.
        wait_for(lambda: len(children(process.pid)) == 3, "a client is at work")
        return process

    def assertGone(self):
        wait_for(lambda: not os.listdir(self.data), "the made bytes are removed")


class Time(Case):
    def test_too_short_for_anything(self):
        out, err = self.compare("--max-time", "0.01", status=3)
        self.assertEqual(out.decode().count("did not finish: no time was left"), 3)
        self.assertRegex(err, r"no transfer was done within --max-time 0\.01: .*--predict")

    def test_a_limit_is_shared_where_nobody_knows_the_rate(self):
        file = self.path("sparse")
        with open(file, "wb") as f:
            f.truncate(1 << 40)
        out, _ = self.compare(file, "--max-time", "6", "--json", "-q", status=3)
        self.assertEqual([r["outcome"] for r in rounds(out)], ["unfinished"] * 3)
        for r in rounds(out):
            self.assertIn("s were over after", r["message"])

    def test_making_the_bytes_counts(self):
        begun = time.monotonic()
        self.compare("--size", "40G", "--max-time", "1", status=3 if self.has_room(40) else 6)
        self.assertLess(time.monotonic() - begun, scaled(20))

    def has_room(self, gigabytes):
        s = os.statvfs(self.data)
        return s.f_bavail * s.f_frsize > gigabytes << 30

    def test_rounds_are_told_at_once(self):
        process = self.begin("--size", "10K", "--rounds", "100", "--json", "-q", "-m", "udp",
                             "--max-time", "600")
        self.assertEqual(json.loads(process.stdout.readline())["round"], 1)
        self.assertIsNone(process.poll())
        status, out, _ = finish(process)
        self.assertEqual((status, len(rounds(out))), (0, 99))


class Link(Case):
    def setUp(self):
        super().setUp()
        status, out, _ = harness.run("compare", "--check")
        skip_unless(status == 0, f"no emulated link here: {out.splitlines()[0]}")

    def test_a_sweep_shares_the_time(self):
        """Each point has its link, its check and its warm-up."""
        begun = time.monotonic()
        out, err = self.xfer("compare", "--sweep", "rtt=" + ",".join(f"{i}ms" for i in range(1, 13)),
                             "-m", "udp", "--size", "1K", "--max-time", "8", env=self.env)
        self.assertLess(time.monotonic() - begun, scaled(18))
        self.assertIn("not checked", err)
        self.assertRegex(out.decode(), r"\n12ms ")

    def test_interrupted_in_its_check(self):
        process = self.until_shown(b"checking the link", "--rtt", "1500ms", "--max-time",
                                   "600")
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        status, out, err = finish(process)
        self.assertLess(time.monotonic() - begun, scaled(5))
        self.assertEqual((status, out), (130, b""))
        self.assertIn("interrupted before anything was measured", err)
        self.assertGone()

    def test_interrupted_on_a_long_way(self):
        """Nobody waits for last segments then: two round trips are a minute."""
        process = self.until_shown(b"round 1 of", "--rtt", "30s", "-m", "tcp", "--max-time",
                                   "240")  # too short for the link's check
        process.send_signal(signal.SIGINT)
        self.assertEqual(finish(process, timeout=5)[0], 130)
        self.assertGone()

    def until_shown(self, text, *args):
        process = start("compare", "--progress=always", *args, env=self.env)
        self.addCleanup(end, process)
        os.set_blocking(process.stderr.fileno(), False)
        shown = b""

        def is_shown():
            nonlocal shown
            shown += process.stderr.read() or b""
            return text in shown
        wait_for(is_shown, text)
        return process

    def test_a_packet_capture_that_does_not_fit(self):
        out, err = self.xfer("compare", "--size", "100K", "-m", "tcp", "--rounds", "1", "--pcap",
                             "/dev/full", "--max-time", "10", env=self.env, status=6)
        self.assertIn(b"\ntcp (", out)
        self.assertIn("/dev/full: No space left", err)


    def test_a_digest_that_fails_is_not_outdone_by_a_picture(self):
        """What the rounds came to is the status, whatever is drawn of them."""
        corrupt = ("--size", "300K", "--corrupt", "5%", "--fix-checksums", "-m", "udp:window=16",
                   "-m", "tcp", "--rounds", "1")
        for picture in (("--report", "/dev/full"), ("--pcap", "/dev/full"), ()):
            with self.subTest(picture=picture):
                out, err = self.xfer("compare", *corrupt, *picture, env=self.env, status=5)
                self.assertRegex(out.decode(), "failed: digest does not match")
                self.assertEqual("/dev/full: No space left" in err, bool(picture))


class Signals(Case):
    def test_of_a_terminal(self):
        """They reach every process: each says how far it came."""
        process = self.at_work(start_new_session=True)
        wait_for(lambda: self.sent(process) > 100, "some blocks have crossed")
        os.killpg(process.pid, signal.SIGINT)
        status, out, err = finish(process)
        self.assertEqual(status, 130)
        self.assertIn(b"did not finish: interrupted", out)
        self.assertIn("what was measured until then is above", err)
        self.assertGone()

    @staticmethod
    def sent(process):
        """Calls of the client that read."""
        with contextlib.suppress(OSError, IndexError):
            text = pathlib.Path(f"/proc/{children(process.pid)[-1]}/io").read_text(encoding="ascii")
            return int(text.split("syscr: ")[1].split()[0])
        return 0

    def test_terminate(self):
        process = self.at_work()
        process.send_signal(signal.SIGTERM)
        status, out, _ = finish(process)
        self.assertEqual(status, 143)
        self.assertIn(b"interrupted", out)
        self.assertGone()

    def test_kill_of_the_whole_group(self):
        process = self.at_work(start_new_session=True)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        self.assertGone()

    def test_while_bytes_are_made(self):
        skip_unless(os.statvfs(self.data).f_bavail * os.statvfs(self.data).f_frsize > 16 << 30,
                    "no room for so many bytes")
        process = self.begin(*BIG)
        wait_for(lambda: any("data-8589934592" in files
                             for _, _, files in os.walk(self.data)), "bytes are made")
        process.send_signal(signal.SIGINT)
        status, _, _ = finish(process)
        self.assertEqual(status, 130)
        self.assertGone()

    def test_a_reader_that_leaves(self):
        process = self.at_work()
        process.stdout.close()
        process.stdout = None
        status, _, err = finish(process)
        self.assertEqual((status, err), (141, ""))
        self.assertGone()


class Children(Case):
    """Processes that die or hang: their rows say so, and nothing waits for them forever."""

    def test_those_of_a_shell_that_became_compare_stay(self):
        """As in `exec xfer compare > >(tee log)`."""
        pid = self.path("pid")
        script = f'sleep 600 >/dev/null 2>&1 & echo $! >{pid}; exec "$@"'
        process = self.begin("--size", "1K", "--rounds", "1", prefix=("sh", "-c", script, "sh"))
        status, out, err = finish(process)
        os.kill(int(self.read(pid)), signal.SIGKILL)  # which finds it
        self.assertEqual(status, 0, err)
        self.assertIn(b"\ntcp (", out)
        self.assertGone()

    def test_who_waits_for_no_children_may_have_started_it(self):
        process = self.begin("--size", "1K", "--rounds", "1", preexec_fn=lambda: signal.signal(
            signal.SIGCHLD, signal.SIG_IGN))
        status, out, err = finish(process)
        self.assertEqual(status, 0, err)
        self.assertGone()

    def test_a_client_is_killed(self):
        process = self.at_work("--rounds", "1", "-v")
        os.kill(children(process.pid)[-1], signal.SIGKILL)
        status, out, _ = finish(process)
        self.assertEqual(status, 6)
        self.assertIn(b"failed: the client was ended by signal 9", out)
        self.assertEqual(out.count(b"\nudp stop-and-wait"), 1, "nothing is known that -v could count")

    def test_a_server_is_killed(self):
        process = self.at_work("--rounds", "1", "--max-time", "20")
        os.kill(children(process.pid)[-2], signal.SIGKILL)
        status, out, _ = finish(process)
        self.assertIn(status, (3, 6))
        self.assertRegex(out.decode(), "failed: the server was ended by signal 9|did not finish")

    def test_a_client_hangs(self):
        process = self.at_work("--rounds", "1", "--max-time", "5")
        os.kill(children(process.pid)[-1], signal.SIGSTOP)
        status, out, _ = finish(process)
        self.assertEqual(status, 3)
        self.assertRegex(out.decode(), "did not finish: .* the client did not\n? *end")

    def test_a_server_hangs(self):
        process = self.at_work("--rounds", "1", "--max-time", "5")
        os.kill(children(process.pid)[-2], signal.SIGSTOP)
        status, out, _ = finish(process)
        self.assertEqual(status, 3)
        self.assertIn(b"did not finish", out)
        self.assertGone()


class Sources(Case):
    """A FILE is somebody's: it may become another meanwhile."""

    def changed(self, change, *args):
        path = self.make("f", noise(50_000))
        process = self.begin(path, "--rounds", "100", "--max-time", "600", "-v", "--json", "-m",
                             "udp", *args)
        process.stdout.readline()
        change(path)
        status, out, _ = finish(process)
        return status, rounds(out)

    def test_it_grows(self):
        def grow(path):
            with open(path, "ab") as f:
                f.write(b"more")
        status, found = self.changed(grow)
        self.assertEqual((status, found[-1]["outcome"]), (6, "failed"))
        self.assertIn("the file changed: 50004 bytes, not 50000", found[-1]["message"])

    def test_it_vanishes(self):
        status, found = self.changed(os.unlink)
        self.assertEqual((status, found[-1]["outcome"]), (6, "failed"))
        self.assertIn("No such file", found[-1]["message"])

    def test_names_cannot_drive_a_terminal(self):
        name = "a\nb\x1b[31m"
        self.compare(self.make(name, noise(1000)))
        _, err = self.compare(self.path("none\n\x1b[31m"), status=6)
        self.assertNotIn("\x1b", err)
        _, err = self.compare("--size", "1K", "--report", self.path("no\x1b", "x"), status=6)
        self.assertNotIn("\x1b", err)


class Files(Case):
    """--report and the like: whole under their names, or not there."""

    def assertNoParts(self):
        self.assertFalse([name for name in os.listdir(self.tmp) if name.startswith(".xfer-")])

    def test_what_stands_there_stays(self):
        page = self.make("page.html", b"old")
        self.env["TMPDIR"] = self.path("nowhere")
        self.compare("--report", page, status=6)
        self.assertEqual(self.read(page), b"old")
        self.assertNoParts()

    def test_killed(self):
        page = self.make("page.html", b"old")
        process = self.at_work("--report", page)
        process.kill()
        process.communicate()
        self.assertEqual(self.read(page), b"old")
        self.assertNoParts()

    def test_mode_and_symbolic_links_stay(self):
        page = self.make("page.html", b"old", mode=0o640)
        os.symlink("page.html", self.path("link.html"))
        self.compare("--size", "1K", "--report", self.path("link.html"))
        self.assertTrue(os.path.islink(self.path("link.html")))
        self.assertEqual(os.stat(page).st_mode & 0o777, 0o640)
        self.assertIn(b"<title>", self.read(page))
        self.assertNoParts()

    def test_places_that_take_no_file(self):
        os.mkfifo(self.path("fifo"))
        for name, pattern in [(self.tmp, "Is a directory"), (self.path("no", "x"), "No such file"),
                              (self.path("fifo"), "No such device"),
                              (self.path("x" * 300), "File name too long")]:
            with self.subTest(name=name):
                out, _ = self.fails(6, pattern, *LOOPBACK, "--report", name)
                self.assertEqual(out, b"")

    def test_one_that_is_full(self):
        out, _ = self.fails(6, "/dev/full: No space left", *LOOPBACK, "--size", "1K", "--report",
                            "/dev/full")
        self.assertIn(b"\ntcp (", out)

    def gnuplot(self, script):
        """One of our own, found before any other."""
        self.make("bin/gnuplot", b"#!/bin/sh\n" + script, mode=0o755)
        self.env["PATH"] = self.path("bin") + ":" + os.environ["PATH"]

    def test_a_chart_that_cannot_be_drawn(self):
        self.gnuplot(FAILS)
        chart = self.make("x.svg", b"old")
        out, err = self.compare("--size", "1K", "--plot", chart, status=6)
        self.assertIn(b"\ntcp (", out)
        self.assertIn("gnuplot", err)
        self.assertEqual(self.read(chart), b"old")
        self.assertNoParts()

    def test_the_status_of_the_rounds_stays(self):
        """One that did not finish is told by it, though the pictures of it fail as well."""
        self.gnuplot(FAILS)
        for picture in (["--report", "/dev/full"], ["--plot", self.path("x.svg")]):
            with self.subTest(picture=picture):
                out, err = self.compare("--max-time", "0.01", *picture, status=3)
                self.assertIn(b"did not finish", out)
                self.assertRegex(err, "/dev/full: No space left|gnuplot")
        out, err = self.compare("--size", "10K", "-m", "tcp", "-m", "tcp*2", "--direction", "both",
                                "--report", "/dev/full", status=1)
        self.assertIn(b"refused: ", out)
        self.assertIn("/dev/full: No space left", err)

    def test_standard_output_in_a_file(self):
        """What stands there stays, and the page comes behind the table."""
        file = self.make("out", b"before\n")
        with open(file, "ab") as out:
            self.assertEqual(harness.run(*LOOPBACK, "--size", "1K", "--report", "/dev/stdout",
                                         stdout=out)[0], 0)
        text = self.read(file)
        self.assertTrue(text.startswith(b"before\n"))
        self.assertLess(text.index(b"\ntcp ("), text.index(b"<!doctype html>"))
        self.assertTrue(text.endswith(b"</html>\n"))

    def test_a_longer_one_in_shared_memory(self):
        skip_unless(os.access("/dev/shm", os.W_OK), "no /dev/shm")
        fd, name = tempfile.mkstemp(dir="/dev/shm")
        self.addCleanup(os.unlink, name)
        with open(fd, "wb") as file:
            file.write(bytes(1 << 20))
        self.compare("--size", "1K", "--report", name)
        self.assertTrue(self.read(name).endswith(b"</html>\n"))

    def test_each_has_its_own(self):
        file = self.make("f.html", noise(1000))
        self.fails(2, "would be replaced", *LOOPBACK, file, "--report", file)
        self.assertEqual(self.read(file), noise(1000))
        os.mkdir(self.path("d"))
        self.fails(2, "files of their own", "compare", "--report", self.path("x"), "--pcap",
                   self.path("d", "..", "x"))
        self.assertEqual(os.listdir(self.path("d")), [])

    def test_so_have_ladders(self):
        self.gnuplot(FAILS)
        for name in ("c-trace-1.svg", "c-trace-3.svg"):
            file = self.make(name, noise(1000))
            for args, pattern in [(["--report", file], "need files of their own"),
                                  (["--pcap", file], "need files of their own"),
                                  ([file], "would be replaced")]:
                with self.subTest(name=name, args=args):
                    out, _ = self.fails(2, pattern, "compare", "--plot", self.path("c.svg"),
                                        "--trace", *args, env=self.env)
                    self.assertEqual((out, self.read(file)), (b"", noise(1000)))
        self.assertFalse(os.path.exists(self.path("c.svg")))
        self.assertNoParts()

    def test_a_ladder_that_cannot_be(self):
        """It is known before anything runs."""
        self.gnuplot(FAILS)
        os.mkdir(self.path("c-trace-2.svg"))
        out, _ = self.fails(6, "c-trace-2.svg: Is a directory", "compare", "--plot",
                            self.path("c.svg"), "--trace", env=self.env)
        self.assertEqual(out, b"")
        self.assertNoParts()

    def test_gnuplot_is_interrupted(self):
        """What has been measured is told, what stood there stays; a script has children."""
        pid = self.path("pid")
        self.gnuplot(f"echo half\nsleep 600 &\necho $! >{pid}.new; mv {pid}.new {pid}\nwait\n".encode())
        chart = self.make("c.svg", b"old")
        process = self.begin("--size", "1K", "--plot", chart)
        wait_for(lambda: os.path.exists(pid), "gnuplot is at work", 60)
        process.send_signal(signal.SIGINT)
        status, out, err = finish(process)
        self.assertEqual(status, 130)
        self.assertIn(b"\ntcp (", out)
        self.assertIn("gnuplot was interrupted: there is no plot", err)
        self.assertEqual(self.read(chart), b"old")
        self.assertFalse(os.path.exists(f"/proc/{int(self.read(pid))}"))
        self.assertNoParts()
        self.assertGone()

    def test_standard_output_is_full(self):
        with open("/dev/full", "wb") as full:
            status, _, err = harness.run(*LOOPBACK, "--size", "1K", stdout=full)
        self.assertEqual(status, 6)
        self.assertIn("standard output: No space", err)

    def test_streams_that_are_closed(self):
        for streams in ("0<&-", "2>&-", "0<&- 2>&-"):
            with self.subTest(streams=streams):
                out, _ = self.compare("--size", "1K",
                                      prefix=("sh", "-c", f'exec "$@" {streams}', "-"))
                self.assertIn(b"\ntcp (", out)


class Shortages(Case):
    def test_no_directory_for_the_bytes(self):
        self.env["TMPDIR"] = self.path("none")
        self.fails(6, "No such file", *LOOPBACK, env=self.env)
        os.chmod(self.tmp, 0o755)
        os.chmod(self.data, 0o555)
        self.env["TMPDIR"] = self.data
        prefix = harness.as_nobody() if os.geteuid() == 0 else ()
        self.fails(6, "Permission denied", *LOOPBACK, env=self.env, prefix=prefix)
        os.chmod(self.data, 0o755)

    def small(self, size):
        """A TMPDIR with so much room, in a namespace of its own."""
        prefix = ("unshare", "-Urm", "sh", "-c",
                  f'mount -t tmpfs -o size={size} none {self.data} && exec "$@"', "-")
        probe = subprocess.run([*prefix, "true"], stderr=subprocess.PIPE, check=False)
        skip_unless(probe.returncode == 0, f"no namespace to mount in: {probe.stderr[:80]!r}")
        return prefix

    def test_bytes_that_do_not_fit(self):
        prefix = self.small("1M")
        out, err = self.compare("--size", "8M", prefix=prefix, status=6)
        self.assertEqual(out, b"")
        self.assertRegex(err, r"has room for \S+ \w+, and the bytes to move take 8 MiB\n.*TMPDIR")
        # A file is moved from where it is, but fetched from a copy.
        file = self.make("f", noise(3_000_000))
        self.compare(file, prefix=prefix)
        self.compare(file, "--direction", "get", prefix=prefix, status=6)

    def test_few_descriptors(self):
        for n in (4, 6, 8, 10, 24):
            with self.subTest(n=n):
                status, out, err = harness.run(
                    *LOOPBACK, "--size", "1K", "--max-time", "10", env=self.env,
                    preexec_fn=lambda n=n: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n)))
                self.assertIn(status, (0, 3, 6), err)
                self.assertTrue(status == 0 or err or b"failed" in out or b"finish" in out)
                self.assertGone()

    @unittest.skipIf(harness.SANITIZED, "a leak check needs a process of its own")
    def test_few_processes(self):
        prefix = harness.as_nobody(self.tmp)
        os.chown(self.data, 65534, 65534)
        status, out, err = harness.run(*LOOPBACK, "--size", "1K", env=self.env, prefix=(
            *prefix, "--", "prlimit", "--nproc=1", "--"))
        self.assertEqual(status, 6, out + err.encode())
        self.assertIn("Resource temporarily unavailable", err)


class Progress(Case):
    def test_on_a_terminal(self):
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "rb", buffering=0) as screen:
            process = self.begin("--size", "10K", "--rounds", "100", stderr=theirs)
            os.close(theirs)
            shown = b""
            with contextlib.suppress(OSError):  # the terminal's end
                while block := screen.read(4096):
                    shown += block
            self.assertEqual(finish(process)[0], 0)
        self.assertRegex(shown, rb"\r(tcp|udp)[^\r\n]*, round \d+ of 100")
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown[-80:])

    def test_never_in_pipes_unless_asked(self):
        _, err = self.compare("--size", "1K")
        self.assertEqual(err, "")
        _, err = self.compare("--size", "1K", "--rounds", "50", "--progress=always")
        self.assertIn("round", err)


harness.main()
