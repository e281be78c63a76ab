"""Serves an exported model over HTTP: whole sequences, and streams that go on.

    python examples/serve.py streaming_model --port 8000

The model is a SavedModel of `keras_nam.models.StreamingModel.export`; one with the
endpoint `serve` alone, as of `model.export`, answers whole sequences, and one of
`keras_nam.models.export_causal_lm` goes on with texts. What it needs is
in `pip install "keras-nam[serve]"` and TensorFlow, keras_nam is not.

    POST /predict                {"inputs": [[10, 1, 2]]}  -> {"outputs": [...]}
    POST /sessions               {"batch_size": 1}         -> {"session": "..."}
    POST /sessions/SESSION/step  {"inputs": [[3]]}         -> {"outputs", "steps"}
    DELETE /sessions/SESSION
    POST /generate               {"text": "to be "}        -> {"text", "done"} ...
    GET /status

Inputs are rows of equal length, or an object of them by name if a model has several. A
session keeps the states of the model between its steps; "steps" counts the time steps
(or pieces of text) that it has taken. A client that sends "after": STEPS beside its
inputs is refused (409) unless the session stands there. If it never saw the answer to
such a step, it sends the same again: the last step of a session gets the same answer,
and is not a second one.

The text that goes on, up to "max_new_tokens" and with a "seed" if there is one, is sent
as it comes: a line of JSON for each piece, the last of which is "done". What is kept of
it meanwhile are the states of the model, which count as a session.

What is wrong with a request is said in JSON, {"error": "..."}, with a status below 500;
a step that was refused leaves its session as it was. A full server answers 429 (too
many sessions) or 503 (too many requests or connections at once). SIGTERM ends the
server after the requests that it has begun, or when their time is up; a second one ends
it at once.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import uuid
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web


class Session:
    """A stream of a client."""

    def __init__(self, stream):
        self.stream = stream
        # Steps of one session wait for each other, in the order of their arrival.
        self.lock = asyncio.Lock()
        self.last_used = 0.0


class Server:
    """The routes, and what they share.

    Args:
        model: A `ServedModel`.
        limits: The arguments of the command line.
    """

    def __init__(self, model, limits):
        self.model, self.limits = model, limits
        # The one that was not used for the longest time comes first.
        self.sessions = {}
        self.requests = 0
        # Bytes of the answers that clients have not taken yet, by their connection.
        self.unsent = {}
        self.longest_pause = 0.0
        self.pool = ThreadPoolExecutor(limits.threads)

    def application(self):
        application = web.Application(middlewares=[self.answer_in_json])
        application.add_routes(
            [
                web.get("/status", self.status),
                web.post("/predict", self.predict),
                web.post("/sessions", self.start),
                web.post("/sessions/{session}/step", self.step),
                web.delete("/sessions/{session}", self.end),
                web.post("/generate", self.generate),
            ]
        )
        application.cleanup_ctx.append(self.watch)
        return application

    async def status(self, request):
        streams = [session.stream for session in self.sessions.values()]
        # Kibibytes on Linux.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return web.json_response(
            {
                "status": "ready",
                "sessions": len(streams),
                "session_bytes": sum(s.state_bytes + s.answer_bytes for s in streams),
                "requests": self.requests,
                "longest_pause_seconds": self.longest_pause,
                "peak_resident_bytes": peak,
            }
        )

    async def predict(self, request):
        self.check("serve", "`serve`: export it with model.export")
        body = await self.receive(request)
        with self.slot():
            return _json(await self.work(self.model.predict, body))

    async def start(self, request):
        self.check_streams()
        body = await self.receive(request)
        with self.slot():
            self.check_room()
            session = Session(await self.work(self.model.start, body))
        # Others may have started one meanwhile, and now its size is known.
        self.check_room(session.stream.state_bytes)
        name = uuid.uuid4().hex
        self.use(name, session)
        return web.json_response({"session": name, "steps": 0}, status=201)

    async def step(self, request):
        self.check_streams()
        body = await self.receive(request)
        name, session = self.find(request)
        with self.slot():
            async with session.lock:
                if self.sessions.get(name) is not session:
                    raise web.HTTPNotFound(text="The session was ended")
                try:
                    answer = await self.work(session.stream.step, body)
                finally:
                    if name in self.sessions:
                        self.use(name, session)
        self.forget_old_answers()
        return _json(answer)

    async def end(self, request):
        self.check_streams()
        name, _ = self.find(request)
        del self.sessions[name]
        return web.Response(status=204)

    async def generate(self, request):
        self.check("next", "`next`: export it with export_causal_lm")
        body = await self.receive(request)
        with self.slot():
            self.check_room()
            text = await self.work(self.model.go_on, body)
        self.check_room(text.state_bytes)
        name, session = uuid.uuid4().hex, Session(text)
        self.use(name, session)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        try:
            async with asyncio.timeout(self.limits.client_seconds):
                await response.prepare(request)
            while text.left:
                # Texts take turns, for each waits for its next token alone.
                line = await self.work(text.next)
                self.use(name, session)
                if line:
                    async with asyncio.timeout(self.limits.client_seconds):
                        await response.write(line)
            await response.write_eof()
        except ConnectionError:
            pass
        except Exception as error:
            # What was sent cannot be taken back; there will be no last line.
            if not isinstance(error, TimeoutError):
                logging.exception("%s %s", request.method, request.path)
            request.transport.abort()
        finally:
            self.sessions.pop(name, None)
        return response

    # What a client has to do in time, and what it costs meanwhile.

    async def receive(self, request):
        """The body of a request. Its client holds no slot until it is here."""
        if not request.body_exists:
            return b""
        body, chunks, most = bytearray(), 0, self.limits.max_body
        try:
            async with asyncio.timeout(self.limits.client_seconds):
                async for piece, ends_chunk in request.content.iter_chunks():
                    body += piece
                    # Tiny chunks cost more than they carry.
                    chunks += ends_chunk
                    if len(body) > most or chunks > 1000:
                        raise web.HTTPRequestEntityTooLarge(
                            most, text=f"The most are {most} bytes and 1000 chunks"
                        )
            return bytes(body)
        except TimeoutError:
            raise web.HTTPRequestTimeout(
                text=f"A body must arrive in {self.limits.client_seconds} seconds"
            ) from None

    @web.middleware
    async def answer_in_json(self, request, handler):
        """Sends what a handler returns, or what went wrong as JSON."""
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _error(error)
        except web.RequestPayloadError as error:
            response = _error(web.HTTPBadRequest(text=f"The body: {error!s:.200}"))
        except ConnectionError:
            # The client went away before all of its request was here.
            return web.Response(status=400)
        except Exception:
            logging.exception("%s %s", request.method, request.path)
            response = _error(
                web.HTTPInternalServerError(text="The server failed at this request")
            )
        if request.transport is not None and not response.prepared:
            await self.send(request, response)
            if "Transfer-Encoding" in request.headers and not request.content.is_eof():
                # The rest of a body of known length is read, so that its client sees
                # the answer. That of others may be all in tiny chunks.
                request.protocol.force_close()
        return response

    async def send(self, request, response):
        """Sends an answer to a client that may be slow to take it."""
        transport = request.transport
        # All has left this process once it is written.
        transport.set_write_buffer_limits(0)
        self.unsent[transport] = len(response.body or b"")
        while sum(self.unsent.values()) > self.limits.max_unsent:
            # The greediest client gives way.
            greediest = max(self.unsent, key=self.unsent.get)
            del self.unsent[greediest]
            greediest.abort()
        try:
            async with asyncio.timeout(self.limits.client_seconds):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            transport.abort()
        except ConnectionError:
            pass
        finally:
            self.unsent.pop(transport, None)

    # What the server does for all at once.

    @contextlib.contextmanager
    def slot(self):
        """The right to use the model."""
        if self.requests >= self.limits.max_requests:
            raise web.HTTPServiceUnavailable(
                text="Too many requests at once", headers={"Retry-After": "1"}
            )
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    async def work(self, function, *arguments):
        """Runs a function on a thread, off the loop that answers requests."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, function, *arguments)

    def check(self, name, endpoint):
        if not getattr(self.model, name, None):
            raise web.HTTPNotFound(text=f"The model has no {endpoint}")

    def check_streams(self):
        self.check("streams", "`step`: export it with StreamingModel.export")

    def check_room(self, size=0):
        size += sum(s.stream.state_bytes for s in self.sessions.values())
        if len(self.sessions) >= self.limits.max_sessions:
            raise web.HTTPTooManyRequests(
                text=f"There are {self.limits.max_sessions} sessions, the most"
            )
        if size > self.limits.max_session_bytes:
            raise web.HTTPTooManyRequests(
                text=f"All sessions may have {self.limits.max_session_bytes} bytes"
            )

    def forget_old_answers(self):
        """Lets the answers that sessions keep have what their states leave."""
        streams = [session.stream for session in self.sessions.values()]
        size = sum(s.state_bytes + s.answer_bytes for s in streams)
        for stream in streams:
            if size <= self.limits.max_session_bytes:
                break
            size -= stream.answer_bytes
            stream.forget()

    def find(self, request):
        name = request.match_info["session"]
        if name not in self.sessions:
            raise web.HTTPNotFound(
                text="There is no such session; an idle one ends by itself"
            )
        return name, self.sessions[name]

    def use(self, name, session):
        session.last_used = _now()
        self.sessions.pop(name, None)
        self.sessions[name] = session

    async def watch(self, application):
        """Ends idle sessions, and measures for how long the loop did not run."""

        async def beat():
            while True:
                start = _now()
                await asyncio.sleep(0.01)
                self.longest_pause = max(self.longest_pause, _now() - start - 0.01)
                self.drop_idle_sessions()

        task = asyncio.create_task(beat())
        yield
        task.cancel()
        self.pool.shutdown(wait=False, cancel_futures=True)

    def drop_idle_sessions(self):
        while self.sessions:
            name, session = next(iter(self.sessions.items()))
            idle = _now() - session.last_used
            if session.lock.locked() or idle < self.limits.idle_seconds:
                break
            del self.sessions[name]


