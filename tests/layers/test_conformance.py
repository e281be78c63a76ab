"""What Keras expects of every layer."""

import keras
import ml_dtypes
import numpy as np
import pytest
from backends import dtype_of
from backends import needs_tensorflow
from cases import CASES
from cases import FEATURES
from cases import init_arguments
from cases import make_layer
from cases import make_rnn
from keras.src.testing import TestCase

from keras_nam import layers

# A value other than the default for every argument of every layer.
CHANGED = {
    "units": 12,
    "num_heads": 3,
    "key_dim": 5,
    "num_tapes": 3,
    "tape_length": 9,
    "tape_dim": 5,
    "use_erase": False,
    "use_bias": False,
    "use_jump": False,
    "use_shift": False,
    "use_gates": False,
    "kernel_initializer": "he_normal",
    "recurrent_initializer": "glorot_normal",
    "bias_initializer": "ones",
    "kernel_regularizer": "l2",
    "recurrent_regularizer": "l1",
    "bias_regularizer": "l2",
    "return_sequences": True,
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
    "activation": "relu",
    "layer_norm_epsilon": 0.1,
    "normalize_first": False,
    "use_attention_bias": False,
    "max_length": 11,
    "bidirectional": False,
    "unit_forget_bias": False,
    "num_layers": 3,
    "recurrent": "gru",
    "feedforward": "lstm",
    "num_base_classes": 4,
    "num_novel_classes": 3,
    "max_shots": 2,
    "generator": "attention",
    "similarity": "dotproduct",
    "erase": "in_order",
    "gate_units": 5,
    "use_attention": True,
}
# Of layers where the value above is the default.
CHANGED_IN = {layers.NAMAttention: {"use_erase": True}}
CHANGED_IN[layers.NAMTransformerEncoder] = CHANGED_IN[layers.NAMAttention]
CHANGED_IN[layers.TransformerBlock] = {
    "attention": layers.NAMAttention(2, 3),
    "feedforward": 5,
}
CHANGED_IN[layers.IBERTEncoder] = {"activation": "gelu"}
LAYERS = [
    layers.NAM,
    layers.LSAM,
    layers.NAMTM,
    layers.NAMCell,
    layers.LSAMCell,
    layers.NAMTMCell,
    layers.TokenEmbedding,
    layers.NAMAttention,
    layers.LinearAttention,
    layers.NAMTransformerEncoder,
    layers.TransformerBlock,
    layers.PositionEmbedding,
    layers.ClassToken,
    layers.MeanPooling,
    layers.LSTMEncoder,
    layers.IBERTEncoder,
    layers.NAMClassifier,
    layers.CosineClassifier,
]
SHARED = ["dtype", "name", "trainable"]
FEW_SHOT = dict.fromkeys(
    (layers.NAMClassifier, layers.CosineClassifier),
    ["similarity", "kernel_initializer", "kernel_regularizer"],
)
RECURRENT = ["zero_output_for_mask", "activity_regularizer"]
REQUIRED = {
    layers.TokenEmbedding: {"input_dim": 6, "output_dim": 4},
    layers.NAMAttention: {"num_heads": 2, "key_dim": 3},
    layers.LinearAttention: {"num_heads": 2, "key_dim": 3},
    layers.NAMTransformerEncoder: {"intermediate_dim": 6, "num_heads": 2},
    layers.TransformerBlock: {
        "attention": layers.LinearAttention(2, 3),
        "feedforward": layers.LSTMEncoder(2),
    },
    layers.PositionEmbedding: {},
    layers.ClassToken: {},
    layers.MeanPooling: {},
    layers.IBERTEncoder: {"num_layers": 2, "num_heads": 2, "intermediate_dim": 6},
    layers.NAMClassifier: {"num_base_classes": 5},
    layers.CosineClassifier: {"num_base_classes": 5},
}


