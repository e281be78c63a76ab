"""Attention as a memory: what it sees, what it must not, and how it is used."""

import keras
import numpy as np
import pytest
from backends import dtype_of
from backends import needs_tensorflow
from backends import rounding
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import ops

from keras_nam import layers

KINDS = {
    "nam": lambda **k: layers.NAMAttention(2, 3, 4, **k),
    "ungated": lambda **k: layers.NAMAttention(2, 3, use_gates=False, **k),
    "erase": lambda **k: layers.NAMAttention(2, 3, use_erase=True, **k),
    "linear": lambda **k: layers.LinearAttention(2, 3, 4, **k),
}
ORDER_FREE = [kind for kind in KINDS if kind != "erase"]
WIDTH = 5


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def make(kind, **kwargs):
    """A layer whose biases are not zeros, so that nothing hides behind them."""
    layer = KINDS[kind](bias_initializer="normal", **kwargs)
    layer.build((None, None, WIDTH), (None, None, WIDTH))
    return layer


def steps(layer, x):
    """The causal layer, written out: write one position, then read."""
    outputs = []
    for t in range(x.shape[1]):
        past = x[:, : t + 1]
        write = erase = np.ones((*past.shape[:2], layer.num_heads), "float32")
        read = 1.0
        if layer.use_gates:
            write = ops.sigmoid(layer.write_dense(past))
            read = ops.sigmoid(layer.read_dense(x[:, t : t + 1]))[:, 0, :, None]
        erase = ops.sigmoid(layer.erase_dense(past)) if layer.use_erase else 0 * erase
        memory = np.zeros((len(x), *layer.memory_shape), "float32")
        key = np.asarray(layer.feature_map(layer.key_dense(past)))
        value = np.asarray(layer.value_dense(past))
        for s in range(t + 1):
            k = key[:, s, :, :, None]
            held = np.squeeze(memory @ k, -1)
            added = np.asarray(write)[:, s, :, None] * value[:, s]
            added = added - np.asarray(erase)[:, s, :, None] * held
            memory = memory + added[..., None] * key[:, s, :, None]
        query = np.asarray(layer.feature_map(layer.query_dense(x[:, t : t + 1])))[:, 0]
        outputs.append(read * np.squeeze(memory @ query[..., None], -1))
    return layer.output_dense(np.stack(outputs, axis=1).astype("float32"))


@pytest.mark.parametrize("kind", ["nam", "ungated", "erase"])
def test_causal_attention_is_the_memory_step_by_step(kind):
    layer, x = make(kind), normal(2, 9, WIDTH)
    np.testing.assert_allclose(
        layer(x, x, use_causal_mask=True), steps(layer, x), atol=2e-6
    )


@pytest.mark.parametrize("causal", [False, True])
def test_linear_attention_is_a_weighted_mean(causal):
    layer, x = make("linear"), normal(2, 7, WIDTH)
    query, key = (
        np.asarray(layer.feature_map(dense(x)))
        for dense in (layer.query_dense, layer.key_dense)
    )
    scores = np.einsum("bsnk,bznk->bnsz", query, key)
    scores = np.tril(scores) if causal else scores
    weights = scores / scores.sum(-1, keepdims=True)
    read = np.einsum("bnsz,bznv->bsnv", weights, layer.value_dense(x))
    np.testing.assert_allclose(
        layer(x, x, use_causal_mask=causal),
        layer.output_dense(read.astype("float32")),
        atol=2e-6,
    )


@pytest.mark.parametrize("kind", ORDER_FREE)
def test_the_order_of_the_source_does_not_matter(kind):
    layer, x, source = make(kind), normal(2, 4, WIDTH), normal(2, 9, WIDTH, seed=1)
    order = np.random.default_rng(2).permutation(9)
    np.testing.assert_allclose(layer(x, source), layer(x, source[:, order]), atol=1e-5)


def test_what_is_written_channel_by_channel_needs_no_order():
    layer = layers.NAMAttention(2, 3, value_dim=4, write_gate="channel")
    x = normal(2, 9, WIDTH)
    # The last query sees all that is written, in either way.
    causal = layer(x, x, use_causal_mask=True)
    np.testing.assert_allclose(layer(x, x)[:, -1], causal[:, -1], atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(0, 23), kind=st.sampled_from(list(KINDS)))
def test_pieces_give_what_the_whole_gives(cut, kind):
    layer, x = make(kind), normal(2, 23, WIDTH)
    whole, memory = layer(x, x, use_causal_mask=True, return_memory=True)
    first, carried = layer(
        x[:, :cut], x[:, :cut], use_causal_mask=True, return_memory=True
    )
    rest, after = layer(
        x[:, cut:],
        x[:, cut:],
        use_causal_mask=True,
        initial_memory=carried,
        return_memory=True,
    )
    np.testing.assert_allclose(np.concatenate([first, rest], 1), whole, atol=5e-6)
    np.testing.assert_allclose(after, memory, atol=5e-6)


