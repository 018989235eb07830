"""What commands say: lines for people, --json, --checksums, listings, the progress line."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import harness
from harness import TestCase, noise, sha256

SIZE = r"\d+(\.\d)? (B|kB|MB|GB)"
RATE = r"\d+(\.\d)? (B|kB|MB|GB)/s"
YEAR_2001 = 10**18 + 123_456_789


class Lines(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve()

    def test_one_line_a_file(self):
        """Name, size, time, rate, the first digits of the SHA-256, and the word."""
        data = noise(123_456)
        source = self.make("a.bin", data)
        line = rf"^a\.bin  123 kB  \d+\.\d s  {RATE}  sha256 {sha256(data)[:8]}…  verified\n$"
        out, err = self.xfer("put", source, f"{self.server.addr}/")
        self.assertRegex(err, line)
        self.assertEqual(out, b"")
        out, err = self.xfer("get", f"{self.server.addr}/a.bin", self.path("b"))
        self.assertRegex(err, line)
        self.assertEqual(out, b"")

    def test_plain_dots_where_the_locale_has_no_others(self):
        source = self.make("a", b"x")
        _, err = self.xfer("put", source, f"{self.server.addr}/", env={"LC_ALL": "C"})
        self.assertRegex(err, r"sha256 [0-9a-f]{8}\.\.\.  verified\n$")

    def test_quiet(self):
        source = self.make("src/a", b"x")
        for args in (["put", source, f"{self.server.addr}/"],
                     ["put", "-r", self.path("src"), f"{self.server.addr}/"],
                     ["get", f"{self.server.addr}/a", self.path("b")],
                     ["get", f"{self.server.addr}/*", self.tmp]):
            with self.subTest(args):
                status, out, err = harness.run(*args, "-q")
                self.assertEqual((out, [line for line in err.splitlines() if "xfer: " not in line]),
                                 (b"", []))
        _, err = self.xfer("get", "-q", f"{self.server.addr}/nope", self.path("b"), status=4)
        self.assertRegex(err, r"^xfer: \S+/nope: not found\n$")

    def test_verbose_tells_addresses(self):
        source = self.make("a", b"x")
        for args in (["put", source, f"{self.server.addr}/"],
                     ["get", f"{self.server.addr}/a", self.path("b")],
                     ["ls", f"{self.server.addr}/"]):
            with self.subTest(args):
                _, err = self.xfer(*args, "-v")
                self.assertRegex(err, rf"(?m)^connected to {self.server.addr} \(tcp\)$")

    def test_an_error_is_one_line_with_what_which_why(self):
        self.make("a", b"x")
        self.make(self.server.path("d/x"), b"")
        for args, line in (
                (["get", f"{self.server.addr}/nope"], rf"xfer: {self.server.addr}/nope: not found"),
                (["get", f"{self.server.addr}/d"],
                 rf"xfer: {self.server.addr}/d: is a directory \(-r gets it whole\)"),
                (["put", self.path("nope"), f"{self.server.addr}/"],
                 rf"xfer: {self.path('nope')}: No such file or directory"),
                (["put", self.tmp, f"{self.server.addr}/"],
                 rf"xfer: {self.tmp}: .*is a directory.*-r.*"),
                (["get", f"{self.server.addr}/d/x", self.path("no/where/x")],
                 rf"xfer: {self.path('no/where/x')}: No such file or directory; --mkpath .*"),
                (["put", self.path("a"), f"{self.server.addr}/no/where"],
                 rf"xfer: {self.server.addr}/no/where: not found; --mkpath .*"),
                (["ls", f"{self.server.addr}/nope"], rf"xfer: {self.server.addr}/nope: not found")):
            with self.subTest(args):
                status, out, err = harness.run(*args, cwd=self.tmp)
                self.assertIn(status, (4, 6))
                self.assertEqual(out, b"")
                self.assertRegex(err, rf"^{line}\n$")

    def test_a_resumed_get_says_from_where(self):
        """After a command that was stopped the same command goes on."""
        data = noise(4 << 20)
        self.make(self.server.path("f"), data, mtime=YEAR_2001)
        process = harness.start("get", f"{self.server.addr}/f", self.tmp, "--limit-rate", "4M")
        harness.wait_for(lambda: any(name.startswith(".xfer-") and os.stat(
            self.path(name)).st_blocks * 512 > 1 << 20 for name in os.listdir(self.tmp)), "a MiB")
        harness.end(process, 2)
        status, _, err = harness.finish(process)
        self.assertEqual(status, 130, err)
        self.assertRegex(err, "^xfer: interrupted; .* goes on from there\n$")
        self.assertFalse(os.path.exists(self.path("f")))
        _, err = self.xfer("get", f"{self.server.addr}/f", self.tmp)
        self.assertRegex(err, rf"^f  4\.2 MB \(resumed at {SIZE}\)  .*  verified\n$")
        self.assertEqual(self.read("f"), data)
        self.assertNoLeftovers(self.tmp)


class Checksums(TestCase):
    def check(self, lines, cwd, n):
        self.assertEqual(len(lines.splitlines()), n)
        done = subprocess.run(["sha256sum", "-c", "--strict"], input=lines, cwd=cwd, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)

    def setUp(self):
        super().setUp()
        self.server = self.serve()
        for name in ("a", "sub/b", "sub/new\nline", "sub/back\\slash", "sub/sp ace"):
            self.make(os.path.join("src", name), noise(1000, len(name)))

    def test_put_and_get_of_trees(self):
        out, err = self.xfer("put", "-r", "--checksums", "src", f"{self.server.addr}/",
                             cwd=self.tmp)
        self.check(out, self.tmp, 5)
        self.assertRegex(err, "verified")
        out, _ = self.xfer("get", "-r", "--checksums", f"{self.server.addr}/src", "dst",
                           "--mkpath", cwd=self.tmp)
        self.check(out, self.tmp, 5)
        self.assertIn(b"  dst/src/a\n", out)

    def test_single_files(self):
        out, _ = self.xfer("put", "--checksums", "src/a", f"{self.server.addr}/", cwd=self.tmp)
        self.assertEqual(out.decode(), f"{sha256(noise(1000, 1))}  src/a\n")
        out, _ = self.xfer("get", "--checksums", f"{self.server.addr}/a", "./b", cwd=self.tmp)
        self.check(out, self.tmp, 1)

    def test_of_a_failed_file_there_is_none(self):
        out, _ = self.xfer("put", "--checksums", "src/a", "nope", f"{self.server.addr}/", status=6,
                           cwd=self.tmp)
        self.check(out, self.tmp, 1)

    def test_from_ls(self):
        self.xfer("put", "-r", "src/", f"{self.server.addr}/", cwd=self.tmp)
        out, _ = self.xfer("ls", "-R", "--sha256", f"{self.server.addr}/")
        self.check(out, self.server.root, 5)


class Json(TestCase):
    FILE = {"schema", "type", "name", "remote", "local", "outcome", "bytes"}

    def setUp(self):
        super().setUp()
        self.server = self.serve()
        for name in ("a", "sub/b"):
            self.make(os.path.join("src", name), noise(1000, len(name)), mtime=YEAR_2001, mode=0o640)

    def json(self, *args, status=0):
        out, _ = self.xfer(*args, "--json", status=status)
        records = [json.loads(line) for line in out.splitlines()]
        self.assertTrue(all(record["schema"] == 1 for record in records))
        self.assertEqual([r["type"] for r in records].count("summary"), 1)
        self.assertEqual(records[-1]["type"], "summary")
        self.assertEqual(records[-1]["exit_status"], status)
        return records

    def test_put_and_get(self):
        for args, done in ((["put", "-r", self.path("src"), f"{self.server.addr}/"], "done"),
                           (["get", "-r", f"{self.server.addr}/src", self.path("dst")], "done")):
            with self.subTest(args):
                *files, summary = self.json(*args)
                self.assertEqual(sorted(r["name"] for r in files), ["a", "sub/b"])
                for record in files:
                    self.assertEqual(record["type"], "file")
                    self.assertLessEqual(self.FILE | {"sha256", "seconds", "bits_per_second",
                                                      "resumed_at_bytes", "verified"}, set(record))
                    self.assertEqual((record["outcome"], record["bytes"], record["verified"],
                                      record["resumed_at_bytes"]), (done, 1000, True, 0))
                    self.assertEqual(record["sha256"],
                                     sha256(noise(1000, len(record["name"]))))
                    self.assertTrue(os.path.exists(record["local"]))
                    self.assertTrue(record["remote"].startswith(self.server.addr))
                self.assertEqual((summary["files_done"], summary["files_failed"], summary["bytes"]),
                                 (2, 0, 2000))
                for key in ("seconds", "bits_per_second", "retransmits", "rtt_seconds"):
                    self.assertIsInstance(summary[key], (int, float), key)

    def test_outcomes(self):
        self.xfer("put", "-r", self.path("src"), f"{self.server.addr}/")
        self.make("src/new", b"new")
        os.mkfifo(self.path("src/fifo"))
        records = self.json("put", "-ru", self.path("src"), f"{self.server.addr}/", status=1)
        self.assertEqual({r["name"]: r["outcome"] for r in records[:-1]},
                         {"a": "unchanged", "sub/b": "unchanged", "new": "done", "fifo": "skipped"})
        records = self.json("put", "-r", "--dry-run", self.path("src"), f"{self.server.addr}/",
                            "--exclude", "fifo")
        self.assertEqual({r["outcome"] for r in records[:-1]}, {"would"})
        self.assertEqual(records[-1]["files_would"], 3)

    def test_failures(self):
        *records, summary = self.json("get", f"{self.server.addr}/nope", self.path("x"), status=4)
        self.assertEqual((records[0]["outcome"], records[0]["error"], records[0]["message"]),
                         ("failed", "not-found", "not found"))
        self.assertEqual(summary["files_failed"], 1)
        *records, summary = self.json("get", "127.0.0.1:1/x", self.path("x"), status=3)
        self.assertEqual(records[0]["error"], "unreachable")

    def test_names_that_are_not_utf8(self):
        name = b"caf\xe9\n"
        with open(os.path.join(os.fsencode(self.server.root), name), "wb") as f:
            f.write(b"x")
        *records, _ = self.json("get", self.server.addr.encode() + b"/" + name, self.tmp)
        self.assertNotIn("name", records[0])
        self.assertEqual(records[0]["name_escaped"], r"caf\xe9\n")
        self.assertIn(r"caf\xe9\n", records[0]["local_escaped"])
        self.assertIn(r"caf\xe9\n", records[0]["remote_escaped"])

    def test_ls(self):
        self.xfer("put", "-r", self.path("src/"), f"{self.server.addr}/")
        *records, summary = self.json("ls", "-R", "--sha256", f"{self.server.addr}/")
        by_name = {r["name"]: r for r in records}
        self.assertEqual(set(by_name), {"a", "sub", "sub/b"})
        record = by_name["sub/b"]
        self.assertEqual((record["type"], record["kind"], record["bytes"], record["mode"],
                          record["mtime"], record["sha256"]),
                         ("entry", "file", 1000, "0640", "2001-09-09T01:46:40.123456789Z",
                          sha256(noise(1000, 5))))
        self.assertEqual(by_name["sub"]["kind"], "directory")
        self.assertEqual((summary["entries"], summary["bytes"]), (3, 2000))
        self.json("ls", f"{self.server.addr}/nope", status=4)


class Listing(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve()
        self.make(self.server.path("b.txt"), b"12345", mtime=YEAR_2001, mode=0o640)
        self.make(self.server.path("a"), noise(123456), mtime=0, mode=0o755)
        self.make(self.server.path("sub/x"), b"", mtime=-10**18, mode=0o400)
        os.mkdir(self.server.path("empty"))

    def ls(self, *args, path=""):
        return self.xfer("ls", *args, f"{self.server.addr}/{path}")[0].decode()

    def test_plain(self):
        self.assertEqual(self.ls(), "a\nb.txt\nempty/\nsub/\n")
        self.assertEqual(self.ls("-r"), "sub/\nempty/\nb.txt\na\n")
        self.assertEqual(self.ls("-R"), "a\nb.txt\nempty/\nsub/\nsub/x\n")
        self.assertEqual(self.ls("-Rr"), "sub/x\nsub/\nempty/\nb.txt\na\n")

    def test_of_a_directory_and_of_a_file(self):
        for path in ("sub", "sub/"):
            self.assertEqual(self.ls(path=path), "x\n")
        self.assertEqual(self.ls(path="b.txt"), "b.txt\n")
        self.assertEqual(self.ls(path="empty"), "")

    def test_long(self):
        self.assertEqual(re.sub(r"(?m)^(d\S+) +\d+  \S+ \S+", r"\1", self.ls("-lR")),
                         "-rwxr-xr-x  123456  1970-01-01 00:00:00  a\n"
                         "-rw-r-----       5  2001-09-09 01:46:40  b.txt\n"
                         "drwxr-xr-x  empty/\n"
                         "drwxr-xr-x  sub/\n"
                         "-r--------       0  1938-04-24 22:13:20  sub/x\n")

    def test_times_are_local(self):
        out = self.xfer("ls", "-l", f"{self.server.addr}/b.txt", env={"TZ": "UTC-5"})[0]
        self.assertIn(b"2001-09-09 06:46:40  b.txt", out)

    def test_sha256(self):
        self.assertEqual(self.ls("--sha256", "-R"),
                         f"{sha256(noise(123456))}  a\n{sha256(b'12345')}  b.txt\n"
                         f"{sha256(b'')}  sub/x\n")
        self.assertRegex(self.ls("--sha256", "-l"), rf"(?m)^-rw-r-----.*  {sha256(b'12345')}  b.txt$")

    def test_an_unreadable_directory_is_one_error(self):
        harness.need_root()
        os.chmod(self.server.path("sub"), 0)
        server = self.serve("--user", "nobody", root=self.server.root)
        os.chmod(self.server.tmp, 0o755)
        out, err = self.xfer("ls", "-R", f"{server.addr}/", status=4)
        self.assertEqual(out, b"a\nb.txt\nempty/\nsub/\n")
        self.assertRegex(err, rf"^xfer: {server.addr}/sub: not permitted\n$")

    def test_a_closed_pipe(self):
        """The reader went away: 141, and not a word."""
        for i in range(2000):
            self.make(self.server.path(f"many/{'n' * 100}{i}"))
        for args in (["ls", f"{self.server.addr}/many"], ["ls", "--json", f"{self.server.addr}/many"],
                     ["get", f"{self.server.addr}/a", "-"]):
            with self.subTest(args):
                read, write = os.pipe()
                os.close(read)
                process = harness.start(*args, stdout=write)
                os.close(write)
                status, _, err = harness.finish(process)
                self.assertEqual((status, err), (141, ""))

    def test_a_pipe_that_closes_later(self):
        self.make(self.server.path("big"), noise(8 << 20))
        process = harness.start("get", f"{self.server.addr}/big", "-", bufsize=0)
        process.stdout.read(10)
        process.stdout.close()
        self.assertEqual(process.wait(harness.scaled(20)), 141)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()


class Screen:
    """A terminal's row: what a program draws, and the rows that it left behind."""

    def __init__(self):
        self.column = 0
        self.redraws = 0
        self.text = ""
        self.rows = []

    def feed(self, data):
        for piece in re.findall(r"\r\n|\x1b\[K|\r|\n|.", data, re.S):
            if piece == "\r":
                self.column = 0
                self.redraws += 1
            elif piece == "\x1b[K":
                self.text = self.text[:self.column]
            elif piece in ("\n", "\r\n"):
                self.rows.append(self.text)
                self.column, self.text = 0, ""
            else:
                assert piece.isprintable(), repr(piece)
                self.column += 1
                self.text = self.text[:self.column - 1].ljust(self.column - 1) + piece + \
                    self.text[self.column:]


