"""However and whenever `xfer compare` is ended, nothing of it stays: no process, and so no namespace
and no device, no file. Whoever loses its parent becomes a child of this test, which waits for all."""

import contextlib
import ctypes
import os
import pathlib
import random
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import harness  # noqa: E402
from harness import TestCase, descendants, skip_unless, wait_for  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36
ARGUMENTS = ("compare", "-m", "tcp", "-m", "udp:window=4", "--size", "400K", "--rtt", "2ms",
             "--loss", "1%", "--rounds", "2", "--max-time", "20")
FULL = os.environ.get("XFER_TEST_FULL", "0") not in ("", "0")
POINTS = 60 if FULL else 20
LONGEST = 2.5  # seconds, of about as many that such a run takes
SEED = int(os.environ.get("XFER_TEST_SEED") or 4)
GONE = 60


def no_child_left():
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return False
    return True


class Ends(TestCase):
    """As the ordinary user that nobody is, where the tests are root's."""

    def setUp(self):
        super().setUp()
        skip_unless(not harness.SANITIZED, "sanitizers are no measure of time")
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.prefix = ()
        if os.geteuid() == 0:
            self.prefix = harness.as_nobody(self.tmp)
            os.chown(self.tmp, 65534, 65534)
        status, out, _ = harness.run("compare", "--check", prefix=self.prefix)
        skip_unless(status == 0, f"no emulated link here: {out.decode().splitlines()[0]}")
        self.devices = os.listdir("/sys/class/net")

    def begin(self, *prefix, options=()):
        return harness.start(*ARGUMENTS, *options, prefix=(*self.prefix, *prefix),
                             env={"TMPDIR": self.tmp})

    def assertNothingStays(self, process, about):
        status, _, err = harness.finish(process)
        wait_for(no_child_left, f"{about}: every process ends", GONE)
        self.assertEqual(os.listdir(self.tmp), [], f"{about}: {err}")
        self.assertEqual(os.listdir("/sys/class/net"), self.devices, about)
        return status, err

    def at_random(self, how, n, seed):
        """Ends n runs, each after a time of its own, unless it has ended before."""
        rng = random.Random(seed)
        for _ in range(n):
            process, moment = self.begin(), rng.uniform(0, LONGEST)
            with contextlib.suppress(harness.subprocess.TimeoutExpired):
                process.wait(moment)
            process.send_signal(how)
            yield f"{how.name} after {moment:.3f} s", *self.assertNothingStays(
                process, f"{how.name} after {moment:.3f} s (seed {seed})")

    def test_kill_at_random_moments(self):
        for about, status, err in self.at_random(signal.SIGKILL, POINTS, SEED):
            self.assertIn(status, (-signal.SIGKILL, 0), f"{about}: {err}")

    def test_interrupts_at_random_moments(self):
        for about, status, err in self.at_random(signal.SIGINT, POINTS // 4, SEED + 1):
            self.assertIn(status, (-signal.SIGINT, 130, 0), f"{about}: {err}")

    def test_termination_at_random_moments(self):
        for about, status, err in self.at_random(signal.SIGTERM, POINTS // 4, SEED + 2):
            self.assertIn(status, (-signal.SIGTERM, 143, 0), f"{about}: {err}")

    def test_kill_as_processes_come(self):
        """At once when the first is there, the second, ...: a random moment seldom meets these."""
        for n in range(1, POINTS // 2 + 1):
            process, seen = self.begin(), set()
            while len(seen) < n and process.poll() is None:
                seen.update(descendants(process.pid))
            process.kill()
            self.assertNothingStays(process, f"SIGKILL at process number {n}")

    def test_stop_as_processes_come(self):
        """The first, the second, ... at once when it is there: it has seen to nothing yet."""
        for n in range(1, 11 if FULL else 2):
            process, seen = self.begin(options=("--max-time", "4")), []
            while len(seen) < n and process.poll() is None:
                seen += [pid for pid in descendants(process.pid) if pid not in seen]
            for pid in seen[n - 1:]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            status, err = self.assertNothingStays(process, f"SIGSTOP of process number {n}")
            self.assertNotEqual(status, -signal.SIGSEGV, err)

    def of_its_processes(self, how, n, *options):
        """A process of the link's or of a transfer's has it, whichever; compare comes to an end."""
        rng = random.Random(SEED + 3)
        for _ in range(n):
            process = self.begin(options=options)
            wait_for(lambda p=process: len(descendants(p.pid)) >= 3 or p.poll() is not None,
                     "processes")
            victims = descendants(process.pid)
            if victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(victims), how)
            status, err = self.assertNothingStays(process, f"{how.name} of one")
            self.assertNotEqual(status, -signal.SIGSEGV, err)

    def test_a_killed_process_of_it(self):
        self.of_its_processes(signal.SIGKILL, POINTS // 4)

    def test_a_stopped_process_of_it(self):
        self.of_its_processes(signal.SIGSTOP, 10 if FULL else 2, "--max-time", "4")


harness.main()
