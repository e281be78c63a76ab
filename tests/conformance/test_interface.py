"""What Keras expects of a layer: its arguments, its configuration, its shapes."""

import inspect

import keras
import numpy as np
import pytest
from backends import dtype_of
from backends import needs_tensorflow
from keras.src.testing import TestCase
from matrix import CALLS
from matrix import DOES_NOT_APPLY
from matrix import PLAIN
from matrix import ROWS
from matrix import WIDTH
from matrix import close
from matrix import rows

import keras_nam
from keras_nam import baselines
from keras_nam import layers
from keras_nam.layers import linear_attention


def layer_of(row):
    layer = row.make()
    return layer.cell if row.kind == "cell" else layer


PUBLIC = {
    getattr(module, name)
    for module in (layers, baselines)
    for name in module.__all__
    if inspect.isclass(getattr(module, name))
}
# The first row of each class stands for it.
FIRST = {}
for _row in ROWS:
    FIRST.setdefault(type(layer_of(_row)), _row)
first_rows = pytest.mark.parametrize(
    "row", [pytest.param(row, id=c.__name__) for c, row in FIRST.items()]
)

# Values that the first row of a class does not have, by the name of the argument.
CHANGED = {
    "units": 12,
    "num_heads": 1,
    "key_dim": 8,
    "num_tapes": 3,
    "tape_length": 9,
    "tape_dim": 5,
    "use_erase": False,
    "use_bias": False,
    "use_jump": False,
    "use_shift": False,
    "use_gates": False,
    "decay": "channel",
    "write_gate": "channel",
    "erase_gate": "channel",
    "num_key_heads": 1,
    "kernel_size": 3,
    "epsilon": 0.1,
    "sharpness": 3.0,
    "sharpen_training": True,
    "stay_bias": 2.0,
    "write_regularizer": "l1",
    "kernel_initializer": "he_normal",
    "recurrent_initializer": "glorot_normal",
    "bias_initializer": "ones",
    "kernel_regularizer": "l2",
    "recurrent_regularizer": "l1",
    "bias_regularizer": "l2",
    "return_sequences": False,
    "return_state": True,
    "go_backwards": True,
    "stateful": True,
    "unroll": True,
    "zero_output_for_mask": True,
    "implementation": "recurrent",
    "chunk_size": 7,
    "dtype": "mixed_bfloat16",
    "name": "renamed",
    "trainable": False,
    "activity_regularizer": "l2",
    "input_dim": 9,
    "output_dim": 3,
    "mask_token": 4,
    "embeddings_initializer": "ones",
    "value_dim": 7,
    "dropout": 0.25,
    "output_shape": 9,
    "kernel_constraint": "max_norm",
    "bias_constraint": "non_neg",
    "seed": 3,
    "intermediate_dim": 5,
    "attention": "softmax",
    "activation": "softsign",
    "layer_norm_epsilon": 0.1,
    "normalize_first": False,
    "use_attention_bias": False,
    "max_length": 11,
    "bidirectional": False,
    "unit_forget_bias": False,
    "num_layers": 3,
    "recurrent": "gru",
    "feedforward": "lstm",
    "identical_layers": True,
    "positions": "rotary",
    "num_base_classes": 9,
    "num_novel_classes": 4,
    "max_shots": 2,
    "generator": "attention",
    "similarity": "dotproduct",
    "erase": "in_order",
    "gates": "shared",
    "gate_units": 5,
    "use_attention": True,
    "memory_size": 7,
    "word_size": 3,
    "num_read_heads": 3,
    "num_write_heads": 3,
    "controller_units": [6, 3],
    "shift_range": 2,
    "use_masking": True,
    "use_deallocation": True,
    "use_sharpening": True,
    "mask_min": 0.1,
    "clip": 2.0,
    "num_stacks": 5,
    "stack_depth": 9,
    "window": 4,
}
CHANGED_IN = {
    layers.GatedDeltaNet: {"num_heads": 6},
    layers.NAMAttention: {"use_erase": True},
    layers.NAMTransformerEncoder: {"use_erase": True},
    layers.TransformerBlock: {
        "attention": layers.NAMAttention(2, 4),
        "feedforward": 5,
    },
    baselines.XLNetAttention: {"use_bias": True},
}
# Arguments of a base class that a layer does not take.
NOT_TAKEN = {
    layers.LinearAttention: {*linear_attention.ABSENT},
    layers.NAMTransformerEncoder: {"feedforward"},
    baselines.XLNetEncoder: {"positions", "max_length"},
    baselines.UniversalTransformerEncoder: {"positions", "max_length"},
}