@pytest.mark.parametrize("kind", ORDER_FREE)
def test_a_source_may_be_written_piece_by_piece(kind):
    layer, x = make(kind), normal(2, 9, WIDTH)
    _, memory = layer(x, x[:, :4], return_memory=True)
    outputs = layer(x, x[:, 4:], initial_memory=memory)
    np.testing.assert_allclose(outputs, layer(x, x), atol=2e-6)


def test_attention_masks_that_are_padding():
    layer, x = make("nam"), normal(2, 4, WIDTH)
    mask = np.array([[1, 1, 0, 1], [0, 1, 1, 1]], bool)
    expected = layer(x, x, value_mask=mask)
    for given_mask in (
        mask[:, None],
        mask[:, None, None],
        mask[:, None].astype("int32"),
        ops.convert_to_tensor(mask[:, None]),
    ):
        np.testing.assert_array_equal(layer(x, x, attention_mask=given_mask), expected)
    key_mask = np.array([[1, 1, 0, 1]] * 2, bool)
    np.testing.assert_array_equal(
        layer(x, x, attention_mask=mask[:, None], key_mask=key_mask),
        layer(x, x, value_mask=mask & key_mask),
    )
    inputs = [keras.Input((None, WIDTH)), keras.Input((1, None), dtype="bool")]
    outputs = layer(inputs[0], inputs[0], attention_mask=inputs[1])
    model = keras.Model(inputs, outputs)
    np.testing.assert_allclose(model([x, mask[:, None]]), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["nam", "linear"])
@pytest.mark.parametrize("shape", [(4,), (4, 4), (2, 4), (2, 4, 4), (2, 1, 4, 4)])
def test_attention_masks_that_a_memory_cannot_honour(kind, shape):
    layer, x = make(kind), normal(2, 4, WIDTH)
    with pytest.raises(ValueError, match=r"(?s)padding mask of shape.*Received: "):
        layer(x, x, attention_mask=np.ones(shape, bool))
    # A mask is refused for its shape alone, so that every way to call agrees.
    for sizes in (shape[1:], [None] * len(shape[1:])):
        inputs = keras.Input((None, WIDTH)), keras.Input(sizes, dtype="bool")
        with pytest.raises(ValueError, match=r"(?s)padding mask of shape.*Received: "):
            layer(inputs[0], inputs[0], attention_mask=inputs[1])


@pytest.mark.parametrize("name", ["query_mask", "value_mask", "key_mask"])
def test_masks_are_boolean_and_as_long_as_what_they_mask(name):
    layer, x = make("nam"), normal(2, 4, WIDTH)
    source = normal(2, 5, WIDTH)
    length = 4 if name == "query_mask" else 5
    layer(x, source, **{name: np.ones((2, length), "int32")})
    for wrong in (9 - length, 1):
        with pytest.raises(ValueError, match=rf"`{name}` must have shape.*Received: "):
            layer(x, source, **{name: np.ones((2, wrong), bool)})
    # It might be meant to be added to scores, with 0 where a position is seen.
    with pytest.raises(ValueError, match=rf"`{name}` must be boolean.*Received: "):
        layer(x, source, **{name: np.zeros((2, length), "float32")})


def test_linear_attention_has_neither_gates_nor_erasures():
    for name in ("use_gates", "use_erase"):
        with pytest.raises(ValueError, match=rf"`{name}`.*Received: {name}=True"):
            layers.LinearAttention(2, 3, **{name: True})