class Progress(TestCase):
    NAME = "a-rather-long-name-of-a-file-that-does-not-fit-\u65e5\u672c.bin"

    def setUp(self):
        super().setUp()
        self.server = self.serve()
        self.source = self.make(self.NAME, noise(600_000))

    def draw(self, columns, *options, args=None, resize=None, env=None):
        """Runs a command of about 0.6 s on a terminal: its screen."""
        parent, child = pty.openpty()
        set_width(child, columns)
        screen = Screen()
        process = harness.start(*(args or ["put", self.source, f"{self.server.addr}/",
                                           "--limit-rate", "1M"]), *options, stderr=child,
                                env=env, start_new_session=True)
        os.close(child)
        raw = b""
        end = time.monotonic() + harness.scaled(30)
        while time.monotonic() < end and select.select([parent], [], [], harness.scaled(20))[0]:
            try:
                data = os.read(parent, 65536)
            except OSError:
                break
            raw += data
            screen.feed(data.decode("utf-8"))
            if resize and screen.redraws >= 2:
                set_width(parent, resize)
                resize, self.resized_at = None, len(raw)
        os.close(parent)
        self.assertEqual(harness.finish(process)[0], 0, raw)
        return screen, raw.decode("utf-8")

    def test_it_never_wraps(self):
        for columns in (10, 20, 40, 80, 200):
            with self.subTest(columns):
                screen, raw = self.draw(columns, "--progress=always")
                self.assertGreater(screen.redraws, 2, raw)
                lines = [line for line in re.split(r"[\r\n]|\x1b\[K", raw)
                         if "%" in line]
                self.assertGreater(len(lines), 1)
                for line in lines:
                    self.assertLess(width(line), columns, line)
                self.assertRegex(screen.rows[-1], "verified$")
                self.assertNotIn("%", screen.rows[-1])

    def test_resized_meanwhile(self):
        """A redraw that begins after the change fits; one may have been on its way."""
        for before, after in ((80, 20), (20, 80), (80, 10)):
            with self.subTest(before=before, after=after):
                self.make(self.NAME, noise(1_200_000))
                _, raw = self.draw(before, "--progress=always", resize=after)
                raw = raw.encode()[self.resized_at:].decode()
                lines = [line for line in re.split(r"[\r\n]|\x1b\[K", raw) if "%" in line]
                self.assertGreater(len(lines), 2)
                for line in lines[1:]:
                    self.assertLess(width(line), after, line)

    def test_what_it_says(self):
        _, raw = self.draw(120, "--progress=always")
        self.assertRegex(raw, rf"\d+%  {SIZE} of 600 kB  {RATE}  \d+\.\d s left")
        tree = self.path("tree")
        for i in range(20):
            self.make(f"tree/{i}", noise(30_000, i))
        _, raw = self.draw(120, args=["put", "-r", tree, f"{self.server.addr}/", "--limit-rate",
                                      "1M"])
        self.assertRegex(raw, r"\d+ of 20 files")

    def test_automatic_on_a_terminal_only(self):
        _, raw = self.draw(80)
        self.assertIn("%", raw)
        _, raw = self.draw(80, "-q")
        self.assertNotIn("%", raw)
        _, raw = self.draw(80, "--progress=never")
        self.assertNotIn("%", raw)
        _, err = self.xfer("put", self.source, f"{self.server.addr}/x", "--limit-rate", "2M")
        self.assertNotIn("%", err)
        _, err = self.xfer("put", self.source, f"{self.server.addr}/x", "--limit-rate", "2M",
                           "--progress=always")
        self.assertIn("%", err)

    def test_a_dumb_terminal_gets_no_escape_codes(self):
        screen, raw = self.draw(80, "--progress=always", env={"TERM": "dumb"})
        self.assertNotIn("\x1b", raw)
        self.assertGreater(screen.redraws, 2)
        self.assertRegex(screen.rows[-1].strip(), "verified$")


def set_width(fd, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def width(text):
    """Columns: wide characters count two."""
    return sum(2 if "\u2e80" <= c <= "\uffdc" else 1 for c in text)


if __name__ == "__main__":
    harness.main()
