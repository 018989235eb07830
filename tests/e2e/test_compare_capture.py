"""What `xfer compare` shows of one run, held against its capture as tshark reads it: every packet
and byte of the table, of --json and --csv, and every rung of the ladder."""

import collections
import csv
import io
import json
import os
import re
import subprocess

import harness
from harness import SANITIZED, TestCase, need_tool, skip_unless

CLIENT = "10.77.0.1"
WAYS = {True: "client_to_server", False: "server_to_client"}
FIELDS = ("frame.interface_name", "frame.time_relative", "ip.src", "ip.len", "frame.comment",
          "tcp.seq", "tcp.ack", "tcp.len", "tcp.flags", "tcp.stream", "udp.dstport",
          "tftp.opcode", "tftp.block", "ip.checksum.status", "tcp.checksum.status", "udp.checksum.status",
          "_ws.malformed", "frame.protocols")
CHECKED = ("-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
           "-o", "udp.check_checksum:TRUE")
BAD = "0"
WRQ, RRQ, DATA, ACK, OACK = "2", "1", "3", "4", "6"
DROPS = {"dropped: random loss": "dropped_loss", "dropped: queue full": "dropped_queue"}

METHODS = ("-m", "tcp", "-m", "udp:window=16", "-m", "udp")
LABELS = {r"tcp \(\w+\)": "tcp", "udp window 16": "udp:window=16", "udp stop-and-wait": "udp"}
# Loss and duplication, with a seed under which the first packets of each method meet them.
HARM = ("--loss", "8%", "--duplicate", "5%", "--seed", "2")


def rows_of(path, home):
    """{interface: [packet]}, a packet being a dictionary of the FIELDS."""
    args = [arg for field in FIELDS for arg in ("-e", field)]
    listed = subprocess.run(["tshark", "-r", path, *CHECKED, "-T", "fields", "-E",
                             "occurrence=f", *args],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                            env=harness.ENV | {"HOME": home})
    assert listed.returncode == 0, listed.stderr
    found = collections.defaultdict(list)
    for line in listed.stdout.splitlines():
        packet = dict(zip(FIELDS, line.split("\t")))
        found[packet["frame.interface_name"]].append(packet)
    return found


def is_clients(packet):
    return packet["ip.src"] == CLIENT


def of_way(packets, clients):
    return [p for p in packets if is_clients(p) == clients]


def sent_again(packets):
    """Data segments of the client, none of whose bytes is new, or blocks it had sent before."""
    again, seen, ends = 0, set(), collections.defaultdict(int)
    for p in packets:
        if p["tcp.len"] and int(p["tcp.len"]):
            again += int(p["tcp.seq"]) < ends[p["tcp.stream"]]
            ends[p["tcp.stream"]] = max(ends[p["tcp.stream"]], int(p["tcp.seq"]) + int(p["tcp.len"]))
        elif p["tftp.opcode"] == DATA:
            again += p["tftp.block"] in seen
            seen.add(p["tftp.block"])
    return again


class Link(TestCase):
    def setUp(self):
        super().setUp()
        need_tool("tshark")
        status, text, _ = harness.run("compare", "--check")
        skip_unless(status == 0, f"no emulated link here: {text.decode().splitlines()[0]}")
        skip_unless(not SANITIZED, "sanitizers are no measure of time")
        self.prefix = ()
        if os.geteuid() == 0:
            self.prefix = harness.as_nobody(self.tmp)
            os.chown(self.tmp, 65534, 65534)
        self.pcap = self.path("x.pcapng")

    def compare(self, *args):
        """Standard output and the packets of one run, a round of each method."""
        out, _ = self.xfer("compare", "--rounds", "1", "--size", "40K", "--pcap", self.pcap, *args,
                           prefix=self.prefix, env={"TMPDIR": self.tmp})
        return out.decode(), rows_of(self.pcap, self.tmp)


