"""Full and read-only disks, on small file systems of their own: old files stay, nothing is left."""

import os
import subprocess

import harness
from harness import TestCase, finish, noise, run, sha256, start, tree
from relay import Relay

MIB = 1 << 20
OLD = noise(100_000, 9)
MOUNT = 'mount -t tmpfs -o "size=4m,$1" xfer-test "$0" && shift && exec "$@"'


def need_mounts(directory):
    """Skips where we may not mount."""
    harness.need_root()
    harness.need_tool("unshare")
    tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", directory],
                           capture_output=True, text=True, check=False)
    harness.skip_unless(tried.returncode == 0, f"may not mount: {tried.stderr.strip()}")


class Disk(TestCase):
    def setUp(self):
        super().setUp()
        need_mounts(self.tmp)

    def small(self, options="rw"):
        """A server on a file system of 4 MiB; what it holds is seen below .seen."""
        root = self.path("root")
        os.makedirs(root, exist_ok=True)
        server = self.serve(root=root, prefix=("unshare", "-m", "sh", "-c", MOUNT, root, options))
        server.seen = f"/proc/{server.proc.pid}/root{root}"
        return server

    def get_to_small(self, addr, names, *options, old=()):
        """A get of files to a file system of 4 MiB: (status, err, directory with what it held)."""
        dest, kept = self.path("dest"), self.path("kept")
        for path in (dest, kept):
            harness.remove_tree(path)
            os.mkdir(path)
        script = ('mount -t tmpfs -o size=4m xfer-test "$0" || exit 99; kept=$1; shift\n'
                  'cp "$kept"/* "$0" 2>/dev/null; "$@"; s=$?; rm -f "$kept"/*\n'
                  'cp -R "$0"/. "$kept"; exit $s')
        for name in old:
            self.make(os.path.join(kept, name), OLD)
        process = start("get", *options, *(f"{addr}/{name}" for name in names), dest + "/",
                        prefix=("unshare", "-m", "sh", "-c", script, dest, kept))
        status, _, err = finish(process)
        return status, err, kept

    def assertHeld(self, path, files):
        """These files are below path, and nothing else."""
        self.assertEqual({name: facts[-1] for name, facts in tree(path).items()},
                         {os.fsencode(name): sha256(data) for name, data in files.items()})


class FullServer(Disk):
    def test_a_file_that_does_not_fit(self):
        """Above and below what makes a part; it is known early that all the rest is in vain."""
        server = self.small()
        self.make(os.path.join(server.seen, "big"), OLD)
        source = self.make("big", noise(MIB) * 256)
        for options in ((), ("--no-resume",), ("--sync", "file"), ("--sync", "batch")):
            with self.subTest(options), Relay(server.addr) as relay:
                _, err = self.fails(4, r"^xfer: .*/big: no space", "put", *options, source,
                                    f"{relay.addr}/")
                self.assertLess(relay.up, 128 * MIB)  # a busy machine is slow to notice
                self.assertHeld(server.seen, {"big": OLD})

    def test_the_files_around_it_arrive(self):
        server = self.small()
        small = {name: noise(1000, i) for i, name in enumerate("abcd")}
        sources = [self.make(name, data) for name, data in small.items()]
        sources.insert(1, self.make("big", noise(8 * MIB)))
        sources.insert(3, self.make("big2", noise(900_000 * 5)))
        _, err = self.fails(4, "(?m)^xfer: .*/big: no space", "put", *sources, f"{server.addr}/")
        self.assertRegex(err, "(?m)^xfer: .*/big2: no space")
        self.assertHeld(server.seen, small)

    def test_many_small_files_until_it_is_full(self):
        for options in ((), ("--sync", "batch"), ("-j", "4")):
            with self.subTest(options):
                server = self.small()
                files = {f"f{i}": noise(50_000, i) for i in range(120)}
                for name, data in files.items():
                    self.make(os.path.join("t", name), data)
                _, err = self.fails(4, "no space", "put", "-r", *options, self.path("t") + "/",
                                    f"{server.addr}/")
                held = tree(server.seen)
                self.assertGreater(len(held), 50)
                self.assertLess(len(held), 90)
                for name, facts in held.items():
                    self.assertEqual(facts[-1], sha256(files[os.fsdecode(name)]), name)
                failed = sum(line.startswith("xfer: ") for line in err.splitlines())
                self.assertGreaterEqual(failed, len(files) - len(held), err)

    def test_room_again(self):
        """The same server takes the same file once there is room."""
        server = self.small()
        ballast = self.make(os.path.join(server.seen, "ballast"), noise(3 * MIB))
        source = self.make("f", noise(2 * MIB))
        self.fails(4, "no space", "put", source, f"{server.addr}/")
        os.unlink(ballast)
        _, err = self.xfer("put", source, f"{server.addr}/")
        self.assertNotIn("resumed", err)
        self.assertHeld(server.seen, {"f": noise(2 * MIB)})

    def test_no_inode_left(self):
        server = self.small("rw,nr_inodes=6")
        names = [self.make(f"f{i}", b"x") for i in range(12)]
        self.fails(4, "no space", "put", *names, f"{server.addr}/")
        held = tree(server.seen)
        self.assertTrue(2 < len(held) < 7, held)
        self.assertNoLeftovers(server.seen)

    def test_read_only(self):
        server = self.small("ro")
        source = self.make("f", b"x")
        self.fails(4, "takes no writes", "put", source, f"{server.addr}/")
        self.fails(4, "takes no writes", "put", "-r", "--mkpath", self.tmp + "/root",
                   f"{server.addr}/a/b/")


class FullHere(Disk):
    def setUp(self):
        super().setUp()
        self.server = self.serve()
        self.files = {"a": noise(1000), "big": noise(9 * MIB, 2), "b": noise(1000, 3),
                      "c": noise(600_000, 4)}
        for name, data in self.files.items():
            self.make(self.server.path(name), data)
        self.others = {name: data for name, data in self.files.items() if name != "big"}

    def test_a_file_that_does_not_fit(self):
        for options in ((), ("--no-resume",), ("--sync", "file"), ("--sync", "batch")):
            with self.subTest(options):
                status, err, held = self.get_to_small(self.server.addr, ["big"], *options,
                                                      old=["big"])
                self.assertEqual(status, 6, err)
                self.assertRegex(err, "^xfer: .*big: No space left on device")
                self.assertHeld(held, {"big": OLD})

    def test_the_files_around_it_arrive(self):
        for options in ((), ("-j", "3"), ("--sync", "batch")):
            with self.subTest(options):
                status, err, held = self.get_to_small(self.server.addr, self.files, *options,
                                                      old=["big"])
                self.assertEqual(status, 6, err)
                self.assertHeld(held, self.others | {"big": OLD})

    def test_a_small_rest_is_read_past(self):
        """No new connection for a body whose rest is short."""
        self.make(self.server.path("big"), noise(4 * MIB + 300_000, 2))
        with Relay(self.server.addr) as relay:
            status, err, held = self.get_to_small(relay.addr, self.files)
            self.assertEqual(status, 6, err)
            self.assertHeld(held, self.others)
            self.assertEqual(len(relay.links), 1)

    def test_standard_output(self):
        with open("/dev/full", "wb") as full:
            status, _, err = run("get", f"{self.server.addr}/big", "-", stdout=full)
        self.assertEqual(status, 6, err)
        self.assertRegex(err, "No space left on device")


harness.main()
