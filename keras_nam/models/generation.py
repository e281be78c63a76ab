"""Texts from a causal language model, token by token."""

import keras
import numpy as np
from keras import ops

from keras_nam import backend
from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_destination
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_number
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_positive
from keras_nam.arguments import check_seed
from keras_nam.arguments import check_strings
from keras_nam.models.causal_lm import OUTPUT
from keras_nam.models.core import tokenizer_of
from keras_nam.models.streaming import StreamingModel
from keras_nam.optional import tf

# Tokens between two looks at what was generated, and those of a prompt at once.
BLOCK, PIECE = 32, 512


def generate(
    model,
    prompts,
    max_new_tokens=100,
    temperature=1.0,
    top_k=None,
    top_p=None,
    seed=None,
    stop=None,
):
    """Continues texts with a causal language model.

    The model is run as a `StreamingModel`: what is kept of a text is the states of its
    layers, so that a token takes the same time and memory after any number of others.
    A text does not depend on those beside it. Padding, masks and marks of the beginning
    are never chosen; the mark of an end, where the tokenizer has one, ends a text.

    Args:
        model: A model from `causal_lm`, or one loaded from a file of it, whose layers a
            `StreamingModel` takes.
        prompts: List of strings, of any lengths. Empty ones need a tokenizer that sets
            a mark before a text.
        max_new_tokens: Positive integer, how many tokens are added at most.
        temperature: Number of at least 0, by which logits are divided before a token
            is drawn. 0 always takes the best one.
        top_k: Positive integer. Only the so many best tokens may be drawn. `None` means
            all.
        top_p: Number above 0, up to 1. Only the best tokens that have this probability
            together may be drawn. `None` means all.
        seed: Non-negative integer of any size. The same seed gives the same texts.
            `None` means others each time.
        stop: List of strings that end a text, and are not part of it, where they come
            up in what is added.

    Returns:
        List of strings: the prompts, as the tokenizer reads them, and what follows.

    Example:

    ```python
    tokenizer = keras_nam.tokenizers.WordTokenizer(["the", "dog", "cat", "runs"])
    core = keras_nam.layers.NAM(16, decay="head", return_sequences=True)
    model = keras_nam.models.causal_lm(core, tokenizer, 16)
    texts = keras_nam.models.generate(model, ["The dog", ""], max_new_tokens=4, seed=0)
    len(texts)  # 2
    texts[0].startswith("the dog")  # True
    ```

    Raises:
        ValueError: If the model is not from `causal_lm` or has a layer that cannot be
            fed piece by piece, a prompt has no tokens, or an argument is wrong.
    """
    tokenizer = tokenizer_of(model, "causal_lm", OUTPUT)
    max_new_tokens = check_integer("max_new_tokens", max_new_tokens)
    choice = _check_choice(tokenizer, temperature, top_k, top_p)
    seed = None if seed is None else check_seed("seed", seed)
    stop = [] if stop is None else check_strings("stop", stop)
    if "" in stop:
        raise ValueError(
            f"Argument `stop` must hold strings that are not empty. Received: {stop}"
        )
    prompts = check_strings("prompts", prompts, at_least=1)
    rows = _prompt_rows(tokenizer, prompts).to_list()
    if not all(rows):
        raise ValueError(
            "Argument `prompts` must hold strings of at least one token each, for the "
            f"tokenizer sets no mark before them. Received: {prompts!r:.200}"
        )
    decoder = _decoder_of(model, tokenizer)

    # What stands in `given` is read, and where it is -1 a token is chosen.
    lengths = np.array([len(row) for row in rows])
    ends = lengths + max_new_tokens
    shape = len(rows), ends.max()
    given, uniform = np.full(shape, -1, "int32"), np.zeros(shape, "float32")
    for i, sequence in enumerate(np.random.SeedSequence(seed).spawn(len(rows))):
        given[i, : lengths[i]] = rows[i]
        draws = np.random.default_rng(sequence).random(max_new_tokens, "float32")
        uniform[i, lengths[i] : ends[i]] = draws

    position, done = lengths.min(), False
    logits, state = decoder.read(given[:, :position])
    while not done:
        # Of few sizes, each of which is traced once, and together not beyond the end,
        # where a table of positions may have no more.
        size = min(BLOCK, 1 << (int(shape[1] - position).bit_length() - 1))
        block = slice(position, position + size)
        given[:, block], logits, state = decoder.go_on(
            given[:, block], uniform[:, block], choice, logits, state
        )
        position += size
        spans = zip(given, lengths, np.minimum(ends, position), strict=True)
        added = [_until(tokenizer.end_token_id, row[a:b]) for row, a, b in spans]
        stopped = np.zeros(len(rows), bool)
        if stop:
            texts = _texts(tokenizer, added)
            stopped = np.array([any(s in text for s in stop) for text in texts])
        # What has ended is shorter than what was computed of it.
        ended = np.array([len(new) for new in added]) < position - lengths
        done = np.all(ended | stopped | (position >= ends))
    return [
        _cut(whole, new, stop)
        for whole, new in zip(
            _texts(tokenizer, [[*a, *b] for a, b in zip(rows, added, strict=True)]),
            _texts(tokenizer, added),
            strict=True,
        )
    ]


