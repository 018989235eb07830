"""What fault tests share: what is moved, how a run under a fault is judged, many runs at once.

A run under a fault may fail, but in one of these ways only: it ends, with a status that the manual
has; each target is what it was or what it shall be, whole; 0 means the latter. Nothing is left but
parts that a later run goes on with: that one, without a fault, must succeed and leave nothing.
"""

import concurrent.futures
import os
import pathlib
import shutil
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import harness  # noqa: E402
from harness import noise, wait_for  # noqa: E402

FULL = os.environ.get("XFER_TEST_FULL", "0") not in ("", "0")
BUILD = pathlib.Path(os.environ.get("builddir") or pathlib.Path(harness.XFER).parent)
PRELOAD = BUILD / "tests" / "fault" / ".libs" / "preload.so"

# Told apart by a glance at a failure's first bytes; a tail of zeros is a hole to be made.
BIG = noise(1_200_000, 3) + bytes(16384)
FILES = {
    "file": {"big": BIG},
    "small": {"small": noise(5000, 4)},
    "tree": {"src/a": noise(3000, 5), "src/d/b": noise(100_000, 6), "src/d/e/c": b"c"},
}
# What stands there before; None: nothing does.
OLD = {
    "file": {"big": b"old big\n" * 1000},
    "small": {"small": b"old\n"},
    "tree": {"src/a": b"old a\n", "src/d/b": None, "src/d/e/c": None},
}
STATUSES = {0, 1, 3, 4, 6}  # and no 5: nothing was damaged


def need_preload():
    harness.need_plain()
    harness.skip_unless(PRELOAD.exists(), f"{PRELOAD} is not built")


class Site:
    """A server, what is moved and where to. One for each thread of tests."""

    def __init__(self, what, verb, server_env=None, options=()):
        self.what, self.verb, self.options = what, verb, list(options)
        self.dir = tempfile.mkdtemp(prefix="xfer-fault-")
        self.local = os.path.join(self.dir, "local")
        self.root = os.path.join(self.dir, "root")
        self.server_env = {"LD_PRELOAD": str(PRELOAD)} | (server_env or {})
        self.server = None
        for place in self.source, self.target:
            os.makedirs(place, exist_ok=True)
        for name, data in FILES[what].items():
            write(os.path.join(self.source, name), data)

    @property
    def source(self):
        return self.local if self.verb == "put" else self.root + "/out"

    @property
    def target(self):
        return self.root + "/in" if self.verb == "put" else self.local + "/got"

    def open(self):
        self.server = harness.Server("--timeout", "20", root=self.root, env=self.server_env,
                                     status=None)
        self.server.__enter__()

    def close_server(self):
        server, self.server = self.server, None
        if server:
            server.__exit__(None, None, None)

    def close(self):
        self.close_server()
        harness.remove_tree(self.dir)

    def arguments(self):
        name = "src" if self.what == "tree" else next(iter(FILES[self.what]))
        common = [self.verb, "--retries", "1", "--timeout", "10", *self.options,
                  *(["-r"] if self.what == "tree" else [])]
        if self.verb == "put":
            return [*common, f"{self.local}/{name}", f"{self.server.addr}/in/"]
        return [*common, f"{self.server.addr}/out/{name}", self.target + "/"]

    def restore(self):
        """The target as it was before any run. The server may still be at work on an earlier one."""
        wait_for(lambda: shutil.rmtree(self.target, ignore_errors=True) or
                 not os.path.exists(self.target), "the target can be cleared")
        os.makedirs(self.target)
        for name, data in OLD[self.what].items():
            if data is not None:
                write(os.path.join(self.target, name), data)

    def leftovers(self, suffix=""):
        return [os.path.join(d, f) for d, _, files in os.walk(self.target) for f in files
                if f.startswith(".xfer-") and f.endswith(suffix)]

    def faults_found(self, status, text):
        """What is wrong after a run under a fault."""
        if status not in STATUSES:
            yield f"exit status {status}: {text[-300:]}"
        for name, new in FILES[self.what].items():
            found = read(os.path.join(self.target, name))
            if found != new and (status == 0 or found != OLD[self.what][name]):
                yield (f"exit status {status}, and {name} has {show(found)} instead of "
                       f"{show(new)}" + (f" or {show(OLD[self.what][name])}" if status else ""))
        if not vanish(lambda: self.leftovers(".tmp")):
            yield f"left behind: {self.leftovers('.tmp')}"
        if status == 0 and not vanish(self.leftovers):
            yield f"done, and left behind: {self.leftovers()}"

    def recovers(self):
        """What is wrong with a run after it, without faults."""
        status, _, err = harness.run(*self.arguments())
        if status != 0:
            yield f"the run after it: exit status {status}: {err[-300:]}"
        for name, new in FILES[self.what].items():
            found = read(os.path.join(self.target, name))
            if found != new:
                yield f"the run after it: {name} has {show(found)} instead of {show(new)}"
        if not vanish(self.leftovers):
            yield f"the run after it leaves behind: {self.leftovers()}"


def vanish(names):
    """Whether there are none, now or when the other side has cleared up."""
    try:
        wait_for(lambda: not names(), "", 5)
    except AssertionError:
        return False
    return True


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


def show(data):
    return "nothing" if data is None else f"{len(data)} bytes ({data[:8]!r}...)"


class Sites:
    """Lends each thread a site for (what, verb, options), made when it is first needed."""

    def __init__(self, server_env=None):
        self.mutex = threading.Lock()
        self.free = {}
        self.all = []
        self.server_env = server_env

    def take(self, what, verb, options=()):
        with self.mutex:
            free = self.free.get((what, verb, tuple(options)), [])
            if free:
                return free.pop()
        site = Site(what, verb, self.server_env and self.server_env(), options)
        site.key = (what, verb, tuple(options))
        with self.mutex:
            self.all.append(site)
        return site

    def give(self, site):
        with self.mutex:
            self.free.setdefault(site.key, []).append(site)

    def close(self):
        for site in self.all:
            site.close()


def at_once(tasks, limit):
    """Runs callables in threads, each of which returns a list of complaints and a number of faults.
    Those not begun when `limit` seconds are over are left out. Returns (complaints, faults,
    tasks run)."""
    end = harness.time.monotonic() + harness.scaled(limit)
    complaints, faults, ran = [], 0, 0

    def one(task):
        return None if harness.time.monotonic() > end else task(end)

    with concurrent.futures.ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        for result in pool.map(one, tasks):
            if result is not None:
                complaints += result[0]
                faults += result[1]
                ran += 1
    return complaints, faults, ran
