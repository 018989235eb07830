"""put and get of files: where they go, under which name, with which mode and time."""

import os
import socket
import stat

import harness
from harness import TestCase, noise

YEAR_1960 = -315_000_000 * 10**9 + 123_456_789
YEAR_2040 = 2_209_000_000 * 10**9 + 987_654_321
DATA = noise(100_000)


class Target(TestCase):
    """Where a file goes, in both directions: self.copy(names, dest) copies sources to dest, both
    below directories that self.source() and self.target() name."""

    def setUp(self):
        super().setUp()
        self.server = self.serve()
        os.mkdir(self.path("here"))

    def copy(self, names, dest, *options, status=0):
        raise NotImplementedError

    def check(self, name, data=DATA):
        self.assertEqual(self.read(self.target(name)), data)

    def nothing(self):
        self.assertEqual(harness.tree(self.target()), {})


class Put(Target):
    def source(self, name=""):
        return self.path("here", name)

    def target(self, name=""):
        return self.server.path(name)

    def copy(self, names, dest, *options, status=0):
        return self.xfer("put", *options, *(self.source(name) for name in names),
                         f"{self.server.addr}/{dest}", status=status)


class Get(Target):
    def source(self, name=""):
        return self.server.path(name)

    def target(self, name=""):
        return self.path("here", name)

    def copy(self, names, dest, *options, status=0):
        return self.xfer("get", *options, *(f"{self.server.addr}/{name}" for name in names),
                         self.target(dest), status=status)


