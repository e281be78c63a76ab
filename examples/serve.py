"""Serves an exported model over HTTP: whole sequences, and streams that go on.

    python examples/serve.py streaming_model --port 8000

The model is a SavedModel of `keras_nam.models.StreamingModel.export`; one with the
endpoint `serve` alone, as of `model.export`, answers whole sequences. TensorFlow and
aiohttp are needed (`pip install "keras-nam[serve]"`), keras_nam is not.

    POST /predict                {"inputs": [[10, 1, 2]]}  -> {"outputs": [...]}
    POST /sessions               {"batch_size": 1}         -> {"session": "..."}
    POST /sessions/SESSION/step  {"inputs": [[3]]}         -> {"outputs", "steps"}
    DELETE /sessions/SESSION
    GET /status

Inputs are rows of equal length, or an object of them by name if a model has several. A
session keeps the states of the model between its steps; "steps" counts the time steps
(or pieces of text) that it has taken. A client that sends "after": STEPS beside its
inputs is refused (409) unless the session stands there, so that a request can be
repeated safely.

What is wrong with a request is said in JSON, {"error": "..."}, with a status below 500;
a step that was refused leaves its session as it was. A full server answers 429 (too
many sessions) or 503 (too many requests at once). SIGTERM ends the server after the
requests that it has begun.
"""

import argparse
import asyncio
import concurrent.futures
import json
import logging
import os
import signal
import uuid

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from aiohttp import web


