"""Debian's headless Chromium, driven over two pipes by its DevTools protocol.

    with Browser() as b:
        page = b.open("/path/report.html")
        page.eval("document.title"), page.click("th button"), page.type("input", "anna")
        page.errors, page.requests, page.screenshot("/path/page.png")

What the page logs as an error or a warning, an exception of its script, and
whatever the browser has against it are in page.errors; every address that was
asked for is in page.requests.  A browser that does not answer is a failure.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PROGRAMS = ["chromium-headless-shell", "chromium"]
LIMIT = 240  # seconds for one answer: the machine may be busy with other things
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage --disable-extensions --remote-debugging-pipe""".split()


class Browser:
    def __init__(self):
        self.program = next((p for p in map(shutil.which, PROGRAMS) if p), None)
        if self.program is None:
            raise AssertionError("there is no Chromium: scripts/setup installs it")
        self.home = tempfile.mkdtemp(prefix="mhb", dir="/tmp")
        self.log = open(os.path.join(self.home, "log"), "w+b")
        to_read, self.to = os.pipe()
        self.answers, from_write = os.pipe()
        # it reads from 3 and writes to 4; the copies above that are out of the way
        a, b = os.dup(to_read), os.dup(from_write)
        while min(a, b) <= 4:
            a, b = os.dup(a), os.dup(b)
        command = f'exec "$@" 3<&{a} 4>&{b}'
        environment = {"PATH": os.environ["PATH"], "HOME": self.home, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", command, "sh", self.program, *FLAGS, f"--user-data-dir={self.home}/data"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=environment, pass_fds=(a, b), start_new_session=True,
        )
        for fd in {to_read, from_write, a, b}:
            os.close(fd)
        self.buffer, self.number, self.events = b"", 0, []

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        os.close(self.to)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.answers)
        self.log.close()
        shutil.rmtree(self.home, True)

    def receive(self, deadline):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.answers], [], [], max(0, deadline - time.monotonic()))
            more = os.read(self.answers, 1 << 20) if ready else b""
            if not more:
                self.log.seek(0)
                raise AssertionError("Chromium does not answer:\n" + self.log.read().decode("utf-8", "replace"))
            self.buffer += more
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        deadline = time.monotonic() + LIMIT
        while (answer := self.receive(deadline)).get("id") != self.number:
            self.events.append(answer)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def wait(self, method, session):
        deadline = time.monotonic() + LIMIT
        while not any(e.get("method") == method and e.get("sessionId") == session for e in self.events):
            self.events.append(self.receive(deadline))

    def open(self, path, width=1280, height=900):
        target = self.call("Target.createTarget", url="about:blank", width=width, height=height)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable", session)
        self.events.clear()
        self.call("Page.navigate", session, url="file://" + path)
        self.wait("Page.loadEventFired", session)
        return Page(self, session)


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session
        self.seen = []

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def eval(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, expression):
        """The value, once it is one: what a click sets off may take a moment."""
        deadline = time.monotonic() + LIMIT
        while not (value := self.eval(expression)):
            if time.monotonic() > deadline:
                raise AssertionError(f"{expression} stays {value!r}")
            time.sleep(0.05)
        return value

    def click(self, selector):
        """A real click in the middle of the first element that fits."""
        x, y = self.eval(
            f"""(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{ block: "center" }});
            const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, selector, text):
        """Replaces what is in a field."""
        self.eval(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select(); }})()")
        if text:
            self.call("Input.insertText", text=text)
        else:
            for kind in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key="Delete", code="Delete", windowsVirtualKeyCode=46)

    def _events(self):
        self.eval("0")  # all of before have come with its answer
        self.seen += [e for e in self.browser.events if e.get("sessionId") == self.session]
        self.browser.events.clear()
        return self.seen

    @property
    def errors(self):
        bad = []
        for e in self._events():
            method, p = e.get("method"), e.get("params", {})
            if method == "Runtime.exceptionThrown":
                bad.append(p["exceptionDetails"])
            elif method == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
                bad.append(p["args"])
            elif method == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
                bad.append(p["entry"])
            elif method == "Page.javascriptDialogOpening":
                bad.append(p)
        return bad

    @property
    def requests(self):
        return [e["params"]["request"]["url"] for e in self._events() if e.get("method") == "Network.requestWillBeSent"]

    def screenshot(self, path):
        self.call("Emulation.setScrollbarsHidden", hidden=True)
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def pdf(self):
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])