@needs_tensorflow
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("kind", list(KINDS))
def test_unknown_lengths_that_differ_cannot_be_causal(kind, jit_compile):
    import tensorflow as tf

    layer, x = make(kind), normal(2, 4, WIDTH)
    call = tf.function(
        lambda query, value: layer(query, value, use_causal_mask=True),
        jit_compile=jit_compile,
        input_signature=[tf.TensorSpec((None, None, WIDTH))] * 2,
    )
    assert call(x, x).shape == (2, 4, WIDTH)
    for query, value in ((x, x[:, :3]), (x, x[:, :1]), (x[:, :3], x)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            call(query, value)


def test_the_memory_has_the_dtype_of_the_policy():
    layer, x = make("nam"), normal(2, 4, WIDTH)
    _, memory = layer(x, x, initial_memory=np.zeros((2, 2, 4, 3)), return_memory=True)
    assert dtype_of(memory) == "float32"


def test_implicit_masks_are_honoured_beside_other_tensors():
    tokens = np.array([[1, 2, 4, 4], [1, 2, 3, 4]])
    embedding = layers.TokenEmbedding(5, WIDTH, mask_token=4)
    layer, memory = make("nam"), normal(2, 2, 4, 3)
    x = embedding(tokens)
    outputs = layer(x, x, initial_memory=memory)
    expected = layer(
        np.asarray(x), np.asarray(x), value_mask=tokens != 4, initial_memory=memory
    )
    np.testing.assert_allclose(outputs[0, :2], expected[0, :2], atol=1e-6)
    np.testing.assert_allclose(outputs[1, :3], expected[1, :3], atol=1e-6)


@pytest.mark.slow
def test_a_model_with_multi_head_attention_replaced_by_name():
    def build(attention):
        tokens = keras.Input((None,), dtype="int32")
        x = keras.layers.Embedding(11, 8, mask_zero=True)(tokens)
        y = attention(num_heads=2, key_dim=4, dropout=0.1, name="attention")(x, x)
        x = keras.layers.LayerNormalization()(keras.layers.Add()([x, y]))
        y = attention(2, 4, value_dim=3, output_shape=8)(query=x, value=x, key=x)
        return keras.Model(tokens, keras.layers.Dense(11)(x + y))

    x = np.random.default_rng(0).integers(0, 11, (4, 6))
    for attention in (keras.layers.MultiHeadAttention, layers.NAMAttention):
        model = build(attention)
        loss = keras.losses.SparseCategoricalCrossentropy(True)
        model.compile("adam", loss, jit_compile=False)
        losses = model.fit(x, x, epochs=3, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        assert model.output_shape == (None, None, 11)


def test_dropout_leaves_out_tokens_in_training_only():
    x = normal(2, 50, WIDTH)
    layer = make("ungated", dropout=0.5, seed=1)
    np.testing.assert_array_equal(layer(x, x), layer(x, x, training=False))
    _, memory = layer(x, x, return_memory=True)
    _, dropped = layer(x, x, return_memory=True, training=True)
    assert np.abs(memory - dropped).max() > 0.1
    constant = np.tile(normal(1, 1, WIDTH), (1, 4000, 1))
    _, memory = layer(constant, constant, return_memory=True)
    _, dropped = layer(constant, constant, return_memory=True, training=True)
    np.testing.assert_allclose(dropped, memory, rtol=0.1)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_half_precision_keeps_a_wide_memory(kind, policy):
    x, layer = normal(2, 300, WIDTH), make(kind)
    half = make(kind, dtype=policy)
    half.set_weights(layer.get_weights())
    outputs, memory = layer(x, x, use_causal_mask=True, return_memory=True)
    half_outputs, half_memory = half(x, x, use_causal_mask=True, return_memory=True)
    assert dtype_of(half_outputs) == half.compute_dtype
    assert dtype_of(half_memory) == "float32"
    carried = layer(x, x, use_causal_mask=True, initial_memory=memory)
    half_carried = half(x, x, use_causal_mask=True, initial_memory=half_memory)
    for ours, expected in (
        (half_outputs, outputs),
        (half_memory, memory),
        (half_carried, carried),
    ):
        # Inputs, weights and outputs are rounded, what a memory sums up is not.
        allowed = 3 * rounding(policy) * np.abs(expected).max()
        assert np.abs(np.float32(ours) - np.asarray(expected)).max() <= allowed
    symbolic = half(
        *[keras.Input((None, WIDTH))] * 2, use_causal_mask=True, return_memory=True
    )
    assert [s.dtype for s in symbolic] == [half.compute_dtype, "float32"]
    assert tuple(symbolic[1].shape[1:]) == tuple(half_memory.shape[1:])


def test_wrong_arguments():
    x = normal(2, 4, WIDTH)
    for arguments, message in (
        ({"num_heads": 0, "key_dim": 2}, "num_heads"),
        ({"num_heads": 2, "key_dim": 1.5}, "key_dim"),
        ({"num_heads": 2, "key_dim": 2, "value_dim": -1}, "value_dim"),
        ({"num_heads": 2, "key_dim": 2, "dropout": 1.0}, "dropout"),
        ({"num_heads": 2, "key_dim": 2, "output_shape": 0}, "output_shape"),
    ):
        with pytest.raises(ValueError, match=message):
            layers.NAMAttention(**arguments)
    with pytest.raises(ValueError, match="return_memory=True"):
        make("nam")(x, x, return_attention_scores=True)
    with pytest.raises(ValueError, match="same length"):
        make("nam")(x, x[:, :3], use_causal_mask=True)
    with pytest.raises(ValueError, match="use_causal_mask=True"):
        make("erase")(x, x)
    with pytest.raises(ValueError, match="features of the sizes"):
        make("nam")(x, x[..., :3])
    for mask in (np.ones((4, 4), bool), np.ones((2, 3), bool)):
        with pytest.raises(ValueError, match="`attention_mask` must have shape"):
            make("nam")(x, x, attention_mask=mask[:, None])
        with pytest.raises(ValueError, match="`value_mask` must have shape"):
            make("nam")(x, x, value_mask=mask)
    with pytest.raises(ValueError, match="initial_memory"):
        make("nam")(x, x, initial_memory=np.zeros((2, 2, 3, 3), "float32"))


def test_keys_are_as_many_as_values():
    layer = layers.NAMAttention(1, 2)
    x, key = np.zeros((2, 5, 3), "float32"), np.zeros((2, 4, 3), "float32")
    for causal in (False, True):
        with pytest.raises(ValueError, match="`key` and `value`.*Received"):
            layer(x, x, key, use_causal_mask=causal)
    layer = layers.NAMAttention(1, 2)
    value, key = np.zeros((2, 5, 6), "float32"), np.zeros((2, 5, 7), "float32")
    layer(x, value, key)
    with pytest.raises(ValueError, match=r"Received: \(3, 6, 6\)"):
        layer(x, value)