class Refusal(Exception):
    """A request that cannot be granted, with the HTTP status that says why."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class ServedModel:
    """The endpoints of a SavedModel, from JSON to JSON."""

    def __init__(self, path, max_batch, max_length):
        self.loaded = tf.saved_model.load(path)
        signatures = self.loaded.signatures
        if "serve" not in signatures:
            raise SystemExit(f"{path} has no endpoint `serve`: {sorted(signatures)}")
        self.serve = signatures["serve"]
        self.step = signatures.get("step")
        self.initial_state = signatures.get("initial_state")
        self.streams = None not in (self.step, self.initial_state)
        self.max_batch, self.max_length = max_batch, max_length
        self.inputs = _arguments(self.serve)

    def read(self, inputs):
        """What a client sent, as checked arrays by name."""
        if not isinstance(inputs, dict):
            if len(self.inputs) != 1:
                raise Refusal(
                    400, f'"inputs" must be an object with {sorted(self.inputs)}'
                )
            inputs = {next(iter(self.inputs)): inputs}
        if inputs.keys() != self.inputs.keys():
            raise Refusal(
                400, f"Inputs are {sorted(self.inputs)}. Received: {sorted(inputs)}"
            )
        arrays = {
            name: self._array(name, inputs[name], spec)
            for name, spec in self.inputs.items()
        }
        if len({array.shape[0] for array in arrays.values()}) != 1:
            raise Refusal(400, "All inputs must have the same number of rows")
        return arrays

    def predict(self, inputs):
        arrays = self.read(inputs)
        return json.dumps({"outputs": _outputs(_run(self.serve, arrays))})

    def start(self, batch_size):
        return self.initial_state(batch_size=tf.constant(batch_size))

    def advance(self, inputs, steps, state):
        """`(answer, steps, state)` after the inputs."""
        arrays = self.read(inputs)
        rows = {array.shape[0] for array in arrays.values()}
        batch_size = next(iter(state.values())).shape[0]
        if rows != {batch_size}:
            raise Refusal(
                400, f"The session has {batch_size} rows. Received: {max(rows)} rows"
            )
        results = _run(self.step, {**arrays, **state})
        state = {name: results.pop(name) for name in state}
        shape = next(iter(arrays.values())).shape
        steps += shape[1] if len(shape) > 1 else 1
        answer = json.dumps({"outputs": _outputs(results), "steps": steps})
        return answer, steps, state

    def _array(self, name, value, spec):
        try:
            array = np.array(value, object if spec.dtype == tf.string else None)
        except ValueError as error:
            message = f"Input '{name}' must have rows of equal length"
            raise Refusal(400, message) from error
        shape, expected = list(array.shape), list(spec.shape)
        if not _fits(shape, expected):
            raise Refusal(
                400,
                f"Input '{name}' must have the shape {expected}, where null is any "
                f"size. Received: {shape}",
            )
        if 0 in shape:
            raise Refusal(400, f"Input '{name}' is empty. Received: shape {shape}")
        if shape[0] > self.max_batch:
            raise Refusal(
                413, f"At most {self.max_batch} rows. Received: {shape[0]} rows"
            )
        typed = _typed(name, array, spec.dtype)
        lengths = map(len, typed.flat) if spec.dtype == tf.string else shape[1:2]
        if max(lengths, default=0) > self.max_length:
            raise Refusal(413, f"Rows of input '{name}' may be {self.max_length} long")
        return typed


def _fits(shape, expected):
    return len(shape) == len(expected) and all(
        known in (None, size) for size, known in zip(shape, expected, strict=True)
    )


def _typed(name, array, dtype):
    """The array in the dtype of an input, if no number changes by that."""
    if dtype == tf.string:
        if not all(isinstance(text, str) for text in array.flat):
            raise Refusal(400, f"Input '{name}' must hold strings")
        try:
            return np.vectorize(str.encode, [object])(array)
        except UnicodeEncodeError as error:
            raise Refusal(400, f"Input '{name}' must hold Unicode text") from error
    typed = None
    if array.dtype.kind in ("iu" if dtype.is_integer else "iuf"):
        typed = array.astype(dtype.as_numpy_dtype)
        good = typed == array if dtype.is_integer else np.isfinite(typed)
    if typed is None or not good.all():
        raise Refusal(400, f"Input '{name}' must hold numbers of type {dtype.name}")
    # An embedding would count them from its end.
    if dtype.is_integer and (typed < 0).any():
        raise Refusal(400, f"Input '{name}' must hold tokens, which are not negative")
    return typed


def _arguments(signature):
    _, arguments = signature.structured_input_signature
    return dict(sorted(arguments.items()))


def _run(signature, tensors):
    try:
        return signature(**{k: tf.convert_to_tensor(v) for k, v in tensors.items()})
    except tf.errors.InvalidArgumentError as error:
        # The line before the one that names nodes of the graph.
        reason = error.message.split("[[")[0].strip().splitlines()[-1]
        raise Refusal(400, f"The model cannot take this: {reason}") from error


def _outputs(results):
    """Tensors by name as lists, or one list if there is one."""
    lists = {}
    for name, tensor in results.items():
        array = tensor.numpy()
        if array.dtype == object:
            array = np.vectorize(lambda text: text.decode("utf-8", "replace"))(array)
        elif array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArithmeticError(f"output '{name}' of the model is not finite")
        lists[name] = array.tolist()
    return lists if len(lists) > 1 else next(iter(lists.values()))


class Session:
    """The states of one stream."""

    def __init__(self, state, now):
        self.state = state
        self.steps = 0
        # Steps of one session wait for each other, in the order of their arrival.
        self.lock = asyncio.Lock()
        self.under_way = 0
        self.last_used = now


class Server:
    """The routes, and what they share."""

    def __init__(self, model, arguments):
        self.model = model
        self.max_sessions = arguments.max_sessions
        self.max_requests = arguments.max_requests
        self.idle_seconds = arguments.idle_seconds
        self.sessions = {}
        self.starting = 0
        self.requests = 0
        self.pool = concurrent.futures.ThreadPoolExecutor(arguments.threads)

    def application(self, max_body):
        application = web.Application(
            middlewares=[self.answer_in_json], client_max_size=max_body
        )
        application.add_routes(
            [
                web.get("/status", self.status),
                web.post("/predict", self.predict),
                web.post("/sessions", self.start),
                web.post("/sessions/{session}/step", self.step),
                web.delete("/sessions/{session}", self.end),
            ]
        )
        application.cleanup_ctx.append(self.expire_sessions)
        return application

    @web.middleware
    async def answer_in_json(self, request, handler):
        """Counts requests under way, and turns what went wrong into JSON."""
        if request.path != "/status" and self.requests >= self.max_requests:
            return _error(503, "Too many requests at once", {"Retry-After": "1"})
        self.requests += 1
        try:
            return await handler(request)
        except Refusal as refusal:
            return _error(refusal.status, str(refusal))
        except web.HTTPException as error:
            headers = {k: v for k, v in error.headers.items() if k == "Allow"}
            return _error(error.status, error.text or error.reason, headers)
        except Exception:
            logging.exception("%s %s", request.method, request.path)
            return _error(500, "The server failed to answer this request")
        finally:
            self.requests -= 1

    async def status(self, request):
        # This request is one of those under way.
        counts = {"sessions": len(self.sessions), "requests": self.requests - 1}
        return web.json_response({"status": "ready", **counts})

    async def predict(self, request):
        body = await _read(request, {"inputs"})
        # Long answers are written on the thread as well.
        answer = await self.work(self.model.predict, body["inputs"])
        return web.json_response(text=answer)

    async def start(self, request):
        self.check_streams()
        body = await _read(request, {"batch_size"}, {"batch_size": 1})
        batch_size = body["batch_size"]
        most = self.model.max_batch
        if type(batch_size) is not int or not 1 <= batch_size <= most:
            raise Refusal(400, f'"batch_size" must be an integer from 1 to {most}')
        self.drop_idle_sessions()
        if len(self.sessions) + self.starting >= self.max_sessions:
            raise Refusal(429, f"There are {self.max_sessions} sessions, the most")
        self.starting += 1
        try:
            state = await self.work(self.model.start, batch_size)
        finally:
            self.starting -= 1
        name = uuid.uuid4().hex
        self.sessions[name] = Session(state, self.now())
        return web.json_response({"session": name, "steps": 0}, status=201)

    async def step(self, request):
        name, session = self.find(request)
        session.under_way += 1
        try:
            body = await _read(request, {"inputs", "after"}, {"after": None})
            async with session.lock:
                if self.sessions.get(name) is not session:
                    raise Refusal(404, "The session was ended")
                if body["after"] not in (None, session.steps):
                    raise Refusal(409, f"The session stands after {session.steps}")
                answer, session.steps, session.state = await self.work(
                    self.model.advance, body["inputs"], session.steps, session.state
                )
        finally:
            session.under_way -= 1
            session.last_used = self.now()
        return web.json_response(text=answer)

    async def end(self, request):
        name, _ = self.find(request)
        del self.sessions[name]
        return web.Response(status=204)

    def check_streams(self):
        if not self.model.streams:
            raise Refusal(
                404, "The model has no `step`: export it with StreamingModel.export"
            )

    def find(self, request):
        self.check_streams()
        self.drop_idle_sessions()
        name = request.match_info["session"]
        if name not in self.sessions:
            raise Refusal(404, "There is no such session; an idle one ends by itself")
        return name, self.sessions[name]

    async def work(self, function, *arguments):
        """Runs a function on a thread, off the loop that answers requests."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, function, *arguments)

    def now(self):
        return asyncio.get_running_loop().time()

    def drop_idle_sessions(self):
        oldest = self.now() - self.idle_seconds
        for name, session in list(self.sessions.items()):
            if not session.under_way and session.last_used < oldest:
                del self.sessions[name]

    async def expire_sessions(self, application):
        async def expire():
            while True:
                await asyncio.sleep(min(self.idle_seconds, 10.0))
                self.drop_idle_sessions()

        task = asyncio.create_task(expire())
        yield
        task.cancel()
        self.pool.shutdown()


