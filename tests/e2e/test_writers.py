"""Several writers, one target: the last whole one wins, conditions hold, and each is told the truth."""

import concurrent.futures
import os
import random
import threading

import harness
from harness import Raw, TestCase, finish, noise, sha256, start, wait_for
from relay import UP, Link, Relay

MIB = 1 << 20
SEED = int(os.environ.get("XFER_SEED") or 1)


class Writers(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve()
        self.target = self.server.path("f")

    def peer(self):
        peer = self.enter_context(Raw(self.server.addr))
        peer.hello()
        return peer

    def assertHolds(self, data):
        self.assertEqual(sha256(self.read(self.target)), sha256(data))
        self.assertEqual(os.listdir(self.server.root), ["f"])

    def race(self, n, one):
        """one(i, peer, go) in n threads, each with a greeted connection; what they return."""
        barrier = threading.Barrier(n)

        def run(i):
            with Raw(self.server.addr) as peer:
                peer.hello()
                return one(i, peer, barrier.wait)
        with concurrent.futures.ThreadPoolExecutor(n) as pool:
            return list(pool.map(run, range(n)))

    # ---- without a condition ----

    def test_the_last_to_end_wins_not_the_last_to_begin(self):
        first, second = self.peer(), self.peer()
        a, b = noise(300_000, 1), noise(200_000, 2)
        first.send("PUT /f")
        first.send_raw(b"DATA 300000\n" + a[:1000])
        second.send("PUT /f")
        second.put_body(b)
        self.assertEqual(second.reply()[0], 201)
        self.assertEqual(sha256(self.read(self.target)), sha256(b))
        first.send_raw(a[1000:])
        self.assertEqual(sha256(self.read(self.target)), sha256(b))
        first.send(f"END sha256={sha256(a)}")
        self.assertEqual(first.reply()[0], 201)
        self.assertHolds(a)

    def test_a_writer_that_fails_takes_nothing_away(self):
        first, second = self.peer(), self.peer()
        first.send("PUT /f")
        first.send_raw(b"DATA 5\nhello")
        second.send("PUT /f")
        second.put_body(b"second")
        self.assertEqual(second.reply()[0], 201)
        first.send("END sha256=" + "0" * 64)
        self.assertEqual(first.reply()[0], 561)
        self.assertHolds(b"second")

    def test_a_crowd_of_writers(self):
        datas = [noise(100_000 + i, i) for i in range(16)]

        def one(i, peer, go):
            go()
            codes = []
            for _ in range(5):
                peer.send(f"PUT /f size={len(datas[i])}")
                peer.put_body(datas[i], 10_000)
                codes.append(peer.reply()[0])
            return codes
        self.assertEqual(self.race(16, one), [[201] * 5] * 16)
        self.assertIn(self.read(self.target), datas)
        self.assertEqual(os.listdir(self.server.root), ["f"])

    def test_readers_see_one_whole_version(self):
        datas = {sha256(data): data for data in (noise(400_000, i) for i in range(4))}
        bodies = list(datas.values())
        stop = threading.Event()

        def write(i, peer, _):
            rng = random.Random(SEED * 100 + i)
            while not stop.is_set():
                peer.send("PUT /f")
                peer.put_body(rng.choice(bodies))
                if peer.reply()[0] != 201:
                    return "not stored"
            return None

        def read(peer):
            for _ in range(60):
                peer.send("GET /f")
                if peer.reply()[0] != 200:
                    return "not found"
                data, verb, _ = peer.body()
                if verb == "END" and sha256(data) not in datas:
                    return "a torn file"
            return None

        with self.peer() as first:
            first.send("PUT /f")
            first.put_body(bodies[0])
            first.reply()

        def one(i, peer, go):
            go()
            try:
                return write(i, peer, go) if i < 2 else read(peer)
            finally:
                if i == 3:
                    stop.set()
        self.assertEqual(self.race(4, one), [None] * 4)

    def test_two_clients_with_large_files(self):
        """Two sources are two parts: neither continues the other's, the last to end wins."""
        a, b = noise(3 * MIB, 1), noise(2 * MIB, 2)
        slow, fast = self.make("slow/f", a), self.make("fast/f", b)
        with Relay(self.server.addr, lambda i: Link(stall=(UP, MIB))) as relay:
            first = start("put", slow, f"{relay.addr}/")
            wait_for(lambda: relay.links and relay.links[0].stalled.is_set(), "the first is on its way")
            _, err = self.xfer("put", fast, f"{self.server.addr}/")
            self.assertRegex(err, "verified")
            self.assertEqual(sha256(self.read(self.target)), sha256(b))
            relay.links[0].release()
            status, _, err = finish(first)
        self.assertEqual(status, 0, err)
        self.assertHolds(a)

    def test_the_same_upload_twice_at_once(self):
        """Takes over from itself back and forth, and ends."""
        source = self.make("f", noise(6 * MIB))
        clients = [start("put", source, f"{self.server.addr}/") for _ in range(2)]
        for client in clients:
            status, _, err = finish(client)
            self.assertEqual(status, 0, err)
        wait_for(lambda: os.listdir(self.server.root) == ["f"], "nothing is left")
        self.assertHolds(noise(6 * MIB))

    # ---- with a condition ----

    def test_one_of_eight_makes_a_new_file(self):
        for size in (10, 300_000):
            for options in ("", " sync=file", " sync=batch"):
                with self.subTest(size, options=options):
                    datas = [noise(size, i) for i in range(8)]

                    def one(i, peer, go):
                        peer.send(f"PUT /f if=absent{options}")
                        peer.send_raw(b"DATA %d\n" % size + datas[i])
                        go()
                        peer.send(f"END sha256={sha256(datas[i])}")
                        return peer.reply()[0]
                    codes = self.race(8, one)
                    self.assertEqual(sorted(codes), [201] + [555] * 7)
                    self.assertHolds(datas[codes.index(201)])
                    os.unlink(self.target)

    def test_one_of_eight_replaces_what_all_had_seen(self):
        for options in ("", " sync=file", " sync=batch"):
            with self.subTest(options):
                old = noise(1000, 99)
                self.make(self.target, old)
                datas = [noise(50_000, i) for i in range(8)]

                def one(i, peer, go):
                    peer.send(f"PUT /f if=sha256:{sha256(old)}{options}")
                    peer.send_raw(b"DATA 50000\n" + datas[i])
                    go()
                    peer.send(f"END sha256={sha256(datas[i])}")
                    return peer.reply()[0]
                codes = self.race(8, one)
                self.assertEqual(sorted(codes), [201] + [560] * 7)
                self.assertHolds(datas[codes.index(201)])

    def test_a_counter_that_eight_raise(self):
        """Compare and swap, over and over: no increment is lost."""
        self.make(self.target, b"0")

        def one(i, peer, go):
            go()
            done = 0
            while done < 10:
                peer.send("GET /f")
                peer.reply()
                now, verb, _ = peer.body()
                if verb != "END":
                    continue
                peer.send(f"PUT /f if=sha256:{sha256(now)}")
                peer.put_body(b"%d" % (int(now) + 1))
                code = peer.reply()[0]
                if code not in (201, 560):
                    return code
                done += code == 201
            return None
        self.assertEqual(self.race(8, one), [None] * 8)
        self.assertHolds(b"80")

    def test_a_condition_that_ceases_to_hold_on_the_way(self):
        self.make(self.target, b"old")
        first, second = self.peer(), self.peer()
        first.send(f"PUT /f if=sha256:{sha256(b'old')}")
        first.send_raw(b"DATA 5\nfirst")
        second.send("PUT /f")
        second.put_body(b"second")
        self.assertEqual(second.reply()[0], 201)
        first.send(f"END sha256={sha256(b'first')}")
        self.assertEqual(first.reply()[0], 560)
        self.assertHolds(b"second")

        third = self.peer()
        third.send(f"PUT /f if=sha256:{sha256(b'second')}")
        third.send_raw(b"DATA 5\nthird")
        os.unlink(self.target)
        third.send(f"END sha256={sha256(b'third')}")
        self.assertEqual(third.reply()[0], 560)
        self.assertEqual(os.listdir(self.server.root), [])

    def test_conditions_that_do_not_hold_from_the_start(self):
        peer = self.peer()
        for request, code in ((f"PUT /f if=sha256:{sha256(b'old')}", 560), ("PUT /f if=absent", 201),
                              ("PUT /f if=absent", 555), (f"PUT /f if=sha256:{sha256(b'x')}", 560),
                              (f"PUT /f if=sha256:{sha256(b'new')}", 201)):
            peer.send(request)
            peer.put_body(b"new")
            self.assertEqual(peer.reply()[0], code, request)
        self.assertHolds(b"new")

    def test_conditions_within_one_batch(self):
        """What waits for its sync counts only once it is in place."""
        peer = self.peer()
        conditions = ["absent", "absent", f"sha256:{sha256(b'0')}", f"sha256:{sha256(b'9')}"]
        for i, condition in enumerate(conditions):
            peer.send(f"PUT /f if={condition} sync=batch")
            peer.put_body(b"%d" % i)
        codes = [peer.reply()[0] for _ in range(4)]
        self.assertEqual(codes[:2], [201, 555])
        self.assertEqual(codes[3], 560)
        self.assertHolds(b"2" if codes[2] == 201 else b"0")

    def test_no_clobber_of_two_clients(self):
        """-n: one makes the file, the other is told that it exists, and skips it."""
        sources = [self.make(f"{i}/f", noise(500_000, i)) for i in range(6)]
        clients = [start("put", "-n", source, f"{self.server.addr}/") for source in sources]
        told = []
        for client in clients:
            status, _, err = finish(client)
            self.assertEqual(status, 0, err)
            told.append("unchanged" if "unchanged" in err else "verified")
            self.assertIn(told[-1], err)
        self.assertEqual(sorted(told), ["unchanged"] * 5 + ["verified"])
        self.assertHolds(noise(500_000, told.index("verified")))


harness.main()
