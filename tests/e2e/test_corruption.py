"""One bit flipped on the way: never a wrong file, never exit 0 for what was not asked.

XFER_TEST_FULL=1 flips bits of every byte of every control line; else one bit of some bytes.
"""

import concurrent.futures
import os
import pathlib
import queue
import random
import re
import shutil
import stat
import tempfile

import harness
from harness import TestCase, noise, run, sha256, tree
from relay import DOWN, UP, Link, Relay

FULL = bool(os.environ.get("XFER_TEST_FULL"))
SEED = int(os.environ.get("XFER_SEED") or 1)
MTIME = 1_500_000_000_123_456_789
LINES, PAYLOAD = 0, 1
ARGS = ("--timeout", "1", "--retries", "0")


def bits(rng):
    """Of one byte. Bit 5 makes another name of a name: the case of a letter changes."""
    return (5, rng.choice((0, 1, 2, 3, 4, 6, 7))) if FULL else (rng.randrange(8),)


def regions(stream):
    """(lines, payload): offsets of control bytes, and of payload bytes, of one direction."""
    lines, payload, at = [], [], 0
    while at < len(stream):
        end = stream.index(b"\n", at) + 1
        lines += range(at, end)
        words = stream[at:end].split()
        at = end
        if words[0] == b"DATA":
            payload += range(at, at + int(words[1]))
            at += int(words[1])
    return lines, payload


