"""Foreign TFTP clients and servers, as tests/interop knows and fetches them, as methods here."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from peers import Failed, Server

INTEROP = Path(__file__).resolve().parent.parent / "interop"


def load(build):
    """tests/interop/peers.py, after its programs were fetched into the build tree."""
    unpacked = build / "interop"
    if subprocess.run(["sh", INTEROP / "fetch", unpacked], stdin=subprocess.DEVNULL,
                      check=False).returncode:
        print("bench: not all foreign programs could be fetched", flush=True)
    os.environ["XFER_INTEROP"] = str(unpacked)
    spec = importlib.util.spec_from_file_location("interop_peers", INTEROP / "peers.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Daemon(Server):
    """A foreign server, metered like ours."""

    def __init__(self, kind, parent, _work):
        before, tempfile.tempdir = tempfile.tempdir, str(parent)
        try:
            self.inner = kind().__enter__()
        finally:
            tempfile.tempdir = before
        self.process = self.inner.proc
        self.command = Path(f"/proc/{self.pid}/cmdline").read_text(encoding="utf-8").split("\0")
        self.root = Path(self.inner.root)

    def stop(self):
        self.inner.__exit__()


class Pair:
    """A foreign client with a foreign server."""

    def __init__(self, foreign, client, name, daemon):
        self.name = f"{client}, {name}"
        self.client = foreign.CLIENTS[client]
        self.daemon = daemon
        self.libraries = libraries(foreign)

    def command(self, op, remote, local, blksize, window=0):
        row = Row(0 if blksize == 512 else blksize, window)
        words = self.client(op, self.daemon.inner.port, str(remote), str(local), row)
        return [*self.libraries, *self.daemon.inner.prefix, *words]


class Row:
    netascii = False

    def __init__(self, blksize, window):
        self.blksize = blksize
        self.window = window


def libraries(foreign):
    path = foreign.env().get("LD_LIBRARY_PATH")
    return ["env", f"LD_LIBRARY_PATH={path}"] if path else []


def daemons(bench, foreign):
    """Those that can be had here, started."""
    found = {}
    for name, kind in foreign.SERVERS.items():
        if kind is foreign.AtftpdPlain:
            continue
        try:
            found[name] = bench.start(Daemon, kind, bench.disk)
        except (unittest.SkipTest, foreign.Cannot) as e:
            print(f"bench: without {name}: {e}", flush=True)
    return found


def clients(foreign):
    found = []
    for name, client in foreign.CLIENTS.items():
        try:
            client("get", 0, "x", "x", Row(0, 0))
            found.append(name)
        except unittest.SkipTest as e:
            print(f"bench: without {name}: {e}", flush=True)
    return found


def pairs(bench, foreign):
    found = [Pair(foreign, client, name, daemon)
             for name, daemon in daemons(bench, foreign).items() for client in clients(foreign)]
    if not found:
        raise Failed("no foreign TFTP programs here to compare with")
    return found
