"""A SavedModel behind JSON: requests in, answers out, both as bytes.

Requests are read by a schema made from the signature of the model, so that nothing but
numbers (or texts) of the right kind and rank is ever built from what a client sent.
"""

import hashlib
import math
import os
import threading
from typing import Annotated

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import msgspec
import numpy as np
import orjson
import tensorflow as tf
from aiohttp import web
from msgspec import Meta


class ServedModel:
    """The endpoints of a SavedModel.

    Args:
        path: String, its folder.
        max_batch: Integer, the most rows of a request.
        max_length: Integer, the most steps (or characters) of a row.
        max_outputs: Integer, the most numbers (or characters) of an answer.
    """

    def __init__(self, path, max_batch, max_length, max_outputs):
        # The signatures do not keep its weights alive.
        self.loaded = tf.saved_model.load(path)
        signatures = self.loaded.signatures
        self.serve = signatures.get("serve")
        self.step = signatures.get("step")
        self.initial_state = signatures.get("initial_state")
        self.streams = None not in (self.serve, self.step, self.initial_state)
        # Those of `export_causal_lm`.
        self.next = signatures.get("next")
        self.encode, self.decode = map(signatures.get, ("encode", "decode"))
        if self.serve is None and self.next is None:
            raise SystemExit(
                f"{path} has no endpoint `serve` or `next`: {sorted(signatures)}"
            )
        self.max_batch, self.max_length = max_batch, max_length
        self.max_outputs = max_outputs

        optional = Annotated[int, Meta(ge=0)] | None
        batch_size = Annotated[int, Meta(ge=1, le=max_batch)]
        tokens = Annotated[int, Meta(ge=1, le=max_length)]
        self.text_request = _decoder(
            ("text", str), ("max_new_tokens", tokens, 100), ("seed", optional, None)
        )
        self.start_request = _decoder(("batch_size", batch_size, 1))
        if self.serve is not None:
            _, specs = self.serve.structured_input_signature
            self.inputs = dict(sorted(specs.items()))
            inputs = self._inputs_type()
            self.predict_request = _decoder(("inputs", inputs))
            self.step_request = _decoder(("inputs", inputs), ("after", optional, None))
        # Python holds its lock as long as one call of a parser or writer takes. They
        # take turns, or the loop that answers requests would wait for all of them.
        self.converting = threading.Lock()

    def predict(self, body):
        """The answer to a request for whole sequences."""
        arrays, rows, length = self.arrays(self.parse(self.predict_request, body))
        self.check_answer(self.serve, (), rows, length)
        return self.write(self.run(self.serve, arrays))

    def start(self, body):
        """A `Stream` from its first step on."""
        return Stream(self, self.parse(self.start_request, body or b"{}").batch_size)

    def go_on(self, body):
        """A `Text`, with nothing added to it yet."""
        return Text(self, self.parse(self.text_request, body))

    def parse(self, decoder, body):
        try:
            with self.converting:
                return decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # A name that nobody knows is as long as a client likes.
            raise web.HTTPBadRequest(text=f"The body: {error!s:.200}") from error

    def arrays(self, request):
        """`(arrays by name, rows, length)` of the inputs of a request."""
        inputs = request.inputs
        given = (
            [inputs] if isinstance(inputs, list) else msgspec.structs.astuple(inputs)
        )
        arrays, lengths = {}, []
        for (name, spec), rows in zip(self.inputs.items(), given, strict=True):
            text = spec.dtype == tf.string
            try:
                with self.converting:
                    array = np.array(
                        rows, object if text else spec.dtype.as_numpy_dtype
                    )
            except ValueError:
                array = None
            # Of texts in rows of unequal length, NumPy makes one axis less.
            if array is None or array.ndim != spec.shape.rank:
                raise web.HTTPBadRequest(
                    text=f"The rows of input '{name}' must be of equal length"
                )
            arrays[name] = array
            lengths += map(len, array.flat) if text else array.shape[1:2]
        sizes = {len(array) for array in arrays.values()}
        if len(sizes) > 1:
            raise web.HTTPBadRequest(
                text="All inputs must have the same number of rows"
            )
        rows, length = sizes.pop(), max(lengths, default=1)
        _check_size("Rows of the inputs", rows, self.max_batch)
        _check_size("Length of a row", length, self.max_length)
        return arrays, rows, length

    def check_answer(self, signature, states, rows, length):
        """Refuses a request whose answer would be too large, before the model runs."""
        size = 0
        for name, spec in signature.structured_outputs.items():
            if name not in states:
                axes = spec.shape.as_list()[1:]
                axes += [None] if spec.dtype == tf.string else []
                size += rows * math.prod(length if n is None else n for n in axes)
        _check_size("Numbers in the answer", size, self.max_outputs)

    def run(self, signature, tensors):
        try:
            return signature(**{k: tf.convert_to_tensor(v) for k, v in tensors.items()})
        except tf.errors.InvalidArgumentError as error:
            # Without the nodes of the graph that stand before and after it.
            reason = error.message.split("[[")[0].strip().splitlines()[-1]
            reason = reason.rpartition("}} ")[2]
            raise web.HTTPBadRequest(
                text=f"The model cannot take this: {reason:.200}"
            ) from error

    def write(self, results, **fields):
        """The answer with the results of the model, as an object or a single list."""
        with self.converting:
            outputs = {name: _output(name, tensor) for name, tensor in results.items()}
            if len(outputs) == 1:
                outputs = next(iter(outputs.values()))
            return orjson.dumps({"outputs": outputs, **fields})

    def _inputs_type(self):
        """The JSON of all inputs: rows by name, or the rows alone if there is one."""
        types = {name: _rows_type(spec) for name, spec in self.inputs.items()}
        by_name = msgspec.defstruct(
            "Inputs", list(types.items()), forbid_unknown_fields=True
        )
        return by_name if len(types) > 1 else by_name | next(iter(types.values()))


