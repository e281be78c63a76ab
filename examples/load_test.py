"""Puts load on a server of `serve.py` and checks every answer.

    python examples/serve.py streaming_model --port 8000 &
    python examples/load_test.py streaming_model http://127.0.0.1:8000 --clients 50

The clients ask for whole sequences, feed streams in random pieces, step one session
all at once, and send requests that must be refused. Every answer is compared with the
model run here, from the same folder. Needs TensorFlow and aiohttp.
"""

import argparse
import asyncio
import collections
import os
import random
import sys
import time

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
BAD_STEPS = (
    (b"{", 400),
    (b'{"inputs": [[1], [2]]}', 400),
    (b'{"inputs": [1]}', 400),
    (b'{"inputs": [[-1]]}', 400),
    (b'{"inputs": [[1]], "after": 1000000}', 409),
)


class Model:
    """The exported model, run in this process."""

    def __init__(self, path, vocabulary_size):
        # The functions of a model do not keep its weights alive.
        self.loaded = tf.saved_model.load(path)
        self.vocabulary_size = vocabulary_size

    def check(self, tokens, outputs):
        expected = self.loaded.serve(tf.constant(tokens, tf.int32)).numpy()
        outputs = np.array(outputs)
        if outputs.shape != expected.shape:
            raise AssertionError(f"shape {outputs.shape}, not {expected.shape}")
        difference = np.abs(outputs - expected).max()
        if difference > TOLERANCE:
            raise AssertionError(f"outputs are off by {difference}")


class Client:
    """One client, with random numbers of its own."""

    def __init__(self, http, model, seed, counts, seconds):
        self.http, self.model = http, model
        self.random = random.Random(seed)
        self.counts, self.seconds = counts, seconds

    async def run(self, rounds):
        for _ in range(rounds):
            tasks = [self.whole, self.stream, self.crowd, self.bad, self.bad]
            self.random.shuffle(tasks)
            for task in tasks:
                await task()

    async def whole(self):
        tokens = self.tokens(self.random.randint(1, 4), self.random.randint(1, 40))
        answer = await self.ask("POST", "/predict", {"inputs": tokens})
        self.model.check(tokens, answer["outputs"])

    async def stream(self):
        """A sequence in pieces, refused steps in between."""
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
            body = {"inputs": inputs, "after": at}
            answer = await self.ask("POST", f"{path}/step", body)
            at = min(at + piece, length)
            if answer["steps"] != at:
                raise AssertionError(f"after {answer['steps']} steps, not {at}")
            outputs.append(np.array(answer["outputs"]))
        self.model.check(tokens, np.concatenate(outputs, axis=1))
        await self.ask("DELETE", path, status=204)
        await self.refused("POST", f"{path}/step", b'{"inputs": [[1]]}', 404)

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
        self.model.check(in_order, [[outputs for _, _, outputs in answers]])
        await self.ask("DELETE", path, status=204)

    async def bad(self):
        await self.refused(*self.random.choice(BAD_REQUESTS))

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
        start = time.perf_counter()
        async with self.http.request(method, path, **body) as response:
            answer = await response.json() if status != 204 else None
            self.seconds.append(time.perf_counter() - start)
            self.counts[response.status] += 1
            if response.status != status:
                raise AssertionError(
                    f"{method} {path} {str(body)[:80]} gave {response.status}, not "
                    f"{status}: {answer}"
                )
            return answer

    def tokens(self, rows, length):
        size = self.model.vocabulary_size
        return [
            [self.random.randrange(size) for _ in range(length)] for _ in "1" * rows
        ]


async def load(model, url, clients, rounds, seed=0):
    """Runs the clients at once; `(number of answers by status, seconds of each)`."""
    counts, seconds = collections.Counter(), []
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector) as http:
        runs = [
            Client(http, model, f"{seed}/{i}", counts, seconds).run(rounds)
            for i in range(clients)
        ]
        await asyncio.gather(*runs)
    return counts, seconds


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("saved_model")
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--vocabulary-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model = Model(arguments.saved_model, arguments.vocabulary_size)
    start = time.perf_counter()
    try:
        counts, seconds = asyncio.run(
            load(
                model,
                arguments.url,
                arguments.clients,
                arguments.rounds,
                arguments.seed,
            )
        )
    except (AssertionError, aiohttp.ClientError) as error:
        sys.exit(f"FAILED: {error}")
    duration = time.perf_counter() - start
    median, slow = np.quantile(seconds, [0.5, 0.99])
    print(f"{arguments.clients} clients, {len(seconds)} requests in {duration:.1f} s")
    print("by status:", dict(sorted(counts.items())))
    print(f"an answer took {median * 1e3:.0f} ms (median), {slow * 1e3:.0f} ms (99 %)")
    print("every answer was that of the model run here")


if __name__ == "__main__":
    main()