@pytest.mark.parametrize("return_state", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_keras_conformance(case, return_sequences, return_state):
    layer_class, _, arguments = CASES[case]
    TestCase().run_layer_test(
        layer_class,
        init_kwargs={
            **arguments,
            "return_sequences": return_sequences,
            "return_state": return_state,
        },
        input_shape=(3, 4, FEATURES),
        supports_masking=True,
        # The states of a mixed policy are wider than its outputs.
        run_mixed_precision_check=not return_state,
        run_training_check=return_sequences and not return_state,
    )


def test_keras_conformance_of_the_embedding():
    TestCase().run_layer_test(
        layers.TokenEmbedding,
        init_kwargs={"input_dim": 6, "output_dim": 4, "mask_token": 5},
        input_data=np.array([[1, 2, 5]]),
        expected_output_shape=(1, 3, 4),
        supports_masking=True,
    )


@pytest.mark.parametrize("layer_class", LAYERS, ids=lambda c: c.__name__)
def test_every_argument_survives_get_config(layer_class):
    names = [*init_arguments(layer_class), *SHARED, *FEW_SHOT.get(layer_class, [])]
    if issubclass(layer_class, keras.layers.RNN):
        names += RECURRENT
    required = REQUIRED.get(layer_class, {"units": 12})
    defaults = layer_class(**required).get_config()
    for name in names:
        value = {**CHANGED, **CHANGED_IN.get(layer_class, {})}[name]
        layer = layer_class(**{**required, name: value})
        config = layer.get_config()
        if name not in required:
            assert config[name] != defaults.get(name), name
        assert layer_class.from_config(config).get_config() == config, name


@pytest.mark.parametrize(
    ("policy", "jit_compile"),
    [
        ("float32", False),
        ("mixed_bfloat16", True),
        pytest.param("float32", True, marks=pytest.mark.slow),
        pytest.param("mixed_float16", False, marks=pytest.mark.slow),
    ],
)
def test_fit_under_every_policy(case, policy, jit_compile):
    keras.config.set_dtype_policy(policy)
    inputs = keras.Input((None, FEATURES))
    outputs, *states = make_layer(case, return_state=True)(inputs)
    model = keras.Model(inputs, [keras.layers.Dense(2, dtype="float32")(outputs)])
    model.compile("adam", "mse", jit_compile=jit_compile)
    x, y = np.random.normal(size=(8, 6, FEATURES)), np.random.normal(size=(8, 2))
    history = model.fit(x, y, batch_size=4, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert all(dtype_of(s) == "float32" for s in states)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_stays_close_and_keeps_wide_states(case, policy):
    x = np.random.normal(size=(2, 9, FEATURES)).astype("float32")
    layer = make_layer(case, return_sequences=True, return_state=True)
    y, *states = layer(x)
    half = make_layer(case, return_sequences=True, return_state=True, dtype=policy)
    half.build(x.shape)
    half.set_weights(layer.get_weights())
    half_y, *half_states = half(x)
    assert dtype_of(half_y) == half.compute_dtype
    assert all(dtype_of(s) == "float32" for s in half_states)
    symbolic_y, *symbolic_states = half(keras.Input((None, FEATURES)))
    assert symbolic_y.dtype == half.compute_dtype
    assert all(s.dtype == "float32" for s in symbolic_states)
    for ours, reference in zip([half_y, *half_states], [y, *states], strict=True):
        assert np.abs(np.float32(ours) - np.float32(reference)).max() < 0.1
    # Wide states carry what half precision would round away.
    carried, *_ = half(x, initial_state=half_states)
    assert np.isfinite(np.float32(carried)).all()


@pytest.mark.parametrize("policy", ["float16", "bfloat16"])
def test_stateful_layers_keep_wide_states_under_half_policies(case, policy):
    x = 0.1 * np.random.normal(size=(2, 40, FEATURES)).astype("float32")
    whole = make_layer(case, return_sequences=True, dtype=policy)
    expected = np.float32(whole(x))
    layer = make_layer(case, return_sequences=True, stateful=True, dtype=policy)
    layer.build((2, 1, FEATURES))
    layer.cell.set_weights(whole.cell.get_weights())
    pieces = [np.float32(layer(x[:, t : t + 1])) for t in range(40)]
    assert all(dtype_of(state) == "float32" for state in layer.states)
    # What is carried from piece to piece is not rounded, but outputs are.
    error = np.abs(np.concatenate(pieces, axis=1) - expected).max()
    assert error <= 2 * ml_dtypes.finfo(policy).eps * np.abs(expected).max()


def test_cell_in_a_stock_rnn_keeps_wide_states(case):
    keras.config.set_dtype_policy("mixed_float16")
    layer = make_layer(case)
    layer.build((None, None, FEATURES))
    rnn = make_rnn(case, layer)
    assert rnn.cell.compute_dtype == "float32"
    assert dtype_of(rnn(np.ones((2, 3, FEATURES), "float16"))) == "float16"


def test_symbolic_shapes_are_those_of_eager_calls(case):
    layer = make_layer(case, return_sequences=True, return_state=True)
    symbolic = layer(keras.Input((4, FEATURES), batch_size=3))
    eager = layer(np.zeros((3, 4, FEATURES), "float32"))
    assert [tuple(s.shape) for s in symbolic] == [tuple(e.shape) for e in eager]
    computed = layer.compute_output_shape((3, 4, FEATURES))
    assert list(computed) == [tuple(e.shape) for e in eager]


def model_with_states(case):
    inputs = keras.Input((None, FEATURES))
    x = make_layer(case, return_sequences=True)(inputs)
    outputs, *states = make_layer(case, return_state=True)(x)
    x = np.random.normal(size=(3, 8, FEATURES)).astype("float32")
    return keras.Model(inputs, [outputs, *states]), x


def test_saved_model_gives_the_same_numbers(case, tmp_path):
    model, x = model_with_states(case)
    expected = model(x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for ours, reference in zip(loaded(x), expected, strict=True):
        np.testing.assert_array_equal(ours, reference)


@pytest.mark.slow
@needs_tensorflow
def test_exported_model_gives_the_same_numbers(case, tmp_path):
    import tensorflow as tf

    model, x = model_with_states(case)
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "exported"))
    for length in (8, 3):
        exported = served.serve(x[:2, :length])
        for ours, reference in zip(exported, model(x[:2, :length]), strict=True):
            np.testing.assert_allclose(ours, reference, atol=1e-5)


def test_weights_of_the_cell_are_those_of_the_layer(case):
    layer = make_layer(case)
    layer.build((None, None, FEATURES))
    _, cell_class, arguments = CASES[case]
    cell = cell_class(**arguments)
    cell.build((None, FEATURES))

    own = [w.path.removeprefix(f"{layer.name}/cell/") for w in layer.weights]
    assert own == [w.path.removeprefix(f"{cell.name}/") for w in cell.weights]
    cell.set_weights(layer.get_weights())
    layer.set_weights(cell.get_weights())
