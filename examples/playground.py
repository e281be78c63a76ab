"""Serves a page where one asks the trained machines and sees how they find an answer.

    python examples/playground.py --port 8000

The page needs no network but this server: a question of up to 2,000 digits, the answer,
and, of machines with tapes and questions that are not too long, the heads moving over
the tapes step by step. What it needs is in `pip install "keras-nam[serve]"`.

    GET /            the page
    GET /presets     {"copy": {"question": "31415", "help": "..."}, ...}
    POST /ask        {"preset": "copy", "question": "31415"}
                     -> {"answer": "31415", "tokens": [...], "tapes": [...], ...}

What is wrong with a request is said in JSON, {"error": "..."}, with a status below 500.
"""

import argparse
import asyncio
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from aiohttp import web

from keras_nam import datasets
from keras_nam import layers
from keras_nam import models
from keras_nam import visualization

PAGE = Path(__file__).with_name("playground.html")
# The tapes of every step are kept to be shown.
MOST_STEPS = 200
MOST_BYTES = 2**16
HEADS = ("read", "write")
EXAMPLES = {
    task: {"question": question, "help": text}
    for task, question, text in [
        ("reverse", "31415926", "Digits, which are read backwards."),
        ("copy", "31415926", "Digits, which are said once more."),
        ("repeated_copy", "314 159 265", "Strings of one length, said once more each."),
        ("reduction", "3001041", "Digits, which are said without the zeros."),
        ("dyck", "([<>{", "Brackets; those left open are closed."),
        ("addition", "95 + 7", "A sum."),
        ("arithmetic", "7, 95", "Two numbers; the next of their progression follows."),
        (
            "associative_recall",
            "k1 v5 k2 v9 k1 v7 k2 k1",
            "Keys, each with a value, and then keys whose latest value is asked for.",
        ),
    ]
}

load = functools.cache(models.from_preset)


def answer(preset, question):
    """What the page is told about a question."""
    machine = load(preset)
    result = {"answer": machine.answer(question)}
    task = machine.card["task"]
    inputs, _, is_answer = machine.rows(question)
    if inputs.shape[1] > MOST_STEPS:
        return result
    tokens = datasets.decode(inputs, task)[0].split()
    said = datasets.decode(machine.model(inputs).numpy().argmax(-1), task)[0].split()
    machines = [x for x in machine.model.layers if isinstance(x, layers.NAMTM)]
    if not machines:
        return result
    tapes = []
    for layer in machines:
        seen = visualization.trajectory(machine.model, inputs, layer)
        tapes += [
            {
                **{
                    h: seen[f"{h}_position"][0, :, i].argmax(-1).tolist() for h in HEADS
                },
                **{f"{h}_gate": seen[f"{h}_gate"][0, :, i].tolist() for h in HEADS},
            }
            for i in range(layer.cell.num_tapes)
        ]
    answers = [
        symbol if weight else ""
        for symbol, weight in zip(said, is_answer[0], strict=True)
    ]
    result.update(tokens=tokens, answers=answers, tapes=tapes)
    return {**result, "cells": seen["read_position"].shape[3]}


def refuse(message, status=400):
    return web.json_response({"error": message}, status=status)


def application():
    # One question after the other.
    pool = ThreadPoolExecutor(1)

    async def page(request):
        return web.FileResponse(PAGE)

    async def presets(request):
        return web.json_response(
            {name: EXAMPLES[load(name).card["task"]] for name in models.list_presets()}
        )

    async def ask(request):
        try:
            body = await request.json()
        except web.HTTPRequestEntityTooLarge:
            return refuse(f"A request has at most {MOST_BYTES} bytes.", 413)
        except ValueError:
            return refuse("A request must be JSON.")
        is_question = isinstance(body, dict) and body.keys() == {"preset", "question"}
        if not is_question or not all(isinstance(x, str) for x in body.values()):
            return refuse('A request must be {"preset": "...", "question": "..."}.')
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(pool, lambda: answer(**body))
        except ValueError as error:
            return refuse(str(error))
        return web.json_response(found)

    served = web.Application(client_max_size=MOST_BYTES)
    served.add_routes(
        [web.get("/", page), web.get("/presets", presets), web.post("/ask", ask)]
    )
    return served


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    web.run_app(application(), host=arguments.host, port=arguments.port)


if __name__ == "__main__":
    main()