class BothWays:
    """Said once, held for put and for get."""

    def test_into_an_existing_directory(self):
        self.make(self.source("a"), DATA)
        os.mkdir(self.target("d"))
        for dest in ("d", "d/", ""):
            with self.subTest(dest):
                self.copy(["a"], dest)
                self.check(os.path.join(dest, "a"))

    def test_to_a_new_name(self):
        self.make(self.source("a"), DATA)
        os.mkdir(self.target("d"))
        self.copy(["a"], "b")
        self.copy(["a"], "d/c")
        self.check("b")
        self.check("d/c")

    def test_over_an_old_file(self):
        self.make(self.source("a"), DATA)
        self.make(self.target("b"), noise(300_000, 2), mode=0o600)
        self.copy(["a"], "b")
        self.check("b")

    def test_several_into_a_directory(self):
        names = ["a", "b", "c"]
        for i, name in enumerate(names):
            self.make(self.source(name), noise(1000 * i, i))
        os.mkdir(self.target("d"))
        _, err = self.copy(names, "d")
        for i, name in enumerate(names):
            self.check(f"d/{name}", noise(1000 * i, i))
        self.assertEqual([line.split()[0] for line in err.splitlines()], names)

    def test_several_to_a_name_that_is_no_directory(self):
        self.make(self.source("a"))
        self.make(self.source("b"))
        self.make(self.target("f"), DATA)
        for dest in ("f", "new"):
            with self.subTest(dest):
                status, _, err = harness.run(*self.command(["a", "b"], dest))
                self.assertEqual(status, self.target_fails, err)
        self.check("f")
        self.assertEqual(list(harness.tree(self.target())), [b"f"])

    def test_a_trailing_slash_means_a_directory(self):
        self.make(self.source("a"), DATA)
        status, _, err = harness.run(*self.command(["a"], "new/"))
        self.assertEqual(status, self.target_fails, err)
        self.nothing()
        self.copy(["a"], "new/", "--mkpath")
        self.check("new/a")

    def test_missing_parents(self):
        self.make(self.source("a"), DATA)
        for dest in ("x/b", "x/y/b"):
            status, _, err = harness.run(*self.command(["a"], dest))
            self.assertEqual(status, self.target_fails, err)
            self.assertIn("--mkpath", err)
            self.assertEqual(err.count("\n"), 1, err)
            self.nothing()
        self.copy(["a"], "x/y/b", "--mkpath")
        self.check("x/y/b")

    def test_a_file_stands_where_a_directory_is_needed(self):
        self.make(self.source("a"), DATA)
        self.make(self.target("f"), b"old")
        for option in ((), ("--mkpath",)):
            status, _, err = harness.run(*self.command(["a"], "f/b", *option))
            self.assertEqual(status, self.target_fails, err)
        self.check("f", b"old")

    def test_a_directory_stands_where_the_file_goes(self):
        self.make(self.source("a"), DATA)
        os.makedirs(self.target("d/a"))
        status, _, err = harness.run(*self.command(["a"], "d"))
        self.assertEqual(status, self.target_fails, err)
        self.assertRegex(err, "directory")
        self.assertEqual(set(harness.tree(self.target())), {b"d", b"d/a"})

    def test_a_directory_needs_r(self):
        os.mkdir(self.source("d"))
        status, _, err = harness.run(*self.command(["d"], ""))
        self.assertEqual(status, self.source_fails, err)
        self.assertRegex(err, "d: is a directory.*-r")
        self.nothing()

    def test_one_of_several_is_missing(self):
        self.make(self.source("a"), DATA)
        self.make(self.source("c"), DATA)
        status, _, err = harness.run(*self.command(["a", "b", "c"], ""))
        self.assertEqual(status, self.source_fails, err)
        self.check("a")
        self.check("c")
        self.assertRegex(err, r"xfer: \S*/b: ")

    def test_failures_of_several_kinds_are_1(self):
        """One that the other side refuses, and one whose name is taken twice."""
        for name in ("d2/a", "a", "c", "y"):
            self.make(self.source(name), DATA)
        os.makedirs(self.target("y"))
        names = ["a", "y" if "put" in self.command([], "") else "missing", "d2/a", "c"]
        status, _, err = harness.run(*self.command(names, ""))
        self.assertEqual(status, 1, err)
        self.check("a")
        self.check("c")

    def test_sources_with_one_name_collide(self):
        self.make(self.source("a"), DATA)
        self.make(self.source("d/a"), b"other")
        status, _, err = harness.run(*self.command(["a", "d/a"], ""))
        self.assertEqual(status, self.collision, err)
        self.assertRegex(err, "a: .*one target name|a: .*same name|collid|two sources")
        self.check("a")

    def test_modes_and_times_are_kept(self):
        for mode in (0o644, 0o600, 0o755, 0o444, 0o777):
            for mtime in (YEAR_1960, 1_700_000_000_123_456_789, YEAR_2040, 0, 1):
                with self.subTest(mode=oct(mode), mtime=mtime):
                    self.make(self.source("a"), DATA, mtime=mtime, mode=mode)
                    self.copy(["a"], "b")
                    sb = os.stat(self.target("b"))
                    self.assertEqual(stat.S_IMODE(sb.st_mode), mode)
                    self.assertEqual(sb.st_mtime_ns, mtime)
                    os.unlink(self.target("b"))
                    os.unlink(self.source("a"))

    def test_setuid_setgid_and_sticky_never(self):
        for mode in (0o4755, 0o2755, 0o1755, 0o7777):
            with self.subTest(oct(mode)):
                self.make(self.source("a"), DATA, mode=mode)
                self.make(self.target("old"), b"old", mode=mode)
                self.copy(["a"], "new")
                self.copy(["a"], "old")
                for name in ("new", "old"):
                    self.assertEqual(stat.S_IMODE(os.stat(self.target(name)).st_mode), mode & 0o777)

    def test_no_preserve(self):
        self.make(self.source("a"), DATA, mtime=YEAR_1960, mode=0o600)
        self.make(self.target("old"), b"", mtime=YEAR_1960, mode=0o640)
        before = os.stat(self.source("a")).st_ctime_ns
        self.copy(["a"], "new", "--no-preserve")
        self.copy(["a"], "old", "--no-preserve")
        umask = os.umask(0)
        os.umask(umask)
        for name, mode in (("new", 0o666 & ~umask), ("old", 0o640)):
            sb = os.stat(self.target(name))
            self.assertEqual(stat.S_IMODE(sb.st_mode), mode)
            self.assertGreaterEqual(sb.st_mtime_ns, before - 10**9)

    def test_a_replaced_file_is_a_new_one(self):
        """By rename: whoever has the old one open keeps it whole; its hard links stay."""
        self.make(self.source("a"), DATA)
        self.make(self.target("a"), b"old")
        os.link(self.target("a"), self.target("link"))
        with open(self.target("a"), "rb") as old:
            self.copy(["a"], "a")
            self.assertEqual(old.read(), b"old")
        self.check("link", b"old")
        self.check("a")

    def test_a_symlink_in_the_way_is_replaced_not_followed(self):
        self.make(self.source("a"), DATA)
        self.make(self.path("outside"), b"outside")
        os.symlink(self.path("outside"), self.target("out"))
        os.symlink("nowhere", self.target("dangling"))
        for name in ("out", "dangling"):
            status, _, err = harness.run(*self.command(["a"], name))
            if status == 0:
                self.assertFalse(os.path.islink(self.target(name)))
                self.check(name)
            else:
                self.assertTrue(os.path.islink(self.target(name)), err)
        self.assertEqual(self.read("outside"), b"outside")
        self.assertFalse(os.path.exists(self.target("nowhere")))

    def test_a_fifo_or_socket_in_the_way_is_no_target(self):
        self.make(self.source("a"), DATA)
        os.mkfifo(self.target("fifo"))
        status, _, err = harness.run(*self.command(["a"], "fifo"), timeout=20)
        self.assertEqual(status, self.target_fails, err)
        self.assertRegex(err, "not a regular file")
        self.assertTrue(stat.S_ISFIFO(os.stat(self.target("fifo")).st_mode))

    def test_no_clobber_keeps_what_exists(self):
        self.make(self.source("a"), DATA)
        self.make(self.source("b"), DATA)
        self.make(self.target("a"), b"old")
        _, err = self.copy(["a", "b"], "", "-n")
        self.check("a", b"old")
        self.check("b")
        self.assertRegex(err, r"(?m)^a  .*  unchanged$")

    def test_update_compares_size_and_mtime(self):
        self.make(self.source("a"), DATA, mtime=YEAR_1960)
        _, err = self.copy(["a"], "", "-u")
        self.assertRegex(err, "verified")
        _, err = self.copy(["a"], "", "-u")
        self.assertRegex(err, r"^a  .*  unchanged\n$")
        self.make(self.target("a"), noise(len(DATA), 2), mtime=YEAR_1960)
        self.copy(["a"], "", "-u")
        self.check("a", noise(len(DATA), 2))
        self.make(self.target("a"), noise(len(DATA), 2), mtime=YEAR_2040)
        self.copy(["a"], "", "--update")
        self.check("a")
        self.make(self.target("a"), DATA + b"x", mtime=YEAR_1960)
        self.copy(["a"], "", "--update=times")
        self.check("a")

    def test_update_by_digest(self):
        self.make(self.source("a"), DATA, mtime=YEAR_1960)
        self.make(self.target("a"), DATA, mtime=YEAR_2040)
        before = os.stat(self.target("a"))
        _, err = self.copy(["a"], "", "--update=digest")
        self.assertRegex(err, "unchanged")
        self.assertEqual(os.stat(self.target("a")).st_ino, before.st_ino)
        self.make(self.target("a"), noise(len(DATA), 2), mtime=YEAR_1960)
        _, err = self.copy(["a"], "", "--update=digest")
        self.assertRegex(err, "verified")
        self.check("a")

    def test_dry_run_changes_nothing(self):
        self.make(self.source("a"), DATA)
        self.make(self.source("b"), DATA)
        self.make(self.target("b"), b"old")
        before = harness.tree(self.target())
        _, err = self.copy(["a", "b"], "", "--dry-run")
        self.assertRegex(err, r"(?m)^would (send|get) a  100 kB$")
        self.assertEqual(harness.tree(self.target()), before)
        self.copy(["a"], "new/deep/", "--dry-run", "--mkpath")
        self.copy(["a"], "new/deep/b", "--dry-run", "--mkpath")
        self.copy(["."], "new", "--dry-run", "-r")
        self.assertEqual(harness.tree(self.target()), before)

    def test_sizes_around_the_edges(self):
        names = []
        for size in (0, 1, 511, 512, 513, 65535, 65536, 131071, 131072, 131073, 1048576, 1048577):
            names.append(str(size))
            self.make(self.source(str(size)), noise(size, size))
        self.copy(names, "")
        for name in names:
            self.check(name, noise(int(name), int(name)))

    def test_unreadable_source(self):
        self.make(self.source("a"), DATA)
        self.make(self.source("b"), DATA, mode=0)
        harness.skip_unless(not os.access(self.source("b"), os.R_OK), "root reads everything")
        status, _, err = harness.run(*self.command(["a", "b"], ""))
        self.assertEqual(status, self.source_fails, err)
        self.assertRegex(err, "ermission|permitted")
        self.check("a")

    def test_many_connections(self):
        """Each carries some of the large ones: the rate leaves all of them the time to come."""
        for size, n in ((1_500_000, 8), (100_000, 60)):
            with self.subTest(size):
                names = [f"f{i}-{size}" for i in range(n)]
                for i, name in enumerate(names):
                    self.make(self.source(name), noise(size + i, i))
                before = len(self.server.log())
                _, err = self.copy(names, "", "-j", "4", "--limit-rate", "20M")
                for i, name in enumerate(names):
                    self.check(name, noise(size + i, i))
                self.assertEqual(err.count("verified"), n)
                peers = {line.split()[1] for line in self.server.log()[before:].splitlines()
                         if line.split()[2:3] in (["PUT"], ["GET"])}
                self.assertGreaterEqual(len(peers), 4 if size > 1_000_000 else 1)
                self.assertLessEqual(len(peers), 4)

    def test_source_is_destination(self):
        """The server's tree is our own directory."""
        path = self.make(self.server.path("a"), DATA)
        os.link(path, self.server.path("hard"))
        before = harness.tree(self.server.root)
        for name in ("a", "hard"):
            with self.subTest(name):
                _, err = self.onto_itself(path, name)
                self.assertRegex(err, "same file")
                self.assertEqual(harness.tree(self.server.root), before)


