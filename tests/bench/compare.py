"""`xfer compare` on the emulated link: stop-and-wait against its textbook, TCP against the rate, chance
against its seed, and how long the commands take that people type first."""

import json
import os
import struct
import subprocess
import time
from statistics import median

from measure import wait_for_quiet
from peers import Failed

WAITS = ((10, "1M"), (10, "100K"), (20, "100K"), (50, "100K"), (100, "100K"))  # RTT in ms, size
WAIT_OFF = 0.05
FILLERS = ("tcp", "tcp:cubic", "tcp:bbr")
FILL_SHARE = 0.85
COMMANDS = (((), 30), (("--link", "loopback", "--size", "8M"), 10))  # arguments, seconds
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
DOUBT = "not trustworthy"
PACKET, COMMENT = 6, 1  # of pcapng
SENDER = 12  # of an IPv4 header


def compare(bench, *arguments):
    """Summaries, and what compare itself doubts."""
    wait_for_quiet(bench.quiet)
    command = [bench.xfer, "compare", "--json", "--max-time", "900", *arguments]
    done = subprocess.run(command, text=True, capture_output=True, timeout=1000, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return ([r for r in records if r["type"] == "summary"],
            [line.strip() for line in done.stderr.splitlines() if DOUBT in line])


def judge(part, what, got, limit, unit, *, least=False, doubts=(), rounds=None):
    """A run that the link's own check doubts says nothing of ours."""
    met = got >= limit if least else got <= limit
    word = "met" if met else "missed" if not doubts else f"not judged: {doubts[0]}"
    print(f"target: {what}: {got:.2f} {unit}, at {'least' if least else 'most'} {limit:g} ({word})",
          flush=True)
    part["targets"].append({"what": what, "got": got, "limit": limit, "unit": unit,
                            "least": least, "met": met, "doubts": list(doubts),
                            "rounds": rounds})


def run_wait(bench, part):
    """Loss-free stop-and-wait, by the median of rounds."""
    for rtt, size in WAITS:
        (summary,), doubts = compare(bench, "-m", "udp", "--rtt", f"{rtt}ms", "--size", size,
                                     "--rounds", str(bench.rounds))
        off = summary["median_seconds"] / summary["theory_seconds"] - 1
        if summary["timeouts"]:
            print(f"note: {summary['timeouts']} timeouts though nothing was lost: the machine is busy")
        judge(part, f"stop-and-wait of {size} at {rtt} ms, above the textbook's time", 100 * off,
              100 * WAIT_OFF, "%", doubts=doubts, rounds=summary)


def run_fill(bench, part):
    """A long fat link, by each congestion control that is here."""
    for method in FILLERS:
        (summary,), doubts = compare(bench, "-m", method, "--rate", "100mbit", "--rtt", "50ms",
                                     "--size", "64M", "--rounds", str(min(bench.rounds, 3)))
        judge(part, f"{summary['label']} of 64 MiB over 100 Mbit/s, 50 ms: share of the rate",
              100 * summary["link_share"], 100 * FILL_SHARE, "%", least=True, doubts=doubts,
              rounds=summary)


def fates(path):
    """What became of each packet of either side, in order, by the comments of a capture."""
    with open(path, "rb") as f:
        data = f.read()
    found, at = {}, 0
    while at < len(data):
        kind, length = struct.unpack_from("=II", data, at)
        if kind == PACKET:
            captured, _ = struct.unpack_from("=II", data, at + 20)
            sender = data[at + 28 + SENDER:at + 28 + SENDER + 4]
            option = at + 28 + -(-captured // 4) * 4
            code, n = struct.unpack_from("=HH", data, option)
            comment = data[option + 4:option + 4 + n].decode() if code == COMMENT else ""
            found.setdefault(sender, []).append(comment)
        at += length
    return found


def run_fates(bench, part):
    """The same seed and the same method, twice: the Nth packet of a side has the same fate."""
    for method in "udp", "udp:window=16":
        twice = []
        for name in "a", "b":
            path = bench.work / f"{name}.pcapng"
            _, doubts = compare(bench, "-m", method, "--rtt", "10ms", "--loss", "2%", "--size",
                                "300K", "--rounds", "1", "--seed", "7", "--pcap", path)
            twice.append(fates(path))
        pairs = [pair for side in twice[0] for pair in zip(twice[0][side], twice[1][side])]
        lost = sum("dropped" in fate for fate, _ in pairs)
        judge(part, f"{method}, {len(pairs)} packets, {lost} lost: other fates in a second run",
              sum(a != b for a, b in pairs), 0, "packets", doubts=doubts)


def run_compare(bench, part):
    """From the command to its end, by an ordinary user."""
    prefix = NOBODY if os.geteuid() == 0 else ()
    for arguments, limit in COMMANDS:
        took = []
        for _ in range(min(bench.rounds, 3)):
            begun = time.monotonic()
            done = subprocess.run([*prefix, bench.xfer, "compare", *arguments], text=True,
                                  env=os.environ | {"TMPDIR": "/tmp"}, capture_output=True,
                                  check=False)
            if done.returncode != 0:
                raise Failed(f"compare {' '.join(arguments)}: {done.stderr.strip()}")
            took.append(time.monotonic() - begun)
        judge(part, " ".join(["xfer compare", *arguments]), median(took), limit, "s", rounds=took)
