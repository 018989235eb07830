"""Servers that mean harm, against our client: nothing outside DEST, the old file stays, an honest exit.

XFER_TEST_FULL=1 tries more damaged conversations.
"""

import os
import random
import time

import harness
from fake import Fake
from harness import TestCase, noise, run, scaled, sha256, tree

FULL = bool(os.environ.get("XFER_TEST_FULL"))
SEED = int(os.environ.get("XFER_SEED") or 1)
NEW = b"new content\n"
BODY = b"DATA %d\n%sEND size=%d sha256=%s\n" % (len(NEW), NEW, len(NEW), sha256(NEW).encode())
GET = b"200 size=%d mtime=5 mode=0644 etag=e\n" % len(NEW) + BODY
ONCE = ("--retries", "0")
HIDDEN = b".xfer-" + b"0" * 32


def says(*answers, hello=b"XFER/1\n", hang_up=True):
    """A script: the hello, then an answer to each request. None leaves it open and silent."""
    def script(peer):
        peer.line()
        peer.send(hello)
        for answer in answers:
            line = peer.line()
            if line.startswith(b"PUT") and b"resume=" not in line:
                peer.drop_body()
            if answer is None:
                peer.sock.recv(1 << 20)
                time.sleep(scaled(60))
            peer.send(answer)
        if not hang_up:
            peer.line()
    return script


def lists(*entries, get=GET):
    """A script of a server whose root has these entries (each a line), and any file at all."""
    def script(peer):
        peer.line()
        peer.send(b"XFER/1\n")
        while True:
            line = peer.line()
            if line.startswith(b"LIST") and b"self=1" in line:
                path = line.split()[1].strip(b"/")
                kind = b"d" if path in (b"", b"t") else b"f"
                if b"*" in path:
                    peer.send(b"550 not-found\n")
                    continue
                peer.send(b"200\nENTRY %s type=%s mode=0755\nEND count=1\n" % (path or b"/", kind))
            elif line.startswith(b"LIST"):
                peer.send(b"200\n" + b"".join(b"ENTRY %s\n" % e for e in entries)
                          + b"END count=%d\n" % len(entries))
            else:
                peer.send(get)
    return script


class HostileServer(TestCase):
    def setUp(self):
        super().setUp()
        os.makedirs(self.path("box", "outside"))
        self.make("box/outside/victim", b"victim")
        os.mkdir(self.path("box", "dest"))

    def fake(self, script):
        fake = Fake(script)
        fake.__enter__()
        self.addCleanup(fake.__exit__)
        return fake

    def assertOnlyDest(self, before):
        after = {name: facts for name, facts in tree(self.path("box")).items()
                 if not name.startswith(b"dest")}
        self.assertEqual(after, {name: facts for name, facts in before.items()
                                 if not name.startswith(b"dest")})

    def clear(self):
        harness.remove_tree(self.path("box", "dest"))
        os.mkdir(self.path("box", "dest"))


