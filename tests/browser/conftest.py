"""A real Chromium, driven over its debugging pipe: no driver package, no port."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--remote-debugging-pipe",
)
PATIENCE = 60.0
"""Seconds that a page may take on a busy machine before the test fails."""


class Browser:
    """One tab; every method returns when the browser has answered."""

    def __init__(self, profile: Path) -> None:
        """Start Chromium with a profile of its own, and attach to a fresh tab."""
        self._ours, theirs = os.pipe(), os.pipe()
        self._process = subprocess.Popen(
            [  # the browser reads commands on 3 and writes answers on 4
                "/bin/bash",
                "-c",
                f'exec "$@" 3<&{self._ours[0]} 4>&{theirs[1]}',
                "chromium",
                CHROMIUM,
                *FLAGS,
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            pass_fds=(self._ours[0], theirs[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(self._ours[0])
        os.close(theirs[1])
        self._write, self._read = self._ours[1], theirs[0]
        self._buffer, self._sent = b"", 0
        self._session: str | None = None
        self.said: list[str] = []
        """Everything the page's console, the security log and failed requests said."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and return its result."""
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._sent:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def goto(self, url: str) -> None:
        """Open an address and wait until it is there."""
        with_mark = self._marked()
        self.call("Page.navigate", url=url)
        self._until_changed(with_mark)

    def click(self, selector: str) -> None:
        """Click what the selector finds with a real mouse, and wait for the page that follows."""
        mark = self._marked()
        where = self.evaluate(
            f"(() => {{const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            "return {x: r.x + r.width / 2, y: r.y + r.height / 2};})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **where)
        self._until_changed(mark)

    def fill(self, selector: str, text: str) -> None:
        """Focus a field and type into it."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def keys(self, key: str, until: str | None = None) -> None:
        """Press a key once, or until what has the focus fits a selector."""
        for _ in range(60):
            self._press(key)
            focus = f"document.activeElement.matches({json.dumps(until)})" if until else "true"
            if self.evaluate(focus):
                return
        raise AssertionError(f"{key} never reached {until}")

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def submit(self) -> None:
        """Press Enter in a form, and wait for the page that follows."""
        mark = self._marked()
        self._press("Enter")
        self._until_changed(mark)

    def _press(self, key: str) -> None:
        code = {"Tab": 9, "Enter": 13}[key]
        also = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            told = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", **told, **(also if kind == "keyDown" else {}))

    def text(self, selector: str = "main") -> str:
        """Return what a person reads there."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression; the debugger is not bound by the page's policy."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def screenshot(self, file: Path, width: int = 1280, height: int = 900) -> None:
        """Save the whole page as it looks at this width."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def overflows(self) -> bool:
        """Tell whether the page has to be scrolled sideways."""
        return self.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )

    def scheme(self, name: str) -> None:
        """Prefer the light or the dark scheme."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def without_scripts(self) -> None:
        """Turn JavaScript off for the pages that follow."""
        self.call("Emulation.setScriptExecutionDisabled", value=True)

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._write)
        os.close(self._read)

    def _marked(self) -> float:
        return self.evaluate("performance.timeOrigin")

    def _until_changed(self, mark: float) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            state = self.evaluate("[performance.timeOrigin, document.readyState]")
            if state[0] != mark and state[1] == "complete":
                return
            select.select([self._read], [], [], 0.02)  # an event may come; then look again
        raise AssertionError(f"no new page came within {PATIENCE} s")

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], PATIENCE)
            assert ready, "Chromium does not answer"
            chunk = os.read(self._read, 1 << 16)
            assert chunk, "Chromium ended"
            self._buffer += chunk
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        self._listen(message)
        return message

    def _listen(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        match message.get("method"):
            case "Log.entryAdded":
                self.said.append(told["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Audits.issueAdded":
                self.said.append(json.dumps(told))
            case "Network.requestWillBeSent":
                self.requested.append(told["request"]["url"])
            case _:
                pass

    @property
    def requested(self) -> list[str]:
        """Return every address the browser asked for."""
        return self.__dict__.setdefault("_requested", [])


@pytest.fixture
def browser() -> Generator[Browser]:
    """Give a real Chromium with an empty profile; skip where there is none."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip("no Chromium at /usr/bin/chromium; apt-get install chromium")
    profile = Path(tempfile.mkdtemp(prefix="staid-chromium-"))
    started = Browser(profile)
    try:
        yield started
    finally:
        started.close()
        shutil.rmtree(profile, ignore_errors=True)
