"""What end-to-end tests share: the program, a server, a raw peer, conditions to wait for, TAP.

A test file ends in `harness.main()`; run alone it takes words that select tests by name.
    XFER             the program (default build/xfer)
    XFER_TEST_SLOW   multiplies every time limit (default 1); 3 times that with sanitizers
    XFER_TEST_TRIES  how often a test is tried until it passes (default 1); each failure is told
    XFER_TEST_KEEP   keeps temporary directories
"""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import traceback
import unittest
import urllib.parse

SRC = pathlib.Path(__file__).resolve().parent.parent.parent
XFER = os.path.abspath(os.environ.get("XFER") or SRC / "build" / "xfer")
SANITIZED = os.environ.get("XFER_SANITIZE", "no") not in ("", "no")
SLOW = float(os.environ.get("XFER_TEST_SLOW") or 1) * (3 if SANITIZED else 1)
TRIES = int(os.environ.get("XFER_TEST_TRIES") or 1)
ENV = os.environ | {"LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "xterm"}
REPORT = re.compile(rb"(Address|Thread|Leak|UndefinedBehavior)Sanitizer|runtime error:")


def scaled(seconds):
    return seconds * SLOW


def wait_for(condition, what, seconds=10.0):
    """Polls until condition() is true, and returns what it returned."""
    end = time.monotonic() + scaled(seconds)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {scaled(seconds):g} s in vain: {what}")
        time.sleep(0.005)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def sha256_file(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def noise(size, seed=1):
    """Bytes that no transport can guess, the same for the same seed."""
    return hashlib.shake_256(b"%d" % seed).digest(size)


# ---- running the program ----

def start(*args, prefix=(), env=None, **popen):
    """The program at work, as a Popen. The caller waits for it."""
    popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
             "stderr": subprocess.PIPE} | popen
    return subprocess.Popen([*prefix, XFER, *args], env=ENV | (env or {}), **popen)


def finish(process, timeout=60, input=None):
    """Waits for what start() began: (status, out as bytes, err as text)."""
    try:
        out, err = process.communicate(input, timeout=scaled(timeout))
    except subprocess.TimeoutExpired:
        # Whoever is below it may hold its output open, were it stopped or not.
        for pid in (*descendants(process.pid), process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"no end within {scaled(timeout):g} s: {process.args}\n"
                             + (err or b"").decode("utf-8", "backslashreplace")) from None
    if REPORT.search(err or b""):
        raise AssertionError("sanitizer report:\n" + err.decode("utf-8", "backslashreplace"))
    return process.returncode, out, (err or b"").decode("utf-8", "surrogateescape")


def run(*args, input=None, timeout=60, env=None, prefix=(), **popen):
    """Runs the program: (status, out as bytes, err as text)."""
    if input is not None:
        popen["stdin"] = subprocess.PIPE
    return finish(start(*args, prefix=prefix, env=env, **popen), timeout, input)


def end(process, how=signal.SIGKILL):
    """Ends a process of ours, whatever it does."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(scaled(20))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def descendants(pid):
    """All processes below one, of namespaces of theirs too."""
    found = []
    for task in pathlib.Path("/proc").glob(f"{pid}/task/*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text(encoding="ascii").split():
                found += [int(child), *descendants(int(child))]
    return found


def peak_memory(pid):
    """Bytes that a running process has had resident at most; 0 when it has ended."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            match = re.search(r"VmHWM:\s+(\d+) kB", f.read())
            return int(match[1]) * 1024 if match else 0
    return 0


class Server:
    """`xfer serve` at work on a directory of its own; a context manager.

    .addr "127.0.0.1:PORT" · .addrs of all TCP sockets · .port · .udp_addr, .udp_addrs, .udp_port
    .root · .proc · .log() so far
    On leaving it is told to end by SIGTERM and must then exit with `status` (None: not asked).
    """

    def __init__(self, *args, root=None, write=True, listen=("127.0.0.1:0",), prefix=(), env=None,
                 status=0):
        self.tmp = tempfile.mkdtemp(prefix="xfer-server-")
        self.root = str(root) if root else os.path.join(self.tmp, "root")
        os.makedirs(self.root, exist_ok=True)
        self.command = [*prefix, XFER, "serve", *(["--write"] if write else []), *args]
        for addr in listen:
            self.command += ["--listen", addr]
        self.command += ["--", self.root]
        self.sockets = (len(listen) or 2) * (2 - ("--no-udp" in args) - ("--no-tcp" in args))
        self.env = ENV | (env or {})
        self.status = status
        self.proc = None
        self.addrs = []
        self.udp_addrs = []
        self.out_path = os.path.join(self.tmp, "out")
        self.log_path = os.path.join(self.tmp, "log")

    def __enter__(self):
        with open(self.out_path, "wb") as out, open(self.log_path, "wb") as log:
            self.proc = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out,
                                         stderr=log, env=self.env)
        try:
            wait_for(self._ready, "the server listens")
        except BaseException:
            self.kill()
            self._remove()
            raise
        return self

    def _ready(self):
        lines = self.out().splitlines(keepends=True)
        if self.proc.poll() is not None:
            raise AssertionError(f"the server ended with {self.proc.returncode}: {self.log()}")
        if len(lines) < self.sockets or not lines[-1].endswith("\n"):
            return False
        found = [re.fullmatch(r"listening on (tcp|udp) (\S+)\n", line) for line in lines]
        self.addrs = [match[2] for match in found if match[1] == "tcp"]
        self.udp_addrs = [match[2] for match in found if match[1] == "udp"]
        return True

    @property
    def addr(self):
        return self.addrs[0]

    @property
    def port(self):
        return int(self.addr.rsplit(":", 1)[1])

    @property
    def udp_addr(self):
        return self.udp_addrs[0]

    @property
    def udp_port(self):
        return int(self.udp_addr.rsplit(":", 1)[1])

    def out(self):
        return pathlib.Path(self.out_path).read_text(encoding="utf-8")

    def log(self):
        return pathlib.Path(self.log_path).read_text(encoding="utf-8", errors="surrogateescape")

    def wait_log(self, pattern, seconds=10):
        """The first match in the log, as soon as there is one."""
        return wait_for(lambda: re.search(pattern, self.log(), re.M), f"{pattern} in the log",
                        seconds)

    def path(self, name=""):
        return os.path.join(self.root, name)

    def kill(self):
        """What nobody can catch: SIGKILL, at once."""
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()

    def stop(self, how=signal.SIGTERM, seconds=20):
        """Its exit status after a signal."""
        self.proc.send_signal(how)
        return self.wait(seconds)

    def wait(self, seconds=20):
        try:
            return self.proc.wait(scaled(seconds))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server does not end; its log:\n{self.log()}") from None

    def _remove(self):
        if not os.environ.get("XFER_TEST_KEEP"):
            remove_tree(self.tmp)

    def __exit__(self, kind, *_):
        try:
            if kind is not None:
                self.kill()
                return
            if self.proc.returncode is None:
                self.stop()
            if REPORT.search(os.fsencode(self.log())):
                raise AssertionError("sanitizer report of the server:\n" + self.log())
            if self.status is not None and self.proc.returncode != self.status:
                raise AssertionError(f"the server ended with {self.proc.returncode}, not "
                                     f"{self.status}; its log:\n{self.log()}")
        finally:
            self._remove()


