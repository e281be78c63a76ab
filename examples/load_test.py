"""Puts load on a server of `serve.py` and checks every answer.

    python examples/load_test.py streaming_model --clients 50 --slow 200 --hostile 20

It starts a server of its own, unless the address of one is given with `--url`. Good
clients ask for whole sequences, feed streams in random pieces, repeat steps as if their
connection had broken, step one session all at once, and send requests that must be
refused. Beside them, slow clients let their requests trickle or do not read what they
asked for, and hostile ones send what should cost the server much.

Of a language model, which has to be exported with `temperature=0`, they ask for texts,
and close some of them halfway.

Every answer to a good client is compared with the model run here, from the same folder.
Needs TensorFlow and aiohttp.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import aiohttp
import numpy as np
import tensorflow as tf

TOLERANCE = 1e-4
BAD_REQUESTS = (
    ("POST", "/predict", b"{not json", 400),
    ("POST", "/predict", b"[1, 2]", 400),
    ("POST", "/predict", b"{}", 400),
    ("POST", "/predict", b'{"inputs": 3}', 400),
    ("POST", "/predict", b'{"inputs": [[1, 2], [3]]}', 400),
    ("POST", "/predict", b'{"inputs": [[1.5]]}', 400),
    ("POST", "/predict", b'{"inputs": [[NaN]]}', 400),
    ("POST", "/predict", b'{"inputs": [["a"]]}', 400),
    ("POST", "/predict", b'{"inputs": [[null]]}', 400),
    ("POST", "/predict", b'{"inputs": [[-1]]}', 400),
    ("POST", "/predict", b'{"inputs": [[99999999999]]}', 400),
    ("POST", "/predict", b'{"inputs": [[]]}', 400),
    ("POST", "/predict", b'{"inputs": [[1]], "more": 1}', 400),
    ("POST", "/predict", b"[" * 100_000, 400),
    ("GET", "/predict", b"", 405),
    ("GET", "/nowhere", b"", 404),
    ("POST", "/sessions", b'{"batch_size": 0}', 400),
    ("POST", "/sessions", b'{"batch_size": "one"}', 400),
    ("POST", "/sessions/unknown/step", b'{"inputs": [[1]]}', 404),
    ("DELETE", "/sessions/unknown", b"", 404),
)
# Of a language model.
BAD_TEXTS = (
    ("POST", "/generate", b"{not json", 400),
    ("POST", "/generate", b'{"text": 3}', 400),
    ("POST", "/generate", b'{"text": "a", "max_new_tokens": 0}', 400),
    ("POST", "/generate", b'{"text": "\\ud800"}', 400),
    ("POST", "/predict", b'{"inputs": [[1]]}', 404),
    ("POST", "/sessions", b"{}", 404),
)
BAD_STEPS = (
    (b"{", 400),
    (b'{"inputs": [[1], [2]]}', 400),
    (b'{"inputs": [1]}', 400),
    (b'{"inputs": [[-1]]}', 400),
    (b'{"inputs": [[1]], "after": 1000000}', 409),
)


def _post(path, body, length=None):
    """A request as bytes, of which the head may promise more than there is."""
    head = f"POST {path} HTTP/1.1\r\nHost: server\r\nContent-Length: "
    return f"{head}{len(body) if length is None else length}\r\n\r\n".encode() + body


def _inputs(rows):
    return _post("/predict", json.dumps({"inputs": rows}).encode())


_CHUNKED = (
    b"POST /predict HTTP/1.1\r\nHost: server\r\nTransfer-Encoding: chunked\r\n\r\n"
)
# What hostile clients send. The server must refuse each, or end the connection.
HOSTILE = {
    "a long string": _inputs([["a" * 200_000]]),
    "strings of two lengths": _inputs([["a" * 90_000] + ["b"] * 10_000]),
    "deep nesting": _post("/predict", b'{"inputs": ' + b"[" * 100_000),
    "many rows": _inputs([[1]] * 40_000),
    "empty rows": _inputs([[]] * 60_000),
    "many names": _post("/predict", json.dumps(dict.fromkeys(range(20_000))).encode()),
    "NaN": _post("/predict", b'{"inputs": [[1, NaN]]}'),
    "infinity": _post("/predict", b'{"inputs": [[1e999, -Infinity]]}'),
    "a long number": _inputs([[10**4000]]),
    "10 MB": _post("/predict", b" " * 10**7),
    "10 MB in chunks": _CHUNKED + (b"10000\r\n" + b" " * 2**16 + b"\r\n") * 153,
    "tiny chunks": _CHUNKED + b"1\r\n \r\n" * 200_000,
    "broken chunks": _CHUNKED + b"zz\r\n",
    "a long answer": _inputs([[1] * 1_500] * 64),
    "a long head": b"GET /status HTTP/1.1\r\nX: " + b"x" * 10**6,
    "no HTTP": b"\x16\x03\x01" + bytes(300),
    "half a body, closed": _post("/predict", b'{"inputs": [[', 100_000),
}


@contextlib.contextmanager
def running(path, *arguments):
    """A server of its own on a free port: `(process, address)`."""
    script = Path(__file__).with_name("serve.py")
    command = [sys.executable, str(script), str(path), "--port", "0"]
    process = subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    try:
        # A process that ends without a line closes its output.
        line = process.stdout.readline()
        found = re.fullmatch(r"Listening on (http://\S+)\n", line)
        if not found:
            raise RuntimeError(f"the server did not start: {line}")
        yield process, found.group(1)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Model:
    """The exported model, run in this process."""

    def __init__(self, path, vocabulary_size):
        # The functions of a model do not keep its weights alive.
        self.loaded = tf.saved_model.load(path)
        self.vocabulary_size = vocabulary_size
        self.generates = "generate" in self.loaded.signatures

    def check(self, tokens, outputs):
        if self.generates:
            (text,) = self.loaded.generate(tf.constant([tokens]), *outputs[1:])["texts"]
            if tokens + outputs[0] != text.numpy().decode():
                raise AssertionError(f"{tokens!r} goes on as {text}, not {outputs[0]}")
            return
        expected = self.loaded.serve(tf.constant(tokens, tf.int32)).numpy()
        outputs = np.array(outputs)
        if outputs.shape != expected.shape:
            raise AssertionError(f"shape {outputs.shape}, not {expected.shape}")
        difference = np.abs(outputs - expected).max()
        if difference > TOLERANCE:
            raise AssertionError(f"outputs are off by {difference}")


class Client:
    """A good client, with random numbers of its own."""

    def __init__(self, http, report, model, seed):
        self.http, self.report, self.model = http, report, model
        self.random = random.Random(seed)

    async def run(self, rounds):
        for _ in range(rounds):
            tasks = [self.whole, self.stream, self.crowd, self.bad, self.bad]
            if self.model.generates:
                tasks = [self.text, self.closed, self.bad]
            self.random.shuffle(tasks)
            for task in tasks:
                await task()

    async def whole(self):
        tokens = self.tokens(self.random.randint(1, 4), self.random.randint(1, 40))
        answer = await self.ask("POST", "/predict", {"inputs": tokens})
        self.report.outputs.append((tokens, answer["outputs"]))

    async def stream(self):
        """A sequence in pieces, with refused and repeated steps in between."""
        rows, length = self.random.randint(1, 3), self.random.randint(1, 25)
        tokens = self.tokens(rows, length)
        path = await self.start(rows)
        outputs, at = [], 0
        while at < length:
            piece = self.random.randint(1, 6)
            if self.random.random() < 0.3:
                # With two rows, the second of these has the right shape.
                body, status = self.random.choice(BAD_STEPS)
                if not (rows == 2 and b"[1], [2]" in body):
                    await self.refused("POST", f"{path}/step", body, status)
            inputs = [row[at : at + piece] for row in tokens]
            step = "POST", f"{path}/step", {"inputs": inputs, "after": at}
            if self.random.random() < 0.3:
                # A connection that breaks before, during or after the step.
                patience = self.random.random() * 0.05
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.ask(*step), patience)
            answer = await self.ask(*step)
            at = min(at + piece, length)
            if answer["steps"] != at:
                raise AssertionError(f"after {answer['steps']} steps, not {at}")
            outputs.append(np.array(answer["outputs"]))
        self.report.outputs.append((tokens, np.concatenate(outputs, axis=1)))
        await self.ask("DELETE", path, status=204)
        await self.refused("POST", f"{path}/step", b'{"inputs": [[1]]}', 404)

    async def text(self):
        """A text that goes on, piece by piece."""
        text = "".join(self.random.choices("abcdefgh", k=self.random.randint(1, 30)))
        count = self.random.randint(1, 40)
        pieces = [line["text"] async for line in self.lines(text, count)]
        if len(pieces) < count / 4:
            raise AssertionError(f"{count} tokens came in {len(pieces)} pieces")
        self.report.outputs.append((text, ("".join(pieces), count, 0)))

    async def closed(self):
        """A text of which no more is wanted after some pieces."""
        left = self.random.randint(0, 5)
        async with contextlib.aclosing(self.lines("a", 1000)) as lines:
            async for _ in lines:
                left -= 1
                if left < 0:
                    break

    async def lines(self, text, count):
        body, start = {"text": text, "max_new_tokens": count}, time.perf_counter()
        while True:
            async with self.http.post("/generate", json=body) as response:
                self.report.answers[response.status] += 1
                if response.status == 200:
                    line = {"done": False}
                    async for piece in response.content:
                        self.report.seconds.append(time.perf_counter() - start)
                        line, start = json.loads(piece), time.perf_counter()
                        yield line
                    if not line["done"]:
                        raise AssertionError(f"the text {text!r} was cut off")
                    return
                if response.status not in (429, 503):
                    raise AssertionError(f"{body} gave {response.status}")
            await asyncio.sleep(0.1)

    async def crowd(self):
        """Steps of one session that are all sent at once take place in some order."""
        path = await self.start(1)
        tokens = self.tokens(1, 6)[0]

        async def step(token):
            answer = await self.ask("POST", f"{path}/step", {"inputs": [[token]]})
            return answer["steps"], token, answer["outputs"][0][0]

        answers = sorted(await asyncio.gather(*map(step, tokens)))
        if [steps for steps, _, _ in answers] != list(range(1, len(tokens) + 1)):
            raise AssertionError("steps of one session ran at the same time")
        in_order = [[token for _, token, _ in answers]]
        self.report.outputs.append((in_order, [[outputs for *_, outputs in answers]]))
        await self.ask("DELETE", path, status=204)

    async def bad(self):
        bad = BAD_TEXTS if self.model.generates else BAD_REQUESTS
        await self.refused(*self.random.choice(bad))

    async def start(self, rows):
        answer = await self.ask("POST", "/sessions", {"batch_size": rows}, 201)
        return f"/sessions/{answer['session']}"

    async def refused(self, method, path, body, status):
        answer = await self.send(method, path, status, data=body)
        if set(answer) != {"error"} or not answer["error"]:
            raise AssertionError(f"{method} {path} {body[:50]}: no error in {answer}")

    async def ask(self, method, path, body=None, status=200):
        return await self.send(method, path, status, json=body)

    async def send(self, method, path, status, **body):
        while True:
            start = time.perf_counter()
            async with self.http.request(method, path, **body) as response:
                answer = await response.json() if response.status != 204 else None
            self.report.seconds.append(time.perf_counter() - start)
            self.report.answers[response.status] += 1
            if response.status == status:
                return answer
            if response.status != 503:
                raise AssertionError(
                    f"{method} {path} {str(body)[:80]} gave {response.status}, not "
                    f"{status}: {answer}"
                )
            # A full server has done nothing yet.
            await asyncio.sleep(0.1)

    def tokens(self, rows, length):
        size = self.model.vocabulary_size
        return [
            [self.random.randrange(size) for _ in range(length)] for _ in range(rows)
        ]


class Nuisance:
    """A client that costs the server more than it should, until it is cancelled."""

    def __init__(self, url, report, model, seed):
        self.address = urlsplit(url).hostname, urlsplit(url).port
        self.report = report
        self.path = b"/generate" if model.generates else b"/predict"
        self.random = random.Random(seed)

    async def run(self, attack):
        while True:
            try:
                reader, writer = await asyncio.open_connection(*self.address)
                try:
                    await attack(reader, writer)
                finally:
                    writer.transport.abort()
            except OSError:
                self.report.others["cut off"] += 1

    async def slow(self, reader, writer):
        """A byte now and then, or a request and no eyes for its answer."""
        kind = self.random.choice(["head", "body", "body", "body", "unread"])
        if kind == "unread":
            text = json.dumps({"text": "a", "max_new_tokens": 1000}).encode()
            whole = _inputs([[1] * 500] * 4), _post("/generate", text)
            writer.write(whole[self.path == b"/generate"])
            await asyncio.sleep(10 + 10 * self.random.random())
            return
        path = "/status" if kind == "head" else "/predict"
        sent = _post(path, b'{"inputs": [[1]]}' + b" " * 1000)
        sent = sent.replace(b"/predict", self.path)
        at = sent.index(b"Host" if kind == "head" else b"inputs")
        writer.write(sent[:at])
        answer = asyncio.create_task(self.read(f"a slow {kind}", reader))
        try:
            while not answer.done():
                await asyncio.sleep(0.2 + 0.4 * self.random.random())
                writer.write(sent[at : at + 1])
                at += 1
        finally:
            answer.cancel()
            await answer

    async def hostile(self, reader, writer):
        name, sent = self.random.choice(list(HOSTILE.items()))
        writer.write(sent.replace(b"/predict", self.path))
        if "closed" in name or self.random.random() < 0.1:
            writer.write_eof()
        await self.read(name, reader)
        await asyncio.sleep(self.random.random() * 0.2)

    async def read(self, name, reader):
        """Counts how the server refuses this."""
        line = await reader.readline()
        status = line.decode().split(" ")[1] if line else "cut off"
        if status[0] == "2" or status == "500":
            raise AssertionError(f"{name} gave {status}")
        self.report.others[status] += 1


class Report:
    """What was seen: of good clients, of others, and of the server."""

    def __init__(self):
        self.outputs, self.seconds, self.probes = [], [], []
        self.answers, self.others = collections.Counter(), collections.Counter()
        self.statuses = []

    def print(self):
        print("good clients, by status:", dict(sorted(self.answers.items())))
        print("the others, by status:", dict(sorted(self.others.items())))
        for what, seconds in ("an answer", self.seconds), ("/status", self.probes):
            median, slow = np.quantile(seconds, [0.5, 0.99]) * 1e3
            print(f"{what} took {median:.0f} ms (median), {slow:.0f} ms (99 %)")
        pause = self.statuses[-1]["longest_pause_seconds"] * 1e3
        print(f"the server's loop paused for {pause:.0f} ms at most")
        before, after = (self.statuses[i]["peak_resident_bytes"] for i in (0, -1))
        print(f"the server had {after >> 20} MiB at most, {before >> 20} before")


async def load(model, url, clients, rounds, slow=0, hostile=0, seed=0):
    """Runs all clients until the good ones are done, and checks their answers."""
    report = Report()
    # The server keeps idle connections for longer.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as http:

        async def probe():
            while True:
                start = time.perf_counter()
                async with http.get("/status") as response:
                    report.statuses.append(await response.json())
                report.probes.append(time.perf_counter() - start)
                await asyncio.sleep(0.05)

        others = [asyncio.create_task(probe())]
        for i in range(slow + hostile):
            nuisance = Nuisance(url, report, model, f"{seed}/other/{i}")
            attack = nuisance.slow if i < slow else nuisance.hostile
            others.append(asyncio.create_task(nuisance.run(attack)))
        good = [
            Client(http, report, model, f"{seed}/{i}").run(rounds)
            for i in range(clients)
        ]
        await asyncio.gather(*good)
        for task in others:
            task.cancel()
        for ended in await asyncio.gather(*others, return_exceptions=True):
            if not isinstance(ended, asyncio.CancelledError):
                raise ended
    # Afterwards, because the model would make this loop wait.
    for tokens, outputs in report.outputs:
        model.check(tokens, outputs)
    return report


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("saved_model")
    parser.add_argument("--url", help="of a running server")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--slow", type=int, default=200)
    parser.add_argument("--hostile", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--vocabulary-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model = Model(arguments.saved_model, arguments.vocabulary_size)
    with contextlib.ExitStack() as stack:
        url = arguments.url
        if url is None:
            _, url = stack.enter_context(running(arguments.saved_model))
        start = time.perf_counter()
        try:
            report = asyncio.run(
                load(
                    model,
                    url,
                    arguments.clients,
                    arguments.rounds,
                    arguments.slow,
                    arguments.hostile,
                    arguments.seed,
                )
            )
        except (AssertionError, aiohttp.ClientError) as error:
            sys.exit(f"FAILED: {error}")
    duration = time.perf_counter() - start
    print(
        f"{arguments.clients} good clients, {arguments.slow} slow and "
        f"{arguments.hostile} hostile ones, {len(report.seconds)} answers in "
        f"{duration:.1f} s"
    )
    report.print()
    print("every answer was that of the model run here")


if __name__ == "__main__":
    main()