def init_arguments(layer_class):
    """The names of all arguments, those of the base classes of this package too."""
    names = {"dtype", "name", "trainable"}
    for base in layer_class.__mro__:
        if base.__module__.startswith(keras_nam.__name__):
            parameters = inspect.signature(base.__init__).parameters.values()
            names |= {p.name for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD}
    if issubclass(layer_class, keras.layers.RNN):
        names |= {"zero_output_for_mask", "activity_regularizer"}
    return sorted(names - {"self", "cell"} - NOT_TAKEN.get(layer_class, set()))


def test_every_public_layer_has_a_row():
    assert set(FIRST) >= PUBLIC


def test_the_table_of_what_does_not_apply_names_rows():
    names = {row.name for row in ROWS} | set(CALLS)
    assert len({row.name for row in ROWS}) == len(ROWS)
    for reasons in DOES_NOT_APPLY.values():
        for left_out in reasons.values():
            assert set(left_out) <= names


@rows("config")
def test_the_configuration_makes_the_same_layer(row):
    layer = layer_of(row)
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config


@first_rows
def test_every_argument_survives_get_config(row):
    layer = layer_of(row)
    layer_class, config = type(layer), layer.get_config()
    for name in init_arguments(layer_class):
        value = {**CHANGED, **CHANGED_IN.get(layer_class, {})}[name]
        changed = layer_class.from_config({**config, name: value}).get_config()
        assert changed[name] != config.get(name), name
        assert layer_class.from_config(changed).get_config() == changed, name


@rows("shapes", every_time=PLAIN)
def test_symbolic_shapes_are_those_of_eager_calls(row):
    layer = row.built(**row.with_states)
    for batch, length in ((None, None), (3, 4)):
        symbolic = row.call(layer, row.input(batch, length))
        eager = row.call(layer, row.draw(3, 4))
        for ours, theirs in zip(symbolic, eager, strict=True):
            known = zip(ours.shape, theirs.shape, strict=True)
            assert all(size in (None, actual) for size, actual in known)
            assert batch is None or tuple(ours.shape) == tuple(theirs.shape)
            assert dtype_of(ours) == dtype_of(theirs)


@pytest.mark.parametrize(
    "training", [False, pytest.param(True, marks=pytest.mark.slow)]
)
@first_rows
def test_keras_own_checks(row, training):
    layer = row.make(**row.with_states)
    if row.kind == "cell":
        return
    config = {k: v for k, v in layer.get_config().items() if k not in ("name", "dtype")}
    steps = () if row.kind == "head" else (4,)
    inputs = {"input_shape": (3, *steps, WIDTH)}
    if "attention" in row.kind:
        shape = inputs["input_shape"]
        inputs = {"input_shape": {"query_shape": shape, "value_shape": shape}}
    if row.kind == "tokens":
        inputs = {"input_data": row.draw(3, 4)}
    TestCase().run_layer_test(
        type(layer),
        init_kwargs=config,
        **inputs,
        supports_masking=layer.supports_masking,
        run_training_check=training,
        # The states of a mixed policy are wider than its outputs.
        run_mixed_precision_check=not row.with_states,
    )


@pytest.mark.slow
@needs_tensorflow
@rows("exported")
def test_an_exported_model_computes_the_same(row, tmp_path):
    import tensorflow as tf

    model = row.model()
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "exported"))
    for batch, length in ((2, 8), (1, 3)):
        x = row.draw(batch, length)
        x = x.astype("int32") if row.kind == "tokens" else x
        close(served.serve(x), model(x))


def test_weights_of_a_cell_are_those_of_its_layer():
    for name in ("nam", "lsam", "namtm"):
        (layer, cell) = (
            next(row for row in ROWS if row.name == each).built()
            for each in (name, f"{name} cell")
        )
        own = [w.path.removeprefix(f"{layer.name}/cell/") for w in layer.weights]
        paths = [w.path for w in cell.weights]
        prefix = f"{cell.name}/{cell.cell.name}/"
        assert own == [path.removeprefix(prefix) for path in paths]
        x = np.ones((2, 3, WIDTH), "float32")
        cell.set_weights(layer.get_weights())
        close(cell(x), layer(x))
