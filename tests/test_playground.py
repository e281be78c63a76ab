"""The page of the examples: what its server answers and refuses."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from keras_nam import models

EXAMPLES = Path(__file__).parent.parent / "examples"
sys.path.append(str(EXAMPLES))
test_utils = pytest.importorskip(
    "aiohttp.test_utils", reason='pip install "keras-nam[serve]"'
)
playground = pytest.importorskip("playground")


def talk(*requests):
    """`(status, content)` of every request `(method, path, body)`."""

    async def run():
        server = test_utils.TestServer(playground.application())
        async with test_utils.TestClient(server) as client:
            answers = []
            for method, path, body in requests:
                how = {"json": body} if isinstance(body, dict) else {"data": body}
                answer = await client.request(method, path, **how)
                is_json = answer.content_type == "application/json"
                content = await (answer.json() if is_json else answer.text())
                answers.append((answer.status, content))
            return answers

    return asyncio.run(run())


def question(preset, text):
    return "POST", "/ask", {"preset": preset, "question": text}


def test_the_page_needs_nothing_but_the_server():
    ((status, page), (_, presets)) = talk(("GET", "/", None), ("GET", "/presets", None))
    assert status == 200
    assert not re.findall(r"""https?://|src=|href=|import\b""", page)
    assert list(presets) == models.list_presets()
    # What stands in the field at first is a question.
    for name, entry in presets.items():
        assert models.from_preset(name).answer(entry["question"])


def test_heads_are_shown_step_by_step():
    ((status, answer), (_, long)) = talk(
        question("reverse", "1203"), question("reverse", "12" * 100)
    )
    assert status == 200
    assert answer["answer"] == "3021"
    assert answer["tokens"] == list("_1203_MMMME")
    assert "".join(answer["answers"]) == "3021"
    for tape in answer["tapes"]:
        assert {len(tape[name]) for name in tape} == {11}
        assert max(tape["read"] + tape["write"]) < answer["cells"]
        assert all(0 <= gate <= 1 for gate in tape["read_gate"] + tape["write_gate"])
    # One tape is read where its digit was written.
    assert any(
        [tape["read"][6 + i] for i in range(4)]
        == [tape["write"][4 - i] for i in range(4)]
        for tape in answer["tapes"]
    )
    assert long == {"answer": "21" * 100}


def test_bad_requests_are_refused():
    bad = [
        question("reverse", ""),
        question("reverse", "1 2"),
        question("reverse", "<b>"),
        question("reverse", 7),
        question("reverse", None),
        question("reverse", "1" * 5000),
        question("../reverse", "1"),
        question(None, "1"),
        question(["reverse"], "1"),
        ("POST", "/ask", {"preset": "reverse"}),
        ("POST", "/ask", {"preset": "reverse", "question": "1", "more": 1}),
        ("POST", "/ask", b"["),
        ("POST", "/ask", b"\xff"),
        ("POST", "/ask", b"3"),
        ("POST", "/ask", b""),
    ]
    for request, (status, content) in zip(bad, talk(*bad), strict=True):
        assert status == 400, request
        assert set(content) == {"error"}, request
    ((status, _), (missing, _), (wrong, _)) = talk(
        ("POST", "/ask", b"1" * 2**17), ("GET", "/x", None), ("GET", "/ask", None)
    )
    assert (status, missing, wrong) == (413, 404, 405)
