"""Where the kernel refuses a link, it says what and why, and nothing else happens."""

import os
import subprocess
import sys

LINK = os.path.join(os.environ["builddir"], "tests", "link", "link")
# Root of a user namespace that may make no further ones, and without any right of its own.
WITHOUT = ["unshare", "-Ur", "sh", "-c",
           'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all "$@"',
           "-"]


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60, check=False)


def main():
    probe = run(*WITHOUT, "true")
    if probe.returncode != 0:
        print(f"1..0 # SKIP no namespace to refuse in: {probe.stderr.strip()[:80]}")
        return 0
    out = run(*WITHOUT, LINK, "--check")
    way, why, remedy = (out.stdout.split("\n") + ["", "", ""])[:3]
    checks = [(out.returncode == 0 and way == "0", "there is no way"),
              ("user.max_user_namespaces" in why, f"it says why: {why}"),
              ("sysctl" in remedy, f"and what helps: {remedy}")]
    for number, (good, name) in enumerate(checks, 1):
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
    print(f"1..{len(checks)}")
    return 0 if all(good for good, _ in checks) else 1


sys.exit(main())
