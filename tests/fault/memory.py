"""Every allocation of a transfer, failed in turn: first those that the program's own code asks for,
then those of the libraries for it; alone, and with all that follow. On the client and on the server,
for put, get and ls. XFER_TEST_FULL=1 fails each, else a selection."""

import contextlib
import mmap
import os
import random
import struct
import tempfile

import faults
import harness
from faults import FULL
from harness import TestCase

SECONDS = float(os.environ.get("XFER_TEST_FAULT_SECONDS") or (240 if FULL else 18)) / 6
SAMPLE = 60  # of those that libraries ask for, where not all are tried


class Memory:
    """Shared with preload.c in the program (struct control there)."""

    FORMAT = "5l"

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="xfer-memory-")
        self.file.truncate(mmap.PAGESIZE)
        self.map = mmap.mmap(self.file.fileno(), mmap.PAGESIZE)

    @property
    def env(self):
        return {"LD_PRELOAD": str(faults.PRELOAD), "XFER_TEST_MEMORY": self.file.name}

    def arm(self, nth, own, for_good):
        """The nth allocation from now on fails; 0: none."""
        struct.pack_into(self.FORMAT, self.map, 0, nth, 0, 0, own, for_good)

    @property
    def counted(self):
        return struct.unpack_from(self.FORMAT, self.map)[2]

    @property
    def failed(self):
        return struct.unpack_from(self.FORMAT, self.map)[1]

    def close(self):
        self.map.close()
        self.file.close()


class Place(faults.Site):
    """A site whose client or server runs out of memory."""

    def __init__(self, side, verb, what, options):
        self.memory = Memory()
        super().__init__(what, verb, self.memory.env if side == "server" else None, options)
        self.client_env = self.memory.env if side == "client" else None

    def close(self):
        super().close()
        self.memory.close()

    def run(self, nth, own, for_good):
        """One run with the nth allocation failed: (status, err)."""
        if not self.server:
            self.open()
        self.restore()
        self.memory.arm(nth, own, for_good)
        status, _, err = harness.run(*self.arguments(), env=self.client_env)
        return status, err

    def check(self, nth, own, for_good):
        """What is wrong with a run."""
        status, err = self.run(nth, own, for_good)
        failed = self.memory.failed
        self.memory.arm(0, 0, 0)
        wrong = list(self.faults_found(status, err))
        if self.server.proc.poll() is not None:
            wrong.append(f"the server ended: {self.server.proc.returncode}")
            self.close_server()
            self.open()
        if failed and (wrong or not self.client_env):
            wrong += self.recovers()
        return failed, wrong

    def count(self, own):
        status, err = self.run(0, own, 0)
        assert status == 0, err
        return self.memory.counted


class Listing(Place):
    """ls, which changes nothing: it lists all or fails."""

    def __init__(self, side, options):
        super().__init__(side, "get", "tree", options)

    def arguments(self):
        return ["ls", "-R", "--retries", "1", "--timeout", "10", *self.options,
                f"{self.server.addr}/out/"]

    def check(self, nth, own, for_good):
        if not self.server:
            self.open()
        self.memory.arm(nth, own, for_good)
        status, out, err = harness.run(*self.arguments(), env=self.client_env)
        failed = self.memory.failed
        self.memory.arm(0, 0, 0)
        wrong = []
        if status not in faults.STATUSES:
            wrong.append(f"exit status {status}: {err[-300:]}")
        if status == 0 and [name for name in faults.FILES["tree"] if name.encode() not in out]:
            wrong.append(f"exit status 0, and the listing is {out!r}")
        if self.server.proc.poll() is not None:
            wrong.append(f"the server ended: {self.server.proc.returncode}")
        return failed, wrong


class OutOfMemory(TestCase):
    def setUp(self):
        faults.need_preload()
        super().setUp()

    def numbers(self, total, own):
        """Which allocations are failed."""
        every = list(range(1, total + 1))
        if FULL or own:
            return every
        early = every[:10]
        return early + random.Random(1).sample(every[10:], min(SAMPLE, len(every[10:])))

    def campaign(self, side, make):
        places = [make() for _ in range(max(2, os.cpu_count() or 2))]
        free = list(places)
        try:
            tasks = []
            for own, for_good in (1, 0), (1, 1), (0, 0), (0, 1):
                total = places[0].count(own)
                self.assertGreater(total, 0)
                for nth in self.numbers(total, own):
                    tasks.append(self.task(free, nth, own, for_good))
            complaints, met, ran = faults.at_once(tasks, SECONDS)
        finally:
            for place in places:
                place.close()
        print(f"# {side}: {met} failures of memory in {ran} of {len(tasks)} runs")
        self.assertEqual(complaints[:5], [])
        self.assertGreater(met, 5, "nearly no allocation was failed")

    def task(self, free, nth, own, for_good):
        def one(_):
            place = free.pop()
            what = (f"{'own' if own else 'any'} allocation {nth}"
                    f"{' and all after it' if for_good else ''}: ")
            try:
                failed, wrong = place.check(nth, own, for_good)
            except AssertionError as e:
                failed, wrong = 1, [str(e)]
                with contextlib.suppress(AssertionError):
                    place.close_server()
            finally:
                free.append(place)
            return [what + text for text in wrong], min(failed, 1)
        return one

    def test_client_put(self):
        self.campaign("client put", lambda: Place("client", "put", "tree", ()))

    def test_client_get(self):
        self.campaign("client get", lambda: Place("client", "get", "tree", ("--sync", "batch")))

    def test_client_ls(self):
        self.campaign("client ls", lambda: Listing("client", ()))

    def test_server_put(self):
        self.campaign("server put", lambda: Place("server", "put", "tree", ("--sync", "batch")))

    def test_server_get(self):
        self.campaign("server get", lambda: Place("server", "get", "file", ()))

    def test_server_ls(self):
        self.campaign("server ls", lambda: Listing("server", ("--sha256",)))


harness.main()
