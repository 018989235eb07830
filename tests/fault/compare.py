"""`xfer compare` whose own system calls fail: it ends with a status and words, a report is the old or
the new one whole, and nothing is left."""

import os
import shutil
import subprocess

import faults  # noqa: F401  (puts harness on the path)
import harness
from harness import TestCase, scaled, skip_unless

CALLS = [("clone,clone3", "EAGAIN"), ("pipe,pipe2", "EMFILE"), ("pidfd_open", "EMFILE"),
         ("linkat", "EIO"), ("rename,renameat,renameat2", "ENOSPC"), ("write", "ENOSPC")]
MOST = 20 if faults.FULL else 3


class Compare(TestCase):
    def setUp(self):
        super().setUp()
        harness.need_plain()
        skip_unless(shutil.which("strace"), "needs strace")
        self.log, self.page = self.path("log"), self.path("page.html")
        self.data = self.path("data")
        os.mkdir(self.data)
        probe = subprocess.run(["strace", "-o", self.log, "true"], stderr=subprocess.PIPE,
                               check=False)
        skip_unless(probe.returncode == 0, "strace cannot trace here")

    def fail(self, calls, error, n):
        """Whether there was an nth call to fail."""
        self.make("page.html", b"old")
        names = ",".join("?" + name for name in calls.split(","))
        status, out, err = harness.run(
            "compare", "--link", "loopback", "--size", "10K", "--rounds", "1", "--max-time", "60",
            "--report", self.page, timeout=scaled(120), env={"TMPDIR": self.data},
            prefix=("strace", "-qq", "-o", self.log, "-e", f"trace={names}", "-e",
                    f"inject={names}:error={error}:when={n}"))
        self.assertIn(status, (0, 3, 6), err)
        self.assertTrue(status == 0 or err or b"failed" in out, "failed without a word")
        page = self.read(self.page)
        self.assertTrue(page == b"old" or page.endswith(b"</html>\n"), page[-80:])
        if status == 0:
            self.assertNotEqual(page, b"old")
        self.assertEqual(sorted(os.listdir(self.tmp)), ["data", "log", "page.html"])
        harness.wait_for(lambda: not os.listdir(self.data), "the made bytes are removed")
        return b"(INJECTED)" in self.read(self.log)

    def test_calls_of_its_own(self):
        met = 0
        for calls, error in CALLS:
            for n in range(1, MOST + 1):
                with self.subTest(calls=calls, n=n):
                    injected = self.fail(calls, error, n)
                    met += injected
                if not injected:
                    break
        self.assertGreater(met, len(CALLS), "nearly no fault was met")


harness.main()
