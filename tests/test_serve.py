"""The server of the examples: what it answers, and what it costs."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import urllib.error
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_nam import datasets
from keras_nam import layers
from keras_nam import models
from keras_nam import tokenizers

EXAMPLES = Path(__file__).parent.parent / "examples"
sys.path.append(str(EXAMPLES))
pytest.importorskip("aiohttp", reason='pip install "keras-nam[serve]"')
load_test = pytest.importorskip("load_test")
serve = pytest.importorskip("serve")
served_model = pytest.importorskip("served_model")

# One worker has the server that they share.
pytestmark = pytest.mark.xdist_group("serve")

VOCABULARY_SIZE = 9
# For whatever is waited for.
PATIENCE = 60


@contextlib.contextmanager
def listening(model, *arguments):
    """The address of a server on a thread of this process, and the server."""
    limits = serve.parse(["", "--port", "0", "--threads", "2", *map(str, arguments)])
    server = serve.Server(model, limits)
    started, stop = threading.Event(), None

    async def run():
        nonlocal stop
        stop = asyncio.Event()
        async with serve.listening(server) as server.address:
            server.loop = asyncio.get_running_loop()
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=[run()], daemon=True)
    thread.start()
    assert started.wait(PATIENCE)
    try:
        yield server.address, server
    finally:
        server.loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)


def ask(url, path, body=None, method="POST"):
    """`(status, answer)` of a request."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    request = urllib.request.Request(url + path, body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            text = response.read()
            return response.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def status(url):
    return ask(url, "/status", method="GET")[1]


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def connect(url, sent=b""):
    """A socket to the server, which has sent some bytes."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), PATIENCE)
    connection.sendall(sent)
    return connection


def read(connection):
    """All that the server sends until it ends the connection."""
    with contextlib.suppress(ConnectionResetError):
        return b"".join(iter(lambda: connection.recv(2**16), b""))
    return b""


class Stub:
    """What the server asks of a model, without one."""

    serve = streams = True

    def __init__(self, answer=b"{}"):
        self.answer = answer
        self.go_on = threading.Event()
        self.go_on.set()
        self.threads = set()

    def predict(self, body):
        self.threads.add(threading.get_ident())
        assert self.go_on.wait(PATIENCE)
        return self.answer

    def start(self, body):
        self.threads.add(threading.get_ident())
        return StubStream(self, int(body or b"100"))


class StubStream:
    def __init__(self, model, size):
        self.step = model.predict
        self.state_bytes, self.answer_bytes = size, 0


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    core = layers.NAM(8, num_heads=2, return_sequences=True)
    model = models.token_tagger(core, VOCABULARY_SIZE, 8)
    path = tmp_path_factory.mktemp("served") / "model"
    models.StreamingModel(model).export(path)
    return path


@pytest.fixture(scope="module")
def model(saved_model):
    return served_model.ServedModel(str(saved_model), 64, 4096, 300_000)


@pytest.fixture(scope="module", params=["greedy", "bytes"])
def language_model(request, tmp_path_factory):
    """A model that takes the best letter or draws bytes, and its folder."""
    core = layers.NAM(8, num_heads=2, decay="head", return_sequences=True)
    draw = keras.initializers.RandomNormal(stddev=2.0)
    tokenizer, temperature = tokenizers.ByteTokenizer(), 1.0
    if request.param == "greedy":
        tokenizer, temperature = tokenizers.CharacterTokenizer([*"abcdefgh"]), 0
    keras.utils.set_random_seed(1)
    model = models.causal_lm(core, tokenizer, 8, embeddings_initializer=draw)
    # No mark of the end, so that texts are as long as asked for.
    end = tokenizer.end_token_id
    if end is not None:
        bias = np.eye(tokenizer.vocabulary_size())[end] * -1e4
        model.get_layer("next_token").bias.assign(bias)
    path = tmp_path_factory.mktemp("served") / request.param
    models.export_causal_lm(model, path, temperature=temperature)
    return model, path


def go_on(url, text, **fields):
    """The text that a server adds, in its pieces."""
    body = json.dumps({"text": text, **fields}).encode()
    request = urllib.request.Request(url + "/generate", body)
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        lines = [json.loads(line) for line in response]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    return [line["text"] for line in lines]


of_letters = pytest.mark.parametrize("language_model", ["greedy"], indirect=True)
of_bytes = pytest.mark.parametrize("language_model", ["bytes"], indirect=True)


def serving(path):
    served = served_model.ServedModel(str(path), 64, 4096, 300_000)
    return listening(served, "--max-sessions", 2)


@of_letters
def test_a_text_is_served_token_by_token(language_model):
    model, path = language_model
    with serving(path) as (url, server):
        for prompt in "ab", "h":
            pieces = go_on(url, prompt, max_new_tokens=30)
            assert len(pieces) == 30
            (expected,) = models.generate(model, [prompt], 30, temperature=0)
            assert prompt + "".join(pieces) == expected
        for body in (
            {"text": 3},
            {},
            {"text": "a", "max_new_tokens": 0},
            {"text": "a", "seed": -1},
            {"text": "a", "more": 1},
        ):
            found, answer = ask(url, "/generate", body)
            assert (found, list(answer)) == (400, ["error"])
        assert ask(url, "/generate", {"text": "a" * 4097})[0] == 413
        assert ask(url, "/predict", {"inputs": [[1]]})[0] == 404
        assert ask(url, "/sessions")[0] == 404

        # Texts that nobody waits for end, and there are not too many of them.
        wait_until(lambda: not server.sessions)
        long = load_test._post("/generate", b'{"text": "a", "max_new_tokens": 4000}')
        first, second = connect(url, long), connect(url, long)
        wait_until(lambda: len(server.sessions) == 2)
        state_bytes = status(url)["session_bytes"]
        assert first.recv(2**12).startswith(b"HTTP/1.1 200")
        assert ask(url, "/generate", {"text": "a"})[0] == 429
        assert status(url)["session_bytes"] == state_bytes
        first.close()
        second.close()
        wait_until(lambda: not server.sessions)
        assert go_on(url, "a", max_new_tokens=1)


@pytest.mark.slow
@of_letters
def test_texts_under_load(language_model):
    _, path = language_model
    model = load_test.Model(str(path), VOCABULARY_SIZE)
    with load_test.running(path, "--threads", 1) as (_, url):
        load = load_test.load(model, url, clients=50, rounds=1, slow=10, hostile=3)
        report = asyncio.run(asyncio.wait_for(load, 2 * PATIENCE))
        assert set(report.answers) >= {200, 400}
        assert set(report.others) <= {"400", "408", "413", "503", "cut off"}
        wait_until(lambda: not status(url)["sessions"])


@pytest.mark.slow
@of_bytes
def test_a_text_of_bytes_is_served_as_it_is_generated(language_model):
    model, path = language_model
    with serving(path) as (url, _):
        text = "h\u00e4" + "".join(go_on(url, "h\u00e4", max_new_tokens=30, seed=5))
        (expected,) = models.generate(model, ["h\u00e4"], 30, seed=5)
        # Characters that are broken are counted in more than one way.
        assert text.replace("\ufffd", "") == expected.replace("\ufffd", "")
        assert ask(url, "/generate", {"text": ""})[0] == 400


@pytest.fixture(scope="module")
def server(model):
    with listening(model) as (url, _):
        yield url


def test_the_program_under_load_until_sigterm(saved_model):
    """Good, slow and hostile clients at once; then SIGTERM with requests under way."""
    import aiohttp

    model = load_test.Model(str(saved_model), VOCABULARY_SIZE)
    body = {"inputs": [[1] * 4000] * 8}
    count = 6

    async def stop_under_load(process, url):
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(url, timeout=timeout) as http:

            async def predict():
                async with http.post("/predict", json=body) as response:
                    return response.status, await response.json()

            tasks = [asyncio.create_task(predict()) for _ in range(count)]
            requests = 0
            while requests < count and not any(task.done() for task in tasks):
                async with http.get("/status") as response:
                    requests = (await response.json())["requests"]
            process.send_signal(signal.SIGTERM)
            return await asyncio.gather(*tasks)

    with load_test.running(saved_model, "--threads", 1) as (process, url):
        idle = status(url)["peak_resident_bytes"]
        load = load_test.load(model, url, clients=10, rounds=1, slow=20, hostile=5)
        report = asyncio.run(asyncio.wait_for(load, 2 * PATIENCE))
        assert set(report.answers) >= {200, 201, 204, 400, 404}
        assert set(report.others) <= {"400", "408", "413", "503", "cut off"}
        last = report.statuses[-1]
        assert last["peak_resident_bytes"] < idle + 2**28
        # Of a machine that may have much else to do.
        assert last["longest_pause_seconds"] < 1
        # Every session was ended, and no request is left.
        wait_until(lambda: not status(url)["requests"])
        assert not status(url)["sessions"]
        assert not status(url)["session_bytes"]

        answers = asyncio.run(asyncio.wait_for(stop_under_load(process, url), PATIENCE))
        assert [status for status, _ in answers] == [200] * count
        assert process.wait(PATIENCE) == 0
        assert "Stopped" in process.stdout.read()
        with pytest.raises(urllib.error.URLError):
            status(url)


@pytest.mark.parametrize("bad", load_test.BAD_REQUESTS, ids=lambda b: str(b)[:60])
def test_bad_requests(server, bad):
    method, path, body, expected = bad
    found, answer = ask(server, path, body, method)
    assert found == expected
    assert list(answer) == ["error"]


@pytest.mark.parametrize("name", load_test.HOSTILE)
def test_hostile_requests_cost_little(server, name):
    tracemalloc.start()
    try:
        with connect(server) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(load_test.HOSTILE[name])
                connection.shutdown(socket.SHUT_WR)
            answer = read(connection)
        # All of this process, the copies of this test among them.
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()
    assert answer[9:12] in (b"", b"400", b"413")
    assert ask(server, "/predict", {"inputs": [[1]]})[0] == 200


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([["1"]], "Expected `int`, got `str` - at `$.inputs[0][0]`"),
        ([[True]], "got `bool`"),
        ([[[1]]], "got `array`"),
        ([1], "Expected `array`, got `int`"),
        ([[2**31]], "<= 2147483647"),
        ([[1, 2], [3]], "equal length"),
        ([[VOCABULARY_SIZE]], "The model cannot take this: indices[0,0] = 9"),
        ({"x" * 1000: [[1]]}, "unknown field `xxx"),
    ],
)
def test_a_refusal_says_why(server, inputs, reason):
    found, answer = ask(server, "/predict", {"inputs": inputs})
    assert found == 400
    assert reason in answer["error"]
    assert len(answer["error"]) < 300


def test_limits_of_a_request(server):
    assert ask(server, "/predict", {"inputs": [[1]] * 65})[0] == 413
    assert ask(server, "/predict", {"inputs": [[1] * 4097]})[0] == 413
    found, answer = ask(server, "/predict", b'{"inputs": [[1]]' + b" " * 2**20 + b"}")
    assert (found, list(answer)) == (413, ["error"])
    found, answer = ask(server, "/predict", {"inputs": {"tokens": [[1, 2]]}})
    assert np.array(answer["outputs"]).shape == (1, 2, VOCABULARY_SIZE)


def test_the_size_of_an_answer_is_known_before_the_model_runs(model, monkeypatch):
    def run(*arguments):
        raise AssertionError("the model ran")

    monkeypatch.setattr(model, "run", run)
    monkeypatch.setattr(model, "max_outputs", 10 * VOCABULARY_SIZE)
    with listening(model) as (url, _):
        step = f"/sessions/{ask(url, '/sessions')[1]['session']}/step"
        for path in "/predict", step:
            found, answer = ask(url, path, {"inputs": [[1] * 11]})
            assert found == 413
            assert "at most 90. Received: 99" in answer["error"]


def test_several_inputs_of_other_types(tmp_path):
    import tensorflow as tf

    class Served(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 2], tf.float16, "x"),
                tf.TensorSpec([None, None], tf.bool, "y"),
            ]
        )
        def __call__(self, x, y):
            return {"x": tf.cast(x, tf.bfloat16) / 2, "y": tf.logical_not(y)}

    served = Served()
    signatures = {"serve": served.__call__.get_concrete_function()}
    tf.saved_model.save(served, str(tmp_path), signatures)
    model = served_model.ServedModel(str(tmp_path), 64, 4096, 300_000)

    def predict(x, y):
        inputs = {"x": x, "y": y}
        return json.loads(model.predict(json.dumps({"inputs": inputs}).encode()))

    answer = predict([[1, 2.5]], [[True, False, False]])
    assert answer == {"outputs": {"x": [[0.5, 1.25]], "y": [[False, True, True]]}}
    for bad in [1], [[1, 2, 3]], [["1", 2]], [[7e4, 1]], [[1, 2], [3, 4]]:
        with pytest.raises(serve.web.HTTPBadRequest):
            predict(bad, [[True]])
    with pytest.raises(serve.web.HTTPBadRequest):
        model.predict(b'{"inputs": [[1, 2]]}')


def test_a_refused_step_leaves_the_session(server):
    _, answer = ask(server, "/sessions")
    path = f"/sessions/{answer['session']}/step"
    _, first = ask(server, path, {"inputs": [[1, 2]], "after": 0})
    assert first["steps"] == 2
    for body, expected in load_test.BAD_STEPS:
        assert ask(server, path, body)[0] == expected
    found, again = ask(server, path, {"inputs": [[3]], "after": 2})
    assert (found, again["steps"]) == (200, 3)
    _, whole = ask(server, "/predict", {"inputs": [[1, 2, 3]]})
    in_pieces = [[*first["outputs"][0], *again["outputs"][0]]]
    np.testing.assert_allclose(in_pieces, whole["outputs"], atol=1e-5)
    assert ask(server, path.removesuffix("/step"), method="DELETE") == (204, None)
    assert ask(server, path, {"inputs": [[1]]})[0] == 404


def test_a_step_can_be_asked_for_again(server):
    path = f"/sessions/{ask(server, '/sessions')[1]['session']}/step"
    first = {"inputs": [[1, 2]], "after": 0}
    answers = [ask(server, path, first) for _ in range(2)]
    answers += [ask(server, path, b'{"after":0,"inputs":[[1,2]]}')]
    assert answers[0][0] == 200
    assert answers == answers[:1] * 3
    # Other inputs are not that step, and an earlier step is not the last.
    assert ask(server, path, {"inputs": [[1, 3]], "after": 0})[0] == 409
    assert ask(server, path, {"inputs": [[3]]})[1]["steps"] == 3
    assert ask(server, path, first)[0] == 409


def test_answers_that_are_kept_give_way_to_states(model):
    step = b'{"inputs": [[1]], "after": 0}'
    stream = model.start(b"{}")
    # Four states and one answer.
    room = 4 * stream.state_bytes + len(stream.step(step)) * 3 // 2
    with listening(model, "--max-session-bytes", room) as (url, _):
        paths = []
        for _ in range(4):
            paths.append(f"/sessions/{ask(url, '/sessions')[1]['session']}/step")
            assert ask(url, paths[-1], step)[0] == 200
            assert status(url)["session_bytes"] <= room
        assert ask(url, paths[-1], step)[0] == 200
        assert ask(url, paths[0], step)[0] == 409
        assert ask(url, "/sessions", {"batch_size": 2})[0] == 429


def test_sessions_are_bounded_and_expire_when_idle():
    with listening(Stub(), "--max-sessions", 2, "--idle-seconds", 2) as (url, _):
        names = [ask(url, "/sessions")[1]["session"] for _ in range(2)]
        found, answer = ask(url, "/sessions")
        assert (found, list(answer)) == (429, ["error"])
        ask(url, f"/sessions/{names[0]}", method="DELETE")
        assert ask(url, "/sessions")[0] == 201
        wait_until(lambda: not status(url)["sessions"])
        assert ask(url, f"/sessions/{names[1]}/step", {"inputs": [[1]]})[0] == 404
        assert ask(url, "/sessions")[0] == 201


def test_sessions_are_bounded_in_bytes():
    with listening(Stub(), "--max-session-bytes", 250) as (url, _):
        assert ask(url, "/sessions", b"200")[0] == 201
        found, answer = ask(url, "/sessions", b"100")
        assert (found, list(answer)) == (429, ["error"])
        assert ask(url, "/sessions", b"50")[0] == 201
        assert status(url)["session_bytes"] == 250


def test_the_model_is_never_asked_on_the_loop():
    stub = Stub()
    with listening(stub) as (url, server):
        step = f"/sessions/{ask(url, '/sessions')[1]['session']}/step"
        for path in "/predict", step:
            assert ask(url, path, {})[0] == 200
        loop = asyncio.run_coroutine_threadsafe(ident(), server.loop).result(PATIENCE)
    assert loop not in stub.threads


async def ident():
    return threading.get_ident()


def test_a_slow_upload_holds_no_slot():
    stub = Stub()
    half = load_test._post("/predict", b"{}", 100)
    arguments = "--max-requests", 1, "--client-seconds", 1
    with listening(stub, *arguments) as (url, _), contextlib.ExitStack() as stack:
        uploads = [stack.enter_context(connect(url, half)) for _ in range(20)]
        assert ask(url, "/predict", {})[0] == 200
        assert ask(url, "/sessions")[0] == 201
        for upload in uploads:
            answer = read(upload)
            assert answer.startswith(b"HTTP/1.1 408")
            assert b'{"error": "A body must arrive in 1.0 seconds"}' in answer


def test_a_body_may_come_in_chunks_of_some_size():
    chunks = b"".join(b"1\r\n%c\r\n" % x for x in b'{"batch": 1}')
    head = load_test._CHUNKED
    with listening(Stub()) as (url, _):
        with connect(url, head + chunks + b"0\r\n\r\n") as connection:
            assert connection.recv(12) == b"HTTP/1.1 200"
        # Not all of it was sent, and the server ends it all the same.
        with connect(url, head + chunks * 100) as connection:
            assert read(connection)[:12] in (b"", b"HTTP/1.1 413")
        # Nor does it wait for a body that nobody asked for.
        with connect(url, head.replace(b"POST", b"GET") + chunks) as connection:
            assert read(connection)[:12] in (b"", b"HTTP/1.1 405")


def test_too_many_requests_at_once():
    stub = Stub()
    with listening(stub, "--max-requests", 1) as (url, server):
        stub.go_on.clear()
        with connect(url, load_test._post("/predict", b"{}")) as first:
            wait_until(lambda: server.requests)
            found, answer = ask(url, "/predict", {})
            assert (found, list(answer)) == (503, ["error"])
            assert status(url)["requests"] == 1
            stub.go_on.set()
            assert first.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: not server.requests)
        assert ask(url, "/predict", {})[0] == 200


def test_connections_are_bounded_and_end_when_nothing_is_asked():
    arguments = "--max-connections", 2, "--client-seconds", 3
    whole, half = (
        b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /status HTTP/1.1\r\n",
    )
    with listening(Stub(), *arguments) as (url, _), contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connect(url, whole)) for _ in range(2)]
        assert [x.recv(2**16)[:12] for x in idle] == [b"HTTP/1.1 200"] * 2
        idle[1].sendall(half)
        with connect(url) as third:
            assert read(third).startswith(b"HTTP/1.1 503")
        assert [read(x) for x in idle] == [b"", b""]
        assert ask(url, "/status", method="GET")[0] == 200


@pytest.mark.parametrize("arguments", [("--client-seconds", 1), ("--max-unsent", 3e7)])
def test_answers_that_nobody_reads_are_dropped(arguments):
    """By their age, or because they are too large together."""
    stub = Stub(bytes(20_000_000))
    arguments = [str(arguments[0]), int(arguments[1])]
    with listening(stub, *arguments) as (url, server), contextlib.ExitStack() as stack:
        sent = load_test._post("/predict", b"{}")
        stack.enter_context(connect(url, sent))
        wait_until(lambda: server.unsent)
        second = stack.enter_context(connect(url, sent))
        wait_until(lambda: len(server.unsent) < 2 and not server.requests)
        assert sum(server.unsent.values()) <= 2e7
        stub.answer = b"{}"
        assert ask(url, "/predict", {})[0] == 200
        second.close()


STUBBED = f"""
import asyncio, sys, time
sys.path.append({str(EXAMPLES)!r})
import serve

