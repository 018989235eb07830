"""Rounds of commands: each method in turn, medians, what arrived checked."""

import hashlib
import os
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from statistics import median

from peers import TICK, Failed

MIB = 1024 * 1024
QUIET_FOR = 0.2  # seconds
QUIET = 0.93  # of the processors' time


@dataclass
class Method:
    """One row of a table. command(target) is run for each round's fresh target."""

    name: str
    command: object
    server: object = None
    before: object = None  # called ahead of each round
    check: object = None  # called with each round's target; raises Failed
    remove: object = None  # called with it afterwards
    rounds: list = field(default_factory=list)
    commands: list = field(default_factory=list)

    def median(self, key):
        return median(r[key] for r in self.rounds)

    def spread(self, key):
        values = [r[key] for r in self.rounds]
        return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"

    def peak(self, key):
        return max((r[key] for r in self.rounds if r[key] is not None), default=None)


def run_metered(bench, command):
    """Seconds, CPU seconds and peak bytes of a command that must succeed."""
    out = bench.work / "meter.out"
    log = bench.work / "command.log"
    with open(log, "wb") as f:
        done = subprocess.run([bench.meter, out, *command], stdin=subprocess.DEVNULL, stdout=f,
                              stderr=f, check=False)
    status = int(out.read_text().split()[4]) if done.returncode == 0 else done.returncode
    if status:
        raise Failed(f"{shlex.join(map(str, command))}: exit status {status}: "
                     + log.read_text(errors="replace")[-2000:])
    seconds, user, system, kib = map(float, out.read_text().split()[:4])
    return {"seconds": seconds, "cpu_client": user + system, "client_peak_bytes": int(kib) * 1024}


def idle_and_all():
    with open("/proc/stat", encoding="ascii") as f:
        ticks = list(map(int, f.readline().split()[1:9]))
    return ticks[3] + ticks[4], sum(ticks)


def wait_for_quiet(seconds):
    """Until nothing else runs here. False: it never was so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = idle_and_all()
        time.sleep(QUIET_FOR)
        idle, ticks = (b - a for a, b in zip(before, idle_and_all()))
        if idle > QUIET * ticks:
            return True
    return False


def one_round(bench, m, i, quiet=0):
    target = f"{m.name.replace(' ', '-')}.{i}"
    if m.before:
        m.before()
    began_quiet = wait_for_quiet(quiet)
    command = [str(word) for word in m.command(target)]
    m.commands.append(shlex.join(command))
    before = m.server.cpu() if m.server else 0
    r = run_metered(bench, command)
    r["cpu_server"] = m.server.cpu() - before if m.server else 0
    r["server_peak_bytes"] = m.server.peak() if m.server else None
    r["quiet"] = began_quiet
    r["cpu"] = r["cpu_client"] + r["cpu_server"]
    m.rounds.append(r)
    if m.check:
        m.check(target)
    if m.remove:
        m.remove(target)


def alternate(bench, methods, rounds):
    for i in range(rounds):
        for m in methods:
            one_round(bench, m, i, bench.quiet)
    if bench.quiet:
        rounds_of = [r for m in methods for r in m.rounds]
        print(f"{sum(r['quiet'] for r in rounds_of)} of {len(rounds_of)} rounds began quiet")


def mib(n):
    return "-" if n is None else f"{n / MIB:.1f}"


def table(title, methods, against):
    """Prints rows; the ratio is how many times faster than `against`, by medians of seconds."""
    print(f"\n{title}")
    print(f"{'method':<22}{'seconds (min-max)':>22}{'CPU s':>8}{'peak MiB client/server':>25}"
          f"{'ratio':>8}")
    for m in methods:
        peaks = f"{mib(m.peak('client_peak_bytes'))} / {mib(m.peak('server_peak_bytes'))}"
        ratio = against.median("seconds") / m.median("seconds")
        print(f"{m.name:<22}{m.spread('seconds'):>22}{m.median('cpu'):>8.2f}{peaks:>25}"
              f"{ratio:>8.2f}", flush=True)


def target(part, what, peer, ours, times=1.0):
    """A speed that is aimed at. Missing it is said, and is no failure."""
    ratio = peer.median("seconds") / ours.median("seconds")
    cpu = peer.median("cpu") / max(ours.median("cpu"), 1 / TICK)
    met = ratio >= times
    aim = "as fast as" if times == 1.0 else f"{times:g} times as fast as"
    print(f"target: {what} at least {aim} {peer.name}: ratio {ratio:.2f} "
          f"({'met' if met else 'missed'}); CPU ratio {cpu:.2f}", flush=True)
    part["targets"].append({"what": what, "against": peer.name, "times": times, "ratio": ratio,
                            "cpu_ratio": cpu, "met": met})


def bound(part, what, got, limit):
    """A bound on memory. Breaking it is a failure."""
    ok = got <= limit
    print(f"bound: {what}: {mib(got)} MiB, at most {mib(limit)} "
          f"({'kept' if ok else 'BROKEN'})", flush=True)
    part["bounds"].append({"what": what, "bytes": got, "limit_bytes": limit, "kept": ok})


def record(part, title, methods):
    part["tables"].append({"title": title, "methods": [
        {"name": m.name, "server": m.server and shlex.join(m.server.command),
         "commands": m.commands, "rounds": m.rounds} for m in methods]})


def sha256(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(MIB):
            h.update(chunk)
    return h.hexdigest()


def same_file(want, path):
    if sha256(path) != want:
        raise Failed(f"{path} did not arrive as it was")


def tree_digest(top):
    """One digest over the names, contents and whole-second times of all files below."""
    h = hashlib.sha256()
    for where, dirs, files in os.walk(top):
        dirs.sort()
        for name in sorted(files):
            path = os.path.join(where, name)
            with open(path, "rb") as f:
                digest = hashlib.sha256(f.read()).hexdigest()
            stamp = int(os.stat(path).st_mtime)
            h.update(f"{os.path.relpath(path, top)} {stamp} {digest}\n".encode())
    return h.hexdigest()


def fill(path, size):
    """Bytes that neither compress nor repeat."""
    with open(path, "wb") as f:
        while size:
            n = min(size, 8 * MIB)
            f.write(os.urandom(n))
            size -= n
