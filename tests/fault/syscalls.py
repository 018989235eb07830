"""Every system call that a transfer makes, failed in turn: the first of a thread, the second, ...
until a run meets no fault. On the client and on the server, for put and get over a target that
exists, without and with syncs. Needs strace; XFER_TEST_FULL=1 runs all of it."""

import functools
import os
import signal
import subprocess
import tempfile

import faults
import harness
from faults import FULL, Site
from harness import TestCase, wait_for

# System calls (those that this machine does not have are left out) and what they may fail with;
# the first error is the one of a bounded selection.
DISK = [
    ("openat,openat2", ["EIO", "EMFILE", "EACCES", "ENOMEM", "EINTR"]),
    ("pwrite64,write", ["ENOSPC", "EIO", "EDQUOT", "EINTR"]),
    ("pread64,read", ["EIO", "EINTR"]),
    ("fsync,fdatasync,sync_file_range,syncfs", ["EIO", "ENOSPC"]),
    ("ftruncate", ["ENOSPC", "EIO"]),
    ("fchmod,fchmodat", ["EIO", "EPERM"]),
    ("utimensat", ["EIO", "EPERM"]),
    ("rename,renameat,renameat2", ["EIO", "ENOSPC", "EACCES"]),
    ("close", ["EIO", "ENOSPC"]),
    ("fstat,newfstatat,statx", ["EIO", "ENOMEM"]),
    ("getdents64", ["EIO", "ENOMEM"]),
    ("mkdir,mkdirat", ["ENOSPC", "EACCES"]),
    ("flock", ["ENOLCK", "EINTR"]),
    ("faccessat,faccessat2", ["EACCES", "EIO"]),
    ("fsetxattr", ["ENOSPC", "EIO"]),
]
OTHER = [
    ("sendmsg,sendto", ["ECONNRESET", "ENOBUFS", "EINTR"]),
    ("recvfrom", ["ECONNRESET", "ENOMEM", "EINTR"]),
    ("fcntl", ["EMFILE"]),
    ("mmap", ["ENOMEM"]),
    ("poll,ppoll", ["ENOMEM", "EINTR"]),
    ("clone,clone3", ["EAGAIN"]),
]
CLIENT = [("socket", ["EMFILE"]), ("connect", ["ENETUNREACH"]), ("eventfd2", ["EMFILE"]),
          ("getrandom", ["EINTR"])]
SERVER = [("accept4", ["EMFILE", "ECONNABORTED", "EINTR", "ENOMEM"]), ("getrandom", ["EINTR"])]

# (side, verb, what, options)
SELECTION = [(side, verb, what, ("--sync", "file"))
             for side in ("client", "server") for verb in ("put", "get")
             for what in ("small", "file", "tree")]
ALL = [(side, verb, what, options)
       for side in ("client", "server") for verb in ("put", "get")
       for what in ("small", "file", "tree")
       for options in ((), ("--sync", "file"), ("--sync", "batch"))
       if (what, options) != ("file", ("--sync", "batch"))]
LIMIT = float(os.environ.get("XFER_TEST_FAULT_SECONDS") or (260 if FULL else 30))  # of all
MOST = 60 if FULL else 12    # calls of one thread