class Refuse(asyncio.Protocol):
    """Turns away a connection beyond the most that there may be."""

    def connection_made(self, transport):
        body = b'{"error": "Too many connections"}'
        transport.write(
            b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nRetry-After: 1\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        transport.close()


def _now():
    return asyncio.get_running_loop().time()


def _json(body):
    return web.Response(body=body, content_type="application/json")


def _error(error):
    headers = {k: v for k, v in error.headers.items() if k in ("Allow", "Retry-After")}
    # As bytes, of which the length is known.
    response = _json(json.dumps({"error": error.text or error.reason}).encode())
    response.set_status(error.status)
    response.headers.update(headers)
    return response


@contextlib.asynccontextmanager
async def listening(server):
    """The server's address while it listens; at the end, it finishes what it began."""
    limits = server.limits
    runner = web.AppRunner(
        server.application(),
        access_log=None,
        auto_decompress=False,
        # Also how long a client may take for the head of its request.
        keepalive_timeout=limits.client_seconds,
        # For the rest of a body that was refused, so that its client reads why.
        lingering_time=limits.client_seconds / 2,
        # What a client can make the server keep of the head of a request.
        max_line_size=2048,
        max_field_size=2048,
        max_headers=64,
        # And of its body at once: this, or so many bytes / 16 in chunks.
        read_bufsize=2**12,
        shutdown_timeout=limits.shutdown_seconds,
    )
    await runner.setup()

    def connect():
        full = len(runner.server.connections) >= limits.max_connections
        return Refuse() if full else runner.server()

    loop = asyncio.get_running_loop()
    # The loop takes so many new connections at once, and does nothing else meanwhile.
    listener = await loop.create_server(connect, limits.host, limits.port, backlog=128)
    host, port = listener.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        listener.close()
        await runner.cleanup()


async def run(server):
    """Serves until a signal says to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = signal.SIGTERM, signal.SIGINT
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    async with listening(server) as address:
        print(f"Listening on {address}", flush=True)
        await stop.wait()
        # From here on the system ends the process, whatever a thread is doing: at the
        # next signal, or when the time is up.
        for number in signals:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, server.limits.shutdown_seconds)
        print("Finishing the requests under way", flush=True)
    print("Stopped", flush=True)


def parse(arguments=None):
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("saved_model")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=8000, help="0 takes a free one")
    add("--max-batch", type=int, default=64, help="rows of a request")
    add("--max-length", type=int, default=4096, help="steps of a row")
    add("--max-outputs", type=int, default=300_000, help="numbers in an answer")
    add("--max-body", type=int, default=2**18, help="bytes of a request")
    add("--max-sessions", type=int, default=1000)
    add("--max-session-bytes", type=int, default=2**28, help="of all sessions")
    add("--max-requests", type=int, default=200, help="at once")
    add("--max-connections", type=int, default=800)
    add("--max-unsent", type=int, default=2**27, help="bytes of waiting answers")
    add("--client-seconds", type=float, default=10.0, help="to send and to read")
    add("--idle-seconds", type=float, default=600.0, help="of a session")
    add("--shutdown-seconds", type=float, default=30.0)
    add("--threads", type=int, default=os.cpu_count(), help="that run the model")
    return parser.parse_args(arguments)


def main():
    limits = parse()
    # TensorFlow takes seconds to import, which `--help` need not wait for.
    import gc

    from served_model import ServedModel

    model = ServedModel(
        limits.saved_model, limits.max_batch, limits.max_length, limits.max_outputs
    )
    # Python would search all of TensorFlow for garbage, and stop the loop meanwhile.
    gc.collect()
    gc.freeze()
    # Clients that send no HTTP, or break off, are not worth a line each.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    asyncio.run(run(Server(model, limits)))


if __name__ == "__main__":
    main()
