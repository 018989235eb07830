"""The page of `xfer compare --report` in a real browser: it opens from a file without a word of
complaint and without asking anybody for anything, draws what it should, and fits a phone.

XFER_TEST_KEEP keeps a picture of each page, in its widths and colours, to be looked at."""

import base64
import contextlib
import json
import os
import pathlib
import select
import shutil
import subprocess

import harness
from harness import SANITIZED, TestCase, noise, scaled, skip_unless

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = 1280, 390
WRONG = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded",
         "Page.javascriptDialogOpening"}


class Browser:
    """Chromium without a window, told what to do through a pipe (its DevTools protocol)."""

    def __init__(self, profile):
        program = next(filter(shutil.which, BROWSERS), None)
        skip_unless(program, "needs chromium")
        self.from_us, self.to_it = os.pipe()
        self.from_it, self.to_us = os.pipe()
        # It reads from descriptor 3 and writes to 4, whatever ours are. Root and containers have no
        # sandbox for it, and it opens nothing but pages of ours.
        command = [program, "--headless=new", "--remote-debugging-pipe", "--disable-gpu",
                   "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                   "--no-sandbox", f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3<&{self.from_us} 4>&{self.to_us}', "-", *command],
            pass_fds=(self.from_us, self.to_us), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=harness.ENV | {"HOME": profile})
        os.close(self.from_us)
        os.close(self.to_us)
        self.buffer, self.number, self.session, self.events = b"", 0, None, []

    def receive(self):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.from_it], [], [], scaled(60))
            data = os.read(self.from_it, 1 << 16) if ready else b""
            if not data:
                raise AssertionError("the browser is gone" if ready else "the browser is silent")
            self.buffer += data
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to_it, data):]
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self.events.append(answer)

    def attach(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.call(f"{domain}.enable")

    def show(self, path, width, scheme):
        """Opens a page; self.events has what happened meanwhile."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=2 if width < 600 else 1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", media="",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events = []
        self.call("Page.navigate", url=pathlib.Path(path).as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self.receive())
        self.ask("new Promise(requestAnimationFrame)")

    def ask(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def picture(self, path):
        size = self.ask("[innerWidth, Math.min(document.documentElement.scrollHeight, 6000)]")
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True,
                         clip={"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1})
        with open(path, "wb") as f:
            f.write(base64.b64decode(data["data"]))

    def close(self):
        self.session = None
        with contextlib.suppress(AssertionError, OSError):
            self.call("Browser.close")
        harness.end(self.process)
        os.close(self.to_it)
        os.close(self.from_it)


# Distinct colours of each chart that are no shades of grey: what is drawn of data has one.
COLOURS = """[...document.querySelectorAll(".chart")].map(chart => {
    const c = chart.querySelector("canvas"), found = new Set();
    const p = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
    for (let i = 0; i < p.length; i += 4)
        if (p[i + 3] == 255 && Math.max(p[i], p[i+1], p[i+2]) - Math.min(p[i], p[i+1], p[i+2]) > 60)
            found.add(p[i] << 16 | p[i+1] << 8 | p[i+2]);
    return found.size;
})"""

# Words of ladders that stand out of their drawing.
OUTSIDE = """[...document.querySelectorAll(".ladder svg")].flatMap(svg => {
    const box = svg.getBoundingClientRect();
    return [...svg.querySelectorAll("text")].filter(t => {
        const r = t.getBoundingClientRect();
        return r.left < box.left || r.right > box.right || r.top < box.top || r.bottom > box.bottom;
    }).map(t => t.textContent);
})"""


class Page(TestCase):
    def setUp(self):
        super().setUp()
        self.browser = Browser(self.path("profile"))
        self.addCleanup(self.browser.close)
        self.browser.attach()

    def report(self, *args, status=0):
        page = self.path("page.html")
        self.xfer("compare", "--report", page, "-q", *args, status=status)
        return page

    def need_link(self):
        status, text, _ = harness.run("compare", "--check")
        skip_unless(status == 0, f"no emulated link here: {text.decode().splitlines()[0]}")
        skip_unless(not SANITIZED, "sanitizers are no measure of time")

    def check(self, page, charts, words=()):
        for width, scheme in ((DESKTOP, "light"), (PHONE, "light"), (PHONE, "dark")):
            with self.subTest(width=width, scheme=scheme):
                self.browser.show(page, width, scheme)
                self.browser.picture(self.path(f"{width}-{scheme}.png"))
                self.check_quiet(page)
                self.assertLessEqual(self.browser.ask("document.documentElement.scrollWidth"), width)
                colours = self.browser.ask(COLOURS)
                self.assertEqual(len(colours), charts)
                self.assertTrue(all(colours), f"a chart is empty: {colours}")
                self.assertEqual(self.browser.ask(OUTSIDE), [])
        text = self.browser.ask("document.body.innerText")
        for word in words:
            self.assertIn(word, text)
        printed = self.browser.call("Page.printToPDF")["data"]
        self.assertTrue(base64.b64decode(printed).startswith(b"%PDF"))

    def check_quiet(self, page):
        wrong = [e for e in self.browser.events if e.get("method") in WRONG]
        self.assertEqual(wrong, [])
        asked = {e["params"]["request"]["url"] for e in self.browser.events
                 if e.get("method") == "Network.requestWillBeSent"}
        self.assertEqual({url for url in asked if not url.startswith("data:")},
                         {pathlib.Path(page).as_uri()})

    def test_methods(self):
        self.need_link()
        self.check(self.report("--size", "60K", "--rtt", "10ms", "--loss", "3%"), 2,
                   ["udp stop-and-wait", "SYN seq 0", "DATA 1, 1428 bytes", "by chance"])

    def test_failures_and_both_directions(self):
        self.need_link()
        page = self.report("--size", "60K", "--rounds", "1", "--direction", "both", "--corrupt",
                           "8%", "--fix-checksums", "-m", "tcp:nosuch", "-m", "udp", "-m",
                           "udp:blksize=30000,window=30", "-m", "tcp*2", status=5)
        self.browser.show(page, DESKTOP, "light")
        charts = self.browser.ask("document.querySelectorAll('.chart').length")
        self.check(page, charts, ["refused", "nosuch", "failed: digest does not match"])

    def test_sweep(self):
        self.need_link()
        self.check(self.report("--size", "20K", "--sweep", "rtt=1ms,5ms,50ms", "--rounds", "1",
                               "--direction", "both", "-m", "tcp", "-m", "udp"), 2,
                   ["rtt = 1ms, 5ms, 50ms", "predicted"])

    def test_sweep_of_one_method(self):
        self.need_link()
        self.check(self.report("--size", "20K", "--sweep", "blksize=512,1428,8192", "--rounds",
                               "1", "-m", "udp"), 1, ["block size (bytes)", "8192"])

    def test_elsewhere_and_names_that_are_markup(self):
        server = self.serve(write=False)
        name = "<script>alert(1)<!-- \"'&amp;.bin"
        page = self.report(self.make(name, noise(200_000)), f"{server.addr}/<img src=x>/")
        self.check(page, 2, [name, "/<img src=x>/"])


harness.main()
