"""Odd names, in both directions: carried as they are, shown escaped."""

import json
import os
import pty
import re
import select
import subprocess
import urllib.parse

import harness
from harness import Raw, TestCase

ODD = [b"new\nline", b"cr\rhere", b"esc\x1b[31mred", b"\x1b]0;title\x07", b"invalid\xff\xfe\x80utf8",
       b"-leading", b"--help", b"trailing ", b" leading", b"tab\there", b"per%cent", b"%41",
       b"a*b", b"what?", b"[ab]", b"#hash", b"back\\slash", b"quote\"'s", b"colon:name", b"del\x7f",
       b"equals=x", b"\x01\x02\x1f", "\u202eabc\u00e4\u65e5\u672c".encode(), b"~tilde", b"$HOME", b"a;b&c|d",
       b"x" * 255, "\u65e5".encode() * 85, b"...", b"..a", b".hidden", b"XFER 1", b"END size=0"]
FOUL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")


def foul(text):
    """What would drive a terminal, or is no UTF-8."""
    plain = text.decode("utf-8")  # the escape is the whole point: never raises
    return [c for c in plain if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160
            or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"]


class Names(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve()
        self.here = os.fsencode(self.path("here"))
        self.there = os.fsencode(self.server.root)
        os.mkdir(self.here)

    def fill(self, root):
        for name in ODD:
            with open(os.path.join(root, name), "wb") as f:
                f.write(name)

    def assertFull(self, root):
        self.assertEqual(sorted(os.listdir(root)), sorted(ODD))
        for name in ODD:
            with open(os.path.join(root, name), "rb") as f:
                self.assertEqual(f.read(), name)

    def bare(self, *args, **kwargs):
        """As run, with standard error as bytes, since that is what a terminal gets."""
        process = harness.start(*args, **kwargs)
        out, err = process.communicate(timeout=harness.scaled(60))
        return process.returncode, out, err

    def test_put_one_by_one(self):
        self.fill(self.here)
        for name in ODD:
            with self.subTest(name):
                status, _, err = self.bare("put", "--", os.path.join(self.here, name),
                                           f"{self.server.addr}/")
                self.assertEqual(status, 0, err)
                self.assertEqual(err.count(b"\n"), 1, err)
                self.assertEqual(foul(err), [])
        self.assertFull(self.there)
        self.assertEqual(foul(os.fsencode(self.server.log())), [])
        self.assertEqual(len(re.findall(r" PUT ", self.server.log())), len(ODD))

    def test_put_tree_and_get_tree(self):
        self.fill(self.here)
        status, _, err = self.bare("put", "-rv", self.here + b"/", f"{self.server.addr}/")
        self.assertEqual(status, 0, err)
        self.assertEqual(foul(err), [])
        self.assertFull(self.there)
        status, _, err = self.bare("get", "-rv", f"{self.server.addr}/", self.path("back"))
        self.assertEqual(status, 0, err)
        self.assertEqual(foul(err), [])
        self.assertFull(os.fsencode(self.path("back")))

    def test_get_one_by_one(self):
        """Byte for byte after HOST:PORT/; percent-escapes only with a scheme."""
        self.fill(self.there)
        for name in ODD:
            with self.subTest(name):
                addr = self.server.addr.encode()
                status, out, err = self.bare("get", addr + b"/" + name, "-")
                self.assertEqual((status, out), (0, name), err)
                self.assertEqual(foul(err), [])
                quoted = urllib.parse.quote_from_bytes(name, safe="")
                status, out, err = self.bare("get", f"xfer://{self.server.addr}/{quoted}", "-")
                self.assertEqual((status, out), (0, name), err)

    def test_relative_names_that_look_like_options(self):
        self.make(os.path.join(self.here, b"-r"), b"data")
        self.xfer("put", "--", "-r", f"{self.server.addr}/", cwd=self.here)
        self.xfer("put", "./-r", f"{self.server.addr}/again", cwd=self.here)
        self.assertEqual(self.read(self.server.path("-r")), b"data")
        self.assertEqual(self.read(self.server.path("again")), b"data")

    def test_errors_are_escaped(self):
        name = b"no\x1b[2J\nsuch\xff"
        addr = self.server.addr.encode()
        for args in (["get", addr + b"/" + name, self.here], ["ls", addr + b"/" + name],
                     ["put", os.path.join(self.here, name), addr + b"/"]):
            with self.subTest(args):
                status, _, err = self.bare(*args)
                self.assertIn(status, (4, 6))
                self.assertEqual(foul(err), [])
                self.assertEqual(err.count(b"\n"), 1, err)
                self.assertIn(b"\\x1b[2J", err)
        for args in (["get", b"\x1b[2J\n:x"], ["put", b"--\x1b[2J\n", b"a"], [b"\x1b[2J\n"],
                     ["serve", b"\x1b[2J\n/nope"], ["ls", b"h\x1b[2J\n:/a"]):
            with self.subTest(args):
                status, _, err = self.bare(*args)
                self.assertNotEqual(status, 0)
                self.assertEqual(foul(err), [])
                self.assertEqual(err.count(b"\n"), 1, err)

    def test_ls_on_a_pipe_and_on_a_terminal(self):
        self.fill(self.there)
        out, _ = self.xfer("ls", f"{self.server.addr}/")
        self.assertEqual(out, b"".join(name + b"\n" for name in sorted(ODD)))
        shown = self.on_terminal("ls", f"{self.server.addr}/").replace(b"\r\n", b"\n")
        self.assertEqual(foul(shown), [])
        self.assertEqual(shown.count(b"\n"), len(ODD))

    def on_terminal(self, *args):
        parent, child = pty.openpty()
        process = harness.start(*args, stdout=child)
        os.close(child)
        shown = b""
        while select.select([parent], [], [], harness.scaled(20))[0]:
            try:
                data = os.read(parent, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
        os.close(parent)
        self.assertEqual(harness.finish(process)[0], 0)
        return shown

    def test_json_names(self):
        self.fill(self.there)
        out, _ = self.xfer("ls", "--json", f"{self.server.addr}/")
        names = set()
        for line in out.splitlines():
            record = json.loads(line)
            if record["type"] != "entry":
                continue
            self.assertEqual("name" in record, "name_escaped" not in record)
            if "name" in record:
                names.add(record["name"].encode())
            else:
                self.assertIn(r"\xff", record["name_escaped"])
        self.assertEqual(names, {name for name in ODD if b"\xff" not in name})

    def test_checksums_of_odd_names(self):
        self.fill(self.there)
        out, _ = self.xfer("get", "-r", "--checksums", f"{self.server.addr}/", ".", cwd=self.here)
        check = subprocess.run(["sha256sum", "-c", "--quiet"], input=out, cwd=self.here, check=False,
                               stderr=subprocess.PIPE)
        self.assertEqual(check.returncode, 0, check.stderr)
        self.assertEqual(out.count(b"\n"), len(ODD))

    def test_the_log_is_one_line_a_request(self):
        self.fill(self.there)
        self.xfer("get", "-r", f"{self.server.addr}/", self.path("back"))
        with Raw(self.server.addr) as peer:
            peer.hello()
            peer.send("GET /evil%0aline%20two%1b[2J", "GET /" + "%ff" * 100)
            self.assertEqual(peer.reply()[0], 550)
            self.assertEqual(peer.reply()[0], 550)
        self.server.wait_log(r"GET /evil\\nline\\x20two\\x1b\[2J .* failed not-found: ")
        self.assertEqual(foul(os.fsencode(self.server.log())), [])
        for line in self.server.log().splitlines():
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z 127\.0\.0\.1:\d+ ")


class Hidden(TestCase):
    """.xfer- temporaries are neither listed nor served, nor can they be named by a peer."""

    NAMES = [f".xfer-{'0123456789abcdef' * 2}.part", f".xfer-{'f' * 32}.tmp"]

    def setUp(self):
        super().setUp()
        self.server = self.serve()
        self.make(self.server.path("d/plain"), b"plain")
        for directory in ("", "d"):
            for name in self.NAMES:
                self.make(self.server.path(os.path.join(directory, name)), b"hidden")

    def test_not_listed(self):
        out, _ = self.xfer("ls", "-R", f"{self.server.addr}/")
        self.assertEqual(out, b"d/\nd/plain\n")
        out, _ = self.xfer("ls", f"{self.server.addr}/d/.*", status=4)
        self.assertEqual(out, b"")

    def test_not_sent_with_a_tree(self):
        self.xfer("get", "-r", f"{self.server.addr}/", self.path("tree"))
        self.assertEqual(set(harness.tree(self.path("tree"))), {b"d", b"d/plain"})
        self.xfer("put", "-r", self.server.path("d"), f"{self.server.addr}/copy")
        self.assertEqual(set(harness.tree(self.server.path("copy"))), {b"d", b"d/plain"})

    def test_neither_read_nor_written_nor_named(self):
        source = self.make("source", b"new")
        for name in self.NAMES:
            for path in (name, f"d/{name}", f"{name}/below"):
                with self.subTest(path):
                    for args in (["get", f"{self.server.addr}/{path}", "-"],
                                 ["ls", f"{self.server.addr}/{path}"],
                                 ["put", source, f"{self.server.addr}/{path}", "--mkpath"]):
                        self.fails(2, "name of xfer's own temporary files", *args)
                    with Raw(self.server.addr) as peer:
                        peer.hello()
                        peer.send(f"GET /{path}", f"SUM /{path}", f"MKDIR /{path}",
                                  f"LIST /{path} self=1", f"PUT /{path} size=0")
                        peer.put_body(b"")
                        for _ in range(5):
                            self.assertGreaterEqual(peer.reply()[0], 400)
        name = self.make(self.path(self.NAMES[0]), b"mine")
        self.xfer("put", name, f"{self.server.addr}/", status=4)
        for directory in ("", "d"):
            for name in self.NAMES:
                self.assertEqual(self.read(self.server.path(os.path.join(directory, name))),
                                 b"hidden")
        self.assertEqual(sorted(os.listdir(self.server.root)), sorted([*self.NAMES, "d"]))

    def test_names_that_only_look_so_are_like_any_other(self):
        for name in (".xfer-", ".xfer-x", f".xfer-{'0' * 31}.part", ".xfer-notes.tmp"):
            source = self.make(name, b"data")
            self.xfer("put", source, f"{self.server.addr}/")
            self.assertEqual(self.xfer("get", f"{self.server.addr}/{name}", "-")[0], b"data")
            self.assertIn(f"{name}\n".encode(), self.xfer("ls", f"{self.server.addr}/")[0])


if __name__ == "__main__":
    harness.main()