class Slow:
    serve, streams = True, False
    def predict(self, body):
        time.sleep({PATIENCE})

limits = serve.parse(["", "--port", "0", *sys.argv[1:]])
asyncio.run(serve.run(serve.Server(Slow(), limits)))
"""


@pytest.mark.parametrize("signals", [1, 2])
def test_the_end_is_bounded(signals):
    """By time after one signal, at once after another; a thread does not matter."""
    seconds = "0.5" if signals == 1 else str(PATIENCE)
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBED, "--shutdown-seconds", seconds],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = process.stdout.readline().split()[-1]
        with connect(url, load_test._post("/predict", b"{}")):
            wait_until(lambda: status(url)["requests"])
            process.send_signal(signal.SIGTERM)
            assert "Finishing" in process.stdout.readline()
            if signals == 2:
                process.send_signal(signal.SIGTERM)
            ended = process.wait(PATIENCE / 2)
        assert ended == -(signal.SIGALRM if signals == 1 else signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_model_of_strings_without_steps(tmp_path):
    core = layers.NAM(8, num_heads=2, return_sequences=True)
    model = models.token_tagger(core, 16, 8)
    models.export_text_model(model, tmp_path, datasets.task_tokenizer("copy"))
    served = served_model.ServedModel(str(tmp_path), 64, 4096, 300_000)
    with listening(served) as (url, _):
        found, answer = ask(url, "/predict", {"inputs": ["_ 1 _ M E", "_1_"]})
        assert found == 200
        assert [len(text.split()) for text in answer["outputs"]] == [5, 3]
        for bad in (["\ud800"], [1], ["_x_"], [["_1_"]], "_1_", []):
            assert ask(url, "/predict", {"inputs": bad})[0] == 400
        assert ask(url, "/predict", {"inputs": ["1" * 4097]})[0] == 413
        assert ask(url, "/sessions")[0] == 404