class TestPut(Put, BothWays):
    source_fails, target_fails, collision = 6, 4, 6

    def command(self, names, dest, *options):
        return ("put", *options, *(self.source(name) for name in names),
                f"{self.server.addr}/{dest}")

    def onto_itself(self, path, name):
        return self.xfer("put", path, f"{self.server.addr}/{name}", status=6)

    def test_the_source_is_no_regular_file(self):
        os.mkfifo(self.source("fifo"))
        status, _, err = harness.run("put", self.source("fifo"), "/dev/null",
                                     f"{self.server.addr}/", timeout=20)
        self.assertNotEqual(status, 0)
        self.assertEqual(err.count("not a regular file"), 2, err)
        self.nothing()

    def test_write_new_refuses_to_replace(self):
        self.make(self.source("a"), DATA)
        self.make(self.source("b"), DATA)
        new = self.serve("--write=new", write=False)
        self.make(new.path("a"), b"old")
        _, err = self.xfer("put", self.source("a"), self.source("b"), f"{new.addr}/", status=4)
        self.assertRegex(err, f"(?m)^xfer: {new.addr}/a: .*exists")
        self.assertEqual(self.read(new.path("a")), b"old")
        self.assertEqual(self.read(new.path("b")), DATA)
        self.xfer("put", self.source("a"), f"{new.addr}/a", status=4)
        self.assertNoLeftovers(new.root)

    def test_read_only_server(self):
        self.make(self.source("a"), DATA)
        self.make(self.source("t/b"), DATA)
        server = self.serve(write=False)
        _, err = self.xfer("put", self.source("a"), f"{server.addr}/", status=4)
        self.assertRegex(err, rf"^xfer: {server.addr}/a: .*--write")
        self.xfer("put", "-r", self.source("t"), f"{server.addr}/", status=4)
        self.xfer("put", "-", f"{server.addr}/c", input=DATA, status=4)
        self.assertEqual(harness.tree(server.root), {})