def export_causal_lm(
    model, path, temperature=1.0, top_k=None, top_p=None, verbose=False
):
    """Exports a SavedModel that continues texts where this package is not installed.

    It has these endpoints and signatures:

    - `generate(texts, max_new_tokens, seed)` takes strings of shape `(batch,)`, and two
        int32 scalars. It returns `"texts"`, strings of shape `(batch,)`, see
        `generate`. What is drawn depends on the batch as a whole.
    - `step` from a dictionary of `"tokens"` and states to one of `"outputs"`, the
        logits, and states, and `initial_state` from a scalar batch size to a dictionary
        of states, see `StreamingModel`;
    - `next` from a dictionary of `"tokens"`, states and `"uniform"`, float32 numbers
        of at least 0 and below 1 of shape `(batch,)`, to one of the states,
        `"next_tokens"` of shape `(batch, 1)`, drawn by those numbers, and `"ended"`,
        whether they are marks of the end;
    - `encode(texts)` to `"tokens"` of shape `(batch, time)`, as of the tokenizer but
        without a mark of the end, and `decode(tokens)` to `"texts"`, for these.

    Args:
        model: A model from `causal_lm`.
        path: String, the folder to write to.
        temperature: Number of at least 0, see `generate`.
        top_k: Positive integer, see `generate`. `None` means all.
        top_p: Number above 0, up to 1, see `generate`. `None` means all.
        verbose: Boolean. Whether to print the endpoints.

    Example:

    ```python
    tokenizer = keras_nam.tokenizers.ByteTokenizer()
    core = keras_nam.layers.NAM(16, decay="head", return_sequences=True)
    model = keras_nam.models.causal_lm(core, tokenizer, 16)
    keras_nam.models.export_causal_lm(model, "language_model", temperature=0)

    import tensorflow as tf

    served = tf.saved_model.load("language_model")
    served.generate(tf.constant(["to be ", "or"]), 5, 0)["texts"].shape  # (2,)
    ```

    Raises:
        ValueError: If the model is not from `causal_lm` or has a layer that cannot be
            fed piece by piece, or an argument is wrong.
    """
    tokenizer = tokenizer_of(model, "causal_lm", OUTPUT)
    choice = _check_choice(tokenizer, temperature, top_k, top_p)
    verbose = check_boolean("verbose", verbose)
    path = check_destination("path", path)
    decoder = _decoder_of(model, tokenizer)
    stream = decoder.stream

    def go_on(texts, max_new_tokens, seed):
        rows = _prompt_rows(tokenizer, texts)
        lengths = tf.cast(rows.row_lengths(), tf.int32)
        shortest = tf.reduce_min(lengths)
        rows = backend.require(
            shortest > 0, "Every text must have one token at least.", rows.to_tensor(-1)
        )
        state = stream.initial_state(tf.shape(rows)[0])
        results = decoder.reader({"tokens": rows[:, :shortest], **state})
        given = tf.pad(
            rows[:, shortest:], [[0, 0], [0, max_new_tokens]], constant_values=-1
        )
        uniform = tf.random.stateless_uniform(tf.shape(given), [seed, 0])
        results = decoder.chooser(
            {**results, "given": given, "uniform": uniform, **choice}
        )
        tokens = tf.concat([rows[:, :shortest], results["tokens"]], axis=1)
        position = tf.range(tf.shape(tokens)[1])
        is_new = position >= lengths[:, None]
        kept = position < lengths[:, None] + max_new_tokens
        if tokenizer.end_token_id is not None:
            ended = is_new & (tokens == tokenizer.end_token_id)
            kept &= tf.cumsum(tf.cast(ended, tf.int32), axis=1) == 0
        return {"texts": tokenizer.decode(tf.ragged.boolean_mask(tokens, kept))}

    def draw_next(inputs):
        inputs = dict(inputs)
        uniform = inputs.pop("uniform")
        results = decoder.reader(inputs)
        token = decoder.chooser.draw(results.pop("logits"), uniform, **choice)
        end = -1 if tokenizer.end_token_id is None else tokenizer.end_token_id
        return {"next_tokens": token[:, None], "ended": token == end, **results}

    def encode(texts):
        rows = _prompt_rows(tokenizer, texts)
        return {"tokens": rows.to_tensor(tokenizer.pad_token_id)}

    strings = keras.InputSpec(shape=(None,), dtype="string", name="texts")
    tokens = keras.InputSpec(shape=(None, None), dtype="int32", name="tokens")
    scalars = [
        keras.InputSpec(shape=(), dtype="int32", name=name)
        for name in ("max_new_tokens", "seed")
    ]
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(tokenizer)
    archive.add_endpoint("generate", go_on, input_signature=[strings, *scalars])
    archive.add_endpoint("encode", encode, input_signature=[strings])
    uniform = keras.InputSpec(shape=(None,), dtype="float32", name="uniform")
    archive.add_endpoint(
        "next",
        draw_next,
        input_signature=[{"tokens": tokens, "uniform": uniform, **stream.state_specs}],
    )
    archive.add_endpoint(
        "decode",
        lambda tokens: {"texts": tokenizer.decode(tokens)},
        input_signature=[tokens],
    )
    stream.add_endpoints(
        archive,
        lambda inputs: stream.step_model(inputs, training=False),
        {"tokens": tokens},
    )
    archive.write_out(path, verbose=verbose)


