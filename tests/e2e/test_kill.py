"""kill -9 of either end at seeded points: the target is old or new, never half, and a re-run ends it.

XFER_SEED=N chooses other points; XFER_TEST_FULL=1 tries ten times as many.
"""

import concurrent.futures
import fcntl
import os
import random
import tempfile
import threading

import harness
from harness import Server, TestCase, finish, noise, sha256, sha256_file, start, wait_for
from relay import DOWN, UP, Link, Relay

POINTS = 500 if os.environ.get("XFER_TEST_FULL") else 50
SEED = int(os.environ.get("XFER_SEED") or 1)
SIZE = 2_500_000
DATA = noise(SIZE)
OLD = noise(100_000, 2)
MTIME = 1_600_000_000
GOOD = {sha256(OLD), sha256(DATA)}
WORTH_KEEPING = 128 * 1024
OVERHEAD = 2000  # bytes of lines around the payload, at most


class Trial:
    """One transfer with one kill in it."""

    def __init__(self, top, seed):
        self.rng = random.Random(seed)
        self.command = self.rng.choice(("put", "get"))
        self.way = UP if self.command == "put" else DOWN
        self.local = os.path.join(top, "local", "f")
        self.root = os.path.join(top, "root")
        for path in (os.path.dirname(self.local), self.root):
            os.mkdir(path)
        remote = os.path.join(self.root, "f")
        self.source, self.target = ((self.local, remote) if self.command == "put"
                                    else (remote, self.local))
        for path, data in ((self.source, DATA), (self.target, OLD)):
            with open(path, "wb") as f:
                f.write(data)
            os.utime(path, (MTIME, MTIME))
        # Most in the body, some where the file gets its name, with a moment more or less.
        point = self.rng.random()
        at = int(SIZE * point / 0.8) if point < 0.8 else SIZE + self.rng.randrange(OVERHEAD // 2)
        self.delay = self.rng.choice((0, 0, self.rng.random() * 0.004))
        self.link = Link(at=[(self.way, at, self.fire)])
        self.at = at
        self.victim = None
        self.ready = threading.Event()
        self.killed = threading.Event()

    def __str__(self):
        return f"{self.command} killed at byte {self.at} + {self.delay * 1000:.1f} ms"

    def args(self, addr):
        if self.command == "put":
            return ["put", "-q", self.local, f"{addr}/"]
        return ["get", "-q", f"{addr}/f", self.local]

    def fire(self):
        self.ready.wait(10)
        if self.delay:
            threading.Timer(self.delay, self.kill).start()
        else:
            self.kill()

    def kill(self):
        self.victim.kill()
        self.victim.wait()
        self.killed.set()

    def part(self):
        directory = os.path.dirname(self.target)
        names = [name for name in os.listdir(directory) if name.endswith(".part")]
        return os.path.join(directory, names[0]) if names else None

    def part_size(self):
        """Of the part, once nobody writes it any more: what was on its way may still arrive."""
        def settled():
            try:
                path = self.part()
                if not path:
                    return (0,)
                with open(path, "rb") as f:
                    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # A fork of another thread may have the file open for longer than we do.
                    fcntl.flock(f, fcntl.LOCK_UN)
                    return (os.stat(path).st_size,)
            except (BlockingIOError, FileNotFoundError):
                return None
        return wait_for(settled, "the part is let go of")[0]

    def size_of_part(self):
        """What it has now: a client that lives may publish it before we have looked."""
        path = self.part()
        try:
            return os.stat(path).st_size if path else 0
        except FileNotFoundError:
            return 0

    def check_old_or_new(self):
        found = sha256_file(self.target)
        assert found in GOOD, f"neither old nor new: {os.stat(self.target)}"
        return found

    def check_end(self):
        assert sha256_file(self.target) == sha256(DATA), "not what was sent"
        left = os.listdir(os.path.dirname(self.target))
        assert left == ["f"], f"left: {left}"

    def kill_client(self):
        with Server(root=self.root) as server, Relay(server.addr, lambda i: self.link) as relay:
            self.victim = start(*self.args(relay.addr))
            self.ready.set()
            status, _, err = finish(self.victim)
            assert status in (0, -9), err
            self.check_old_or_new()
            kept = self.part_size()
            self.check_old_or_new()
            relay.fresh()
            again = start(*self.args(relay.addr))
            status, _, err = finish(again)
            assert status == 0, err
            crossed = sum(link.count[self.way] for link in relay.links)
            assert not kept or crossed < SIZE, f"{kept} bytes were kept, {crossed} sent all the same"
            self.check_end()
            return kept > 0

    def kill_server(self):
        first = Server(root=self.root, status=None)
        with first, Relay(first.addr, lambda i: self.link if i == 0 else Link()) as relay:
            self.victim = first.proc
            client = start(*self.args(relay.addr))
            self.ready.set()
            wait_for(lambda: self.killed.is_set() or client.poll() is not None, "the kill")
            found = self.check_old_or_new()
            # Not locked here: the client, which lives, may want it at this moment.
            kept = self.size_of_part()
            with Server(root=self.root) as second:
                relay.target = second.addr
                status, _, err = finish(client)
                assert status == 0, err
                self.check_end()
            crossed = sum(link.count[self.way] for link in relay.links[1:])
            if kept > WORTH_KEEPING and found == sha256(OLD):
                assert crossed < SIZE, f"{kept} bytes were kept, {crossed} sent all the same"
            return kept > 0


class Kill(TestCase):
    def trials(self, which):
        def one(i):
            trial = Trial(tempfile.mkdtemp(dir=self.tmp), SEED * 1_000_000 + i)
            try:
                return which(trial), None
            except Exception as e:
                return False, f"seed {SEED}, point {i}, {trial}: {e}"
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            results = list(pool.map(one, range(POINTS)))
        wrong = [text for _, text in results if text]
        self.assertFalse(wrong, "\n".join(wrong))
        # Else nothing was tried.
        self.assertGreater(sum(kept for kept, _ in results), POINTS / 4)

    def test_the_client(self):
        self.trials(Trial.kill_client)

    def test_the_server(self):
        self.trials(Trial.kill_server)


harness.main()