class Names(HostileServer):
    BAD = [b"../evil", b"..", b"%2e%2e/evil", b".%2e", b"/evil", b"//evil", b"/", b".", b"./evil",
           b"a/", b"a//evil", b"a/./evil", b"a/../evil", b"a/../../evil", b"a/b/..", b"a%00b", b"%00",
           b"n" * 256, b"a/" + b"n" * 256, b"d/" * 2048 + b"x", b"%zz", b"%",
           HIDDEN + b".part", HIDDEN + b".tmp", b"a/" + HIDDEN.upper() + b".TMP", b"", b" "]

    def attempts(self, addr):
        dest = self.path("box", "dest")
        return [("get", "-r", *ONCE, f"{addr}/", dest), ("get", "-r", *ONCE, f"{addr}/t", dest),
                ("get", *ONCE, f"{addr}/*", dest), ("ls", "-R", *ONCE, f"{addr}/")]

    def test_names_that_no_listing_may_have(self):
        before = tree(self.path("box"))
        for name in self.BAD:
            for kind in (b"f", b"d"):
                fake = self.fake(lists(b"good type=f", name + b" type=" + kind, b"later type=f"))
                for args in self.attempts(fake.addr):
                    with self.subTest(name[:40], kind=kind, args=args[:3]):
                        status, out, err = run(*args)
                        self.assertIn(status, (3, 4), err)
                        self.assertRegex(err, "(?m)^xfer: ")
                        self.assertOnlyDest(before)
                        self.assertFalse(set(os.listdir(self.path("box", "dest")))
                                         - {"good", "later", "t", "a"})
                        self.clear()

    def test_two_entries_of_one_name(self):
        before = tree(self.path("box"))
        for entries in ([b"a type=f", b"a type=f"], [b"a type=f", b"%61 type=f"],
                        [b"a type=d", b"a type=f"], [b"a type=f", b"a type=d"],
                        [b"a type=f", b"a/b type=f"], [b"a type=f", b"a type=d", b"a/b type=f"],
                        [b"a type=d", b"a/b type=f", b"a/b type=f"]):
            with self.subTest(entries):
                fake = self.fake(lists(*entries))
                status, _, err = run("get", "-r", *ONCE, f"{fake.addr}/", self.path("box", "dest"))
                self.assertNotEqual(status, 0, err)
                self.assertOnlyDest(before)
                self.assertNoLeftovers(self.path("box"))
                self.clear()

    def test_names_behind_symlinks_of_dest(self):
        """DEST holds symlinks that lead out: what is listed below them stays out all the same."""
        before = tree(self.path("box"))
        outside = self.path("box", "outside")
        for target in (outside, "../outside", "..", "/"):
            for entries in ([b"link/evil type=f"], [b"link type=d", b"link/evil type=f"],
                            [b"link/victim type=f"], [b"link type=d", b"link/new type=d"],
                            [b"link/outside/evil type=f"], [b"link type=d mtime=5 mode=0700"]):
                with self.subTest(target, entries=entries):
                    os.symlink(target, self.path("box", "dest", "link"))
                    fake = self.fake(lists(*entries))
                    status, _, err = run("get", "-r", "--mkpath", *ONCE, f"{fake.addr}/",
                                         self.path("box", "dest"))
                    self.assertNotEqual(status, 0, err)
                    self.assertOnlyDest(before)
                    self.assertFalse(os.path.exists("/evil") or os.path.exists("/new"))
                    self.clear()

    def test_a_symlink_in_a_file_s_place_is_replaced_or_left_never_followed(self):
        victim = self.path("box", "outside", "victim")
        for target in (victim, "../outside/victim", "../outside/new"):
            with self.subTest(target):
                os.symlink(target, self.path("box", "dest", "a"))
                fake = self.fake(lists(b"a type=f"))
                run("get", "-r", *ONCE, f"{fake.addr}/", self.path("box", "dest"))
                self.assertEqual(self.read(victim), b"victim")
                self.assertEqual(os.listdir(self.path("box", "outside")), ["victim"])
                self.clear()

    def test_listings_that_are_wrong(self):
        for listing in (b"200\nEND count=1\n", b"200\nENTRY a type=f\nEND count=0\n",
                        b"200\nENTRY a\nEND count=1\n", b"200\nENTRY\nEND\n", b"200\nGET /a\n",
                        b"200\nENTRY a type=f\n", b"200\n", b"201\nEND count=0\n", b"100\n",
                        b"200\nENTRY a type=f size=-1\nEND count=1\n", b"200\nDATA 5\nhelloEND\n",
                        b"200\nENTRY a type=f type=f\nEND count=1\n", b"END count=0\n",
                        b"200\nENTRY a type=f\nABORT 450 io-error\n", b"ENTRY a type=f\nEND\n",
                        b"550 not-found\n", b"200\nENTRY a type=d error=not-permitted\nEND count=1\n"):
            with self.subTest(listing):
                fake = self.fake(says(listing))
                status, _, err = run("ls", *ONCE, f"{fake.addr}/")
                self.assertIn(status, (3, 4), err)
                self.assertRegex(err, "(?m)^xfer: ")

    def test_what_servers_say_is_escaped(self):
        esc = b"%1b]0;evil%07%1b[31m%0aline"
        for args, answer in ((("ls",), b"200\nENTRY " + esc + b" type=f\nEND count=1\n"),
                             (("get",), b"550 not-found " + esc + b"\n"),
                             (("get",), b"599 unheard-of " + esc + b"\n"),
                             (("get",), b"200 size=1\nABORT 450 io-error " + esc + b"\n"),
                             (("put", self.make("x", b"x")), b"452 no-space " + esc + b"\n")):
            with self.subTest(answer):
                fake = self.fake(says(answer, answer))
                where = f"{fake.addr}/" + ("" if args[0] != "get" else "x")
                _, out, err = run(*args, *ONCE, where)
                if args[0] != "ls":  # to a pipe, ls prints names as they are
                    self.assertNotIn(b"\x1b", out)
                self.assertNotIn("\x1b", err)
                self.assertNotIn("\x07", err)


