"""All public layers, and what each of them promises: the rows of the matrix.

A new layer joins by a line in `ROWS`. The columns are the tests in this folder; what
does not apply to a row is said in `DOES_NOT_APPLY`, and nowhere else.
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import ops
from keras import tree

from keras_nam import baselines
from keras_nam import layers

WIDTH = 8
TOKENS = 11
# How a layer is called with a sequence and its mask, by the kind of the row.
CALLS = {
    "recurrent": lambda layer, x, mask: layer(x, mask=mask),
    "cell": lambda layer, x, mask: layer(x, mask=mask),
    "sequence": lambda layer, x, mask: layer(x, mask=mask),
    "causal sequence": lambda layer, x, mask: layer(x, mask=mask, use_causal_mask=True),
    "attention": lambda layer, x, mask: layer(x, x, query_mask=mask, value_mask=mask),
    "causal attention": lambda layer, x, mask: layer(
        x, x, query_mask=mask, value_mask=mask, use_causal_mask=True
    ),
    "cross attention": lambda layer, x, mask: layer(
        ops.ones_like(ops.sum(x, axis=1, keepdims=True)), x, value_mask=mask
    ),
    "steps": lambda layer, x, mask: layer(x),
    "tokens": lambda layer, x, mask: layer(x),
    "head": lambda layer, x, mask: layer(x),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A layer of the matrix.

    Args:
        name: String.
        make: Function from `dtype`, `name` and other arguments that all layers take to
            a new layer.
        kind: String, one of `CALLS`.
        causal: Boolean. Whether an output knows nothing of later steps.
        padding: Tuple of the places where masked steps change nothing: everywhere,
            unless positions are counted.
        outputs: String. Whether there is an output for each of the `"steps"`, for
            `"one more"` in front of them, or for all of them `"together"`.
        slow: Boolean. Whether the row is a variant of another one, whose compiled
            tests need not run every time.
    """

    name: str
    make: Callable
    kind: str = "sequence"
    causal: bool = False
    padding: tuple = ("left", "right", "holes")
    outputs: str = "steps"
    slow: bool = False

    def built(self, seed=0, **kwargs):
        """A layer in which nothing hides behind zeros: no bias, no initial vector."""
        keras.utils.set_random_seed(seed)
        layer = self.make(**kwargs)
        self.call(layer, self.draw(2, 1))
        if kwargs.get("stateful"):
            layer.reset_state()
        random = np.random.default_rng(seed)
        for weight in layer.trainable_variables:
            noise = 0.1 * random.normal(size=weight.shape)
            weight.assign(ops.cast(weight, "float32") + noise.astype("float32"))
        if self.kind == "head":
            first = layer.num_base_classes
            layer.learn(self.draw(3, None, seed), first + np.arange(3))
        return layer

    def draw(self, batch, length, seed=0):
        """Inputs: tokens or numbers."""
        random = np.random.default_rng(seed)
        if self.kind == "tokens":
            return random.integers(1, TOKENS, (batch, length))
        steps = () if self.kind == "head" else (length,)
        return random.normal(size=(batch, *steps, WIDTH)).astype("float32")

    def input(self, batch=None, length=None):
        """The symbolic inputs."""
        steps = () if self.kind == "head" else (length,)
        if self.kind == "tokens":
            return keras.Input(steps, batch, "int32")
        return keras.Input((*steps, WIDTH), batch)

    def call(self, layer, x, mask=None):
        """The outputs of a layer: a list, for there may be states."""
        return tree.flatten(CALLS[self.kind](layer, x, mask))

    def model(self, layer=None):
        """A functional model of the layer alone."""
        inputs = self.input()
        (outputs,) = self.call(self.built() if layer is None else layer, inputs)
        return keras.Model(inputs, outputs)

    @property
    def with_states(self):
        """The arguments with which a layer returns all that it has."""
        return {"return_state": True} if self.kind == "recurrent" else {}

    def valid(self, mask):
        """Which steps of the outputs stand for valid steps of the inputs."""
        if self.outputs == "together":
            return np.ones(len(mask), bool)
        if self.outputs == "one more":
            return np.pad(mask, ((0, 0), (1, 0)), constant_values=True)
        return mask