class Figures(Link):
    """Counters of the link and of the transports, against the packets themselves."""

    def check_json(self, *args):
        out, found = self.compare("--json", "-q", *args)
        rounds = [r for r in map(json.loads, out.splitlines()) if r["type"] == "round"]
        self.assertEqual(list(found), [f"{r['method']} {r['direction']}, round 1" for r in rounds])
        for r in rounds:
            packets = found[f"{r['method']} {r['direction']}, round 1"]
            self.assertTrue(r["verified"], r)
            for clients, way in WAYS.items():
                self.check_way(r[way], of_way(packets, clients))
        return rounds, found

    def check_way(self, counted, packets):
        self.assertEqual((counted["packets"], counted["wire_bytes"]),
                         (len(packets), sum(int(p["ip.len"]) for p in packets)))
        comments = collections.Counter(p["frame.comment"] for p in packets)
        for comment, key in DROPS.items():
            self.assertEqual(counted[key], comments[comment], (key, comments))
        self.assertEqual(counted["duplicated"],
                         sum(n for text, n in comments.items() if "duplicated" in text))

    def test_loss_free(self):
        rounds, found = self.check_json(*METHODS)
        for r in rounds:
            packets = found[f"{r['method']} put, round 1"]
            self.assertEqual(r["retransmits"], sent_again(of_way(packets, True)))
            self.assertFalse([p for p in packets if p["frame.comment"]])

    def test_loss_and_duplicates(self):
        rounds, found = self.check_json(*METHODS, *HARM)
        for r in rounds:
            packets = found[f"{r['method']} put, round 1"]
            dropped = sum(r[way]["dropped_loss"] for way in WAYS.values())
            self.assertGreater(dropped, 0, r)
            self.assertGreater(r["retransmits"], 0, r)
            self.assertEqual(r["retransmits"], sent_again(of_way(packets, True)), r["method"])

    def test_get(self):
        self.check_json(*METHODS, *HARM, "--direction", "get", "-m", "tcp*2")

    def test_corruption_has_its_comment(self):
        rounds, found = self.check_json("-m", "udp", "--corrupt", "10%")
        packets = found["udp put, round 1"]
        self.assertEqual(sum(r[way]["corrupted"] for r in rounds for way in WAYS.values()),
                         sum("corrupted" in p["frame.comment"] for p in packets))

    def test_csv(self):
        out, found = self.compare("--csv", "-q", *METHODS, *HARM)
        for row in csv.DictReader(io.StringIO(out)):
            packets = found[f"{row['method']} put, round 1"]
            dropped = collections.Counter(p["frame.comment"] for p in packets)
            self.assertEqual(
                [int(row[key]) for key in ("packets", "wire_bytes", "dropped_loss", "retransmits")],
                [len(packets), sum(int(p["ip.len"]) for p in packets),
                 dropped["dropped: random loss"], sent_again(of_way(packets, True))], row)


RUNG = re.compile(r" *([\d.]+)  \|(.*)\|$")


def rungs_of(text):
    """{heading: [(ms, from the client, words, lost)]} of the ladders below a table."""
    found, heading = {}, None
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if i + 1 < len(lines) and lines[i + 1].endswith("server"):
            heading = found.setdefault(line, [])
        rung = RUNG.match(line)
        if rung and "timeout" not in rung[2]:
            clients = rung[2].startswith("---")
            words = re.sub(r" ?(lost )?[-<>X ]*-{2,}[->X]*( ?lost *)?$|^[ -<]*?(lost )?[<X]?-+ ", "",
                           rung[2]).strip(" ->X<")
            heading.append((float(rung[1]), clients, words, "lost" in rung[2]))
    return found


def words_of(p):
    """How a ladder begins to tell the packet that tshark reads so."""
    flags = int(p["tcp.flags"] or "0", 16)
    seq, ack, size = (p[key] for key in ("tcp.seq", "tcp.ack", "tcp.len"))
    if p["tftp.opcode"]:
        return {WRQ: "WRQ data", RRQ: "RRQ data", OACK: "OACK", ACK: f"ACK {p['tftp.block']}",
                DATA: f"DATA {p['tftp.block']}, {int(p['ip.len']) - 32} bytes"}[p["tftp.opcode"]]
    if flags & 2:
        return "SYN-ACK seq 0, ack 1" if flags & 16 else "SYN seq 0"
    if flags & 1:
        return f"FIN seq {seq}"
    return f"seq {seq}, {size} bytes" if size != "0" else f"ACK {ack}"