def remove_tree(path):
    """As rm -rf, of directories that took their own permissions, too."""
    with contextlib.suppress(OSError):
        os.chmod(path, 0o700)
    for directory, below, _ in os.walk(path):
        for name in (os.path.join(directory, name) for name in below):
            with contextlib.suppress(OSError):
                if not os.path.islink(name):
                    os.chmod(name, 0o700)
    shutil.rmtree(path, ignore_errors=True)


# ---- a peer that speaks XFER/1 by hand ----

class Raw:
    """A raw client connection; a context manager. Lines are bytes without their LF."""

    def __init__(self, addr, timeout=10, family=socket.AF_UNSPEC):
        host, port = addr.rsplit(":", 1)
        info = socket.getaddrinfo(host.strip("[]"), int(port), family, socket.SOCK_STREAM)[0]
        self.sock = socket.socket(info[0], socket.SOCK_STREAM)
        self.sock.settimeout(scaled(timeout))
        self.sock.connect(info[4])
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, *lines):
        """Lines, as text or bytes, each ended by a LF, in one packet."""
        self.sock.sendall(b"".join(_bytes(line) + b"\n" for line in lines))

    def send_raw(self, data):
        self.sock.sendall(data)

    def hello(self):
        self.send("XFER/1")
        greeting = self.line()
        assert greeting.split()[0] == b"XFER/1", greeting

    def _more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def line(self):
        """The next line; None at the end of the stream."""
        while b"\n" not in self.buffer:
            if not self._more():
                assert not self.buffer, f"half a line: {self.buffer!r}"
                return None
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def exactly(self, size):
        while len(self.buffer) < size:
            assert self._more(), f"the stream ended {size - len(self.buffer)} bytes early"
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def reply(self):
        """The next reply that is not 102 (patience): (code, {key: value}, line)."""
        while True:
            line = self.line()
            assert line is not None, "the stream ended instead of a reply"
            verb, fields = parse(line)
            if verb != "102":
                return int(verb), fields, line

    def body(self):
        """DATA up to END or ABORT: (bytes, verb, {key: value})."""
        data = b""
        while True:
            line = self.line()
            assert line is not None, "the stream ended within a body"
            verb, fields = parse(line)
            if verb != "DATA":
                return data, verb, fields
            data += self.exactly(int(line.split()[1]))

    def put_body(self, data, block=1 << 20):
        for i in range(0, len(data), block):
            part = data[i:i + block]
            self.send_raw(b"DATA %d\n" % len(part) + part)
        self.send(f"END size={len(data)} sha256={sha256(data)}")

    def ended(self):
        """True when the other side closes without another byte."""
        with contextlib.suppress(ConnectionResetError):
            return not self.buffer and not self._more()
        return True


