"""The lessons of docs/lessons: every command there is run, as a reader would. The exit status is 0, or
what the lesson shows; the table has the rows and columns that the lesson shows; the lesson's point
holds in the figures, in bounds that a slow machine keeps."""

import concurrent.futures
import os
import re
import subprocess

import harness
from harness import SANITIZED, SRC, XFER, TestCase, scaled, skip_unless

DIR = SRC / "docs" / "lessons"
LESSONS = sorted(DIR.glob("[0-9]*.md"))
LABEL = 18  # columns of a row's name
DOUBT = ("not trustworthy", "could not be checked")


class Command:
    """A line of a console block that begins with "$ ", and the lines that it is shown to print."""

    def __init__(self, line):
        self.line = line
        self.shown = []


def commands_of(text):
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Command(line[2:]))
            else:
                assert found, f"a console block that begins with no command: {line}"
                found[-1].shown.append(line)
    return found


class Row:
    """Of a table: name, and either figures or the words in their place."""

    FIGURES = re.compile(r"(?P<seconds>[\d.]+)(?: \([^)]*\))? +\S+ +[\d.e+-]+%? +(?P<packets>\d+)"
                         r" +(?P<resent>\d+) +(?P<theory>\S+) +(?P<ratio>[\d.]+)$")

    def __init__(self, line):
        # Which congestion control the kernel has as its default is no part of a lesson.
        self.name = re.sub(r"^tcp \(\w+\)", "tcp", line[:LABEL].strip())
        self.words = line[LABEL:].strip()
        match = self.FIGURES.match(self.words)
        self.done = match is not None
        if match:
            self.seconds = float(match["seconds"])
            self.packets, self.resent = int(match["packets"]), int(match["resent"])


def tables_of(lines):
    """[(names of the columns, rows)] of what was printed. Remarks below a row are indented."""
    tables, rows = [], None
    for line in lines:
        if re.search(r" time s .* ratio$", line):
            rows = []
            tables.append((re.split(r" {2,}|(?<=\)) ", line.replace("–", "-")), rows))
        elif rows is not None and not line.strip():
            rows = None
        elif rows is not None and line[0] != " " and not line.startswith("exit status"):
            rows.append(Row(line))
    return tables


def shape(lines):
    return [(columns, [(row.name, row.done) for row in rows]) for columns, rows in tables_of(lines)]


def doubtful(outcome):
    _, out, err = outcome
    return any(words in "\n".join(out) + err for words in DOUBT)


