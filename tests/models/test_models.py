"""The functional models: any length, training, saving, serving."""

import keras
import numpy as np
import pytest
from backends import dtype_of
from backends import needs_tensorflow

import keras_nam
from keras_nam import layers
from keras_nam import models

MODELS = {
    "tagger-nam": lambda **kwargs: models.token_tagger(
        layers.NAM(8, num_heads=2, return_sequences=True), 16, 8, **kwargs
    ),
    "tagger-stack": lambda **kwargs: models.token_tagger(
        [
            keras.layers.LSTM(8, return_sequences=True),
            layers.NAMTM(8, num_tapes=2, tape_length=5, return_sequences=True),
        ],
        16,
        8,
        **kwargs,
    ),
    "namtm": lambda **kwargs: models.namtm_tagger(
        16, width=8, num_tapes=2, tape_length=12, **kwargs
    ),
    "lsam": lambda **kwargs: models.lsam_tagger(
        16, width=8, num_heads=2, intermediate_dim=12, **kwargs
    ),
}


@pytest.fixture(params=list(MODELS))
def build(request):
    return MODELS[request.param]


def rows(batch=4, length=9):
    return np.random.default_rng(0).integers(0, 10, (batch, length)).astype("int32")


@pytest.mark.parametrize(
    "jit_compile",
    [
        pytest.param(False, id="graph"),
        pytest.param(True, id="xla", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "tagger-nam" else [pytest.mark.slow])
        for name in MODELS
    ],
)
def test_fit_with_sample_weight_and_metrics(name, jit_compile):
    model = MODELS[name]()
    inputs, targets, weight = keras_nam.datasets.load_task(
        "reverse", "train", 64, digits=3
    )
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[
            keras_nam.metrics.SequenceAccuracy(),
            keras_nam.metrics.MaskedPerplexity(),
        ],
        jit_compile=jit_compile,
    )
    history = model.fit(inputs, targets, sample_weight=weight, epochs=2, verbose=0)
    losses = history.history["loss"]
    assert losses[1] < losses[0]
    # The loss is a mean over all positions, of which only the weighted ones count.
    assert history.history["masked_perplexity"] == pytest.approx(
        np.exp(np.multiply(losses, weight.size / weight.sum())), rel=1e-3
    )


def test_saving(build, tmp_path):
    model = build()
    expected = model(rows())
    assert dtype_of(expected) == "float32"
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(rows()), expected)


@pytest.mark.slow
@needs_tensorflow
def test_serving_without_the_package(build, tmp_path):
    import tensorflow as tf

    model = build()
    expected = model(rows())
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(served.serve(rows()), expected, atol=1e-5)
    assert served.serve(rows(1, 31)).shape == (1, 31, 16)


def test_masked_padding_changes_nothing(build):
    model = build(mask_token=11)
    tokens = rows()
    left = np.pad(tokens, ((0, 0), (3, 0)), constant_values=11)
    right = np.pad(tokens, ((0, 0), (0, 3)), constant_values=11)
    np.testing.assert_allclose(model(left)[:, 3:], model(tokens), atol=1e-5)
    np.testing.assert_allclose(model(right)[:, :-3], model(tokens), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_logits_are_float32_under_mixed_policies(build, policy):
    keras.config.set_dtype_policy(policy)
    assert dtype_of(build()(rows())) == "float32"


def test_sizes_by_the_papers_names():
    for size, (width, heads, _) in models.SIZES.items():
        if size in ("tiny", "mini"):
            model = models.namtm_tagger(size=size)
            cell = model.get_layer("namtm").cell
            assert (cell.units, cell.num_tapes, cell.tape_length) == (
                2 * width,
                heads,
                32,
            )
            model = models.lsam_tagger(size=size)
            cell = model.get_layer("decoder").cell
            assert (cell.units, cell.num_heads) == (2 * width, heads)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"`size` must be one of.*Received: "):
        models.namtm_tagger(size="huge")
    with pytest.raises(ValueError, match=r"must be even.*Received: "):
        models.lsam_tagger(width=8, num_heads=3)
    core = layers.NAM(8, return_sequences=True)
    with pytest.raises(ValueError, match=r"`vocabulary_size` must be.*Received: "):
        models.token_tagger(core, 0, 8)
    with pytest.raises(ValueError, match=r"`return_sequences=True`.*Received: "):
        models.token_tagger(layers.NAM(8), 16, 8)
    with pytest.raises(ValueError, match=r"must be a Keras layer.*Received: "):
        models.token_tagger("lstm", 16, 8)
    model = models.token_tagger(core, 16, 8)
    with pytest.raises(ValueError, match=r"between 0 and 15. Received: "):
        model(np.array([[3, 16]]))


def test_a_second_machine_sees_what_the_first_one_reads():
    arguments = {"width": 8, "num_tapes": 2, "tape_length": None, "use_jump": False}
    one = models.namtm_tagger(**arguments)
    two = models.namtm_tagger(**arguments, num_layers=2)
    assert [w.path for w in two.weights][:14] == [w.path for w in one.weights][:14]
    assert {w.path for w in one.weights} <= {w.path for w in two.weights}
    heads = [layer for layer in two.layers if isinstance(layer, layers.NAMTM)]
    assert [layer.name for layer in heads] == ["namtm", "namtm_2"]

    tokens = rows(2, 7)
    first, second = (
        keras_nam.visualization.trajectory(two, tokens, layer.name) for layer in heads
    )
    # Other values on the tapes of the first one, and its heads as they were.
    heads[0].cell.value_dense.kernel.assign(-heads[0].cell.value_dense.kernel)
    same, other = (
        keras_nam.visualization.trajectory(two, tokens, layer.name) for layer in heads
    )
    np.testing.assert_array_equal(same["write_gate"], first["write_gate"])
    assert np.abs(other["write_gate"] - second["write_gate"]).max() > 1e-3

    sharp = models.with_sharpness(two, 3)
    for name in ("namtm", "namtm_2"):
        assert sharp.get_layer(name).cell.sharpness == 3.0
    assert two.get_layer("namtm_2").cell.sharpness == 1.0
    whole = np.asarray(models.with_sharpness(two, 1)(tokens))
    stream = models.StreamingModel(
        models.namtm_tagger(**{**arguments, "tape_length": 7}, num_layers=2)
    )
    stream.model.set_weights(two.get_weights())
    state, pieces = stream.initial_state(2), []
    for piece in (tokens[:, :3], tokens[:, 3:4], tokens[:, 4:]):
        logits, state = stream(piece, state)
        pieces.append(logits)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-5)
    for wrong in (0, True, 1.5):
        with pytest.raises(ValueError, match="`num_layers` must be"):
            models.namtm_tagger(num_layers=wrong)
