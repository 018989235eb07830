"""One file there and back: the shortest way through everything."""

import harness
from harness import TestCase, Raw, noise, sha256


class Basics(TestCase):
    def test_one_file_there_and_back(self):
        data = noise(3_000_000)
        server = self.serve()
        source = self.make("a.bin", data)
        _, err = self.xfer("put", source, f"{server.addr}/")
        self.assertRegex(err, rf"^a\.bin  3\.0 MB  .*sha256 {sha256(data)[:8]}….*  verified\n$")
        self.assertEqual(self.read(server.path("a.bin")), data)
        self.xfer("get", f"{server.addr}/a.bin", self.path("back.bin"))
        self.assertEqual(self.read("back.bin"), data)
        out, _ = self.xfer("ls", f"{server.addr}/")
        self.assertEqual(out, b"a.bin\n")
        self.assertNoLeftovers(server.root)

    def test_by_hand(self):
        server = self.serve()
        with Raw(server.addr) as peer:
            peer.hello()
            peer.send("PUT /b size=5")
            peer.put_body(b"hello")
            self.assertEqual(peer.reply()[0], 201)
            peer.send("GET /b")
            self.assertEqual(peer.reply()[0], 200)
            self.assertEqual(peer.body()[0], b"hello")


harness.main()