class _Decoder:
    """Reads and chooses tokens, both compiled.

    It is no layer, so that the model that it belongs to may keep it.
    """

    def __init__(self, model, tokenizer):
        self.variables = model.variables
        self.stream = StreamingModel(model)
        self.reader = _Reader(self.stream.step_model)
        never = (tokenizer.pad_token_id, tokenizer.mask_token_id)
        never = (*never, tokenizer.start_token_id)
        self.chooser = _Chooser(
            self.reader, ~np.isin(np.arange(tokenizer.vocabulary_size()), never)
        )

    def read(self, tokens):
        """Reads tokens `(batch, time)`; the logits of the next one, and the state."""
        results = self.stream.initial_state(len(tokens))
        for start in range(0, tokens.shape[1], PIECE):
            results.pop("logits", None)
            piece = tokens[:, start : start + PIECE]
            results = self.reader.predict_on_batch({"tokens": piece, **results})
        return results.pop("logits"), results

    def go_on(self, given, uniform, choice, logits, state):
        """Reads or chooses a token for each of `given`: tokens, logits and state."""
        inputs = {"given": given, "uniform": uniform, "logits": logits}
        choice = {name: np.asarray(value) for name, value in choice.items()}
        results = self.chooser.predict_on_batch({**inputs, **choice, **state})
        return results.pop("tokens"), results.pop("logits"), results


class _Reader(keras.Model):
    """Reads a piece: from tokens and states to the last logits and states."""

    def __init__(self, step_model):
        # States have dtypes of their own.
        super().__init__(autocast=False, name="reader")
        self.built = True
        self.step_model = step_model

    def call(self, inputs):
        results = dict(self.step_model(inputs, training=False))
        return {"logits": results.pop("outputs")[:, -1], **results}