class Place:
    """A server and a client's directory where one transfer after the other is tried."""

    def __init__(self, top, scene):
        self.scene = scene
        self.src, self.dst = os.path.join(top, "src"), os.path.join(top, "dst")
        for path in (self.src, self.dst):
            os.makedirs(path)
        fill(self.src, scene.new)
        self.wished = tree(self.src)
        self.server = harness.Server(root=self.dst if scene.command == "put" else self.src)

    def learn(self):
        """The bytes of both directions of an undisturbed transfer; not the same everywhere. The
        second is like all later ones: the server remembers digests."""
        self.once(lambda i: Link())
        status, err, dst, links = self.once(lambda i: Link(record=True))
        assert (status, dst) == (0, self.wished), err
        self.streams = {way: bytes(links[0].bytes[way]) for way in (UP, DOWN)}
        self.regions = {way: regions(self.streams[way]) for way in (UP, DOWN)}

    def args(self, addr):
        if self.scene.tree:
            return {"put": ["put", "-r", *ARGS, self.src + "/", f"{addr}/"],
                    "get": ["get", "-r", *ARGS, f"{addr}/", self.dst]}[self.scene.command]
        if self.scene.command == "put":
            return ["put", *ARGS, *(os.path.join(self.src, n) for n in self.scene.new), f"{addr}/"]
        return ["get", *ARGS, *(f"{addr}/{n}" for n in self.scene.new), self.dst + "/"]

    def once(self, plan):
        """One transfer over an old state made anew: (status, err, tree of dst, links)."""
        for name in os.listdir(self.dst):
            path = os.path.join(self.dst, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:  # the server may just be removing what was broken off
                pathlib.Path(path).unlink(missing_ok=True)
        if self.scene.old is not None:
            fill(self.dst, {name: self.scene.old for name in self.scene.new})
        with Relay(self.server.addr, plan) as relay:
            status, _, err = run(*self.args(relay.addr))
        harness.wait_for(lambda: not any(n.endswith(b".tmp") for n in tree(self.dst)),
                         "no temporary is left")
        return status, err, tree(self.dst), relay.links


def fill(root, data):
    for name, content in data.items():
        path = os.path.join(root, name)
        if content is None:
            os.mkdir(path)
            continue
        with open(path, "wb") as f:
            f.write(content)
        os.chmod(path, 0o640)
        os.utime(path, ns=(MTIME, MTIME))


class Scene:
    """What is transferred: names and contents, and what stands in their place before."""

    def __init__(self, command, old=True, size=700, names=("f",), tree=False):
        self.command = command
        self.tree = tree
        self.new = {name: noise(size + i, 10 + i) for i, name in enumerate(names)}
        if tree:
            self.new |= {"d": None, "d/x": b"x", "e": None}
        self.old = noise(300, 99) if old else None


class Corruption(TestCase):
    def places(self, scene, n=4):
        """A queue of places, since flips are tried side by side."""
        places = queue.SimpleQueue()
        for _ in range(n):
            place = Place(tempfile.mkdtemp(dir=self.tmp), scene)
            self.enter_context(place.server)
            place.learn()
            places.put(place)
        return places, place

    def sweep(self, places, flips, check):
        """check(status, err, dst, wished, index) tells what is wrong, for every flip: direction,
        LINES or PAYLOAD, index in these bytes, bit."""
        def one(flip):
            way, kind, index, bit = flip
            place = places.get()
            at = place.regions[way][kind][index]
            try:
                status, err, dst, _ = place.once(lambda i: Link(flip=[(way, at, bit)]))
                wrong = check(status, err, dst, place.wished, index)
            except AssertionError as e:
                wrong = str(e)
            places.put(place)
            context = place.streams[way][max(0, at - 20):at + 9]
            return wrong and f"flip {flip} near {context}: {wrong}"
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            wrong = [text for text in pool.map(one, flips) if text]
        self.assertFalse(wrong, f"{len(wrong)} of {len(flips)}:\n" + "\n".join(wrong))

    def payload(self, scene, way, count):
        places, any_place = self.places(scene)
        rng = random.Random(SEED)
        size = len(any_place.regions[way][PAYLOAD])
        chosen = {0, size - 1, *rng.sample(range(size), count)}

        def check(status, err, dst, wished, index):
            hit, start = None, 0
            for name, data in scene.new.items():
                if start <= index < start + len(data):
                    hit = os.fsencode(name)
                start += len(data)
            if status != 5:
                return f"exit {status}, not 5: {err}"
            for name in wished:
                good = wished[name][-1] if name != hit else scene.old and sha256(scene.old)
                if (dst[name][-1] if name in dst else None) != good:
                    return f"{name} is wrong: {dst} {err}"
            return f"what is this: {dst}" if set(dst) - set(wished) else None
        self.sweep(places, [(way, PAYLOAD, i, rng.randrange(8)) for i in sorted(chosen)], check)

    def control(self, scene, step=1):
        places, any_place = self.places(scene)
        rng = random.Random(SEED)
        flips = []
        for way in (UP, DOWN):
            size = len(any_place.regions[way][LINES]) - 8  # places differ in a few digits
            for i in range(0 if FULL else rng.randrange(step), size, 1 if FULL else step):
                flips += [(way, LINES, i, b) for b in bits(rng)]

        def check(status, err, dst, wished, _):
            if status == 0 and dst != wished:
                return f"exit 0 with {dst}, not {wished}"
            for name in wished:
                good = [wished[name][-1], scene.old and sha256(scene.old)]
                if (dst[name][-1] if name in dst else None) not in good:
                    return f"{name} is neither old nor new"
            if status != 0 and not re.search("^xfer: ", err, re.M):
                return f"exit {status} without an error: {err}"
            # A part may stay: it is checked before anybody goes on with it.
            left = [name for name in dst if name not in wished and not name.endswith(b".part")]
            return f"what is this: {left}" if left else None
        self.sweep(places, flips, check)

    def test_a_bit_of_every_connection_of_a_tree(self):
        """Which of the connections comes first is not known: each of them is hit."""
        for command in ("put", "get"):
            scene = Scene(command, old=False, size=20, names="ab", tree=True)
            places, any_place = self.places(scene)
            rng = random.Random(SEED)
            flips = [(way, at, bit) for way in (UP, DOWN)
                     for at in range(0, 1200, 1 if FULL else 11)
                     for bit in bits(rng)]

            def one(flip):
                place = places.get()
                try:
                    status, err, dst, _ = place.once(lambda i: Link(flip=[flip]))
                except AssertionError as e:
                    status, err, dst = 0, str(e), None
                places.put(place)
                good = dst == place.wished if status == 0 else dst is not None and all(
                    place.wished.get(name) == is_now for name, is_now in dst.items()
                    if stat.S_ISREG(is_now[0]))
                return None if good else f"{command}, {flip}: exit {status}, {dst} {err}"
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                wrong = [text for text in pool.map(one, flips) if text]
            self.assertFalse(wrong, f"{len(wrong)} of {len(flips)}:\n" + "\n".join(wrong))

    def test_a_bit_of_a_small_file_that_is_put(self):
        self.payload(Scene("put"), UP, 12)

    def test_a_bit_of_a_small_file_that_is_got(self):
        self.payload(Scene("get"), DOWN, 12)

    def test_a_bit_of_a_new_file(self):
        self.payload(Scene("put", old=False), UP, 4)
        self.payload(Scene("get", old=False), DOWN, 4)

    def test_a_bit_of_pipelined_files_that_are_put(self):
        self.payload(Scene("put", names="abcdefgh"), UP, 12)

    def test_a_bit_of_pipelined_files_that_are_got(self):
        self.payload(Scene("get", names="abcdefgh"), DOWN, 12)

    def test_a_bit_of_a_large_file_that_is_put(self):
        self.payload(Scene("put", size=3_000_000), UP, 6)

    def test_a_bit_of_a_large_file_that_is_got(self):
        self.payload(Scene("get", size=3_000_000), DOWN, 6)

    def test_a_bit_of_the_lines_of_a_put(self):
        self.control(Scene("put"))

    def test_a_bit_of_the_lines_of_a_get(self):
        self.control(Scene("get"))

    def test_a_bit_of_the_lines_of_a_put_that_could_resume(self):
        self.control(Scene("put", size=1 << 20), 4)

    def test_a_bit_of_the_lines_of_pipelined_files(self):
        self.control(Scene("put", names="ab"), 4)
        self.control(Scene("get", names="ab"), 4)


harness.main()
