"""The servers that the bench talks to, each in a private directory on loopback."""

import os
import re
import shutil
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """The bench cannot go on, or what it measured is wrong."""


def wait_until(true, what, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise Failed(f"waited {seconds} s for {what}")
        time.sleep(0.005)


def stat_fields(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
        return f.read().rpartition(")")[2].split()


def children(pid):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if int(stat_fields(name)[1]) == pid:
                found.append(int(name))
        except OSError:
            continue
    return found


class Server:
    """A process that serves, and what it has used so far."""

    def __init__(self, command, log):
        self.command = command
        self.log = open(log, "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)

    @property
    def pid(self):
        return self.process.pid

    def settle(self):
        """What a finished client left to do here belongs to its round."""
        wait_until(lambda: not children(self.pid), "the server's children to end")

    def cpu(self):
        """Seconds of CPU, those of children that have ended included."""
        self.settle()
        return sum(map(int, stat_fields(self.pid)[11:15])) / TICK

    def peak(self):
        """Peak resident memory in bytes."""
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as f:
            return int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1]) * 1024

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Xfer(Server):
    def __init__(self, program, root, work):
        log = self.log_path = work / "xfer.log"
        super().__init__([program, "serve", "--write", "--listen", "127.0.0.1:0", str(root)], log)
        found = []

        def listens():
            if self.process.poll() is not None:
                raise Failed(f"xfer serve ended: {log.read_text(errors='replace')}")
            found[:] = re.findall(r"^listening on (?:tcp|udp) (\S+)$",
                                  log.read_text(errors="replace"), re.M)
            return len(found) == 2

        wait_until(listens, "xfer serve to listen")
        self.address = found[0]
        self.port = int(self.address.rpartition(":")[2])

    def url(self, path):
        return f"{self.address}/{path}"

    def log_lines(self, verb):
        """How many requests of a kind have been logged, which is when they end."""
        return self.log_path.read_text(errors="replace").count(f" {verb} ")


RSYNCD = """\
use chroot = no
reverse lookup = no
pid file =
log file = {log}
[m]
    path = {root}
    read only = no
{ids}"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Rsync(Server):
    def __init__(self, root, work):
        ids = "    uid = 0\n    gid = 0\n" if os.geteuid() == 0 else ""
        config = work / "rsyncd.conf"
        config.write_text(RSYNCD.format(log=work / "rsyncd.log", root=root, ids=ids))
        for _ in range(10):
            self.port = free_port()
            super().__init__(["rsync", "--daemon", "--no-detach", f"--config={config}",
                              "--address=127.0.0.1", f"--port={self.port}"], work / "rsync.out")
            wait_until(lambda: self.process.poll() is not None or answers(self.port),
                       "the rsync daemon to listen")
            if self.process.poll() is None:
                return
        raise Failed("the rsync daemon does not start: " + (work / "rsync.out").read_text())

    def url(self, path):
        return f"rsync://127.0.0.1:{self.port}/m/{path}"


def need_rsync():
    if shutil.which("rsync"):
        return
    print("bench: rsync, the peer to compare with, is missing: installing it", flush=True)
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    install = [*root, "apt-get", "-q", "install", "-y", "--no-install-recommends", "rsync"]
    if not shutil.which("apt-get") or subprocess.run(
            install, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False).returncode:
        raise Failed("could not install rsync: let root run: apt-get install rsync")
