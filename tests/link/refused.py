"""Where a link is refused `xfer compare` says what, why and what helps, in --check and in a run, exits
with 6, and leaves nothing; and where it is not refused, if only just, it has one."""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import harness  # noqa: E402
from harness import TestCase, skip_unless  # noqa: E402

RUN = ("compare", "-m", "udp", "--size", "2K", "--rounds", "1", "--rtt", "1ms")
ROOT_OF_A_NAMESPACE = ("unshare", "-Urm", "--")
# A few of each call are enough: those of the link's processes come early in them.
CALLS = (("unshare", "EPERM"), ("unshare", "ENOSPC"), ("setns", "EPERM"), ("socket", "EPERM"),
         ("socket", "EMFILE"), ("socketpair", "EMFILE"), ("bind", "EPERM"), ("sendto", "EPERM"),
         ("setsockopt", "ENOMEM"), ("setsockopt", "EINVAL"), ("ioctl", "EPERM"),
         ("recvmsg", "ENOBUFS"), ("clone", "EAGAIN"))
MOST = 14


def shell(*lines):
    """A prefix that runs these lines first."""
    return ("sh", "-ec", "\n".join([*lines, 'exec "$@"']), "-")


class Refusals(TestCase):
    """As the ordinary user that nobody is, where the tests are root's."""

    def setUp(self):
        super().setUp()
        skip_unless(not harness.SANITIZED, "sanitizers need what is refused here")
        self.prefix = ()
        if os.geteuid() == 0:
            self.prefix = harness.as_nobody(self.tmp)
            os.chown(self.tmp, 65534, 65534)
        status, out, _ = self.check()
        skip_unless(status == 0, f"no emulated link here: {out.splitlines()[0]}")

    def check(self, *prefix):
        status, out, err = harness.run("compare", "--check", prefix=(*self.prefix, *prefix),
                                       env={"TMPDIR": self.tmp})
        return status, out.decode(), err

    def runs(self, *prefix):
        """What a run over a link says: (status, err)."""
        status, _, err = harness.run(*RUN, prefix=(*self.prefix, *prefix),
                                     env={"TMPDIR": self.tmp})
        return status, err

    def assertRefused(self, why, remedy, *prefix):
        status, out, err = self.check(*prefix)
        self.assertEqual(status, 6, out + err)
        self.assertRegex(out, rf"emulated link: no: .*(?:{why})")
        self.assertRegex(out, rf"\n  remedy: .*(?:{remedy})")
        status, err = self.runs(*prefix)
        self.assertEqual(status, 6, err)
        self.assertRegex(err, why)
        self.assertRegex(err, remedy)
        self.assertEqual(os.listdir(self.tmp), [])

    def assertWorks(self, *prefix):
        status, out, err = self.check(*prefix)
        self.assertEqual(status, 0, out + err)
        self.assertIn("emulated link: yes", out)
        status, err = self.runs(*prefix)
        self.assertEqual(status, 0, err)

    def need(self, *command):
        """What this test stands on."""
        done = subprocess.run([*self.prefix, *command, "true"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, check=False)
        skip_unless(done.returncode == 0, done.stderr.decode().strip()[:100])
        return command


class Kernel(Refusals):
    """What the kernel says, by system calls that fail."""

    def setUp(self):
        super().setUp()
        harness.need_tool("strace")
        self.need("strace", "-f", "-qq", "-o", "/dev/null")

    @staticmethod
    def failing(fault, *options):
        return ("strace", "-f", "-qq", "-o", "/dev/null", *options, "-e", f"inject={fault}")

    def test_user_namespaces_are_not_permitted(self):
        self.assertRefused("not permitted here", "seccomp profile.*sudo xfer compare",
                           *self.failing("unshare:error=EPERM"))

    def test_user_namespaces_are_used_up(self):
        self.assertRefused("user.max_user_namespaces is 0", "raise user.max_user_namespaces",
                           *self.failing("unshare:error=ENOSPC"))

    def test_a_kernel_without_user_namespaces(self):
        self.assertRefused("the kernel has no user namespaces", "CONFIG_USER_NS",
                           *self.failing("unshare:error=EINVAL"))

    def test_process_namespaces_are_used_up(self):
        self.assertRefused("namespace of processes: No space", "user.max_pid_namespaces",
                           *self.failing("unshare:error=ENOSPC:when=2"))

    def test_ids_cannot_be_mapped(self):
        for error in "EPERM", "EACCES":
            self.assertRefused("/proc/self/uid_map: ", "sudo xfer compare",
                               *self.failing(f"openat:error={error}", "-P", "/proc/self/uid_map"))

    def test_apparmor_of_ubuntu(self):
        """The setting, put over what this kernel has, and the error that comes with it."""
        restricted = self.need(*ROOT_OF_A_NAMESPACE, *shell(
            "mount -t tmpfs none /proc/sys/kernel",
            "echo 1 >/proc/sys/kernel/apparmor_restrict_unprivileged_userns"))
        self.assertRefused("AppArmor restricts user namespaces here: /proc/self/setgroups: ",
                           "sudo make install.*sudo xfer compare", *restricted,
                           "setpriv", "--bounding-set=-all",
                           *self.failing("openat:error=EACCES", "-P", "/proc/self/setgroups"))

    def judge(self, call, error, n):
        """What a failing Nth call leads to: "" when it is all right; None when there is none."""
        log = self.path(f"{call}-{error}-{n}")
        status, out, err = self.check(
            "strace", "-f", "-qq", "-o", log, "-e", f"trace={call}", "-e",
            f"inject={call}:error={error}:when={n}")
        if b"(INJECTED)" not in self.read(log):
            return None
        told = re.search(r"emulated link: no: \S.*: \S.*\n  remedy: \S", out)
        if (status == 0 and "emulated link: yes" in out) or (status == 6 and told):
            return ""
        return f"{call} number {n} with {error}: status {status}\n{out}{err}"

    def test_whatever_fails_is_told_with_a_remedy(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = [(case, list(pool.map(lambda n, c=case: self.judge(*c, n),
                                          range(1, MOST + 1)))) for case in CALLS]
        for case, results in found:
            with self.subTest(case):
                self.assertIsNotNone(results[0], "nothing failed")
                self.assertEqual([r for r in results if r], [])


class Surroundings(Refusals):
    def test_no_further_user_namespace(self):
        self.assertRefused("user.max_user_namespaces is 0", "raise user.max_user_namespaces",
                           *self.need("unshare", "-Ur", "--", *shell(
                               "echo 0 >/proc/sys/user/max_user_namespaces"),
                               "setpriv", "--bounding-set=-all"))

    def test_no_network_namespace(self):
        self.assertRefused("network namespace: No space", "user.max_net_namespaces",
                           *self.need("unshare", "-Ur", "--", *shell(
                               "echo 1 >/proc/sys/user/max_net_namespaces")))

    def test_no_proc(self):
        self.assertRefused("/proc/self", "mount /proc", *self.need(
            *ROOT_OF_A_NAMESPACE, *shell("mount -t tmpfs none /proc")))

    def test_root_of_a_namespace(self):
        self.assertWorks(*self.need("unshare", "-Ur", "--"))

    def test_a_container_with_settings_that_cannot_be_written(self):
        self.assertWorks(*self.need(*ROOT_OF_A_NAMESPACE, *shell(
            "mount --bind /proc/sys /proc/sys", "mount -o remount,bind,ro /proc/sys")))

    def test_root(self):
        harness.need_root()
        self.prefix = ()
        status, out, _ = self.check()
        self.assertEqual(status, 0, out)
        self.assertIn("as root", out)
        self.assertEqual(self.runs()[0], 0)

    def test_root_with_few_rights(self):
        """As in a container that may make namespaces, and no more."""
        harness.need_root()
        self.prefix = ("setpriv", "--bounding-set=-net_admin,-net_raw")
        self.assertWorks()

    def test_without_standard_input(self):
        self.assertWorks("sh", "-c", 'exec "$@" <&-', "-")

    def test_without_standard_error(self):
        status, err = self.runs("sh", "-c", 'exec "$@" <&- 2>&-', "-")
        self.assertEqual((status, err), (0, ""))

    def test_few_descriptors(self):
        """From too few for the program itself to enough."""
        works = False
        for n in range(4, 40, 2):
            status, out, err = self.check(*shell(f"ulimit -n {n}"))
            if status == 6:
                self.assertFalse(works, f"{n} are too few, fewer are not")
                self.assertRegex(out, "Too many open files\n  remedy: .*ulimit -n")
            elif status == 0:
                works = True
            else:
                self.assertEqual(status, 127, err)  # of the loader
        self.assertTrue(works)

    def test_no_more_processes(self):
        status, out, err = self.check("prlimit", "--nproc=1", "--")
        self.assertEqual(status, 6, out + err)
        self.assertRegex(out, "Resource temporarily unavailable\n  remedy: .*ulimit -u")

    def test_little_memory(self):
        works = False
        for mib in range(12, 80, 6):
            status, out, err = self.check(*shell(f"ulimit -v {mib << 10}"))
            if status == 6:
                self.assertRegex(out, "Cannot allocate memory\n  remedy: .*ulimit -v")
            elif status == 0:
                works = True
            else:
                self.assertEqual(status, 127, err)
        self.assertTrue(works)

    def test_no_room_for_the_bytes(self):
        status, err = self.runs(*self.need(*ROOT_OF_A_NAMESPACE, *shell(
            f"mount -t tmpfs -o size=4k none {self.tmp}", f": >{self.tmp}/a; echo a >{self.tmp}/a")))
        self.assertEqual(status, 6, err)
        self.assertRegex(err, "xfer-compare-.*(No space left on device|has room for)")

    def test_nowhere_to_write(self):
        status, err = self.runs(*self.need(*ROOT_OF_A_NAMESPACE, *shell(
            f"mount -t tmpfs -o ro none {self.tmp}")))
        self.assertEqual(status, 6, err)
        self.assertRegex(err, "xfer-compare-.*: Read-only file system")


harness.main()
