"""tests/run-test turns every way of going wrong into a failing line, and nothing else."""

import os
import subprocess
import tempfile

from rule import SRC, catches, done, holds


def run(script, limit="30"):
    """Output of run-test for a shell script."""
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "program")
        with open(path, "w", encoding="utf-8") as f:
            f.write(script)
        done_process = subprocess.run(
            ["/bin/sh", str(SRC / "tests" / "run-test"), "/bin/sh", path],
            stdout=subprocess.PIPE, text=True, check=False,
            env=os.environ | {"XFER_TEST_LIMIT": limit, "TMPDIR": tmp})
        left = [name for name in os.listdir(tmp) if name != "program"]
    return done_process.stdout.splitlines(), left


def judge(script, limit="30"):
    """The failing lines, and what is wrong with the harness itself."""
    lines, left = run(script, limit)
    results = [line for line in lines if line.startswith(("ok", "not ok"))]
    wrong = [f"left behind: {name}" for name in left]
    if f"1..{len(results)}" not in lines and "1..0 # SKIP no reason" not in lines:
        wrong.append("the plan does not fit: " + repr(lines))
    return [line for line in results if line.startswith("not ok")], wrong


def failures(script):
    failing, wrong = judge(script)
    return failing + wrong


def one_failure(script, limit="30"):
    """The failing line where there is exactly one, and a plan that fits."""
    failing, wrong = judge(script, limit)
    return failing if len(failing) == 1 and not wrong else []


GOOD = "echo 1..2; echo ok 1 - a; echo 'ok 2 - b # SKIP no reason'\n"
REPORT = 'log=${ASAN_OPTIONS##*log_path=}; log=${log%%:*}\n'

holds("a good program passes", failures(GOOD))
holds("a plan may stand at the end", failures("echo ok 1 - a; echo 1..1"))
holds("a whole program may be skipped", failures("echo '1..0 # SKIP no reason'"))
holds("a private TMPDIR is removed, read-only directories too",
      failures(GOOD + 'mkdir "$TMPDIR/d"; touch "$TMPDIR/d/f"; chmod 500 "$TMPDIR/d"'))
catches("a failing line", one_failure("echo 1..1; echo not ok 1 - a; exit 1"))
catches("an exit status alone", one_failure(GOOD + "exit 3"))
catches("death by a signal", one_failure(GOOD + "kill -SEGV $$"))
catches("no plan", one_failure("echo ok 1 - a"))
catches("no results", one_failure("echo 1..0"))
catches("silence", one_failure("exit 0"))
catches("fewer results than planned", one_failure("echo 1..3; echo ok 1 - a"))
catches("more results than planned", one_failure("echo 1..1; echo ok 1 - a; echo ok 2 - b"))
catches("a sanitizer report of a child", one_failure(GOOD + REPORT + "echo leak > $log.123"))
catches("a program that does not end", one_failure("echo 1..1; echo ok 1 - a; exec sleep 60", "1"))
done()