def _bytes(text):
    return text if isinstance(text, bytes) else os.fsencode(text)


def parse(line):
    """A line's first word and its key=value fields, percent-escapes decoded."""
    words = line.decode("latin-1").split(" ")
    pairs = (word.split("=", 1) for word in words[1:] if "=" in word)
    return words[0], {key: urllib.parse.unquote(value, "latin-1") for key, value in pairs}


# ---- test cases ----

class TestCase(unittest.TestCase):
    """Has self.tmp, a directory of its own."""

    TRIES = 1  # at least
    maxDiff = None

    def run(self, result=None):
        for _ in range(max(self.TRIES, TRIES) - 1):
            trial = unittest.TestResult()
            super().run(trial)
            troubles = [text for _, text in trial.failures + trial.errors]
            if not troubles:
                result.startTest(self)
                for _, reason in trial.skipped:
                    result.addSkip(self, reason)
                result.stopTest(self)
                return
            last = [line for line in troubles[0].splitlines() if line.strip()][-1]
            print("# tried again:", title(self), ascii(last)[1:-1][:200])
        super().run(result)

    def setUp(self):
        self.tmp = tempfile.mkdtemp(prefix="xfer-e2e-")
        if not os.environ.get("XFER_TEST_KEEP"):
            self.addCleanup(remove_tree, self.tmp)

    def path(self, *names):
        return os.path.join(self.tmp, *names)

    def make(self, name, data=b"", mtime=None, mode=None):
        """A file below self.tmp (or with an absolute name), parents too; its path."""
        path = name if isinstance(name, bytes) else self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        if mode is not None:
            os.chmod(path, mode)
        if mtime is not None:
            os.utime(path, ns=(mtime, mtime))
        return path

    def read(self, path):
        with open(path if os.path.isabs(path) else self.path(path), "rb") as f:
            return f.read()

    def serve(self, *args, **kwargs):
        """A server that ends with the test."""
        return self.enter_context(Server(*args, **kwargs))

    def enter_context(self, manager):
        result = manager.__enter__()
        # A test that failed already needs no second complaint of its server.
        self.addCleanup(lambda: manager.__exit__(AssertionError if self._failed() else None,
                                                 None, None))
        return result

    def _failed(self):
        outcome = self._outcome
        return outcome is not None and not outcome.success

    def xfer(self, *args, status=0, **kwargs):
        """Runs the program, which must exit with `status`: (out, err)."""
        got, out, err = run(*args, **kwargs)
        self.assertEqual(got, status, f"{args}\n{err}\n{out[:2000]!r}")
        return out, err

    def fails(self, status, pattern, *args, **kwargs):
        """As xfer, for one that fails with an error that matches: one line, no bytes."""
        out, err = self.xfer(*args, status=status, **kwargs)
        self.assertRegex(err, pattern)
        return out, err

    def assertNoLeftovers(self, root):
        """Nothing temporary is left, once the other end has noticed what happened."""
        wait_for(lambda: not any(b".xfer-" in name for name in tree(root)),
                 f"no temporary file left below {root}")


