"""A headless Chromium, told what to do through a pipe, in the words of the Chrome DevTools Protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

from llmgate.record.environment import for_programs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["QUIET", "Page", "find_browser", "open_page"]

QUIET: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
WAIT_S: Final = 60.0


def find_browser() -> str | None:
    """A Chromium on PATH, None without."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


class Page:
    """One page of a browser.

    Args:
        commands: File descriptor to write to.
        answers: File descriptor to read from.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self.commands, self.answers = commands, answers
        self.number, self.rest = 0, b""
        self.session: str | None = None

    def send(self, method: str, **params: Any) -> Any:
        """A command, and what came of it; events that come in between are dropped.

        Raises:
            RuntimeError: If the browser refuses it, or does not answer.
        """
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            while b"\0" in self.rest:
                text, _, self.rest = self.rest.partition(b"\0")
                answer = json.loads(text)
                if answer.get("id") == self.number:
                    if "error" in answer:
                        raise RuntimeError(f"{method}: {answer['error']}")
                    return answer["result"]
            if select.select([self.answers], [], [], 1)[0]:
                if not (data := os.read(self.answers, 1 << 20)):
                    break
                self.rest += data
        raise RuntimeError(f"the browser did not answer {method}")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        done = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(f"{script}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def text(self) -> str:
        """What a reader sees."""
        return str(self.run("document.body ? document.body.innerText : ''"))

    def wait_for(self, script: str) -> Any:
        """The first value of an expression that is true in JavaScript's sense.

        Raises:
            RuntimeError: If none comes; with what the page shows.
        """
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            if value := self.run(script):
                return value
            time.sleep(0.05)
        raise RuntimeError(f"{script} did not become true on a page that says:\n{self.text()[:2000]}")

    def click(self, script: str) -> None:
        """Click the element that an expression gives, once it is there; it may still be on its way over the page."""
        self.wait_for(f"!!({script})")
        self.run(f"({script}).click()")

    def focus(self, script: str) -> None:
        """Go to a field, once it is there and lets itself be gone to."""
        self.wait_for(f"(e => {{ if (e) e.focus(); return !!e && document.activeElement === e }})({script})")

    def fill(self, script: str, text: str) -> None:
        """Type into an empty field until it has the text; a dialog that is still opening takes the focus away again.

        Raises:
            RuntimeError: If it never has it.
        """
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            self.focus(script)
            self.send("Input.insertText", text=text)
            if self.run(f"({script}).value") == text:
                return
            time.sleep(0.2)
        raise RuntimeError(f"{script} does not take {text!r}")

    def press(self, key: str, code: int) -> None:
        """Press a key that is no letter."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path) -> None:
        """Save what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


@contextlib.contextmanager
def open_page(browser: str, url: str, profile: Path) -> Iterator[Page]:
    """A page in a browser that ends with the block."""
    theirs_in, commands = os.pipe()
    answers, theirs_out = os.pipe()
    # The browser expects the pipes at 3 and 4, wherever they are here.
    script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    command = [
        "bash", "-c", script, "browser", browser, *QUIET, "--remote-debugging-pipe", "--window-size=1400,900",
        f"--user-data-dir={profile}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=for_programs(), start_new_session=True,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        page = Page(commands, answers)
        target = page.send("Target.createTarget", url=url)["targetId"]
        page.session = page.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        yield page
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(commands)
        os.close(answers)
