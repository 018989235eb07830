"""The matrix of foreign TFTP programs is as matrix.md has it.

Four tables: each program as client of `xfer serve` and as server of `xfer`, get and put. A cell is
`ok` where the bytes arrived with the very options that the row asks for, or says what else the
program did.
    --write          measures all and writes matrix.md anew
    XFER_TEST_FULL   rollover with every program, not with one a table
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import time

import peers
from peers import harness

MATRIX = pathlib.Path(__file__).resolve().parent / "matrix.md"
WRITE = "--write" in sys.argv
FULL = WRITE or os.environ.get("XFER_TEST_FULL")
TABLES = {
    ("client", "get"): "Foreign client gets from `xfer serve`",
    ("client", "put"): "Foreign client puts to `xfer serve`",
    ("server", "get"): "`xfer get` from a foreign server",
    ("server", "put"): "`xfer put` to a foreign server",
}
HEAD = """\
Foreign TFTP programs against `xfer` over loopback: `tests/interop/matrix.py --write`
measured it and `make check` compares it. `ok`: the bytes are equal and the options are
the ones asked for. Quoted: what the program itself said (of servers: the message that
came over the wire, or why it did not start). Without an option in the row's name:
block size 512, window 1.
"""
BIG = 33 << 20


@dataclasses.dataclass
class Row:
    title: str
    name: str
    size: int = 100003
    blksize: int = 0
    window: int = 0
    netascii: bool = False
    serve: tuple = ("--write",)
    refused: bool = False

    def data(self):
        if self.netascii:
            return b"one\ntwo \r three\r\n" * 100
        # Noise that is cheap to make, with every block of another content.
        return (harness.noise(100003) * (self.size // 100003 + 1))[:self.size]


COMMON = [
    *(Row(f"block size {n}", f"block{n}", blksize=n) for n in (8, 512, 1428, 8192, 65464)),
    *(Row(f"window {n}", f"window{n}", window=n) for n in (4, 16)),
    *(Row(f"{n} byte{'' if n == 1 else 's'}", f"size{n}", size=n) for n in (0, 1, 511, 512, 513)),
    Row("33 MiB (block 65535 and on)", "big", size=BIG),
    Row("name with spaces", "a name with spaces"),
    Row("netascii", "text", netascii=True),
]
ROWS = {
    ("client", "get"): [*COMMON, Row("missing file", "missing", refused=True)],
    ("client", "put"): [*COMMON, Row("read-only server", "new", refused=True, serve=()),
                        Row("file exists, `--write=new`", "old", refused=True,
                            serve=("--write=new",))],
    ("server", "get"): [*COMMON, Row("missing file", "missing", refused=True)],
    ("server", "put"): [*[row for row in COMMON if not row.netascii],
                        Row("refused write", "", refused=True)],
}
# Whose 33 MiB make check waits for.
BIG_WITH = {("client", "get"): "curl", ("client", "put"): "atftp",
            ("server", "get"): "atftpd", ("server", "put"): "tftpd-hpa"}


# ---- one cell ----

def quote(text):
    return f'"{text}"' if text else "fails without a word"


def agreed(row, blksize, window):
    """`ok` if that is what the row asks for."""
    wrong = [f"{what} {got}" for what, got, asked in (
        ("block size", blksize, row.blksize or 512), ("window", window, row.window or 1))
             if got != asked]
    return ", ".join(["ok", *wrong])


def outcome(row, arrived, status, text):
    """For bytes that are not the row's."""
    if row.netascii and arrived in (to_wire(row.data()), from_wire(row.data())):
        return f"exit {status}, but nothing converted"
    if status != 0 or text or arrived is None:
        return quote(text)
    return f"exit 0 with {len(arrived)} of {len(row.data())} bytes"


def to_wire(data):
    return data.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


def from_wire(data):
    return data.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r")


def content(path):
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as f:
        return f.read()
    return None