class Gets(HostileServer):
    """What a GET is answered with: (answer, exit status)."""

    def get(self, script, status, *options, part=False):
        fake = self.fake(script)
        path = self.make("box/dest/f", b"old")
        got, _, err = run("get", *ONCE, *options, f"{fake.addr}/f", path)
        self.assertEqual(got, status, err)
        if status:
            self.assertRegex(err, "(?m)^xfer: ")
            self.assertEqual(self.read(path), b"old")
            for name in os.listdir(self.path("box", "dest")):
                if name.endswith(".part") and part:  # as after any loss of the connection
                    os.unlink(self.path("box", "dest", name))
            self.assertEqual(os.listdir(self.path("box", "dest")), ["f"])
        else:
            self.assertEqual(self.read(path), NEW)
        return err

    def test_answers(self):
        wrong = sha256(b"other").encode()
        right = sha256(NEW).encode()
        head = b"200 size=12 etag=e\n"
        data = b"DATA 12\n" + NEW
        for answer, status in [
                (GET, 0),
                (b"102\n102\n" + GET, 0),
                (b"200\n" + BODY, 0),
                (b"200 size=99999999 mtime=5\n" + BODY, 0),
                (b"200 size=0\n" + BODY, 0),
                (b"200 mode=7777\n" + BODY, 0),
                (head + b"DATA 0\n102\nDATA 5\nnew cDATA 0\n102\nDATA 7\nontent\n"
                 b"END size=12 whole=" + right + b"\n", 0),
                (GET + b"200 and more that nobody asked\n", 0),
                (GET + GET, 0),
                (head + data + b"END size=12 sha256=" + wrong + b"\n", 5),
                (head + data + b"END size=12 sha256=" + right + b" whole=" + wrong + b"\n", 5),
                (head + data + b"END size=12\n", 5),
                (head + data + b"END\n", 5),
                (head + data + b"END size=11 sha256=" + right + b"\n", 5),
                (head + data + b"END size=13 sha256=" + right + b"\n", 5),
                (head + b"DATA 5\nnew cEND size=12 sha256=" + right + b"\n", 5),
                (head + data + b"DATA 1\nxEND size=12 sha256=" + right + b"\n", 5),
                (head + b"END size=12 sha256=" + right + b"\n", 5),
                (head + data, 3),
                (head + b"DATA 12\nnew", 3),
                (head, 3),
                (b"", 3),
                (b"200", 3),
                (head + data + b"END size=12 sha256=" + right, 3),
                (head + data + b"END size=12 sha256=12\n", 3),
                (head + data + b"garbage here\n", 3),
                (head + data + b"200\n", 3),
                (head + data + b"550 not-found\n", 3),
                (head + b"DATA 1048577\n" + b"x" * 1048577, 3),
                (head + b"DATA -1\n", 3),
                (head + b"DATA 99999999999999999999\n", 3),
                (head + b"\n", 3),
                (head + b"GET /f\n", 3),
                (head + b"PUT /f\n", 3),
                (b"201\n" + BODY, 3),
                (b"299\n" + BODY, 3),
                (b"300\n" + BODY, 3),
                (b"100 offset=5\n" + BODY, 3),
                (b"200 offset=5\n" + BODY, 3),
                (b"200 offset=9223372036854775807\n" + BODY, 3),
                (b"600\n", 3),
                (b"099\n", 3),
                (b"nonsense\n", 3),
                (b"\xff\xfe\0\n", 3),
                (b"200 size=1 size=1\n" + BODY, 3),
                (b"200 size=-1\n" + BODY, 3),
                (b"200 size=12 " + b"x=1 " * 4096 + b"\n", 3),
                (b"x" * 100_000, 3),
                (BODY, 3),
                (b"ENTRY f type=f\nEND count=1\n", 3),
                (head + b"ABORT 450 io-error\n", 4),
                (head + data + b"ABORT 450 io-error\n", 4),
                (head + data + b"ABORT 599 unheard-of\n", 4),
                (head + data + b"ABORT 553 not-permitted\n", 4),
                (head + data + b"ABORT 561 digest-mismatch\n", 5),
                (head + data + b"ABORT 426 canceled\n", 4),
                (head + data + b"ABORT 427 deadline\n", 4),
                (head + data + b"ABORT 501 usage\n", 4),
                (b"550 not-found\n", 4),
                (b"550\n", 4),
                (b"551 what-is-this it is new\n", 4),
                (b"421 busy\n", 4),
                (b"425 lost\n", 3),
                (b"426 canceled\n", 4),
                (b"427 deadline\n", 4),
                (b"500 malformed\n", 3),
                (b"501 usage\n", 4),
                (b"453 host-unknown\n", 4),
        ]:
            with self.subTest(answer[:100]):
                self.get(says(answer), status)

    def test_a_changing_file_is_tried_a_few_times(self):
        asked = []
        changed = b"200 size=12\nDATA 12\n" + NEW + b"ABORT 451 changed\n"

        def script(peer):
            peer.line()
            peer.send(b"XFER/1\n")
            while True:
                asked.append(peer.line())
                peer.send(changed)
        self.get(script, 4)
        self.assertTrue(1 < len(asked) < 10, asked)

    def test_modes_never_have_more_than_permissions(self):
        self.get(says(b"200 mode=7777 mtime=5\n" + BODY), 0)
        self.assertEqual(os.stat(self.path("box/dest/f")).st_mode & 0o7777, 0o777)

    def test_hellos(self):
        for hello in (b"", b"XFER/2\n", b"XFER/0\n", b"XFER/\n", b"HELLO\n", b"200\n", b"\n",
                      b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"220 FTP here\r\n",
                      b"\x15\x03\x01\x00\x02\x02\x46\n", b"XFER/1", b"XFER/1 a\n", noise(300) + b"\n",
                      b"x" * 100_000, b"500 malformed\n", b"XFER/1 agent=\n"):
            with self.subTest(hello[:30]):
                self.get(says(GET, hello=hello), 3)
        self.get(says(GET, hello=b"XFER/1 new=1 agent=x\r\n"), 0)
        self.get(says(GET, hello=b"XFER/1\n421 busy too many connections\n"), 4)

    def test_endless_things_end_with_max_time(self):
        def endless(first, piece):
            def script(peer):
                peer.line()
                peer.send(first)
                while True:
                    peer.send(piece)
            return script
        for first, piece in ((b"XFER/1\n", b"102\n" * 1000),
                             (b"XFER/1\n200\n", b"DATA 0\n" * 1000),
                             (b"XFER/1\n200\n", b"DATA 1000\n" + b"x" * 1000)):
            with self.subTest(piece[:9]):
                began = time.monotonic()
                self.get(endless(first, piece), 3, "--max-time", "0.5", part=True)
                self.assertLess(time.monotonic() - began, scaled(5))
        fake = self.fake(endless(b"XFER/1\n200\n", b"".join(b"ENTRY f%d type=f\n" % i
                                                           for i in range(1000))))
        began = time.monotonic()
        for args in (("ls", f"{fake.addr}/"), ("get", f"{fake.addr}/x*", self.path("box", "dest"))):
            status, _, err = run(args[0], "--max-time", "0.5", *args[1:])
            self.assertEqual(status, 3, err)
        self.assertLess(time.monotonic() - began, scaled(8))

    def test_silence_ends_with_the_timeout(self):
        for what in (b"", b"XFER/1\n", b"XFER/1\n200 size=12\n", b"XFER/1\n200 size=12\nDATA 12\nnew",
                     b"XFER/1\n200 size=12\nDATA 12\n" + NEW, b"XFE"):
            with self.subTest(what):
                def script(peer):
                    peer.line()
                    peer.send(what)
                    peer.line()
                    time.sleep(scaled(20))
                began = time.monotonic()
                self.get(script, 3, "--timeout", "0.5")
                self.assertLess(time.monotonic() - began, scaled(5))

    def test_signs_of_life_hold_the_connection(self):
        for life in (b"102\n", b"DATA 0\n"):
            with self.subTest(life):
                def script(peer):
                    peer.line()
                    peer.send(b"XFER/1\n")
                    peer.line()
                    head, body = GET.split(b"\n", 1)
                    if life != b"102\n":
                        peer.send(head + b"\n")
                    for _ in range(6):
                        time.sleep(scaled(0.25))  # the silence is what is tested
                        peer.send(life)
                    peer.send(body if life != b"102\n" else GET)
                self.get(script, 0, "--timeout", str(scaled(0.6)))

    def test_to_standard_output(self):
        for answer, status in ((b"200\nDATA 12\n" + NEW + b"END sha256=" + b"0" * 64 + b"\n", 5),
                               (b"200\nDATA 12\n" + NEW, 3), (b"200\nDATA 12\nn", 3),
                               (b"550 not-found\n", 4), (GET, 0)):
            with self.subTest(answer):
                fake = self.fake(says(answer))
                got, out, err = run("get", *ONCE, f"{fake.addr}/f", "-")
                self.assertEqual(got, status, err)
                self.assertTrue(NEW.startswith(out))

    def test_a_resume_that_was_not_asked(self):
        """A part of ours exists; the server says that it goes on from elsewhere."""
        data = noise(3_000_000)
        head = b"200 size=3000000 etag=e\n"
        first = head + b"".join(b"DATA 100000\n" + data[i:i + 100_000]
                                for i in range(0, 2_000_000, 100_000))
        for answer, status in ((b"200 size=3000000 offset=5\n" + BODY, 3),
                               (b"200 size=3000000 offset=2000001\n" + BODY, 3),
                               (b"200 size=3000000 offset=2000000\nDATA 12\n" + NEW + b"END size=12 "
                                b"sha256=" + sha256(NEW).encode() + b"\n", 5),
                               (b"200 size=3000000 offset=2000000\n" + b"END size=0 whole="
                                + sha256(data).encode() + b"\n", 5),
                               (b"200 offset=0\n" + BODY, 0), (b"200\n" + BODY, 0)):
            with self.subTest(answer[:60]):
                asked = []

                def script(peer):
                    asked.append(None)
                    says(first if len(asked) == 1 else answer)(peer)
                fake = self.fake(script)
                path = self.make("box/dest/f", b"old")
                status_now, _, err = run("get", "--retries", "1", f"{fake.addr}/f", path)
                self.assertEqual(status_now, status, err)
                self.assertEqual(len(asked), 2)
                self.assertEqual(self.read(path), NEW if status == 0 else b"old")
                for name in os.listdir(self.path("box", "dest")):
                    os.unlink(self.path("box", "dest", name))