class Ladder(Link):
    def check(self, *args):
        text, found = self.compare("--trace", *args)
        ladders = rungs_of(text)
        self.assertEqual(len(ladders), len(found), text)
        for (label, rungs), packets in zip(ladders.items(), found.values()):
            self.assertGreater(len(rungs), 20, text)
            for (ms, clients, words, lost), p in zip(rungs, packets):
                with self.subTest(ladder=label, ms=ms):
                    began = float(packets[0]["frame.time_relative"])
                    self.assertAlmostEqual(ms, 1e3 * (float(p["frame.time_relative"]) - began),
                                           delta=0.06)
                    self.assertEqual(clients, is_clients(p))
                    self.assertEqual(lost, p["frame.comment"] == "dropped: random loss")
                    self.assertRegex(words, rf"^{re.escape(words_of(p))}([ ,-]|$)")
        return text, found

    def check_table(self, text, found):
        for pattern, method in LABELS.items():
            row = re.search(rf"(?m)^{pattern} +[\d.]+( \(.*?\))? +[\d.]+ +\d+% +(\d+) +(\d+) ", text)
            packets = found[f"{method} put, round 1"]
            self.assertEqual((int(row[2]), int(row[3])),
                             (len(packets), sent_again(of_way(packets, True))), text)

    def test_loss_free(self):
        for _ in range(3):  # a machine that is late makes senders doubt
            text, found = self.check(*METHODS)
            self.check_table(text, found)
            if "again" not in text:
                break
        tcp, window, waiting = rungs_of(text).values()
        self.assertEqual([rung[2] for rung in tcp[:3]],
                         ["SYN seq 0", "SYN-ACK seq 0, ack 1", "ACK 1"])
        self.assertEqual([rung[2] for rung in waiting[2:5]],
                         ["DATA 1, 1428 bytes", "ACK 1", "DATA 2, 1428 bytes"])
        self.assertEqual([rung[2].split(",")[0] for rung in window[2:19]],
                         [*(f"DATA {n}" for n in range(1, 17)), "ACK 16"])
        self.assertNotIn("again", text)

    def test_loss_and_timeouts(self):
        text, found = self.check(*METHODS, *HARM)
        self.check_table(text, found)
        # Stop-and-wait goes on by a timeout alone: what is lost, the timeout, the same again.
        self.assertRegex(text, r"DATA 1, 1428 bytes -+X lost +\|\n"
                               r" +[\d.]+  \|  timeout: sends again +\|\n"
                               r" +[\d.]+  \|--- DATA 1, 1428 bytes \(again")

    def test_get(self):
        self.check(*METHODS, "--direction", "get")

    def test_connections_have_their_own_numbers(self):
        text, found = self.compare("--trace", "--direction", "get", "-m", "tcp*2")
        (packets,), (rungs,) = found.values(), rungs_of(text).values()
        for (_, _, words, _), p in zip(rungs, packets):
            number, rest = words.split(": ", 1)
            self.assertEqual(int(number), int(p["tcp.stream"]) + 1, text)
            self.assertTrue(rest.startswith(words_of(p)), (rest, p))


class Reading(Link):
    """What Wireshark makes of it."""

    def test_all_of_it_is_understood(self):
        _, found = self.compare(*METHODS, "-m", "udp:blksize=512", "-q", *HARM)
        for name, packets in found.items():
            for p in packets:
                self.assertFalse(p["_ws.malformed"], p)
                for key in ("ip", "tcp", "udp"):
                    self.assertNotEqual(p[f"{key}.checksum.status"], BAD, p)
            if name.startswith("udp"):
                self.assertEqual((packets[0]["tftp.opcode"], packets[0]["udp.dstport"]), (WRQ, "69"))
                self.assertTrue(all(re.search("udp:tftp|icmp", p["frame.protocols"])
                                    for p in packets))
            else:
                self.assertEqual(packets[0]["tcp.flags"], "0x0002")
                self.assertEqual({p["tcp.stream"] for p in packets}, {"0"})

    def test_a_connection_is_closed_in_order(self):
        """Nobody takes part in it after its end, and nothing is reset: here, the machine has a
        fifth of a second for that."""
        for _ in range(3):
            _, found = self.compare("-m", "tcp", "-q", "--rtt", "200ms")
            flags = [int(p["tcp.flags"], 16) for p in found["tcp put, round 1"]]
            if not any(f & 4 for f in flags):
                break
        self.assertFalse([f for f in flags if f & 4], "a reset")
        self.assertEqual(sum(f & 1 for f in flags), 2, "a FIN each way")


harness.main()
