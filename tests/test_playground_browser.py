"""The page of the examples in a real browser: by keyboard, on a phone, with errors."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
sys.path.append(str(EXAMPLES))
aiohttp = pytest.importorskip("aiohttp", reason='pip install "keras-nam[serve]"')
test_utils = pytest.importorskip("aiohttp.test_utils")
playground = pytest.importorskip("playground")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="apt-get install chromium"),
]
PATIENCE = 60


class Browser:
    """A page of a headless Chromium, through its DevTools protocol."""

    def __init__(self, socket):
        self.socket, self.numbers = socket, itertools.count(1)

    async def send(self, method, **arguments):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": arguments}
        await self.socket.send_json(message)
        while True:
            answer = await self.socket.receive_json(timeout=PATIENCE)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    async def value(self, script):
        result = await self.send(
            "Runtime.evaluate", expression=script, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def wait_for(self, script):
        for _ in range(10 * PATIENCE):
            if await self.value(script):
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"{script} never came: {await self.value(TEXT)}")

    async def press(self, key):
        text = {"Enter": "\r", " ": " "}.get(key)
        extra = {} if text is None else {"text": text}
        for kind in ("keyDown", "keyUp"):
            await self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=KEYS[key],
                **(extra if kind == "keyDown" else {}),
            )

    async def write(self, text):
        await self.value('document.getElementById("question").select()')
        await self.send("Input.insertText", text=text)
        await self.press("Enter")

    async def screenshot(self, path):
        shot = await self.send("Page.captureScreenshot")
        path.write_bytes(base64.b64decode(shot["data"]))


KEYS = {"Enter": 13, "Tab": 9, " ": 32, "ArrowRight": 39, "ArrowDown": 40, "Home": 36}
TEXT = "document.body.innerText"
ANSWER = 'document.getElementById("answer").textContent'
SLIDER = '+document.getElementById("slider").value'
FOCUS = "document.activeElement.id"


@contextlib.asynccontextmanager
async def browsing(folder):
    server = test_utils.TestServer(playground.application())
    await server.start_server()
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        [*command, "about:blank"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        port = Path(folder, "DevToolsActivePort")
        for _ in range(10 * PATIENCE):
            if port.exists() and port.read_text().count("\n"):
                break
            await asyncio.sleep(0.1)
        address = f"http://127.0.0.1:{port.read_text().split()[0]}/json"
        async with aiohttp.ClientSession() as session:
            async with session.get(address) as answer:
                pages = json.loads(await answer.text())
            (page,) = (page for page in pages if page["type"] == "page")
            async with session.ws_connect(page["webSocketDebuggerUrl"]) as socket:
                browser = Browser(socket)
                await browser.send("Page.navigate", url=str(server.make_url("/")))
                await browser.wait_for('document.getElementById("question")?.value')
                yield browser
    finally:
        process.terminate()
        process.wait(PATIENCE)
        await server.close()


async def visit(folder, shots):
    async with browsing(folder) as browser:
        # The keyboard alone: machine, question, answer, play, slider.
        await browser.value('document.getElementById("preset").focus()')
        names = await browser.value("[...preset.options].map((o) => o.value)")
        for _ in range(names.index("reverse")):
            await browser.press("ArrowDown")
        assert await browser.value('document.getElementById("preset").value') == (
            "reverse"
        )
        await browser.press("Tab")
        assert await browser.value(FOCUS) == "question"
        await browser.write("20261")
        await browser.wait_for(f'{ANSWER} === "16202"')
        await browser.wait_for(f"{SLIDER} > 1")
        for _ in range(2):
            await browser.press("Tab")
        assert await browser.value(FOCUS) == "play"
        await browser.press(" ")
        await browser.press("Tab")
        assert await browser.value(FOCUS) == "slider"
        await browser.press("Home")
        assert await browser.value(SLIDER) == 0
        for _ in range(9):
            await browser.press("ArrowRight")
        assert await browser.value(SLIDER) == 9
        row = await browser.value('document.getElementById("tokens").textContent')
        assert row == "_20261_162MME"
        assert await browser.value('document.querySelectorAll(".read").length') == 2
        await browser.screenshot(shots / "wide.png")

        # A phone scrolls rows, not the page.
        await browser.send(
            "Emulation.setDeviceMetricsOverride",
            width=360,
            height=740,
            deviceScaleFactor=1,
            mobile=True,
        )
        assert await browser.value("document.documentElement.scrollWidth") == 360
        await browser.screenshot(shots / "phone.png")

        for wrong in ("", "12x", "<img src=x onerror=alert(1)>"):
            await browser.write(wrong)
            await browser.wait_for(f'{ANSWER}.includes("Received")')
            assert await browser.value('document.getElementById("machine").hidden')
        # Longer than what is shown step by step.
        await browser.write("12" * 300)
        await browser.wait_for(f'{ANSWER} === "21".repeat(300)')
        assert await browser.value("document.documentElement.scrollWidth") == 360


def test_the_page_in_a_browser(tmp_path):
    shots = Path(os.environ.get("SCREENSHOTS", tmp_path))
    asyncio.run(visit(tmp_path / "profile", shots))