class Puts(HostileServer):
    def put(self, script, status, *options, data=NEW, most=None):
        fake = self.fake(script)
        path = self.make("src", data)
        got, _, err = run("put", *ONCE, *options, path, f"{fake.addr}/")
        self.assertEqual(got, status, err)
        if status:
            self.assertRegex(err, "(?m)^xfer: ")
        self.assertEqual(self.read(path), data)
        return fake, err

    def test_answers(self):
        right = b"201 sha256=" + sha256(NEW).encode() + b"\n"
        for answer, status in [
                (right, 0), (b"102\n" + right, 0), (right + b"550 not-found\n", 0),
                (b"201 sha256=" + b"0" * 64 + b"\n", 5), (b"201\n", 5), (b"200\n", 5),
                (b"100 offset=0\n", 3), (b"100\n" + right, 3), (b"", 3), (b"201", 3), (b"garbage\n", 3),
                (b"201 sha256=12\n", 3), (b"DATA 5\nhello", 3), (b"END\n", 3), (b"\n", 3),
                (b"x" * 100_000, 3), (b"452 no-space\n", 4), (b"561 digest-mismatch\n", 5),
                (b"555 exists\n", 4), (b"599 what\n", 4), (b"421 busy\n", 4), (b"425 lost\n", 3),
                (b"426 canceled\n", 4), (b"427 deadline\n", 4), (b"501 usage\n", 4),
        ]:
            with self.subTest(answer[:50]):
                self.put(says(answer), status)

    def test_a_directory_that_was_not_answered_is_asked_for_again(self):
        """Nothing is in it, so that nothing else brings it there."""
        asked = []

        def script(peer):
            peer.line()
            peer.send(b"XFER/1\n")
            while line := peer.line():
                asked.append(line.split()[:2])
                if line.startswith(b"LIST"):
                    peer.send(b"200\nENTRY /d type=d mode=0755\nEND count=1\n")
                elif asked.count(asked[-1]) == 1:
                    return
                else:
                    peer.send(b"201\n")
        os.makedirs(self.path("t/empty"))
        self.xfer("put", "-r", "--no-preserve", self.path("t"), f"{self.fake(script).addr}/d")
        self.assertEqual(asked.count([b"MKDIR", b"/d/t/empty"]), 2, asked)

    def test_answers_before_the_body_has_ended(self):
        """One that claims success then is a lie, whatever it says (if it is seen in time)."""
        data = noise(900_000)
        for answer, status in [(b"201 sha256=" + sha256(data).encode() + b"\n", 3), (b"201\n", 3),
                               (b"200\n", 3), (b"452 no-space\n", 4), (b"554 read-only\n", 4),
                               (b"426 canceled\n", 4), (b"427 deadline\n", 4), (b"501 usage\n", 4),
                               (b"100 offset=0\n", 3), (b"nonsense\n", 3), (b"DATA 5\nhello", 3)]:
            for limit in ((), ("--limit-rate", "2M")) if status == 4 else (("--limit-rate", "2M"),):
                with self.subTest(answer, limit=limit):
                    def script(peer):
                        peer.line()
                        peer.send(b"XFER/1\n")
                        peer.line()
                        peer.send(answer)
                        peer.drop_body()
                        peer.line()
                    self.put(script, status, *limit, data=data)

    def test_it_stops_sending_what_is_refused(self):
        """And goes on with the next file on the same connection."""
        big, small = self.make("big", noise(900_000)), self.make("small", NEW)
        seen = []

        def script(peer):
            peer.line()
            peer.send(b"XFER/1\n")
            peer.line()
            peer.send(b"452 no-space\n")
            before = peer.taken
            peer.drop_body()
            seen.append(peer.taken - before)
            seen.append(peer.line())
            peer.drop_body()
            peer.send(b"201 sha256=" + sha256(NEW).encode() + b"\n")
            peer.line()
        fake = self.fake(script)
        status, _, err = run("put", *ONCE, "--limit-rate", "500K", big, small, f"{fake.addr}/",
                             timeout=30)
        self.assertEqual(status, 4, err)
        self.assertRegex(err, "(?m)^small .*verified$")
        self.assertLess(seen[0], 600_000)
        self.assertTrue(seen[1].startswith(b"PUT /small "), seen)

    def test_answers_to_a_resume(self):
        data = noise(1_500_000)
        right = b"201 sha256=" + sha256(data).encode() + b"\n"
        prefix = sha256(data[:1000]).encode()

        def script(first, then, wanted):
            def run_script(peer):
                peer.line()
                peer.send(b"XFER/1\n")
                peer.line()
                peer.send(first)
                line = peer.line()
                while line == b"DATA 0":
                    line = peer.line()
                if wanted is not None:
                    asked.append(line.split(b" check=")[0])
                peer.drop_body()
                peer.send(then)
                peer.line()
            return run_script
        for first, then, wanted, status in [
                (b"100 offset=0\n", right, b"FROM 0", 0),
                (b"102\n100 offset=1000 sha256=" + prefix + b"\n", right, b"FROM 1000", 0),
                (b"100 offset=1000 sha256=" + b"0" * 64 + b"\n", right, b"FROM 0", 0),
                (b"100 offset=1000\n", right, b"FROM 0", 0),
                (b"100 offset=99999999 sha256=" + prefix + b"\n", right, b"FROM 0", 0),
                (b"100 offset=9223372036854775807 sha256=" + prefix + b"\n", right, b"FROM 0", 0),
                (b"100 offset=0\n", b"201 sha256=" + prefix + b"\n", b"FROM 0", 5),
                (b"100 offset=0\n100 offset=0\n", right, None, 3),
                (b"100\n", right, None, 3), (b"200\n", right, None, 3), (right, right, None, 3),
                (b"452 no-space\n", b"", None, 4), (b"DATA 0\n", b"", None, 3),
                (b"FROM 0\n", b"", None, 3)]:
            with self.subTest(first, then=then[:20]):
                asked = []
                self.put(script(first, then, wanted), status, data=data)
                if wanted:
                    self.assertEqual(asked, [wanted])

    def test_silence_ends_with_the_timeout(self):
        for size in (100, 900_000, 20_000_000):
            for read in (False, True):
                with self.subTest(size, read=read):
                    def script(peer):
                        peer.line()
                        peer.send(b"XFER/1\n")
                        if read:
                            peer.line()
                            if size > 1 << 20:
                                peer.send(b"100 offset=0\n")
                            peer.drop_body()
                        time.sleep(scaled(20))
                    began = time.monotonic()
                    self.put(script, 3, "--timeout", "0.5", data=noise(size))
                    self.assertLess(time.monotonic() - began, scaled(6))