class TestGet(Get, BothWays):
    source_fails, target_fails, collision = 4, 6, 6

    def command(self, names, dest, *options):
        return ("get", *options, *(f"{self.server.addr}/{name}" for name in names),
                self.target(dest))

    def onto_itself(self, path, name):
        return self.xfer("get", f"{self.server.addr}/{name}", path, status=6)

    def test_to_here_unless_told(self):
        self.make(self.source("d/a"), DATA)
        self.xfer("get", f"{self.server.addr}/d/a", cwd=self.target())
        self.check("a")

    def test_fifos_and_sockets_of_the_server_never_block(self):
        os.mkfifo(self.source("fifo"))
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.bind(self.source("sock"))
        for name in ("fifo", "sock"):
            _, err = self.xfer("get", f"{self.server.addr}/{name}", self.target(), status=4,
                               timeout=20)
            self.assertRegex(err, "not a regular file")
        self.nothing()

    def test_symlinks_of_the_server(self):
        self.make(self.source("a"), DATA)
        self.make(self.path("outside"), b"outside")
        os.symlink("a", self.source("in"))
        os.symlink(self.path("outside"), self.source("out"))
        os.symlink("../../outside", self.source("up"))
        os.symlink("nowhere", self.source("dangling"))
        os.symlink("loop", self.source("loop"))
        self.copy(["in"], "")
        self.check("in")
        self.assertFalse(os.path.islink(self.target("in")))
        for name in ("out", "up", "dangling", "loop"):
            self.copy([name], "", status=4)
        self.assertEqual(list(harness.tree(self.target())), [b"in"])

    def test_a_server_s_directory_may_itself_be_reached_by_symlink(self):
        self.make(self.path("real/a"), DATA)
        os.symlink("real", self.path("link"))
        server = self.serve(root=self.path("link"))
        self.xfer("get", f"{server.addr}/a", self.target())
        self.check("a")

    def test_two_servers(self):
        other = self.serve()
        self.make(self.source("a"), DATA)
        self.make(other.path("b"), b"other")
        self.xfer("get", f"{self.server.addr}/a", f"{other.addr}/b", self.target())
        self.check("a")
        self.check("b", b"other")

    def test_two_servers_with_one_name_collide(self):
        other = self.serve()
        self.make(self.source("a"), DATA)
        self.make(other.path("a"), b"other")
        _, err = self.xfer("get", f"{self.server.addr}/a", f"{other.addr}/a", self.target(),
                           status=self.collision)
        self.check("a")


