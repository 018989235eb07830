"""Foreign TFTP programs, as `fetch` unpacked them: how each is told what a row asks."""

import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import harness  # noqa: E402

HOST = "127.0.0.1"
DIR = pathlib.Path(os.environ.get("XFER_INTEROP")
                   or pathlib.Path(os.environ.get("builddir") or harness.SRC / "build") / "interop")


ERROR = re.compile(r"(?i)error|invalid|unrecognized|unknown|not found|denied|fail|abort|refused")
# curl says this of every transfer by UDP, and in place of what it has to say.
NOISE = re.compile(r"getpeername\(\) failed|set timeouts for state")


class Cannot(Exception):
    """A foreign program that refuses what it was asked; the text is its own."""


def program(package, name):
    path = DIR / package / name
    harness.skip_unless(os.access(path, os.X_OK),
                        f"no {path}: run {harness.SRC}/tests/interop/fetch {DIR}")
    return str(path)


def env():
    """Libraries that this system lacks were unpacked, too."""
    libraries = sorted({str(path.parent) for path in DIR.glob("lib*/**/*.so*")})
    return harness.ENV | ({"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {})


def versions():
    """{package: version} of what was unpacked."""
    try:
        text = (DIR / "versions").read_text(encoding="utf-8")
    except OSError:
        return {}
    return dict(line.split() for line in text.splitlines())


def said(output):
    """What a program had to say: the first line that tells an error, or else the first."""
    lines = [line.strip() for line in output.decode("utf-8", "backslashreplace").splitlines()]
    lines = [re.sub(rf"{re.escape(str(DIR))}/\S*/", "", line) for line in lines]
    lines = [line for line in lines if line and not NOISE.search(line)]
    errors = [line for line in lines if ERROR.search(line)]
    return (errors or lines or [""])[0].removeprefix("* ")


# ---- clients: the command line for a row; who has no such option is shown it all the same ----

def tftp_hpa(op, port, remote, local, row):
    command = [program("tftp-hpa", "usr/bin/tftp"), "-m", "ascii" if row.netascii else "binary",
               HOST, str(port), "-c"]
    if row.blksize or row.window:
        return command + (["blksize", str(row.blksize)] if row.blksize
                          else ["windowsize", str(row.window)])
    return command + (["get", remote, local] if op == "get" else ["put", local, remote])


def atftp(op, port, remote, local, row):
    options = [("blksize", row.blksize), ("windowsize", row.window),
               ("mode", "netascii" if row.netascii else None)]
    command = [program("atftp", "usr/bin/atftp")]
    for name, value in options:
        command += ["--option", f"{name} {value}"] if value else []
    return command + [f"--{op}", "--remote-file", remote, "--local-file", local, HOST, str(port)]


def curl(op, port, remote, local, row):
    command = [program("curl", "usr/bin/curl"), "-sSv"]
    command += ["--tftp-blksize", str(row.blksize)] if row.blksize else []
    command += ["--tftp-windowsize", str(row.window)] if row.window else []
    command += ["-o", local] if op == "get" else ["-T", local]
    mode = ";mode=netascii" if row.netascii else ""
    return command + [f"tftp://{HOST}:{port}/{urllib.parse.quote(remote)}{mode}"]


def busybox(op, port, remote, local, row):
    command = [program("busybox", "bin/busybox"), "tftp"]
    command += ["-b", str(row.blksize)] if row.blksize else []
    command += ["--windowsize", str(row.window)] if row.window else []
    command += ["--netascii"] if row.netascii else []
    return command + [f"-{op[0]}", "-r", remote, "-l", local, HOST, str(port)]


CLIENTS = {"tftp-hpa": tftp_hpa, "atftp": atftp, "curl": curl, "busybox": busybox}


# ---- servers ----

class Daemon:
    """A foreign server on a directory, in the foreground; a context manager.

    .port · .root · .prefix (in front of clients, to reach it) · .refused (a name it cannot write)
    """

    prefix = ()
    refused = "no such directory/file"

    def __init__(self):
        self.tmp = tempfile.mkdtemp(prefix="xfer-interop-")
        self.root = os.path.join(self.tmp, "root")
        os.mkdir(self.root)
        self.port = free_port()
        self.log = os.path.join(self.tmp, "log")
        self.proc = None

    def command(self):
        raise NotImplementedError

    def __enter__(self):
        try:
            with open(self.log, "wb") as log:
                self.proc = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log, env=env(), start_new_session=True)
            harness.wait_for(self._listens, f"{type(self).__name__} listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.proc is not None:
            self.proc.terminate()
            harness.end(self.proc)
        harness.remove_tree(self.tmp)

    def _listens(self):
        if self.proc.poll() is not None:
            raise Cannot(said(pathlib.Path(self.log).read_bytes()))
        proc = pathlib.Path(f"/proc/{self.proc.pid}")
        try:
            # Its own view: it may be in another network, once it is more than a shell.
            if (proc / "comm").read_text(encoding="ascii").strip() != self.name:
                return False
            tables = (proc / "net/udp").read_text(encoding="ascii").splitlines()
        except OSError:
            return False  # it is about to end
        return any(f":{self.port:04X} " in line for line in tables)

    def place(self, name, data):
        path = os.path.join(self.root, name)
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, 0o644)


class TftpdHpa(Daemon):
    name = "in.tftpd"
    refused = "locked/file"

    def command(self):
        harness.need_root()  # it insists on chroot and on becoming nobody
        os.chmod(self.root, 0o777)
        os.mkdir(os.path.join(self.root, "locked"), 0o755)
        return [program("tftpd-hpa", "usr/sbin/in.tftpd"), "--foreground", "--listen", "--address",
                f"{HOST}:{self.port}", "--create", "--secure", self.root]


class Atftpd(Daemon):
    name = "atftpd"

    def command(self):
        # Nobody, its default, cannot reach a private directory.
        user = ["--user", "root", "--group", "root"] if os.geteuid() == 0 else []
        return [program("atftpd", "usr/sbin/atftpd"), "--daemon", "--no-fork", "--logfile", "-",
                *user, "--bind-address", HOST, "--port", str(self.port), self.root]


class AtftpdPlain(Atftpd):
    """As servers were before there were options."""

    def command(self):
        *command, root = super().command()
        return [*command, *(f"--no-{name}" for name in (
            "timeout", "tsize", "blksize", "windowsize", "multicast")), root]


class Dnsmasq(Daemon):
    """It knows no port but 69: it gets a network of its own."""

    name = "dnsmasq"

    def command(self):
        self.port = 69
        daemon = program("dnsmasq-base", "usr/sbin/dnsmasq")
        for tool in ("unshare", "nsenter", "ip"):
            harness.need_tool(tool)
        probe = subprocess.run(["unshare", "-rn", "ip", "link", "set", "lo", "up"], check=False,
                               stdin=subprocess.DEVNULL, capture_output=True)
        harness.skip_unless(probe.returncode == 0, "no namespaces here: " + said(probe.stderr))
        return ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", daemon,
                "--conf-file=/dev/null", "--port=0", "--no-daemon", "--user=root", "--group=root",
                "--enable-tftp", f"--tftp-root={self.root}"]

    @property
    def prefix(self):
        return ("nsenter", "-t", str(self.proc.pid), "-U", "-n", "--preserve-credentials")


class Busybox(Daemon):
    name = "busybox"

    def command(self):
        box = program("busybox", "bin/busybox")
        applets = subprocess.run([box, "--list"], check=True, stdout=subprocess.PIPE,
                                 text=True).stdout
        if "udpsvd" not in applets.split():
            return [box, "tftpd", "-c", self.root]
        return [box, "udpsvd", "-vE", HOST, str(self.port), box, "tftpd", "-c", self.root]


SERVERS = {"tftpd-hpa": TftpdHpa, "atftpd": Atftpd, "atftpd without options": AtftpdPlain,
           "dnsmasq": Dnsmasq, "busybox": Busybox}
PACKAGES = {"dnsmasq": "dnsmasq-base", "atftpd without options": "atftpd"}


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
