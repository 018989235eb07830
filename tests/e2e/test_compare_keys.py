"""The keys that `xfer compare --json` and --csv print are those that the manual has, and all of them."""

import csv
import io
import json
import re

import harness
from harness import SANITIZED, SRC, TestCase, skip_unless

KEY = re.compile(r"[a-z][a-z0-9_]*")


def documented(tag):
    """The keys in the paragraph of the manual that has this tag: words between commas, without
    what is in parentheses."""
    text = (SRC / "docs" / "xfer.1").read_text(encoding="utf-8").replace("\\-", "-")
    output = text[text.index("\n.SH OUTPUT"):text.index('\n.SH "EXIT STATUS"')]
    for paragraph in re.split(r"\n\.(?:TP|PP)\n", output):
        head, _, body = paragraph.partition("\n")
        if re.sub(r"^\.\w+ ", "", head).replace('"', "").split() == tag.split():
            body = re.sub(r"\([^)]*\)", "", body.replace("\n", " "))
            body = re.sub(r"^.*?: ", "", body)  # an explanation in front
            return {word for part in re.split(r"[,;.]| and ", body) for word in part.split()}
    raise AssertionError(f"no paragraph of {tag!r}")


def keys(records):
    return {key for record in records for key in record} - {"schema", "type"}


class Keys(TestCase):
    def setUp(self):
        super().setUp()
        status, text, _ = harness.run("compare", "--check")
        skip_unless(status == 0, f"no emulated link here: {text.decode().splitlines()[0]}")
        skip_unless(not SANITIZED, "sanitizers are no measure of time")

    def records(self, *args, status=0):
        out, _ = self.xfer("compare", "--json", "-q", "--rounds", "1", "--size", "5K", *args,
                           status=status, env={"TMPDIR": self.tmp})
        found = [json.loads(line) for line in out.splitlines()]
        self.assertTrue(all(r["schema"] == 1 for r in found))
        return ([r for r in found if r["type"] == "round"],
                [r for r in found if r["type"] == "summary"])

    def test_json(self):
        """A sweep, and a method that is refused: between them they have all there is."""
        refused, refusals = self.records("-m", "tcp:nosuch", "-m", "udp", status=6)
        swept, sums = self.records("-m", "tcp", "--sweep", "rtt=1ms,2ms")
        rounds, summaries = refused + swept, refusals + sums
        self.assertEqual(keys(rounds), documented("round of compare"))
        self.assertEqual(keys(summaries), documented("summary of compare"))
        ways = [r[way] for r in rounds for way in ("client_to_server", "server_to_client")
                if way in r]
        self.assertEqual(keys(ways), documented("client_to_server , server_to_client"))
        links = [r["link"] for r in summaries]
        self.assertEqual(keys(links), {"mtu_bytes", "fix_checksums", "client_to_server",
                                       "server_to_client"})
        self.assertEqual(keys(link["client_to_server"] for link in links), {
            "rate_bits_per_second", "delay_seconds", "jitter_seconds", "loss", "duplicate",
            "corrupt", "reorder", "queue_bytes"})
        self.assertEqual([r["link"]["client_to_server"]["delay_seconds"] for r in sums],
                         [0.0005, 0.001])

    def test_every_round_is_told_as_it_was(self):
        out, _ = self.xfer("compare", "--json", "-q", "--rounds", "3", "--size", "20K", "--rtt",
                           "2ms", "--seed", "7", "-m", "tcp", "-m", "udp")
        found = [json.loads(line) for line in out.splitlines()]
        rounds = [r for r in found if r["type"] == "round"]
        self.assertEqual([(r["method"], r["round"], r["seed"]) for r in rounds],
                         [(m, n, 6 + n) for n in (1, 2, 3) for m in ("tcp", "udp")])
        for summary in found[6:]:
            seconds = sorted(r["seconds"] for r in rounds if r["method"] == summary["method"])
            self.assertEqual([summary[key] for key in
                              ("min_seconds", "median_seconds", "max_seconds")], seconds)

    def test_csv(self):
        out, _ = self.xfer("compare", "--csv", "-q", "--rounds", "1", "--size", "5K", "-m", "udp")
        columns = csv.DictReader(io.StringIO(out.decode())).fieldnames
        self.assertEqual(set(columns) - documented("summary of compare"), set())
        self.assertTrue(all(KEY.fullmatch(column) for column in columns))


harness.main()