class Tracer:
    """strace at work on a process, with a fault; .injected after end()."""

    def __init__(self, pid, calls, error, nth, log):
        self.log = log
        names = ",".join("?" + name for name in calls.split(","))
        self.proc = subprocess.Popen(
            ["strace", "-f", "-o", log, "-e", "trace=" + names,
             "-e", f"inject={names}:error={error}:when={nth}", "-p", str(pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        line = self.proc.stderr.readline()
        if b"attached" not in line:
            self.end()
            raise OSError(line.decode(errors="replace").strip())

    def end(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGINT)
        self.proc.communicate(timeout=harness.scaled(20))

    @property
    def injected(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return "(INJECTED)" in f.read()


def run_client(site, trace):
    """The client from its first own call on, under trace(pid): (status, err, tracer or None)."""
    if not trace:
        status, _, err = harness.run(*site.arguments())
        return status, err, None
    env = {"LD_PRELOAD": str(faults.PRELOAD), "XFER_TEST_GATE": "1"}
    process = harness.start(*site.arguments(), env=env, stdout=subprocess.DEVNULL)
    os.waitpid(process.pid, os.WUNTRACED)
    try:
        tracer = trace(process.pid)
    except OSError:
        process.kill()
        process.wait()
        raise
    process.send_signal(signal.SIGCONT)
    status, _, err = harness.finish(process)
    tracer.end()
    return status, err, tracer


class Case:
    """One system call with one error on one side of one transfer, failed for N = 1, 2, ..."""

    def __init__(self, sites, side, verb, what, options, calls, error):
        self.sites, self.side, self.calls, self.error = sites, side, calls, error
        self.key = (what, verb, options)
        self.name = f"{side} {verb} {what} {' '.join(options)} {calls} {error}"

    def __call__(self, end):
        site = self.sites.take(*self.key)
        complaints, n, met = [], 0, 0
        try:
            for n in range(1, MOST + 1):
                if harness.time.monotonic() > end:
                    break
                injected, wrong = self.run_one(site, n)
                complaints += [f"{self.name} {n}: {text}" for text in wrong]
                if not injected or len(complaints) > 5:
                    break
                met += 1
        except (AssertionError, OSError, subprocess.TimeoutExpired) as e:
            complaints.append(f"{self.name} {n}: {type(e).__name__}: {e}")
            site.close_server()
        self.sites.give(site)
        return complaints, met

    def run_one(self, site, n):
        if not site.server:
            site.open()
        site.restore()
        log = os.path.join(site.dir, "strace.log")

        def trace(pid):
            return Tracer(pid, self.calls, self.error, n, log)

        if self.side == "client":
            status, err, tracer = run_client(site, trace)
        else:
            tracer = trace(site.server.proc.pid)
            status, err, _ = run_client(site, None)
            tracer.end()
        wrong = list(site.faults_found(status, err))
        if site.server.proc.poll() is not None:
            wrong.append(f"the server ended: {site.server.proc.returncode}")
        # Nothing was closed: a descriptor of the server's, and its lock, are lost with that.
        if self.side == "server" and ("close" in self.calls or wrong):
            site.close_server()
            site.open()
        if tracer.injected or wrong:
            wrong += site.recovers()
        return tracer.injected, wrong


@functools.lru_cache
def can_trace():
    """Whether strace can attach to a program of ours and fail its calls here."""
    with tempfile.TemporaryDirectory() as tmp:
        process = subprocess.Popen([harness.XFER, "--version"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL,
                                   env=harness.ENV | {"LD_PRELOAD": str(faults.PRELOAD),
                                                      "XFER_TEST_GATE": "1"})
        os.waitpid(process.pid, os.WUNTRACED)
        try:
            tracer = Tracer(process.pid, "write", "EIO", 1, os.path.join(tmp, "log"))
            process.send_signal(signal.SIGCONT)
            process.wait(20)
            tracer.end()
            return tracer.injected
        except OSError:
            process.kill()
            return False
        finally:
            process.wait()


class Syscalls(TestCase):
    def setUp(self):
        faults.need_preload()
        harness.need_tool("strace")
        harness.skip_unless(can_trace(), "strace cannot trace here")
        super().setUp()

    def campaign(self, side, verb):
        sites = faults.Sites()
        kinds = DISK + OTHER + (CLIENT if side == "client" else SERVER)
        # The first errors of all calls come first: should time run out, no call was left out.
        cases = [Case(sites, side, verb, what, options, calls, errors[i])
                 for i in range(max(len(errors) for _, errors in kinds) if FULL else 1)
                 for s, v, what, options in (ALL if FULL else SELECTION)
                 if (s, v) == (side, verb)
                 for calls, errors in kinds if i < len(errors)]
        try:
            complaints, met, ran = faults.at_once(cases, LIMIT / 4)
        finally:
            sites.close()
        print(f"# {side} {verb}: {met} faults met in {ran} of {len(cases)} kinds")
        self.assertEqual(complaints, [])
        self.assertGreater(met, len(cases) // 4, "nearly no fault was met")

    def test_client_put(self):
        self.campaign("client", "put")

    def test_client_get(self):
        self.campaign("client", "get")

    def test_server_put(self):
        self.campaign("server", "put")

    def test_server_get(self):
        self.campaign("server", "get")


harness.main()
