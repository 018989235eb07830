"""Trees and wildcards: `-r src` and `-r src/`, what is followed, what is skipped, what is left out."""

import os
import socket
import stat

import harness
from harness import TestCase, noise

YEAR_1960 = -315_000_000 * 10**9 + 123_456_789
YEAR_2040 = 2_209_000_000 * 10**9 + 987_654_321
FILES = {"a": noise(100), "b.txt": noise(70_000, 2), "sub/c": b"", "sub/deep/d": noise(1_000_000, 3),
         "sub/deep/e e": b"e"}


class Tree(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve()
        os.mkdir(self.path("here"))

    def make_tree(self, root=None):
        """FILES and two empty directories, with modes and times that nothing else has."""
        root = root or self.source("src")
        for i, (name, data) in enumerate(FILES.items()):
            self.make(os.path.join(root, name), data, mtime=YEAR_1960 + i, mode=0o640 + i % 2)
        os.makedirs(os.path.join(root, "empty/inside"))
        os.chmod(os.path.join(root, "sub"), 0o750)
        for i, (directory, _, _) in enumerate(os.walk(root, topdown=False)):
            os.utime(directory, ns=(YEAR_2040 + i, YEAR_2040 + i))

    def assertArrived(self, name):
        self.assertEqual(full_tree(self.target(name)), full_tree(self.source("src")))

    def copy(self, names, dest, *options, status=0):
        return self.xfer(*self.command(names, dest, *options), status=status)

    def status(self, names, dest, *options):
        return harness.run(*self.command(names, dest, *options), timeout=30)[::2]


def full_tree(root):
    """As harness.tree, with the times of directories."""
    times = {os.path.relpath(d, root): os.stat(d).st_mtime_ns for d, _, _ in os.walk(root)}
    return harness.tree(root), times


class BothWays:
    def test_the_directory_itself(self):
        self.make_tree()
        self.copy(["src"], "", "-r")
        self.assertArrived("src")

    def test_the_same_where_dest_exists_or_not(self):
        """As rsync has it: cp and scp would make DEST itself a copy when it does not exist."""
        self.make_tree()
        os.mkdir(self.target("old"))
        for dest in ("old", "old/", "new", "new2/"):
            with self.subTest(dest):
                self.copy(["src"], dest, "-r")
                self.assertArrived(f"{dest.rstrip('/')}/src")
                self.assertEqual(os.listdir(self.target(dest)), ["src"])

    def test_its_contents(self):
        self.make_tree()
        os.mkdir(self.target("old"))
        for dest in ("old", "old/", "new", "new2/", ""):
            with self.subTest(dest):
                if not dest:
                    harness.remove_tree(self.target("old"))
                    harness.remove_tree(self.target("new"))
                    harness.remove_tree(self.target("new2"))
                self.copy(["src/"], dest, "-r")
                self.assertEqual(harness.tree(self.target(dest)), harness.tree(self.source("src")))

    def test_deeper_parents_need_mkpath(self):
        self.make_tree()
        for source in ("src", "src/"):
            status, err = self.status([source], "x/y/z", "-r")
            self.assertEqual(status, self.target_fails, err)
            self.assertIn("--mkpath", err)
            self.assertEqual(err.count("xfer: "), 1, err)
            self.assertEqual(os.listdir(self.target()), [])
        self.copy(["src"], "x/y/z", "-r", "--mkpath")
        self.assertArrived("x/y/z/src")

    def test_twice_over_itself(self):
        self.make_tree()
        self.copy(["src"], "", "-r")
        self.make(self.target("src/more"), b"stays")
        self.copy(["src"], "", "-r")
        os.unlink(self.target("src/more"))
        self.assertEqual(harness.tree(self.target("src")), harness.tree(self.source("src")))

    def test_one_line_for_all_and_v_for_each(self):
        self.make_tree()
        _, err = self.copy(["src"], "", "-r")
        self.assertRegex(err, r"^5 files  1\.1 MB  \d+\.\d s  \S+ .B/s  verified\n$")
        _, err = self.copy(["src"], "", "-rv")
        for name in FILES:
            self.assertRegex(err, rf"(?m)^(src/)?{name}  .*verified$")
        _, err = self.copy(["src"], "", "-rq")
        self.assertEqual(err, "")

    def test_update_of_a_tree(self):
        self.make_tree()
        self.copy(["src"], "", "-r")
        _, err = self.copy(["src"], "", "-ru")
        verb = "sent" if self.command([], "")[0] == "put" else "received"
        self.assertEqual(err, f"5 files: 0 {verb}, 5 unchanged\n")
        self.make(self.source("src/a"), b"changed")
        os.unlink(self.target("src/sub/c"))
        _, err = self.copy(["src"], "", "-ru")
        self.assertRegex(err, rf"^5 files: 2 {verb}, 3 unchanged  7 B  .*  verified\n$")
        self.assertEqual(harness.tree(self.target("src")), harness.tree(self.source("src")))
        _, err = self.copy(["src"], "", "-r", "--update=digest")
        self.assertEqual(err, f"5 files: 0 {verb}, 5 unchanged\n")
        _, err = self.copy(["src"], "", "-rn")
        self.assertEqual(err, f"5 files: 0 {verb}, 5 unchanged\n")

    def test_dry_run_of_a_tree(self):
        self.make_tree()
        _, err = self.copy(["src"], "new", "-r", "--dry-run")
        self.assertEqual(os.listdir(self.target()), [])
        self.assertRegex(err, r"(?m)^would (send|get) 5 files  1\.1 MB$")
        for name in FILES:
            self.assertRegex(err, rf"(?m)^would (send|get) (src/)?{name}  ")

    def test_filters(self):
        """The first match counts; with a slash a pattern is held against the path, else the name."""
        self.make_tree()
        for options, left in ((["--exclude", "*.txt"], {"b.txt"}),
                              (["--exclude", "sub/"], {"sub/c", "sub/deep/d", "sub/deep/e e"}),
                              (["--exclude", "deep"], {"sub/deep/d", "sub/deep/e e"}),
                              (["--exclude", "sub/c"], {"sub/c"}),
                              (["--exclude", "a/"], set()),
                              (["--include", "a", "--exclude", "?"], {"sub/c", "sub/deep/d"}),
                              (["--exclude", "?", "--include", "a"],
                               {"a", "sub/c", "sub/deep/d"}),
                              (["--exclude", "sub/deep/*"], {"sub/deep/d", "sub/deep/e e"})):
            with self.subTest(options):
                harness.remove_tree(self.target("src"))
                self.copy(["src"], "", "-r", *options)
                got = {name.decode() for name, facts in harness.tree(self.target("src")).items()
                       if stat.S_ISREG(facts[0])}
                self.assertEqual(got, set(FILES) - left)

    def test_empty_tree(self):
        os.mkdir(self.source("src"))
        _, err = self.copy(["src"], "", "-r")
        self.assertEqual(os.listdir(self.target("src")), [])
        self.copy(["src/"], "poured", "-r")
        self.assertTrue(os.path.isdir(self.target("poured")))

    def test_directories_keep_their_modes_and_contents_arrive(self):
        self.make_tree()
        os.makedirs(self.target("src/sub"), 0o700)
        os.chmod(self.target("src/sub"), 0o700)
        os.chmod(self.source("src/empty"), 0o500)
        self.copy(["src"], "", "-r")
        self.assertEqual(stat.S_IMODE(os.stat(self.target("src/sub")).st_mode), 0o700)
        self.assertTrue(os.path.isdir(self.target("src/empty/inside")))
        self.assertEqual(self.read(self.target("src/sub/deep/d")), FILES["sub/deep/d"])

    def test_no_preserve(self):
        self.make_tree()
        os.chmod(self.source("src/sub"), 0o2777)
        self.copy(["src"], "", "-r", "--no-preserve")
        umask = os.umask(0)
        os.umask(umask)
        for name, facts in harness.tree(self.target("src")).items():
            mode = 0o777 if stat.S_ISDIR(facts[0]) else 0o666
            self.assertEqual(facts[1], mode & ~umask, name)

    def test_symlinks_inside_are_followed(self):
        self.make_tree()
        os.symlink("../b.txt", self.source("src/sub/file-link"))
        os.symlink("deep", self.source("src/sub/dir-link"))
        self.copy(["src"], "", "-r")
        got = harness.tree(self.target("src"))
        self.assertEqual(self.read(self.target("src/sub/file-link")), FILES["b.txt"])
        self.assertTrue(stat.S_ISREG(got[b"sub/file-link"][0]))
        self.assertTrue(stat.S_ISDIR(got[b"sub/dir-link"][0]))
        self.assertEqual(self.read(self.target("src/sub/dir-link/d")), FILES["sub/deep/d"])

    def make_special(self):
        self.make_tree()
        self.make(self.path("outside/secret"), b"secret")
        os.symlink(self.path("outside/secret"), self.source("src/absolute"))
        os.symlink("../" * 20 + self.path("outside")[1:], self.source("src/up"))
        os.symlink("nowhere", self.source("src/dangling"))
        os.symlink("loop", self.source("src/loop"))
        os.symlink(".", self.source("src/sub/circle"))
        os.mkfifo(self.source("src/fifo"))
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.bind(self.source("src/sock"))
        return {"absolute", "up", "dangling", "loop", "sub/circle", "fifo", "sock"}

    def test_special_files_are_skipped_counted_and_the_status_is_1(self):
        special = self.make_special()
        _, err = self.copy(["src"], "", "-r", status=1)
        got = {os.fsdecode(name) for name in harness.tree(self.target("src"))}
        self.assertEqual(got, set(FILES) | {"sub", "sub/deep", "empty", "empty/inside"})
        self.assertRegex(err, rf"(?m)^5 files  .*  verified; {len(special)} skipped$")
        for name in special:
            self.assertRegex(err, rf"(?m)^xfer: \S*src/{name}: skipped")

    def test_skip_special(self):
        special = self.make_special()
        _, err = self.copy(["src"], "", "-r", "--skip-special")
        self.assertRegex(err, rf"^5 files  .*  verified; {len(special)} skipped\n$")

    def test_several_trees_and_a_file(self):
        self.make_tree()
        self.make(self.source("other/x"), b"x")
        self.make(self.source("single"), b"single")
        self.copy(["src", "other", "single"], "new", "-r")
        self.assertEqual(set(os.listdir(self.target("new"))), {"src", "other", "single"})
        self.assertEqual(self.read(self.target("new/single")), b"single")

    def test_poured_trees_that_collide(self):
        """Two trees poured into one directory: a name that both have is reported, not lost."""
        self.make(self.source("one/a"), b"one")
        self.make(self.source("one/x"), b"x")
        self.make(self.source("two/a"), b"two")
        self.make(self.source("two/y"), b"y")
        status, err = self.status(["one/", "two/"], "new", "-r")
        self.assertNotEqual(status, 0)
        self.assertRegex(err, "two sources have this target name")
        self.assertEqual(self.read(self.target("new/a")), b"one")
        self.assertEqual(self.read(self.target("new/x")), b"x")
        self.assertEqual(self.read(self.target("new/y")), b"y")

    def test_a_file_where_a_directory_of_the_tree_goes(self):
        self.make_tree()
        self.make(self.target("src/sub"), b"a file")
        status, err = self.status(["src"], "", "-r")
        self.assertEqual(status, self.target_fails, err)
        self.assertEqual(self.read(self.target("src/sub")), b"a file")
        self.assertEqual(self.read(self.target("src/a")), FILES["a"])

    def test_a_tree_where_a_file_is(self):
        self.make_tree()
        self.make(self.target("f"), b"a file")
        status, err = self.status(["src"], "f", "-r")
        self.assertEqual(status, self.target_fails, err)
        self.assertEqual(self.read(self.target("f")), b"a file")

    def test_a_tree_is_missing(self):
        status, err = self.status(["src"], "new", "-r")
        self.assertEqual(status, self.source_fails, err)
        self.assertEqual(os.listdir(self.target()), [])

    def test_four_connections(self):
        for i in range(100):
            self.make(self.source(f"src/{i % 7}/{i % 3}/f{i}"), noise(i * 17, i))
        self.copy(["src"], "", "-r", "-j", "4")
        self.assertArrived("src")
        self.assertNoLeftovers(self.target())

    def test_an_unreadable_directory_does_not_end_the_others(self):
        self.make_tree()
        os.chmod(self.source("src/sub"), 0)
        harness.skip_unless(not os.access(self.source("src/sub"), os.R_OK), "root reads everything")
        status, err = self.status(["src"], "", "-r")
        self.assertEqual(status, self.source_fails, err)
        self.assertEqual(self.read(self.target("src/b.txt")), FILES["b.txt"])


class TestPut(BothWays, Tree):
    source_fails, target_fails = 6, 4

    def source(self, name=""):
        return self.path("here", name)

    def target(self, name=""):
        return self.server.path(name)

    def command(self, names, dest, *options):
        return ("put", *options, *(self.source(name) for name in names),
                f"{self.server.addr}/{dest}")

    def test_here(self):
        """A lone dot has no name that a directory could get."""
        self.make_tree()
        self.xfer("put", "-r", ".", f"{self.server.addr}/x", cwd=self.source("src"))
        self.assertEqual(harness.tree(self.target("x")), harness.tree(self.source("src")))

    def test_files_below_a_symlink_that_was_named_itself(self):
        """What the user names is meant, wherever it leads."""
        self.make_tree(self.path("real"))
        os.symlink(self.path("real"), self.source("src"))
        self.copy(["src"], "", "-r")
        self.assertEqual(harness.tree(self.target("src")), harness.tree(self.path("real")))


class TestGet(BothWays, Tree):
    source_fails, target_fails = 4, 6

    def source(self, name=""):
        return self.server.path(name)

    def target(self, name=""):
        return self.path("here", name)

    def command(self, names, dest, *options):
        return ("get", *options, *(f"{self.server.addr}/{name}" for name in names),
                self.target(dest))

    def test_the_whole_server(self):
        self.make_tree()
        self.copy([""], "new", "-r")
        self.assertArrived("new/src")

    def test_a_tree_cannot_be_one_file(self):
        self.make_tree()
        _, err = self.xfer("get", "-r", f"{self.server.addr}/src", "-", status=2)
        self.assertEqual(err.count("\n"), 1, err)


class TestWildcards(Tree):
    def setUp(self):
        super().setUp()
        for name in ("a.log", "b.log", "c.txt", "d/x.log", "d/y.txt", "e/x.log", ".hidden.log"):
            self.make(self.server.path(name), name.encode())

    def got(self, *patterns, options=(), status=0):
        out = self.path("out")
        harness.remove_tree(out)
        os.mkdir(out)
        err = self.xfer("get", *options, *(f"{self.server.addr}/{p}" for p in patterns), out,
                        status=status)[1]
        return {os.fsdecode(name) for name, facts in harness.tree(out).items()
                if stat.S_ISREG(facts[0])}, err

    def test_patterns(self):
        for pattern, names in (("*.log", {"a.log", "b.log"}), ("?.txt", {"c.txt"}),
                               ("[bc].*", {"b.log", "c.txt"}), ("[!a]*.log", {"b.log"}),
                               ("d/*.log", {"x.log"}), ("d/*", {"x.log", "y.txt"}),
                               ("[d]/y*", {"y.txt"}), (".*.log", {".hidden.log"})):
            with self.subTest(pattern):
                self.assertEqual(self.got(pattern)[0], names)

    def test_one_total(self):
        _, err = self.got("*.log")
        self.assertRegex(err, r"^2 files  10 B  .*  verified\n$")
        _, err = self.got("*.log", options=["-v"])
        self.assertRegex(err, r"(?m)^a\.log  .*verified$")

    def test_several_and_mixed(self):
        self.assertEqual(self.got("*.txt", "a.log", "d/x*")[0], {"c.txt", "a.log", "x.log"})

    def test_matches_that_collide(self):
        names, err = self.got("*/x.log", status=6)
        self.assertEqual(names, {"x.log"})
        self.assertRegex(err, "two sources have this target name")

    def test_directories_need_r(self):
        names, err = self.got("[a-d]*", status=4)
        self.assertEqual(names, {"a.log", "b.log", "c.txt"})
        self.assertRegex(err, "/d: is a directory")
        self.assertEqual(self.got("[de]", options=["-r"])[0], {"d/x.log", "d/y.txt", "e/x.log"})

    def test_no_match_is_4(self):
        for pattern in ("*.gz", "nope/*", "a.log/*", "*/nope"):
            with self.subTest(pattern):
                _, err = self.got(pattern, status=4)
                self.assertRegex(err, r"not found|no match|not a directory")
                self.xfer("ls", f"{self.server.addr}/{pattern}", status=4)

    def test_a_file_of_that_very_name(self):
        self.make(self.server.path("*.log"), b"star")
        self.make(self.server.path("[x]"), b"brackets")
        self.make(self.server.path("x"), b"x")
        self.assertEqual(self.got("*.log")[0], {"*.log"})
        self.assertEqual(self.got("[x]")[0], {"[x]"})
        self.xfer("get", f"{self.server.addr}/[x]", self.path("new-name"))
        self.assertEqual(self.read("new-name"), b"brackets")
        self.assertEqual(self.xfer("get", f"{self.server.addr}/*.log", "-")[0], b"star")
        self.assertEqual(self.xfer("ls", f"{self.server.addr}/*.log")[0], b"*.log\n")

    def test_a_match_to_standard_output(self):
        self.assertEqual(self.xfer("get", f"{self.server.addr}/c.*", "-")[0], b"c.txt")
        self.assertEqual(self.xfer("get", f"{self.server.addr}/?.log", "-")[0], b"a.logb.log")

    def test_ls(self):
        for pattern, lines in (("*.log", ["a.log", "b.log"]), ("c*", ["c.txt"])):
            out, _ = self.xfer("ls", f"{self.server.addr}/{pattern}")
            self.assertEqual(out.decode().split(), lines)
        out, _ = self.xfer("ls", f"{self.server.addr}/[de]")
        self.assertEqual(out.decode().split(), ["d/x.log", "d/y.txt", "e/x.log"])

    def test_put_takes_them_literally(self):
        self.make("*.bin", b"star")
        self.xfer("put", self.path("*.bin"), f"{self.server.addr}/")
        self.assertEqual(self.read(self.server.path("*.bin")), b"star")
        self.xfer("put", self.path("*.bin"), f"{self.server.addr}/?[")
        self.assertEqual(self.read(self.server.path("?[")), b"star")


if __name__ == "__main__":
    del Tree
    harness.main()
