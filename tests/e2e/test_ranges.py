"""One large file over several connections (get -j): in ranges, proved one by one and as a whole."""

import os
import re
import signal
import subprocess

import harness
from fake import Fake
from harness import ENV, Raw, TestCase, XFER, noise, run, scaled, sha256, start, tree, wait_for
from relay import DOWN, Link, Relay

FIRST = 256 * 1024  # asked for before the size is known
SIZE = 8_000_000
CONTENT = noise(SIZE, 7)
MTIME = 1_700_000_000_123_456_789


class Ranges(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve("--no-udp")
        self.source = self.make(self.server.path("big"), CONTENT, mtime=MTIME, mode=0o640)

    def relay(self, plan):
        return self.enter_context(Relay(self.server.addr, plan))

    def get(self, addr, *words, name="big", **kwargs):
        return self.xfer("get", "-j", "4", *words, f"{addr}/{name}", self.path("got"), **kwargs)[1]

    def same(self, content=CONTENT):
        self.assertEqual(sha256(self.read("got")), sha256(content))
        self.assertNoLeftovers(self.tmp)

    def part(self):
        """The one part that is there: its bytes."""
        names = [name for name in tree(self.tmp) if name.endswith(b".part")]
        self.assertEqual(len(names), 1, names)
        return self.read(self.path(os.fsdecode(names[0])))

    # ---- how it comes ----

    def test_others_take_what_a_slow_connection_does_not(self):
        relay = self.relay(lambda i: Link(stall=(DOWN, 100_000) if i == 0 else None))
        process = start("get", "-j", "4", f"{relay.addr}/big", self.path("got"))
        wait_for(lambda: relay.down > SIZE - FIRST, "the others have brought the rest", 60)
        self.assertGreater(len(relay.links), 1)
        relay.links[0].release()
        status, _, err = harness.finish(process)
        self.assertEqual(status, 0, err)
        self.assertRegex(err, f"sha256 {sha256(CONTENT)[:8]}.* verified")
        self.same()

    def test_times_and_modes_are_kept(self):
        self.get(self.server.addr)
        sb = os.stat(self.path("got"))
        self.assertEqual((sb.st_mtime_ns, sb.st_mode & 0o7777), (MTIME, 0o640))
        self.same()
        self.server.wait_log(r"GET /big .*length=\d+")

    def test_sizes_around_the_first_range(self):
        for size in (0, 1, FIRST - 1, FIRST, FIRST + 1, 2 * FIRST, 2 * FIRST + 1, 1_000_000):
            with self.subTest(size=size):
                self.make(self.server.path("f"), noise(size))
                self.assertIn("verified", self.get(self.server.addr, name="f"))
                self.same(noise(size))

    def test_a_small_file_needs_one_request(self):
        self.make(self.server.path("f"), noise(FIRST))
        self.get(self.server.addr, name="f")
        self.server.stop()
        self.assertEqual(self.server.log().count("GET /f"), 1)

    def test_holes_stay_holes(self):
        with open(self.server.path("f"), "wb") as f:
            f.truncate(30_000_000)
            f.seek(17_000_001)
            f.write(b"something")
        self.get(self.server.addr, name="f")
        self.same(self.read(self.server.path("f")))
        self.assertLess(os.stat(self.path("got")).st_blocks, 1000)

    def test_a_file_of_no_known_size(self):
        """Its size says nothing about where it ends."""
        server = self.serve(root="/proc/self", write=False)
        self.xfer("get", "-j", "4", f"{server.addr}/limits", self.path("got"))
        self.assertIn(b"Max open files", self.read("got"))

    def test_standard_output_keeps_its_order(self):
        out, _ = self.xfer("get", "-j", "4", f"{self.server.addr}/big", "-")
        self.assertEqual(sha256(out), sha256(CONTENT))

    def test_what_needs_nothing_is_not_fetched(self):
        self.get(self.server.addr)
        for word in ("-n", "-u", "--update=digest"):
            self.assertRegex(self.get(self.server.addr, word, "-v"), "unchanged|skipped|exists")
        self.assertIn("would", self.get(self.server.addr, "--dry-run"))
        self.same()

    def test_with_syncs_and_a_rate(self):
        for words in (("--sync", "file"), ("--sync", "batch"), ("--limit-rate", "20M")):
            self.get(self.server.addr, *words)
            self.same()

    def test_small_files_with_syncs(self):
        """One that comes whole waits for its batch as any other; nobody may wait for it meanwhile."""
        for size in (0, 1, FIRST):
            self.make(self.server.path("f"), noise(size))
            for sync in ("none", "file", "batch"):
                self.get(self.server.addr, "--sync", sync, name="f")
                self.same(noise(size))

    def test_a_server_with_room_for_one(self):
        server = self.serve("--no-udp", "--max-connections", "1", write=False)
        self.make(server.path("big"), CONTENT)
        self.get(server.addr)
        self.same()

    def test_a_file_is_not_replaced_by_itself(self):
        self.fails(6, "same file", "get", "-j", "4", f"{self.server.addr}/big", self.server.root)
        self.assertEqual(sha256(self.read(self.source)), sha256(CONTENT))

    def test_a_missing_file_and_a_directory(self):
        self.fails(4, "not found", "get", "-j", "4", f"{self.server.addr}/no", self.path("got"))
        os.mkdir(self.server.path("d"))
        self.fails(4, "directory", "get", "-j", "4", f"{self.server.addr}/d", self.path("got"))

    def discard(self, addr, name="big"):
        program = os.path.join(os.path.dirname(XFER), "tests", "e2e", "discard")
        before = tree(self.tmp)
        done = subprocess.run([program, "get", "-j", "4", f"{addr}/{name}", "x"],
                              stdout=subprocess.PIPE, env=ENV, text=True, cwd=self.tmp,
                              timeout=scaled(60), check=False)
        self.assertEqual(tree(self.tmp), before)
        return done.returncode, done.stdout

    def test_a_download_that_is_thrown_away(self):
        self.assertEqual(self.discard(self.server.addr),
                         (0, f"done {SIZE} verified {sha256(CONTENT)} \n"))
        holes = bytes(1_000_000) + noise(1_000_000) + bytes(2_000_001)
        self.make(self.server.path("holes"), holes)
        self.assertEqual(self.discard(self.server.addr, "holes"),
                         (0, f"done {len(holes)} verified {sha256(holes)} \n"))

    def test_a_download_that_is_thrown_away_over_bad_connections(self):
        relay = self.relay(lambda i: Link(cut=(DOWN, 300_000 + 100_000 * i) if i < 4 else None))
        self.assertEqual(self.discard(relay.addr),
                         (0, f"done {SIZE} verified {sha256(CONTENT)} \n"))
        relay = self.relay(lambda i: Link(flip=[(DOWN, 200_000, 3)] if i == 0 else ()))
        status, out = self.discard(relay.addr)
        self.assertEqual(status, 5)
        self.assertRegex(out, "^failed .*digest")

    # ---- what goes wrong ----

    def test_a_connection_that_dies_is_no_loss(self):
        for reset in (False, True):
            relay = self.relay(lambda i, reset=reset: Link(
                cut=(DOWN, 300_000 + 100_000 * i) if i < 4 else None, reset=reset))
            self.get(relay.addr)
            self.same()

    def test_a_connection_that_always_dies_leaves_it_to_the_others(self):
        relay = self.relay(lambda i: Link(cut=(DOWN, 1_000 * i) if i else None))
        self.get(relay.addr, "--retries", "1")
        self.same()

    def test_when_all_die_that_is_said(self):
        relay = self.relay(lambda i: Link(cut=(DOWN, 100_000)))
        self.fails(3, "lost", "get", "-j", "4", "--retries", "1", f"{relay.addr}/big",
                   self.path("got"))
        self.assertNoLeftovers(self.tmp)

    def test_a_damaged_range_fails_the_file(self):
        self.make("got", b"old")
        relay = self.relay(lambda i: Link(flip=[(DOWN, 200_000, 3)] if i == 0 else ()))
        self.fails(5, "digest", "get", "-j", "4", f"{relay.addr}/big", self.path("got"))
        self.same(b"old")

    def changing(self, change):
        """A relay that has the source changed when a range or two have come."""
        done = []

        def once():
            if not done:
                done.append(change())

        return self.relay(lambda i: Link(at=[(DOWN, 300_000, once)]))

    def test_a_source_that_is_replaced_is_fetched_anew(self):
        new = noise(SIZE, 8)
        relay = self.changing(lambda: os.replace(self.make(self.server.path("new"), new),
                                                 self.source))
        self.get(relay.addr)
        self.same(new)

    def test_a_source_that_shrinks_is_fetched_anew(self):
        relay = self.changing(lambda: os.truncate(self.source, 1_234_567))
        self.get(relay.addr)
        self.same(CONTENT[:1_234_567])

    def test_a_source_that_vanishes_is_missing(self):
        relay = self.changing(lambda: os.unlink(self.source))
        self.fails(4, "not found", "get", "-j", "4", f"{relay.addr}/big", self.path("got"))
        self.assertNoLeftovers(self.tmp)
        self.assertFalse(os.path.exists(self.path("got")))

    # ---- resume ----

    def interrupt(self, how, *words):
        """Stops a get when each of its connections has brought a quarter."""
        relay = self.relay(lambda i: Link(stall=(DOWN, SIZE // 4)))
        process = start("get", "-j", "2", *words, f"{relay.addr}/big", self.path("got"))
        wait_for(lambda: sum(link.stalled.is_set() for link in relay.links) == 2, "two stalls", 60)
        process.send_signal(how)
        status, _, err = harness.finish(process)
        relay.fresh()
        return relay, status, err

    def test_an_interrupted_get_goes_on(self):
        for words in (("-j", "2"), ()):
            with self.subTest(words=words):
                relay, status, err = self.interrupt(signal.SIGINT)
                self.assertEqual(status, 130, err)
                part = self.part()
                self.assertGreaterEqual(len(part), FIRST)
                self.assertEqual(part, CONTENT[:len(part)])
                _, err = self.xfer("get", *words, f"{relay.addr}/big", self.path("got"))
                self.assertIn("resumed at", err)
                self.assertLess(relay.down, SIZE - len(part) + 100_000)
                self.same()
                os.unlink(self.path("got"))

    def test_a_part_of_one_connection_goes_on_over_several(self):
        relay = self.relay(lambda i: Link(stall=(DOWN, SIZE // 2)))
        process = start("get", f"{relay.addr}/big", self.path("got"))
        wait_for(lambda: relay.links and relay.links[0].stalled.is_set(), "half of it", 60)
        process.send_signal(signal.SIGINT)
        self.assertEqual(harness.finish(process)[0], 130)
        relay.fresh()
        self.assertIn("resumed at", self.get(relay.addr))
        self.same()

    def test_a_part_of_another_version_does_not_count(self):
        relay, _, _ = self.interrupt(signal.SIGINT)
        self.make(self.server.path("big"), noise(SIZE, 9))
        self.assertNotIn("resumed at", self.get(relay.addr))
        self.same(noise(SIZE, 9))

    def test_a_killed_get_begins_anew(self):
        relay, _, _ = self.interrupt(signal.SIGKILL)
        self.get(relay.addr)
        self.same()

    def test_without_resume_nothing_stays(self):
        self.interrupt(signal.SIGINT, "--no-resume")
        self.assertNoLeftovers(self.tmp)


class Requests(TestCase):
    """What the server makes of hostile ranges."""

    def test_ranges_by_hand(self):
        server = self.serve(write=False)
        self.make(server.path("f"), b"0123456789")
        with Raw(server.addr) as peer:
            peer.hello()
            for words, offset, body in (
                    ("offset=3 length=4", 3, b"3456"), ("offset=3 length=0", 3, b""),
                    ("offset=10 length=5", 10, b""), ("offset=11 length=5", 0, b"01234"),
                    ("offset=8 length=9223372036854775807", 8, b"89"),
                    ("offset=9223372036854775807 length=9223372036854775807", 0, b"0123456789"),
                    ("offset=3 length=4 etag=other", 0, b"0123")):
                peer.send(f"GET /f {words}")
                code, fields, _ = peer.reply()
                self.assertEqual((code, fields["offset"], fields["size"]), (200, str(offset), "10"))
                got, verb, end = peer.body()
                self.assertEqual((got, verb, end["size"]), (body, "END", str(len(body))), words)
                self.assertEqual(end["sha256"], sha256(body), words)
        for words in ("offset=-1", "offset=9223372036854775808 length=1", "length=", "offset=1e3"):
            with Raw(server.addr) as peer:
                peer.hello()
                peer.send(f"GET /f {words}")
                self.assertEqual(peer.reply()[0], 500, words)


class Liar:
    """A server of one file that is asked for in ranges: twist(request number, reply) changes the reply's
    parts before they are sent, and counts from 0."""

    def __init__(self, content, twist=lambda n, reply: None):
        self.content = content
        self.twist = twist
        self.asked = 0

    def __call__(self, peer):
        peer.line()
        peer.send(b"XFER/1\n")
        while True:
            line = peer.line()
            at, length = (re.search(rb" %s=(\d+)" % key, line) for key in (b"offset", b"length"))
            begin = int(at[1]) if at else 0
            end = begin + int(length[1]) if length else len(self.content)
            reply = {"head": {"size": len(self.content), "etag": "e", **({"offset": begin} if at
                                                                         else {})},
                     "body": self.content[begin:end], "end": {}, "plain": not length}
            self.twist(self.asked, reply)
            self.asked += 1
            body = reply["body"]
            last = {"size": len(body), "sha256": sha256(body), **reply["end"]}
            peer.send(b"200 " + fields(reply["head"]) + b"\n"
                      + b"".join(b"DATA %d\n" % len(body[i:i + 1000000]) + body[i:i + 1000000]
                                 for i in range(0, len(body), 1000000))
                      + b"END " + fields(last) + b"\n")


def fields(values):
    return " ".join(f"{key}={value}" for key, value in values.items() if value is not None).encode()


class Liars(TestCase):
    def get(self, twist, status=0, pattern="verified", content=CONTENT[:3_000_000]):
        """What is there after it, where something was before."""
        self.make("got", b"old")
        with Fake(Liar(content, twist)) as server:
            got, _, err = run("get", "-v", "-j", "3", f"{server.addr}/big", self.path("got"))
        self.assertEqual(got, status, err)
        self.assertRegex(err, pattern)
        self.assertEqual(sha256(self.read("got")), sha256(content if status == 0 else b"old"))
        self.assertNoLeftovers(self.tmp)
        return err

    def test_an_honest_one(self):
        self.assertRegex(self.get(lambda n, reply: None), "ranges")

    def test_a_wrong_digest_of_a_range(self):
        for which in (0, 1, 4):
            def twist(n, reply, which=which):
                if n == which:
                    reply["end"]["sha256"] = sha256(b"other")
            self.get(twist, 5, "digest")

    def test_a_wrong_digest_of_the_whole(self):
        def in_the_head(n, reply):
            if n == 3:
                reply["head"]["whole"] = sha256(b"other")

        def in_the_end(n, reply):
            if n == 3:
                reply["end"]["whole"] = sha256(b"other")

        self.get(in_the_head, 5, "digest")
        self.get(in_the_end, 5, "digest")

    def test_one_that_ignores_ranges(self):
        for content in (CONTENT[:600_000], CONTENT):
            def twist(n, reply, content=content):
                reply["head"].pop("offset", None)
                reply["body"] = content
            self.get(twist, content=content)

    def test_one_that_ignores_lengths(self):
        def twist(n, reply):
            reply["body"] = CONTENT[reply["head"].get("offset", 0):3_000_000]

        self.assertRegex(self.get(twist), "over one connection")

    def test_one_without_etags(self):
        self.get(lambda n, reply: reply["head"].pop("etag"))

    def test_one_without_digests_of_ranges(self):
        def twist(n, reply):
            if not reply["plain"]:
                reply["end"]["sha256"] = None

        self.assertRegex(self.get(twist), "over one connection")

    def test_another_version_in_between(self):
        for key, value in (("etag", "f"), ("size", 2_999_999)):
            def twist(n, reply, key=key, value=value):
                if n > 2 and not reply["plain"]:
                    reply["head"][key] = value
            self.assertRegex(self.get(twist), "over one connection")

    def test_another_range_than_was_asked_for(self):
        for offset in (0, 1, (1 << 63) - 1, None):
            def twist(n, reply, offset=offset):
                if n == 3 and not reply["plain"]:
                    reply["head"]["offset"] = offset
            self.assertRegex(self.get(twist), "over one connection")

    def test_a_range_cut_short(self):
        def twist(n, reply):
            if n == 3 and not reply["plain"]:
                reply["body"] = reply["body"][:-1]

        self.assertRegex(self.get(twist), "over one connection")

    def test_a_size_beyond_all_bounds(self):
        def twist(n, reply):
            if not reply["plain"]:
                reply["head"]["size"] = (1 << 63) - 1

        self.get(twist)


harness.main()