class Damaged(HostileServer):
    def test_random_conversations(self):
        """Seeded damage to right answers: exit 0 only with the right files, nothing outside DEST."""
        listing = (b"200\nENTRY a type=f size=12 mode=0644\nENTRY d type=d mode=0755\n"
                   b"ENTRY d/b type=f size=12\nEND count=3\n")
        before = tree(self.path("box"))
        rng = random.Random(SEED)

        def damage(data):
            data = bytearray(data)
            for _ in range(rng.choice((0, 0, 1, 2))):
                at, n = rng.randrange(len(data)), rng.randrange(1, 30)
                what = rng.randrange(4)
                if what == 0:
                    data[at] = rng.randrange(256)
                elif what == 1:
                    del data[at:at + n]
                elif what == 2:
                    data[at:at] = data[max(0, at - n):at]
                else:
                    data[at:at] = rng.choice((b"\n", b"%00", b"../", b" ", b"DATA 9\n", b"END\n"))
                data = data or bytearray(b"\n")
            return bytes(data)

        def script(peer):
            peer.line()
            peer.send(damage(b"XFER/1\n"))
            while True:
                line = peer.line()
                peer.send(damage(listing if line.startswith(b"LIST") else GET))
        fake = self.fake(script)
        for i in range(1500 if FULL else 100):
            with self.subTest(i):
                status, _, err = run("get", "-r", *ONCE, "--timeout", "0.3", "--max-time", "3",
                                     f"{fake.addr}/", self.path("box", "dest"))
                self.assertIn(status, (0, 1, 3, 4, 5, 6), err)
                self.assertEqual(status == 0, not err.startswith("xfer: "), err)
                self.assertOnlyDest(before)
                for name, facts in tree(self.path("box", "dest")).items():
                    if facts[0] == 0o100000 and not name.endswith(b".part"):
                        self.assertEqual(facts[-1], sha256(NEW), name)
                self.clear()


harness.main()