def _recurrent(layer_class, *arguments, **keywords):
    keywords = {"return_sequences": True, **keywords}
    return lambda **k: layer_class(*arguments, **{**keywords, **k})


def _cell(cell_class, *arguments, **keywords):
    def make(dtype=None, name=None, trainable=True, **kwargs):
        cell = cell_class(*arguments, dtype=dtype, trainable=trainable, **keywords)
        kwargs = {"return_sequences": True, "dtype": dtype, **kwargs}
        return keras.layers.RNN(cell, name=name, trainable=trainable, **kwargs)

    return make


def _ibert(make_recurrent):
    def make(dtype=None, **kwargs):
        recurrent = make_recurrent(WIDTH, return_sequences=True, dtype=dtype)
        return layers.IBERTEncoder(1, 2, 12, recurrent, dtype=dtype, **kwargs)

    return make


def _block(dtype=None, **kwargs):
    attention = baselines.RotaryAttention(2, 4, dtype=dtype)
    return layers.TransformerBlock(attention, 12, dtype=dtype, **kwargs)


def _layer(layer_class, *arguments, **keywords):
    return lambda **k: layer_class(*arguments, **{**keywords, **k})


ROWS = [
    Row("nam", _recurrent(layers.NAM, 6, 2), "recurrent", causal=True),
    Row(
        "nam no erase",
        _recurrent(layers.NAM, 4, key_dim=3, use_erase=False),
        "recurrent",
        causal=True,
        slow=True,
    ),
    Row(
        "nam decay",
        _recurrent(
            layers.NAM,
            6,
            2,
            4,
            decay="channel",
            write_gate="channel",
            erase_gate="channel",
        ),
        "recurrent",
        causal=True,
    ),
    Row("lsam", _recurrent(layers.LSAM, 6, 3), "recurrent", causal=True),
    *(
        Row(
            f"namtm {name}".strip(),
            _recurrent(layers.NAMTM, 6, 2, tape_length=5, **arguments),
            "recurrent",
            causal=True,
            slow=bool(name),
        )
        for name, arguments in {
            "": {},
            "no jump": {"use_jump": False},
            "only jump": {"use_shift": False},
            "no erase": {"use_erase": False, "tape_dim": 4},
            "no gates": {"use_gates": False},
            "sharp": {"sharpness": 3.0, "sharpen_training": True},
        }.items()
    ),
    Row(
        "namtm any length",
        _recurrent(layers.NAMTM, 6, 2, tape_length=None),
        "recurrent",
        causal=True,
        padding=(),
        slow=True,
    ),
    Row(
        "ntm",
        _recurrent(baselines.NTM, 6, 5, 4, 2, 2, 7),
        "recurrent",
        causal=True,
        slow=True,
    ),
    Row(
        "dnc",
        _recurrent(baselines.DNC, 6, 5, 4, 2, 7),
        "recurrent",
        causal=True,
        slow=True,
    ),
    Row(
        "dnc mended",
        _recurrent(
            baselines.DNC,
            6,
            5,
            4,
            2,
            [7, 5],
            use_masking=True,
            use_deallocation=True,
            use_sharpening=True,
        ),
        "recurrent",
        causal=True,
        slow=True,
    ),
    Row(
        "stack rnn",
        _recurrent(baselines.StackRNN, 6, 3, stack_depth=5),
        "recurrent",
        causal=True,
    ),
    Row(
        "stack rnn any length",
        _recurrent(baselines.StackRNN, 6, 3),
        "recurrent",
        causal=True,
        padding=(),
        slow=True,
    ),
    Row("ntm cell", _cell(baselines.NTMCell, 6, 5, 4), "cell", causal=True, slow=True),
    Row(
        "dnc cell", _cell(baselines.DNCCell, 6, 5, 4, 2), "cell", causal=True, slow=True
    ),
    Row(
        "stack rnn cell",
        _cell(baselines.StackRNNCell, 6, 3, stack_depth=5),
        "cell",
        causal=True,
        slow=True,
    ),
    Row("nam cell", _cell(layers.NAMCell, 6, 2), "cell", causal=True, slow=True),
    Row(
        "nam cell decay",
        _cell(layers.NAMCell, 6, 2, decay="head"),
        "cell",
        causal=True,
        slow=True,
    ),
    Row("lsam cell", _cell(layers.LSAMCell, 6, 3), "cell", causal=True, slow=True),
    Row(
        "namtm cell",
        _cell(layers.NAMTMCell, 6, 2, tape_length=5),
        "cell",
        causal=True,
        slow=True,
    ),
    Row("attention", _layer(layers.NAMAttention, 2, 3, 4), "attention"),
    Row(
        "causal attention",
        _layer(layers.NAMAttention, 2, 3, use_gates=False),
        "causal attention",
        causal=True,
    ),
    Row(
        "erasing attention",
        _layer(layers.NAMAttention, 2, 3, use_erase=True),
        "causal attention",
        causal=True,
    ),
    Row(
        "forgetting attention",
        _layer(
            layers.NAMAttention,
            2,
            3,
            use_erase=True,
            decay="channel",
            write_gate="channel",
            erase_gate="channel",
        ),
        "causal attention",
        causal=True,
        slow=True,
    ),
    Row(
        "cross attention",
        _layer(layers.NAMAttention, 2, 3),
        "cross attention",
        outputs="together",
        slow=True,
    ),
    Row(
        "linear attention",
        _layer(layers.LinearAttention, 2, 3, 4),
        "attention",
        slow=True,
    ),
    Row(
        "causal linear attention",
        _layer(layers.LinearAttention, 2, 3),
        "causal attention",
        causal=True,
    ),
    *(
        Row(
            f"{causal}{attention} encoder",
            _layer(
                layers.NAMTransformerEncoder,
                12,
                2,
                attention=attention,
                normalize_first=not causal,
            ),
            f"{causal}sequence",
            causal=bool(causal),
            slow=attention != "nam" or not causal,
        )
        for attention in ("nam", "softmax", "linear")
        for causal in ("", "causal ")
    ),
    Row(
        "forgetting encoder",
        _layer(layers.NAMTransformerEncoder, 12, 2, use_erase=True, decay="head"),
        "causal sequence",
        causal=True,
    ),
    Row(
        "gated delta net",
        _layer(layers.GatedDeltaNet, 4, 3, 2, num_key_heads=2),
        causal=True,
    ),
    Row("block", _block, slow=True),
    Row("lstm", _layer(layers.LSTMEncoder, 4)),
    Row(
        "lstm one way",
        _layer(layers.LSTMEncoder, 6, bidirectional=False),
        causal=True,
        slow=True,
    ),
    Row("ibert", _layer(layers.IBERTEncoder, 2, 2, 12)),
    Row("ibert gru", _layer(layers.IBERTEncoder, 1, 2, 12, "gru"), slow=True),
    Row("ibert lsam", _layer(layers.IBERTEncoder, 1, 2, 12, "lsam"), slow=True),
    Row("ibert nam", _layer(layers.IBERTEncoder, 1, 2, 12, "nam"), slow=True),
    Row("ibert memory", _ibert(layers.NAM), slow=True),
    Row("ibert simple rnn", _ibert(keras.layers.SimpleRNN), slow=True),
    Row(
        "ibert one way",
        _layer(layers.IBERTEncoder, 1, 2, 12, bidirectional=False),
        slow=True,
    ),
    Row(
        "ibert positions",
        _layer(layers.IBERTEncoder, 1, 2, 12, max_length=700),
        padding=("right",),
        slow=True,
    ),
    Row("ibert2", _layer(layers.IBERTEncoder, 1, 2, 12, feedforward="lstm"), slow=True),
    Row(
        "token embedding",
        _layer(layers.TokenEmbedding, TOKENS, WIDTH, mask_token=0),
        "tokens",
        causal=True,
    ),
    Row(
        "sinusoids",
        _layer(layers.PositionEmbedding),
        "steps",
        causal=True,
        padding=("right",),
        slow=True,
    ),
    Row(
        "position embedding",
        _layer(layers.PositionEmbedding, 700),
        "steps",
        causal=True,
        padding=("right",),
    ),
    Row("class token", _layer(layers.ClassToken), causal=True, outputs="one more"),
    Row("mean pooling", _layer(layers.MeanPooling), outputs="together"),
    Row("nam classifier", _layer(layers.NAMClassifier, 4, 3), "head"),
    Row(
        "nam classifier with attention",
        _layer(layers.NAMClassifier, 4, 3, use_attention=True, similarity="dotproduct"),
        "head",
        slow=True,
    ),
    Row("cosine classifier", _layer(layers.CosineClassifier, 4, 3), "head"),
    Row(
        "cosine classifier with attention",
        _layer(layers.CosineClassifier, 4, 3, generator="attention"),
        "head",
        slow=True,
    ),
    *(
        Row(
            f"{causal}{layer_class.__name__}",
            _layer(layer_class, 2, 4),
            f"{causal}attention",
            causal=bool(causal),
            padding=("left", "right", *holes),
            slow=True,
        )
        for layer_class, *holes in (
            (baselines.ALiBiAttention,),
            (baselines.RotaryAttention, "holes"),
            (baselines.XLNetAttention,),
        )
        for causal in ("", "causal ")
    ),
    Row(
        "window attention",
        _layer(baselines.RotaryAttention, 2, 4, window=3),
        "causal attention",
        causal=True,
    ),
    *(
        Row(
            f"transformer {positions}",
            _layer(baselines.TransformerEncoder, 1, 2, 12, positions, 700),
            padding=padding,
            slow=True,
        )
        for positions, padding in {
            "learned": ("right",),
            "sinusoid": ("right",),
            "rotary": ("left", "right", "holes"),
            "alibi": ("left", "right"),
            None: ("left", "right", "holes"),
        }.items()
    ),
    Row(
        "xlnet",
        _layer(baselines.XLNetEncoder, 1, 2, 12),
        padding=("left", "right"),
        slow=True,
    ),
    Row(
        "universal", _layer(baselines.UniversalTransformerEncoder, 2, 2, 12), slow=True
    ),
    Row("lstm stack", _layer(baselines.LSTMStack), slow=True),
    Row("lstm attention", _layer(baselines.LSTMAttentionEncoder), slow=True),
    Row(
        "convolutional",
        _layer(baselines.ConvolutionalEncoder),
        padding=("left", "right"),
        slow=True,
    ),
]

