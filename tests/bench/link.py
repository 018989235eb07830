"""How exact the emulated link is: round trip, rate and loss, against what was asked for."""

import json
import math
import subprocess
from pathlib import Path
from statistics import median

from peers import Failed

RTTS_MS = (10, 50, 100)
RATES = (10_000_000, 100_000_000)
LOSSES = (0.001, 0.01, 0.1)
RTT_OFF_MS = 0.5
RATE_OFF = 0.02
STANDARD_ERRORS = 4  # one in 16,000 is further off by chance


def fidelity(bench, rate, rtt_ms, loss):
    """Rounds of one setting. Those that the link itself does not trust are told, and count."""
    program = Path(bench.xfer).parent / "tests" / "link" / "fidelity"
    if not program.exists():
        raise Failed(f"{program} is missing: make check TESTS= builds it")
    rounds = []
    for _ in range(bench.rounds):
        out = subprocess.run([program, str(rate), str(rtt_ms / 2), str(loss)], text=True,
                             capture_output=True, timeout=120, check=False)
        if out.returncode != 0:
            raise Failed(out.stderr.strip())
        rounds.append(json.loads(out.stdout))
        if rounds[-1]["problem"]:
            print(f"note: {rounds[-1]['problem']}")
    return rounds


def judge(part, what, got, most, unit, rounds):
    met = got <= most
    print(f"target: {what}: off by {got:.3f} {unit}, at most {most:.3f} "
          f"({'met' if met else 'missed'})", flush=True)
    part["targets"].append({"what": what, "off": got, "most": most, "unit": unit, "met": met,
                            "rounds": rounds})


def run(bench, part):
    for rtt in RTTS_MS:
        rounds = fidelity(bench, 0, rtt, 0)
        off = abs(median(r["rtt_ms"] for r in rounds) - rtt)
        judge(part, f"round trip of {rtt} ms", off, RTT_OFF_MS, "ms", rounds)
    for rate in RATES:
        rounds = fidelity(bench, rate, 10, 0)
        for way in ("up", "down"):
            off = abs(median(r[way] for r in rounds) / rate - 1)
            judge(part, f"{rate / 1e6:g} Mbit/s {way}", 100 * off, 100 * RATE_OFF, "%", rounds)
    for loss in LOSSES:
        rounds = fidelity(bench, 100_000_000, 10, loss)[:1]  # one seed: others say the same
        sent, lost = rounds[0]["sent"], rounds[0]["lost"]
        error = math.sqrt(loss * (1 - loss) / sent)
        judge(part, f"loss of {100 * loss:g} %", abs(lost / sent - loss) / error,
              STANDARD_ERRORS, "standard errors", rounds)