class Clients(harness.TestCase):
    """Foreign clients; our server."""

    def setUp(self):
        super().setUp()
        self.servers = {}

    def server(self, row):
        if row.serve not in self.servers:
            self.servers[row.serve] = self.serve(*row.serve, write=False)
        return self.servers[row.serve]

    def cell(self, peer, op, row):
        server = self.server(row)
        local = self.path(row.name)
        source, target = (server.path(row.name), local)[::1 if op == "get" else -1]
        if not (row.refused and op == "get"):
            self.put_file(source, row.data())
        if row.refused and op == "put" and row.serve:
            self.put_file(target, b"old")
        before = target and content(target)
        command = peers.CLIENTS[peer](op, server.udp_port, row.name, local, row)
        done = subprocess.run(command, check=False, cwd=self.tmp, env=peers.env(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=harness.scaled(120))
        text = peers.said(done.stdout)
        if row.refused:
            return self.refusal(server, row, op, before, target, done, text)
        arrived = content(target)
        if arrived != row.data():
            return outcome(row, arrived, done.returncode, text)
        if done.returncode != 0:
            return f"exit {done.returncode}: {quote(text)}"
        log = self.logged(server, row)
        options = re.search(r" blksize=(\d+) windowsize=(\d+)", log)
        result = agreed(row, int(options[1]), int(options[2]))
        return result if log.endswith(" ok") else f"{result}, but the log says {log}"

    def put_file(self, path, data):
        with open(path, "wb") as f:
            f.write(data)

    def logged(self, server, row):
        """Its line of the log, in which spaces are escaped."""
        name = ".{1,4}".join(re.escape(word) for word in row.name.split())
        return server.wait_log(rf"^.* (?:GET|PUT) {name} .*$")[0]

    def refusal(self, server, row, op, before, target, done, text):
        """In the program's words. Some leave an empty file of their own, or exit 0."""
        log = self.logged(server, row)
        if " failed " not in log:
            return f"not refused: {log}"
        if op == "put" and content(target) != before:
            return f"refused, but changed the file; {quote(text)}"
        return f"{quote(text)}, exit {done.returncode}"


class Servers(harness.TestCase):
    """Foreign servers; our client."""

    def cell(self, peer, op, row):
        try:
            if not hasattr(self, "daemon"):
                self.daemon = self.enter_context(peers.SERVERS[peer]())
        except peers.Cannot as e:
            return quote(str(e))
        remote = row.name or self.daemon.refused
        local = self.path(row.name or "refused")
        if op == "get" and not row.refused:
            self.daemon.place(row.name, row.data())
        if op == "put":
            self.make(local, row.data())
        return self.ask(op, row, remote, local)

    def ask(self, op, row, remote, local):
        mode = ";mode=netascii" if row.netascii else ""
        url = f"tftp://{peers.HOST}:{self.daemon.port}/{remote.replace(' ', '%20')}{mode}"
        options = ["--json", "--blksize", str(row.blksize or 512), "--window", str(row.window or 1),
                   "--retries", "0"]
        names = [url, local] if op == "get" else [local, url]
        status, out, err = harness.run(op, *options, *names, prefix=self.daemon.prefix, timeout=120)
        report = json.loads(out.splitlines()[0]) if out else {}
        if status != 0:
            kept = op == "get" and os.path.exists(local)
            text = (report.get("message") or err.strip()).replace(self.daemon.root, "ROOT")
            return f"{quote(text)}, exit {status}" + (", but there is a file" if kept else "")
        return self.compare(op, row, remote, local, report)

    def compare(self, op, row, remote, local, report):
        target = os.path.join(self.daemon.root, remote) if op == "put" else local
        # Some put the last block into the file after they have acknowledged it.
        end = time.monotonic() + harness.scaled(5)
        while (arrived := content(target)) != row.data() and time.monotonic() < end:
            time.sleep(0.01)
        if arrived != row.data():
            return outcome(row, arrived, 0, "")
        if report["verified"]:
            return "claims to be verified"
        return agreed(row, report["block_size_bytes"], report["window"])


# ---- the table ----

def of(side):
    """Test class and programs of the foreign side."""
    return (Clients, peers.CLIENTS) if side == "client" else (Servers, peers.SERVERS)


def upstream(version):
    """Without what Debian adds: its patches are no other program."""
    return version.split(":")[-1].rsplit("-", 1)[0]


def read_matrix():
    """({(table, peer): {row: cell}}, {package: version})"""
    cells, versions, table, names = {}, {}, None, []
    titles = {title: key for key, title in TABLES.items()}
    for line in MATRIX.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            table, names = titles[line[3:]], []
        elif line.startswith("| ") and table:
            title, *row = [cell.strip() for cell in line.strip("|").split(" | ")]
            if not names:
                names = row
            else:
                for peer, cell in zip(names, row):
                    cells.setdefault((table, peer), {})[title] = cell
        elif line.startswith("- "):
            versions |= dict([line[2:].split()])
    return cells, versions


def write_matrix(cells):
    known = peers.versions()
    used = [p for p in known if not p.startswith("lib")]
    lines = ["# Interoperability", "", *HEAD.splitlines(), "",
             *(f"- {package} {known[package]}" for package in sorted(used))]
    for table, title in TABLES.items():
        names = list(of(table[0])[1])
        lines += ["", f"## {title}", "", "| | " + " | ".join(names) + " |",
                  "|---" * (len(names) + 1) + "|"]
        for row in ROWS[table]:
            texts = [cells[table, peer][row.title].replace("|", "/") for peer in names]
            lines.append("| " + " | ".join([row.title, *texts]) + " |")
    MATRIX.write_text("\n".join(lines) + "\n", encoding="utf-8")


def differences(found, expected, same_version):
    """Of another version only what went well must still do so."""
    return [f"{title}: now {cell}; matrix.md has {expected.get(title, 'nothing')}"
            for title, cell in found.items() if cell != expected.get(title)
            and (same_version or expected.get(title, "").startswith("ok"))]


MEASURED = {}
EXPECTED, VERSIONS = ({}, {}) if WRITE else read_matrix()


def tell(text):
    """Foreign programs have long sentences."""
    print(textwrap.fill(text, 100, initial_indent="# ", subsequent_indent="#   "))


def measure(test, table, peer):
    found = {}
    for row in ROWS[table]:
        if row.size == BIG and not FULL and BIG_WITH[table] != peer:
            continue
        start = time.monotonic()
        found[row.title] = test.cell(peer, table[1], row)
        tell(f"{peer}, {row.title}: {found[row.title]} ({time.monotonic() - start:.2f} s)")
    MEASURED[table, peer] = found
    if WRITE:
        return
    package = peers.PACKAGES.get(peer, peer)
    now, then = peers.versions().get(package, ""), VERSIONS.get(package, "")
    wrong = differences(found, EXPECTED.get((table, peer), {}), upstream(now) == upstream(then))
    for line in wrong:
        tell(line)
    test.assertEqual(len(wrong), 0, f"{package} {now}, in matrix.md {then}")


def case(table, peer):
    def test(self):
        measure(self, table, peer)
    return test


def add_cases():
    for table in TABLES:
        kind, names = of(table[0])
        for peer in names:
            setattr(kind, f"test_{table[1]}_{peer}", case(table, peer))


if __name__ == "__main__":
    add_cases()
    if WRITE:
        sys.argv.remove("--write")
    try:
        harness.main()
    finally:
        if WRITE and len(MEASURED) == sum(len(of(table[0])[1]) for table in TABLES):
            write_matrix(MEASURED)