NAMES = [row.name for row in ROWS]
NO_TIME = "there are no steps"
TWO_INPUTS = "is called with two tensors, or an argument that a wrapper does not pass"
# What a column has nothing to check in: the column, why, and the rows or their kinds.
DOES_NOT_APPLY = {
    "masks": {
        NO_TIME: ["head"],
        "makes masks and takes none": ["tokens"],
        "a longer sequence has a longer memory": [
            "namtm any length",
            "stack rnn any length",
        ],
    },
    "nan under masks": {"Keras' `RNN` computes masked steps too": ["cell"]},
    "length 0": {
        NO_TIME: ["head"],
        "Keras' recurrent layers need a step": [
            "cell",
            "ibert gru",
            "ibert simple rnn",
        ],
        "Keras' convolutions need a step": ["convolutional"],
    },
    "no rows": {
        "TensorFlow's convolutions of no rows may keep the features of their inputs": [
            "convolutional",
        ],
    },
    "implicit masks": {
        NO_TIME: ["head"],
        "makes masks and takes none": ["tokens", "steps"],
    },
    "nan": {"tokens are numbers": ["tokens"]},
    "nan before": {
        "looks ahead": [row.name for row in ROWS if not row.causal],
        "tokens are numbers": ["tokens"],
        "softmax attention hides by a weight of 0, and 0 times NaN is NaN": [
            "causal softmax encoder",
            "window attention",
            "causal ALiBiAttention",
            "causal RotaryAttention",
            "causal XLNetAttention",
        ],
    },
    "float64": {"tokens are numbers": ["tokens"]},
    "bidirectional": {
        "Keras' wrapper takes layers that can go backwards": [
            *(kind for kind in CALLS if kind not in ("recurrent", "cell"))
        ]
    },
    "time distributed": {
        TWO_INPUTS: [
            "attention",
            "causal attention",
            "cross attention",
            "causal sequence",
        ],
    },
    "old files": {"Keras' old format knows no operations": ["cross attention"]},
    "precision": {
        "what is never erased grows beyond all numbers": ["namtm no erase"],
    },
    "equal steps": {
        "a CPU rounds the sum of a product in half precision after each of its terms, "
        "the same way if they are equal; that of the recurrent part has its own row": [
            "softmax encoder",
            "causal softmax encoder",
            "transformer learned",
            "transformer None",
            *(name for name in NAMES if name.startswith("ibert")),
        ]
    },
    "bfloat16": {
        "Keras' own recurrent layers draw no orthogonal matrix in it": [
            "ibert simple rnn",
        ]
    },
    "lora": {
        "has no dense layer or embedding of Keras inside": [
            "nam",
            "nam no erase",
            "nam decay",
            "lsam",
            "nam cell",
            "nam cell decay",
            "lsam cell",
            "lstm",
            "lstm one way",
            "sinusoids",
            "position embedding",
            "class token",
            "mean pooling",
            "lstm stack",
            "convolutional",
            "nam classifier",
            "cosine classifier",
        ]
    },
    "stateful": {
        "has no states": [
            *(kind for kind in CALLS if kind not in ("recurrent", "cell"))
        ],
        "a memory of any length has no shape before a call": [
            "namtm any length",
            "stack rnn any length",
        ],
    },
    "weighted": {"batches are normalised as a whole": ["convolutional"]},
    "trained": {"has no weights": ["sinusoids", "mean pooling"]},
}