def tree(root):
    """{relative name as bytes: (type, mode, size, mtime in ns, digest)} of all below. What is removed
    while this looks is not there."""
    root = os.fsencode(root)
    found = {}
    for directory, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(directory, name)
            try:
                sb = os.lstat(path)
                kind = stat.S_IFMT(sb.st_mode)
                regular = stat.S_ISREG(kind)
                rest = (sb.st_size, sb.st_mtime_ns, sha256_file(path)) if regular else ()
            except FileNotFoundError:
                continue
            found[os.path.relpath(path, root)] = (kind, stat.S_IMODE(sb.st_mode), *rest)
    return found


def skip_unless(condition, reason):
    if not condition:
        raise unittest.SkipTest(reason)


def need_root():
    skip_unless(os.geteuid() == 0, "needs root")


def need_tool(name):
    skip_unless(shutil.which(name), f"needs {name}")


def as_nobody(*directories):
    """A prefix that makes a command run as nobody, who may then enter these directories."""
    need_root()
    need_tool("setpriv")
    for directory in directories:
        os.chmod(directory, 0o755)
    prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
    for test in (["-x", XFER], *(["-x", directory] for directory in directories)):
        skip_unless(subprocess.run([*prefix, "test", *test], check=False).returncode == 0,
                    f"nobody cannot reach {test[1]}")
    return prefix


def need_plain():
    skip_unless(not SANITIZED, "a plain build is needed: sanitizers get in the way")


def need_xattrs(directory):
    """Skips where the file system of directory keeps no user attributes."""
    probe = os.path.join(directory, "xattr-probe")
    with open(probe, "wb"):
        pass
    try:
        os.setxattr(probe, "user.xfer.probe", b"1")
    except OSError:
        raise unittest.SkipTest("needs a file system with user attributes") from None
    finally:
        os.unlink(probe)


# ---- TAP ----

class _Tap(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.n = 0
        self.skip = None
        self.trouble = []

    def startTest(self, test):
        super().startTest(test)
        self.skip = None
        self.trouble = []

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skip = reason

    def _note(self, err, what=""):
        self.trouble.append(what + "".join(traceback.format_exception(*err)))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._note(err)

    def addError(self, test, err):
        super().addError(test, err)
        self._note(err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._note(err, f"{subtest._subDescription()}\n")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.trouble.append("passed, though it is marked as failing")

    def stopTest(self, test):
        super().stopTest(test)
        self.n += 1
        name = title(test)
        for text in self.trouble:
            for line in text.encode("ascii", "backslashreplace").decode().splitlines():
                print("#", line)
        if self.trouble:
            print(f"not ok {self.n} - {name}")
        elif self.skip is not None:
            print(f"ok {self.n} - {name} # SKIP {self.skip}")
        else:
            print(f"ok {self.n} - {name}")
        sys.stdout.flush()


def title(test):
    kind, method = test.id().rsplit(".", 2)[-2:]
    return f"{kind}: {method.removeprefix('test_').replace('_', ' ')}"


def _flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _flat(test)
        else:
            yield test


def main():
    """Runs the tests of the main module, and prints TAP."""
    words = sys.argv[1:]
    tests = [test for test in _flat(unittest.defaultTestLoader.loadTestsFromModule(
        sys.modules["__main__"])) if not words or any(word in test.id() for word in words)]
    print(f"1..{len(tests)}")
    sys.stdout.flush()
    if not os.access(XFER, os.X_OK):
        print(f"Bail out! there is no program {XFER}")
        sys.exit(1)
    result = _Tap()
    unittest.TestSuite(tests).run(result)
    sys.exit(0 if result.wasSuccessful() else 1)