class Lessons(TestCase):
    def setUp(self):
        super().setUp()
        status, out, err = harness.run("compare", "--check")
        skip_unless(status == 0, f"no emulated link here: {(out.decode() + err).splitlines()[0]}")
        skip_unless(not SANITIZED, "sanitizers are no measure of time")
        os.mkdir(self.path("bin"))
        os.symlink(XFER, self.path("bin", "xfer"))
        self.prefix = self.ordinary_user() if os.geteuid() == 0 else ()

    def ordinary_user(self):
        """The prefix that makes nobody of root; none where nobody cannot come here."""
        try:
            prefix = harness.as_nobody(self.tmp)
        except harness.unittest.SkipTest as skip:
            print("# as root:", skip)
            return ()
        os.chown(self.tmp, 65534, 65534)
        return prefix

    def type(self, command):
        """(status, lines on standard output, standard error), in a directory of ours."""
        env = harness.ENV | {"PATH": self.path("bin") + ":" + os.environ["PATH"],
                             "TMPDIR": self.tmp}
        done = subprocess.run([*self.prefix, "sh", "-c", command.line], cwd=self.tmp, env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=scaled(60), check=False)
        return done.returncode, done.stdout.decode().splitlines(), done.stderr.decode()

    def lesson(self, path, point):
        commands = commands_of(path.read_text(encoding="utf-8"))
        self.assertTrue(commands, f"{path.name} has no command")
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            outcomes = list(pool.map(self.type, commands))
        for command, outcome in zip(commands, outcomes):
            with self.subTest(command.line):
                self.holds(command, *outcome)
        if point is not None:
            self.assertTrue(commands[0].shown, f"{path.name} does not show what it prints")
            self.point_holds(path, commands[0], outcomes[0], point)

    def point_holds(self, path, command, outcome, point):
        if doubtful(outcome):
            outcome = self.type(command)  # alone this time
        if doubtful(outcome):
            print(f"# {path.name}: this machine could not keep up; figures are not compared")
            return
        with self.subTest("the point"):
            point(self, {row.name: row for row in tables_of(outcome[1])[0][1]}, outcome[1])

    def holds(self, command, status, out, err):
        self.assertEqual(status, 0, f"{err}\n" + "\n".join(out))
        self.assertTrue(tables_of(out), f"no table:\n{err}\n" + "\n".join(out))
        self.assertLessEqual(max(map(len, out + command.shown)), 80)
        for made in re.findall(r"--(?:pcap|report) (\S+)", command.line):
            self.assertGreater(os.path.getsize(self.path(made)), 0)
        if command.shown:
            self.assertEqual(shape(out), shape(command.shown), "\n".join(out))
            told = [line for line in command.shown if line.startswith("exit status")]
            self.assertEqual([line for line in out if line.startswith("exit status")], told)

    # ---- the points ----

    def delay(self, rows, _):
        """Theory: 9 times as long. No link is faster than its delay, for 46 blocks."""
        self.assertGreater(rows["50ms"].seconds, 46 * 0.050)
        self.assertGreater(rows["10ms"].seconds, 1.3 * rows["5ms"].seconds)
        self.assertGreater(rows["50ms"].seconds, 4 * rows["5ms"].seconds)

    def block_size(self, rows, _):
        """Theory: 2.7 and 12 times as long; six packets for a block of 8192."""
        self.assertGreater(rows["512"].seconds, 1.8 * rows["1428"].seconds)
        self.assertGreater(rows["512"].seconds, 4 * rows["8192"].seconds)
        self.assertGreaterEqual(rows["8192"].packets, 60)
        self.assertGreaterEqual(rows["1428"].packets, 94)

    def loss(self, rows, out):
        """Theory: 1.7 times the 0.97 s that are needed without loss."""
        row = rows["udp stop-and-wait"]
        self.assertGreater(row.seconds, 1.2 * 46 * 0.0206)
        self.assertGreater(row.resent, 3)
        ladder = "\n".join(out)
        for way in (r"X-+ ACK \d+ -", r"- DATA \d+, 1428 bytes -+X"):
            self.assertRegex(ladder, way + r".*\n.*\|  timeout: sends again")

    def windows(self, rows, _):
        """Theory: 3.6, 3 and 1.4 times as long, each as the next."""
        seconds = [rows[name].seconds for name in ("1", "4", "16", "32")]
        self.assertGreater(seconds[0], 2 * seconds[1])
        self.assertGreater(seconds[1], 1.5 * seconds[2])
        self.assertGreater(seconds[0], 4 * seconds[3])

    def parallel(self, rows, _):
        """Theory: 5 times as long; single rounds differ much."""
        self.assertGreater(rows["tcp"].seconds, 1.3 * rows["tcp x 4"].seconds)

    def corruption(self, rows, _):
        for row in rows.values():
            self.assertRegex(row.words, "^failed: digest does not match")

    POINTS = {"1-delay.md": delay, "2-block-size.md": block_size, "3-loss-and-timeouts.md": loss,
              "4-windows.md": windows, "5-parallel-tcp.md": parallel,
              "6-corruption.md": corruption}


class Library(TestCase):
    def test_each_lesson_has_a_test_and_a_place_in_the_index(self):
        self.assertEqual([path.name for path in LESSONS], sorted(Lessons.POINTS))
        index = (DIR / "README.md").read_text(encoding="utf-8")
        for path in LESSONS:
            self.assertIn(f"]({path.name})", index)
            self.assertTrue(commands_of(path.read_text(encoding="utf-8")), path.name)

    def test_tables_are_read(self):
        shown = commands_of("```console\n$ xfer compare; echo x\n"
                            "method            time s (min–max)  Mbit/s  link  packets  resent  theory  ratio\n"
                            "tcp (bbr)         0.50 (0.49–0.51)    16.6   83%     1238      88    0.50    1.0\n"
                            "  1 of 2 rounds failed\n"
                            "udp stop-and-wait failed: no\n\nexit status 5\n```\n")[0].shown
        (_, rows), = tables_of(shown)
        self.assertEqual([(row.name, row.done) for row in rows],
                         [("tcp", True), ("udp stop-and-wait", False)])
        self.assertEqual((rows[0].seconds, rows[0].packets, rows[0].resent), (0.5, 1238, 88))
        self.assertNotEqual(shape(shown), shape(shown[:2]))


def add_tests():
    """One for each lesson, and for the index, which has a command and no point."""
    for path in [DIR / "README.md", *LESSONS]:
        point = Lessons.POINTS.get(path.name)

        def test(self, path=path, point=point):
            self.lesson(path, point)
        name = re.sub(r"\W", "_", path.stem).lower()
        setattr(Lessons, f"test_{name}", test)


add_tests()
if __name__ == "__main__":
    harness.main()
