"""Connections that are cut, stall or dribble; transfers that go on where they were."""

import os
import random
import re
import signal
import time

import harness
from harness import TestCase, finish, noise, run, scaled, sha256, sha256_file, start, tree, wait_for
from relay import DOWN, UP, Link, Relay

FULL = bool(os.environ.get("XFER_TEST_FULL"))
SEED = int(os.environ.get("XFER_SEED") or 1)
MIB = 1 << 20
SIZE = 4 * MIB
DATA = noise(SIZE)
OTHER = noise(SIZE, 2)
OVERHEAD = 4096  # of the lines around the payload of one file
MTIME = 1_600_000_000


def write(path, data, mtime=MTIME):
    """The same inode where there is one."""
    with open(path, "r+b" if os.path.exists(path) else "wb") as f:
        f.truncate(0)
        f.write(data)
    os.utime(path, (mtime, mtime))


class Resume(TestCase):
    """self.command, self.source, self.target are those of the scene; self.way is the payload's."""

    def setUp(self):
        super().setUp()
        self.server = self.serve()
        self.relay = self.enter_context(Relay(self.server.addr))
        os.mkdir(self.path("local"))

    def scene(self, command):
        self.command = command
        local, remote = self.path("local", "f"), self.server.path("f")
        if command == "put":
            self.way, self.source, self.target = UP, local, remote
        else:
            self.way, self.source, self.target = DOWN, remote, local
        for path in (local, remote):
            for name in os.listdir(os.path.dirname(path)):
                os.unlink(os.path.join(os.path.dirname(path), name))
        write(self.source, DATA)
        write(self.target, b"old")
        self.relay.fresh()

    def both(self, test):
        for command in ("put", "get"):
            with self.subTest(command):
                self.scene(command)
                test()

    def args(self, *options):
        if self.command == "put":
            return ["put", *options, self.path("local", "f"), f"{self.relay.addr}/"]
        return ["get", *options, f"{self.relay.addr}/f", self.path("local", "f")]

    def parts(self):
        directory = os.path.dirname(self.target)
        return [os.path.join(directory, n) for n in os.listdir(directory) if n.startswith(".xfer-")]

    def crossed(self):
        """Bytes that came out of the relay on the payload's way, of each connection."""
        return [link.count[self.way] for link in self.relay.links]

    def assertArrived(self, data=DATA):
        self.assertEqual(sha256_file(self.target), sha256(data))
        wait_for(lambda: not self.parts(), "nothing is left")

    def interrupt(self, *options, at=2 * MIB, how=signal.SIGINT):
        """A run that a signal ends when so many bytes have crossed."""
        self.relay.fresh(lambda i: Link(stall=(self.way, at)))
        process = start(*self.args(*options))
        link = wait_for(lambda: self.relay.links and self.relay.links[0], "a connection")
        wait_for(link.stalled.is_set, f"{at} bytes have crossed")
        wait_for(lambda: sum(os.stat(p).st_size for p in self.parts()) >= at - MIB // 2,
                 "the receiver writes")
        process.send_signal(how)
        status, _, err = finish(process)
        link.release(drop=True)
        self.relay.fresh()
        self.assertEqual(status, 130 if how == signal.SIGINT else -how, err)
        self.assertEqual(self.read(self.target), b"old")
        return err

    def again(self, *options):
        """The same once more: what it said."""
        return self.xfer(*self.args(*options))[1]

    def assertResumed(self, err):
        self.assertRegex(err, r"^f  4\.2 MB \(resumed at [12]\.\d MB\)  .*verified$")
        self.assertLess(sum(self.crossed()), SIZE - MIB)
        self.assertArrived()

    def assertBegunAnew(self, err, data):
        self.assertNotIn("resumed", err)
        self.assertGreaterEqual(sum(self.crossed()), len(data))
        self.assertEqual(sha256_file(self.target), sha256(data))

    # ---- within one run ----

    def test_a_cut_anywhere_is_mended_by_itself(self):
        def test():
            total = SIZE + 600
            rng = random.Random(SEED)
            points = [0, 30, 200, 300, MIB, SIZE + 200, SIZE + 400]
            points += (rng.randrange(total) for _ in range(50 if FULL else 3))
            for i, point in enumerate(points):
                write(self.target, b"old")
                way = self.way if i % 4 else DOWN
                if way != self.way:
                    point = min(point, 60)
                self.relay.fresh(lambda n: Link(cut=(way, point) if n == 0 else None,
                                                reset=bool(i % 2)))
                _, err = self.xfer(*self.args())
                self.assertRegex(err, "verified$", (way, point))
                self.assertArrived()
                if way == self.way and point > 2 * MIB and len(self.relay.links) > 1:
                    self.assertLess(self.crossed()[1], SIZE, point)
        self.both(test)

    def test_each_piece_brought_home_counts_retries_anew(self):
        def test():
            step = 700_000
            self.relay.fresh(lambda n: Link(cut=(self.way, step)))
            _, err = self.xfer(*self.args("--retries", "2"))
            self.assertRegex(err, "resumed at .*verified$")
            self.assertGreater(len(self.relay.links), 5)
            self.assertLess(sum(self.crossed()), SIZE + MIB)
            self.assertArrived()
        self.both(test)

    def test_a_peer_that_never_comes_back(self):
        def test():
            self.relay.fresh(lambda n: Link(cut=(self.way, MIB) if n == 0 else (DOWN, 0)))
            began = time.monotonic()
            _, err = self.fails(3, r"^xfer: .*: connection lost", *self.args("--retries", "2"))
            self.assertLess(time.monotonic() - began, scaled(10))
            self.assertIn(len(self.relay.links), (3, 4))
            self.assertEqual(self.read(self.target), b"old")
        self.both(test)

    def test_silence_is_a_cut_after_the_timeout(self):
        def test():
            self.relay.fresh(lambda n: Link(stall=(self.way, 2 * MIB) if n == 0 else None))
            _, err = self.xfer(*self.args("--timeout", "1"))
            self.assertResumedWithin(err)
        self.both(test)

    def assertResumedWithin(self, err):
        self.assertRegex(err, r"^f  4\.2 MB \(resumed at [12]\.\d MB\)  .*verified$")
        self.assertLess(self.crossed()[1], SIZE - MIB)
        self.assertArrived()

    def test_a_cut_in_a_tree(self):
        def test():
            tree_of = os.path.join(os.path.dirname(self.source), "t")
            os.makedirs(os.path.join(tree_of, "d"))
            for i in range(40):
                write(os.path.join(tree_of, "d", f"f{i}"), noise(100_000, i))
            links = []

            def plan(n):
                links.append(Link(cut=(self.way, 1_000_000 if n < 2 else 0) if n < 4 else None))
                return links[-1]
            self.relay.fresh(plan)
            if self.command == "put":
                command = ["put", "-r", tree_of, f"{self.relay.addr}/copy/"]
                os.mkdir(self.server.path("copy"))
            else:
                os.mkdir(self.path("copy"))
                command = ["get", "-r", f"{self.relay.addr}/t", self.path("copy")]
            status, _, err = run(*command)
            self.assertEqual(status, 0, err)
            copy = self.server.path("copy/t") if self.command == "put" else self.path("copy", "t")
            self.assertEqual(tree(tree_of), tree(copy))
            self.assertGreater(len(links), 4)
            harness.remove_tree(tree_of)
            harness.remove_tree(os.path.dirname(copy))
        self.both(test)

    def test_one_byte_at_a_time(self):
        def test():
            write(self.source, DATA[:300])
            self.relay.fresh(lambda n: Link(dribble=True))
            self.xfer(*self.args())
            self.assertArrived(DATA[:300])
        self.both(test)

    def test_standard_output_goes_on_where_it_was(self):
        self.scene("get")
        self.relay.fresh(lambda n: Link(cut=(DOWN, 1_500_000)))
        out, _ = self.xfer("get", f"{self.relay.addr}/f", "-")
        self.assertEqual(sha256(out), sha256(DATA))
        self.assertLess(sum(self.crossed()), SIZE + MIB)

    def test_standard_output_never_goes_on_with_another_file(self):
        self.scene("get")
        change = lambda: write(self.source, OTHER)
        self.relay.fresh(lambda n: Link(cut=(DOWN, 1_500_000)) if n == 0
                         else Link(at=[(UP, 0, change)]))
        out, err = self.xfer("get", f"{self.relay.addr}/f", "-", status=4)
        self.assertRegex(err, "changed")
        self.assertTrue(DATA.startswith(out))

    def test_standard_input_cannot_be_sent_again(self):
        self.scene("put")
        self.relay.fresh(lambda n: Link(cut=(UP, MIB)))
        _, err = self.xfer("put", "-", f"{self.relay.addr}/f", input=DATA, status=3)
        self.assertRegex(err, "standard input cannot be read again")
        self.assertEqual(self.read(self.target), b"old")
        wait_for(lambda: not self.parts(), "nothing is left")

    # ---- from run to run ----

    def test_interrupted_and_begun_again(self):
        def test():
            self.interrupt()
            self.assertResumed(self.again())
        self.both(test)

    def test_interrupted_while_the_other_side_listens(self):
        """It hears of it by ABORT, and keeps the part as after a loss."""
        def test():
            process = start(*self.args("--limit-rate", "4M"))
            wait_for(lambda: self.parts() and os.stat(self.parts()[0]).st_size > 3 * MIB // 2,
                     "a part of some size")
            process.send_signal(signal.SIGINT)
            self.assertEqual(finish(process)[0], 130)
            if self.command == "put":
                self.server.wait_log(r"PUT /?f.*interrupted")
            self.relay.fresh()
            self.assertResumed(self.again())
        self.both(test)

    def test_killed_and_begun_again(self):
        def test():
            self.interrupt(how=signal.SIGKILL)
            self.assertResumed(self.again())
        self.both(test)

    def test_interrupted_again_and_again(self):
        def test():
            self.interrupt(at=MIB + MIB // 2)
            self.interrupt(at=MIB)
            self.assertResumed(self.again())
        self.both(test)

    def test_the_source_is_another_by_then(self):
        def test():
            self.interrupt()
            write(self.source, OTHER, MTIME + 1)
            self.assertBegunAnew(self.again(), OTHER)
        self.both(test)

    def test_the_source_is_another_that_looks_the_same(self):
        """Same inode, size and mtime: only the digest of what was kept can tell."""
        def test():
            self.interrupt()
            write(self.source, OTHER)
            self.assertBegunAnew(self.again(), OTHER)
            self.assertArrived(OTHER)
        self.both(test)

    def test_the_source_is_shorter_than_what_was_kept(self):
        def test():
            self.interrupt()
            write(self.source, DATA[:MIB])
            self.assertBegunAnew(self.again(), DATA[:MIB])
        self.both(test)

    def test_what_was_kept_is_damaged(self):
        def test():
            for at in (0, 1_000_000):
                write(self.target, b"old")
                self.interrupt()
                with open(self.parts()[0], "r+b") as f:
                    f.seek(at)
                    f.write(bytes([DATA[at] ^ 1]))
                self.assertBegunAnew(self.again(), DATA)
                self.assertArrived()
        self.both(test)

    def test_what_was_kept_is_longer_than_the_source(self):
        def test():
            self.interrupt()
            with open(self.parts()[0], "ab") as f:
                f.write(OTHER)
            self.assertBegunAnew(self.again(), DATA)
            self.assertArrived()
        self.both(test)

    def test_no_resume_keeps_nothing_and_begins_anew(self):
        def test():
            self.interrupt("--no-resume")
            wait_for(lambda: not self.parts(), "nothing is left")
            self.assertBegunAnew(self.again(), DATA)
            write(self.target, b"old")
            self.interrupt()
            self.assertBegunAnew(self.again("--no-resume"), DATA)
        self.both(test)

    def test_a_small_file_leaves_nothing(self):
        def test():
            write(self.source, DATA[:500_000])
            self.relay.fresh(lambda i: Link(stall=(self.way, 300_000)))
            process = start(*self.args())
            wait_for(lambda: self.relay.links and self.relay.links[0].stalled.is_set(), "a stall")
            process.send_signal(signal.SIGINT)
            self.assertEqual(finish(process)[0], 130)
            self.relay.links[0].release(drop=True)
            self.assertEqual(self.read(self.target), b"old")
            if self.command == "put":
                wait_for(lambda: not self.parts(), "nothing is left")
        self.both(test)

    # ---- half-open connections ----

    def test_the_new_connection_wins_over_a_half_open_one(self):
        self.scene("put")
        self.relay.fresh(lambda i: Link(hold=True, stall=(UP, 2 * MIB)) if i == 0 else Link())
        process = start(*self.args())
        wait_for(lambda: self.relay.links and self.relay.links[0].stalled.is_set(), "a stall")
        wait_for(lambda: self.parts() and os.stat(self.parts()[0]).st_size > MIB, "a part")
        process.kill()
        finish(process)
        began = time.monotonic()
        _, err = self.xfer(*self.args())
        self.assertLess(time.monotonic() - began, scaled(3))
        self.assertRegex(err, "resumed at .*verified$")
        self.assertArrived()
        self.assertLess(self.crossed()[1], SIZE - MIB)
        # The server has hung up on the old one.
        old = self.relay.links[0].sockets[1]
        old.settimeout(scaled(5))
        wait_for(lambda: self.relay.links[0].done.is_set(), "the old connection ends")

    def test_two_receivers_of_one_file_do_not_share_a_part(self):
        self.scene("get")
        self.relay.fresh(lambda i: Link(stall=(DOWN, 2 * MIB)) if i == 0 else Link())
        first = start(*self.args())
        wait_for(lambda: self.relay.links and self.relay.links[0].stalled.is_set(), "a stall")
        self.xfer(*self.args())
        self.assertEqual(sha256_file(self.target), sha256(DATA))
        self.relay.links[0].release()
        status, _, err = finish(first)
        self.assertEqual(status, 0, err)
        self.assertArrived()


harness.main()