class TestReadOnlyTarget(TestCase):
    """Root passes every permission: an ordinary user is needed, a server's and our own."""

    def setUp(self):
        super().setUp()
        self.nobody = harness.as_nobody(self.tmp)

    def test_put_over_it(self):
        server = self.serve("--user", "nobody")
        os.chmod(server.tmp, 0o755)
        os.chmod(server.root, 0o777)
        old = self.make(server.path("a"), b"old", mode=0o444)
        self.make(self.path("a"), DATA)
        _, err = self.xfer("put", self.path("a"), f"{server.addr}/", status=4)
        self.assertRegex(err, rf"^xfer: {server.addr}/a: not permitted")
        self.assertEqual(self.read(old), b"old")
        self.xfer("put", self.path("a"), f"{server.addr}/b")
        self.assertEqual(os.stat(server.path("b")).st_uid, 65534)
        os.chmod(server.root, 0o755)
        self.xfer("put", self.path("a"), f"{server.addr}/c", status=4)
        os.chmod(server.root, 0o777)
        self.assertNoLeftovers(server.root)

    def test_get_over_it(self):
        server = self.serve()
        self.make(server.path("a"), DATA)
        os.mkdir(self.path("here"))
        os.chmod(self.path("here"), 0o777)
        old = self.make("here/a", b"old", mode=0o444)
        self.xfer("get", f"{server.addr}/a", self.path("here/b"), prefix=self.nobody)
        self.assertEqual(os.stat(self.path("here/b")).st_uid, 65534)
        _, err = self.xfer("get", f"{server.addr}/a", old, status=6, prefix=self.nobody)
        self.assertRegex(err, "ermission denied")
        self.assertEqual(self.read(old), b"old")
        self.assertNoLeftovers(self.path("here"))

    def test_get_of_what_the_server_may_not_read(self):
        server = self.serve("--user", "nobody")
        os.chmod(server.tmp, 0o755)
        self.make(server.path("secret"), DATA, mode=0o600)
        self.make(server.path("dir/a"), DATA)
        os.chmod(server.path("dir"), 0o700)
        self.make(server.path("open"), DATA)
        _, err = self.xfer("get", f"{server.addr}/secret", f"{server.addr}/dir/a",
                           f"{server.addr}/open", self.tmp, status=4)
        self.assertEqual(err.count("not permitted"), 2, err)
        self.assertEqual(self.read("open"), DATA)
        _, err = self.xfer("get", "-r", f"{server.addr}/", self.path("tree"), status=4)
        self.assertRegex(err, "(?m)^xfer: .*/dir: not permitted$")
        self.assertRegex(err, "(?m)^xfer: .*/secret: not permitted$")
        self.assertEqual(self.read("tree/open"), DATA)


del Target, Put, Get
if __name__ == "__main__":
    harness.main()