async def _read(request, known, defaults=None):
    """The JSON object of a request, with defaults for what it leaves out."""
    try:
        text = await request.text()
        # What stands outside of JSON's own rules, as NaN, is no number here.
        body = json.loads(text, parse_constant=_refuse_constant) if text else {}
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body must be JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refusal(400, "The body must be a JSON object")
    if body.keys() - known:
        raise Refusal(400, f"Unknown: {sorted(body.keys() - known)}")
    body = {**(defaults or {}), **body}
    if known - body.keys():
        raise Refusal(400, f"Missing: {sorted(known - body.keys())}")
    return body


def _refuse_constant(name):
    raise ValueError(f"{name} is not a JSON number")


def _error(status, message, headers=None):
    return web.json_response({"error": message}, status=status, headers=headers)


async def run(server, arguments):
    runner = web.AppRunner(
        server.application(arguments.max_body),
        access_log=None,
        shutdown_timeout=arguments.shutdown_seconds,
    )
    await runner.setup()
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    site = web.TCPSite(runner, arguments.host, arguments.port)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(f"Listening on http://{host}:{port}", flush=True)
    await stop.wait()
    print("Finishing the requests under way", flush=True)
    await runner.cleanup()
    print("Stopped", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("saved_model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--max-batch", type=int, default=64, help="rows of a request")
    parser.add_argument("--max-length", type=int, default=4096, help="steps of a row")
    parser.add_argument("--max-body", type=int, default=2**20, help="bytes")
    parser.add_argument("--max-sessions", type=int, default=1000)
    parser.add_argument("--max-requests", type=int, default=200, help="at once")
    parser.add_argument("--idle-seconds", type=float, default=600.0)
    parser.add_argument("--shutdown-seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    model = ServedModel(
        arguments.saved_model, arguments.max_batch, arguments.max_length
    )
    asyncio.run(run(Server(model, arguments), arguments))


if __name__ == "__main__":
    main()
