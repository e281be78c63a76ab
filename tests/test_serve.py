"""The server of the examples, as a process of its own under a load of good and bad."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from keras_nam import datasets
from keras_nam import layers
from keras_nam import models

EXAMPLES = Path(__file__).parent.parent / "examples"
sys.path.append(str(EXAMPLES))
load_test = pytest.importorskip("load_test", reason='pip install "keras-nam[serve]"')

VOCABULARY_SIZE = 9


@contextlib.contextmanager
def running(path, *arguments, cwd=None):
    """A server on a free port: the process and its address."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, str(EXAMPLES / "serve.py"), str(path), "--port", "0"]
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=path,
    )
    try:
        found = re.fullmatch(r"Listening on (http://\S+)\n", process.stdout.readline())
        assert found, "the server did not start"
        yield process, found.group(1)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(url, path, body=None, method="POST"):
    """`(status, answer)` of a request."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    request = urllib.request.Request(url + path, body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read()
            return response.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    core = layers.NAM(8, num_heads=2, return_sequences=True)
    model = models.token_tagger(core, VOCABULARY_SIZE, 8)
    path = tmp_path_factory.mktemp("served") / "model"
    models.StreamingModel(model).export(path)
    return path


@pytest.fixture(scope="module")
def server(saved_model):
    with running(saved_model, "--max-sessions", 400) as (_, url):
        yield url


def test_fifty_clients(server, saved_model):
    model = load_test.Model(str(saved_model), VOCABULARY_SIZE)
    counts, _ = asyncio.run(load_test.load(model, server, clients=50, rounds=1))
    assert set(counts) >= {200, 201, 204, 400, 404}
    assert 500 not in counts
    # Every session was ended, and no request is left.
    assert ask(server, "/status", method="GET")[1] == {
        "status": "ready",
        "sessions": 0,
        "requests": 0,
    }


@pytest.mark.parametrize("bad", load_test.BAD_REQUESTS, ids=lambda b: str(b)[:60])
def test_bad_requests(server, bad):
    method, path, body, status = bad
    found, answer = ask(server, path, body, method)
    assert found == status
    assert list(answer) == ["error"]


def test_limits_of_a_request(server):
    assert ask(server, "/predict", {"inputs": [[1]] * 65})[0] == 413
    assert ask(server, "/predict", {"inputs": [[1] * 4097]})[0] == 413
    status, answer = ask(server, "/predict", b'{"inputs": [[1]]' + b" " * 2**20 + b"}")
    assert (status, list(answer)) == (413, ["error"])
    status, answer = ask(server, "/predict", {"inputs": [[VOCABULARY_SIZE]]})
    assert status == 400
    assert "model" in answer["error"]
    status, answer = ask(server, "/predict", {"inputs": {"tokens": [[1, 2]]}})
    assert np.array(answer["outputs"]).shape == (1, 2, VOCABULARY_SIZE)
    assert ask(server, "/predict", {"inputs": {"words": [[1]]}})[0] == 400


def test_a_refused_step_leaves_the_session(server):
    _, answer = ask(server, "/sessions")
    path = f"/sessions/{answer['session']}/step"
    _, first = ask(server, path, {"inputs": [[1, 2]], "after": 0})
    assert first["steps"] == 2
    for body, status in load_test.BAD_STEPS:
        assert ask(server, path, body)[0] == status
    status, again = ask(server, path, {"inputs": [[3]], "after": 2})
    assert (status, again["steps"]) == (200, 3)
    _, whole = ask(server, "/predict", {"inputs": [[1, 2, 3]]})
    in_pieces = [[*first["outputs"][0], *again["outputs"][0]]]
    np.testing.assert_allclose(in_pieces, whole["outputs"], atol=1e-5)
    assert ask(server, path.removesuffix("/step"), method="DELETE") == (204, None)
    assert ask(server, path, {"inputs": [[1]]})[0] == 404


def test_sessions_are_bounded_and_expire_when_idle(saved_model):
    with running(saved_model, "--max-sessions", 2, "--idle-seconds", 3) as (_, url):
        names = [ask(url, "/sessions")[1]["session"] for _ in range(2)]
        status, answer = ask(url, "/sessions")
        assert (status, list(answer)) == (429, ["error"])
        ask(url, f"/sessions/{names[0]}", method="DELETE")
        assert ask(url, "/sessions")[0] == 201
        # Until both others are gone, however long this machine takes.
        for _ in range(600):
            if not ask(url, "/status", method="GET")[1]["sessions"]:
                break
            time.sleep(0.1)
        assert ask(url, f"/sessions/{names[1]}/step", {"inputs": [[1]]})[0] == 404
        assert ask(url, "/sessions")[0] == 201


def test_sigterm_finishes_the_requests_under_way(saved_model):
    import aiohttp

    body = {"inputs": [[1] * 4000] * 8}
    count = 6

    async def stop_under_load(process, url):
        async with aiohttp.ClientSession(url) as http:

            async def predict():
                async with http.post("/predict", json=body) as response:
                    return response.status, await response.json()

            tasks = [asyncio.create_task(predict()) for _ in range(count)]
            while True:
                async with http.get("/status") as response:
                    if (await response.json())["requests"] == count:
                        break
            process.send_signal(signal.SIGTERM)
            answers = await asyncio.gather(*tasks)
        return answers

    with running(saved_model, "--threads", 1) as (process, url):
        answers = asyncio.run(stop_under_load(process, url))
        assert [status for status, _ in answers] == [200] * count
        assert process.wait(timeout=60) == 0
        assert "Stopped" in process.stdout.read()
        with pytest.raises(urllib.error.URLError):
            ask(url, "/status", method="GET")


def test_too_many_requests_at_once_and_no_stream(saved_model, tmp_path):
    """A model of strings, without steps, behind a server that is kept busy."""
    core = layers.NAM(8, num_heads=2, return_sequences=True)
    model = models.token_tagger(core, 16, 8)
    models.export_text_model(model, tmp_path / "text", datasets.text_codec("copy"))
    with running(tmp_path / "text", "--max-requests", 0) as (_, url):
        assert ask(url, "/predict", {"inputs": ["_1_ME"]})[0] == 503
        assert ask(url, "/status", method="GET")[0] == 200
    with running(tmp_path / "text") as (_, url):
        status, answer = ask(url, "/predict", {"inputs": ["_ 1 _ M E", "_1_"]})
        assert status == 200
        assert [len(text.split()) for text in answer["outputs"]] == [5, 3]
        for bad in (["\ud800"], [1], ["_x_"], [["_1_"]], "_1_", []):
            assert ask(url, "/predict", {"inputs": bad})[0] == 400
        assert ask(url, "/predict", {"inputs": ["1" * 4097]})[0] == 413
        assert ask(url, "/sessions")[0] == 404