def applies(column, row):
    """Whether a column has something to check in a row."""
    left_out = {x for names in DOES_NOT_APPLY.get(column, {}).values() for x in names}
    return row.name not in left_out and row.kind not in left_out


# Variants of other rows are left to `make test-all`,
PLAIN = [row.name for row in ROWS if not row.slow]
# and where a row is dear, all but one of each kind.
FEW = [
    "nam",
    "attention",
    "causal attention",
    "causal nam encoder",
    "token embedding",
    "position embedding",
    "mean pooling",
    "nam classifier",
]


def rows(column, every_time=NAMES):
    """Parametrizes a test with the rows that a column applies to.

    Args:
        column: String, the name in `DOES_NOT_APPLY`, or any other for all rows.
        every_time: List of the names of rows that are not left to `make test-all`.
    """
    return pytest.mark.parametrize(
        "row",
        [
            pytest.param(
                row,
                id=row.name.replace(" ", "-"),
                marks=[] if row.name in every_time else [pytest.mark.slow],
            )
            for row in ROWS
            if applies(column, row)
        ],
    )


def close(ours, expected, tolerance=2e-5):
    """Asserts that nested arrays agree, up to a part of the largest number."""
    for a, b in zip(tree.flatten(ours), tree.flatten(expected), strict=True):
        a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
        assert a.shape == b.shape
        scale = max(1.0, np.abs(b).max(initial=0.0))
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)