class Kept:
    """What is kept of a client between the runs of the model.

    Args:
        model: A `ServedModel`.
        rows: Integer, the number of sequences side by side.
    """

    def __init__(self, model, rows):
        self.model, self.rows = model, rows
        self.keep(model.initial_state(batch_size=tf.constant(rows)))
        self.forget()

    def keep(self, state):
        self.state = state
        self.state_bytes = sum(
            x.dtype.size * math.prod(x.shape) for x in state.values()
        )

    @property
    def answer_bytes(self):
        return len(self.last[1])

    def forget(self):
        """Drops the last answer, which then cannot be asked for again."""
        # One value, because a thread may be reading it.
        self.last = None, b""


class Text(Kept):
    """A text that goes on token by token.

    Args:
        model: A `ServedModel`.
        request: The text, how many tokens may be added, and a seed.
    """

    def __init__(self, model, request):
        _check_size("Length of the text", len(request.text), model.max_length)
        super().__init__(model, rows=1)
        texts = tf.constant([request.text.encode()])
        tokens = model.run(model.encode, {"texts": texts})["tokens"].numpy()
        if not tokens.size:
            raise web.HTTPBadRequest(text="The text must have a token at least")
        # As `keras_nam.models.generate` draws for the first of its texts.
        (sequence,) = np.random.SeedSequence(request.seed).spawn(1)
        self.random = np.random.default_rng(sequence)
        self.left = request.max_new_tokens
        self.given = tokens
        # Tokens of which the text was sent, as many as the next ones may lean on, and
        # those after them, which are no whole text yet.
        self.sent, self.unsent = tokens[0, -8:].tolist(), []

    def next(self):
        """Adds a token: a line of JSON, or nothing where it ends no character yet."""
        inputs = {"tokens": self.given, "uniform": self.random.random(1, "float32")}
        results = self.model.run(self.model.next, {**inputs, **self.state})
        self.keep({name: results[name] for name in self.state})
        self.given, self.left = results["next_tokens"], self.left - 1
        if results["ended"].numpy()[0]:
            self.left = 0
        else:
            self.unsent += self.given.numpy()[0].tolist()
        before = self._decode(self.sent)
        added = self._decode(self.sent + self.unsent)[len(before) :]
        if self.left and (not added or added.endswith("\ufffd")):
            return b""
        self.sent, self.unsent = (self.sent + self.unsent)[-8:], []
        return orjson.dumps({"text": added, "done": not self.left}) + b"\n"

    def _decode(self, tokens):
        tokens = np.array([tokens], "int32").reshape(1, -1)
        (text,) = self.model.decode(tokens=tf.constant(tokens))["texts"].numpy()
        return text.decode("utf-8", "replace")