class _Chooser(keras.Model):
    """Feeds a model with tokens, those that are given or those that it draws."""

    def __init__(self, reader, allowed):
        super().__init__(autocast=False, name="chooser")
        self.built = True
        self.reader = reader
        self.allowed = allowed

    def call(self, inputs):
        state = dict(inputs)
        given, uniform, temperature, top_k, top_p = map(
            state.pop, ("given", "uniform", "temperature", "top_k", "top_p")
        )

        def step(state, elements):
            given, uniform = elements
            state = dict(state)
            drawn = self.draw(state.pop("logits"), uniform, temperature, top_k, top_p)
            token = ops.where(given < 0, drawn, given)
            state = self.reader({"tokens": token[:, None], **state})
            return state, token

        sequences = [ops.transpose(given), ops.transpose(uniform)]
        state, tokens = backend.scan(step, state, sequences)
        return {**state, "tokens": ops.transpose(tokens)}

    def draw(self, logits, uniform, temperature, top_k, top_p):
        """Draws a token that may come next for each row."""
        logits = ops.where(self.allowed, logits, -np.inf)
        # The best one stays finite however low the temperature is.
        logits = logits - ops.max(logits, axis=-1, keepdims=True)
        return _draw(logits / temperature, uniform, top_k, top_p)


def _draw(logits, uniform, top_k, top_p):
    """Draws a token for each row, by a number from 0 to below 1."""
    order = ops.argsort(-logits, axis=-1)
    probabilities = ops.softmax(ops.take_along_axis(logits, order, axis=-1))
    before = ops.cumsum(probabilities, axis=-1) - probabilities
    kept = (ops.arange(logits.shape[-1]) < top_k) & (before < top_p)
    # The best one may have all of the probability before it by rounding alone.
    total = ops.cumsum(ops.where(kept, probabilities, 0.0), axis=-1)
    below = total <= uniform[:, None] * total[:, -1:]
    chosen = ops.sum(ops.cast(below & kept, "int32"), axis=-1)
    chosen = ops.minimum(chosen, ops.sum(ops.cast(kept, "int32"), axis=-1) - 1)
    chosen = ops.take_along_axis(order, chosen[:, None], axis=-1)[:, 0]
    return ops.cast(chosen, "int32")


def _check_choice(tokenizer, temperature, top_k, top_p):
    """How a token is drawn: a temperature above 0, a number and a probability."""
    temperature = check_number("temperature", temperature, at_least=0)
    top_k = check_optional_integer("top_k", top_k)
    top_p = 1.0 if top_p is None else check_positive("top_p", top_p)
    if top_p > 1:
        raise ValueError(
            f"Argument `top_p` must lie above 0, up to 1. Received: top_p={top_p}"
        )
    if temperature == 0:
        # The best one of all.
        temperature, top_k = 1.0, 1
    return {
        # In float32, 1e-46 would be 0 and 1e39 infinite.
        "temperature": np.float32(np.clip(temperature, 1e-30, 1e30)),
        "top_k": np.int32(top_k or tokenizer.vocabulary_size()),
        # Rounding may put the last token's share above 1.
        "top_p": np.float32(max(top_p, 1e-30) if top_p < 1 else np.inf),
    }


def _decoder_of(model, tokenizer):
    # What is compiled once serves as long as the model has the same variables, which
    # `quantize` and `enable_lora` change.
    decoder, variables = getattr(model, "_decoder", None), model.variables
    if decoder is None or [*map(id, decoder.variables)] != [*map(id, variables)]:
        model._decoder = decoder = _Decoder(model, tokenizer)
    return decoder


def _prompt_rows(tokenizer, texts):
    """The ragged tokens of texts that go on: without a mark of the end."""
    rows = tokenizer.tokenize(texts, ragged=True)
    if tokenizer.end_token_id is None:
        return rows
    return rows[:, :-1]


def _until(end, tokens):
    found = np.flatnonzero(tokens == end)
    return tokens[: found[0]] if len(found) else tokens


def _texts(tokenizer, rows):
    values = np.concatenate([np.asarray(row, "int32") for row in rows])
    lengths = [len(row) for row in rows]
    return tokenizer.detokenize(tf.RaggedTensor.from_row_lengths(values, lengths))


def _cut(whole, new, stop):
    """A text up to the first stop in what is new of it, which is at its end."""
    found = [new.index(x) for x in stop if x in new]
    return whole[: len(whole) - len(new) + min(found)] if found else whole