class Stream(Kept):
    """A sequence that arrives piece by piece."""

    def __init__(self, model, rows):
        super().__init__(model, rows)
        self.steps = 0

    def step(self, body):
        """The answer to the next piece, or once more to the last one."""
        model = self.model
        parsed = model.parse(model.step_request, body)
        # However its client writes JSON.
        request = hashlib.sha256(msgspec.json.encode(parsed)).digest()
        last, answer = self.last
        if request == last:
            return answer
        if parsed.after not in (None, self.steps):
            raise web.HTTPConflict(
                text=f"The session stands after {self.steps}. Only its last request "
                f"can be repeated, unchanged. Received: after={parsed.after}"
            )
        arrays, rows, length = model.arrays(parsed)
        if rows != self.rows:
            raise web.HTTPBadRequest(
                text=f"The session has {self.rows} rows. Received: {rows} rows"
            )
        model.check_answer(model.step, self.state, rows, length)
        results = model.run(model.step, {**arrays, **self.state})
        state = {name: results.pop(name) for name in self.state}
        # A text is one piece, whatever its length.
        steps = self.steps + max(
            a.shape[1] if a.ndim > 1 else 1 for a in arrays.values()
        )
        answer = model.write(results, steps=steps)
        self.keep(state)
        self.steps = steps
        self.last = (None, b"") if parsed.after is None else (request, answer)
        return answer


def _decoder(*fields):
    request = msgspec.defstruct("Request", fields, forbid_unknown_fields=True)
    return msgspec.json.Decoder(request)


def _rows_type(spec):
    """The JSON of an input: nested lists of its rank and dtype, none of them empty."""
    dtype = spec.dtype
    if dtype == tf.string:
        kind = str
    elif dtype.is_bool:
        kind = bool
    elif dtype.is_integer:
        # Tokens: an embedding would count negative ones from its end.
        kind = Annotated[int, Meta(ge=0, le=min(dtype.max, 2**63 - 1))]
    else:
        kind = Annotated[float, Meta(ge=float(dtype.min), le=float(dtype.max))]
    for size in reversed(spec.shape.as_list()):
        kind = Annotated[list[kind], Meta(min_length=size or 1, max_length=size)]
    return kind


def _output(name, tensor):
    """The JSON of a tensor, or nested lists of texts."""
    if tensor.dtype == tf.string:
        decode = np.vectorize(lambda x: x.decode("utf-8", "replace"), otypes=[object])
        return decode(tensor.numpy()).tolist()
    if tensor.dtype.is_floating:
        # JSON's writer does not know bfloat16.
        array = tf.cast(tensor, tf.float32 if tensor.dtype.size < 4 else tensor.dtype)
        if not np.isfinite(array).all():
            raise ArithmeticError(f"output '{name}' of the model is not finite")
        tensor = array
    return orjson.Fragment(_numbers(tensor.numpy()))


def _numbers(array, most=2**14):
    """The JSON of an array, in pieces between which other threads may run."""
    step = most * len(array) // max(array.size, 1)
    if step:
        pieces = (array[i : i + step] for i in range(0, len(array), step))
        pieces = (
            orjson.dumps(x, None, orjson.OPT_SERIALIZE_NUMPY)[1:-1] for x in pieces
        )
    else:
        pieces = map(_numbers, array)
    return b"[" + b",".join(pieces) + b"]"


def _check_size(what, size, most):
    if size > most:
        raise web.HTTPRequestEntityTooLarge(
            most, text=f"{what}: at most {most}. Received: {size}"
        )
