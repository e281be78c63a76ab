"""The few-shot heads: episodes, teaching and forgetting."""

import keras
import numpy as np
import pytest
from backends import differentiate
from backends import dtype_of

from keras_nam import layers
from keras_nam import ops as memory_ops

BASE, NOVEL, FEATURES = 7, 3, 6
HEADS = {
    "nam": lambda **kw: layers.NAMClassifier(BASE, NOVEL, 4, **kw),
    "in_order": lambda **kw: layers.NAMClassifier(
        BASE, NOVEL, 4, erase="in_order", **kw
    ),
    "nam_attention": lambda **kw: layers.NAMClassifier(
        BASE, NOVEL, 4, use_attention=True, **kw
    ),
    "mean": lambda **kw: layers.CosineClassifier(BASE, NOVEL, 4, **kw),
    "averaging": lambda **kw: layers.CosineClassifier(
        BASE, NOVEL, 4, generator="feature_averaging", **kw
    ),
    "attention": lambda **kw: layers.CosineClassifier(
        BASE, NOVEL, 4, generator="attention", **kw
    ),
}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, FEATURES)).astype("float32")
SUPPORT = RNG.normal(size=(6, FEATURES)).astype("float32")
LABELS = np.array([7, 9, 7, 8, 9, 9], "int32")


@pytest.fixture(params=list(HEADS))
def name(request):
    return request.param


def state(head):
    return [keras.ops.convert_to_numpy(w) for w in head.weights]


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_nam_against_plain_loops():
    head = HEADS["nam"]()
    head.build((None, FEATURES))
    for weight in head.trainable_weights:
        weight.assign(RNG.normal(size=weight.shape))
    gates = {}
    for name in ("writer", "eraser"):
        w1, b1, w2, b2 = (
            keras.ops.convert_to_numpy(w) for w in getattr(head, name).weights
        )
        hidden = np.maximum(unit(SUPPORT) @ w1 + b1, 0)
        gates[name] = 1 / (1 + np.exp(-(hidden @ w2 + b2)[:, 0]))
    base = unit(np.array(head.kernel))
    memory = np.concatenate([base, np.zeros((NOVEL, FEATURES))])
    erased = np.zeros_like(memory)
    for i, key in enumerate(unit(SUPPORT)):
        value = np.eye(BASE + NOVEL)[LABELS[i]]
        erased += gates["eraser"][i] * np.outer(memory @ key, key)
        erased -= gates["writer"][i] * np.outer(value, key)
    scores = unit(X) @ unit(memory - erased).T
    expected = float(head.scale) * (float(head.bias) + scores)
    np.testing.assert_allclose(head(X, SUPPORT, LABELS), expected, rtol=1e-4, atol=1e-4)


def test_in_order_is_one_write_after_the_other():
    head = HEADS["in_order"]()
    head.build((None, FEATURES))
    order = np.argsort(LABELS, kind="stable")
    examples = head.encode(unit(SUPPORT)[None], None)
    memory = np.zeros((BASE + NOVEL, FEATURES), "float32")
    memory[:BASE] = unit(np.array(head.kernel))
    for i in order:
        memory = memory_ops.memory_write(
            memory,
            unit(SUPPORT)[i],
            np.eye(BASE + NOVEL, dtype="float32")[LABELS[i]],
            examples["write_gate"][0, i],
            examples["erase_gate"][0, i],
        )
    found = head.episode_memory(SUPPORT[None], LABELS[None])[0]
    np.testing.assert_allclose(found, memory, atol=1e-5)


def test_sets_of_writes_and_reads_are_those_of_one():
    memory = RNG.normal(size=(2, 4, 5))
    keys, values = RNG.normal(size=(2, 3, 5)), RNG.normal(size=(2, 3, 4))
    gates = RNG.uniform(size=(2, 2, 3))
    together = memory
    for i in range(3):
        one = memory_ops.memory_write(
            memory, keys[:, i], values[:, i], gates[0, :, i], gates[1, :, i]
        )
        together = together + (np.array(one) - memory)
    found = memory_ops.memory_write_set(memory, keys, values, *gates)
    np.testing.assert_allclose(found, together, atol=1e-5)
    read = memory_ops.memory_read(memory, keys[:, 1])
    reads = memory_ops.memory_read_set(memory, keys)
    np.testing.assert_allclose(reads[:, 1], read, atol=1e-5)
    for wrong in ((memory, keys[..., :4], values), (memory, keys, values[:, :2])):
        with pytest.raises(ValueError, match="Received"):
            memory_ops.memory_write_set(*wrong)


def test_learning_is_an_episode_that_lasts(name):
    head = HEADS[name]()
    before = np.array(head(X))
    assert (before[:, BASE:] < -1e8).all()
    head.learn(SUPPORT[:4], LABELS[:4])
    head.learn(SUPPORT[4:], LABELS[4:])
    learned = np.array(head(X))
    np.testing.assert_allclose(learned, head(X, SUPPORT, LABELS), atol=1e-4)
    one_hot = np.eye(NOVEL, dtype="float32")[LABELS - BASE]
    batch = head(np.stack([X] * 2), np.stack([SUPPORT] * 2), np.stack([one_hot] * 2))
    np.testing.assert_allclose(batch[1], learned, atol=1e-4)
    # Any leading axes will do without a support set.
    np.testing.assert_allclose(head(X[None, None])[0, 0], learned, atol=1e-4)


def test_forgetting_restores_every_bit(name):
    head = HEADS[name]()
    before = np.array(head(X))
    head.learn(SUPPORT[LABELS == 9], LABELS[LABELS == 9])
    one = np.array(head(X)), state(head)
    head.learn(SUPPORT[LABELS != 9], LABELS[LABELS != 9])
    head.forget([7, 8])
    np.testing.assert_array_equal(head(X), one[0])
    for now, then in zip(state(head), one[1], strict=True):
        np.testing.assert_array_equal(now, then)
    # Another order of teaching, and the first class forgotten first.
    head.forget(9)
    np.testing.assert_array_equal(head(X), before)
    head.learn(SUPPORT[LABELS == 7], LABELS[LABELS == 7])
    head.learn(SUPPORT[LABELS == 9], LABELS[LABELS == 9])
    head.forget(7)
    np.testing.assert_array_equal(head(X), one[0])
    head.reset()
    np.testing.assert_array_equal(head(X), before)


def test_what_was_not_taught_is_no_answer(name):
    head = HEADS[name]()
    scores = head(X, SUPPORT[:3], LABELS[:3])
    assert np.isfinite(scores).all()
    assert not (np.argmax(scores, -1) == 8).any()


def test_base_classes_choose_rows(name):
    head = HEADS[name]()
    some = np.array([5, 0, 2])
    scores = head(X, SUPPORT, LABELS - 4, some)
    assert scores.shape == (5, 3 + NOVEL)
    if "attention" not in name:
        everything = np.array(head(X, SUPPORT, LABELS))
        np.testing.assert_allclose(scores[:, :3], everything[:, some], atol=1e-4)


@pytest.mark.parametrize(
    ("policy", "jit_compile", "similarity"),
    [
        ("float32", False, "dotproduct"),
        pytest.param("mixed_bfloat16", True, "dotproduct", marks=pytest.mark.slow),
        pytest.param("float32", True, "cosine", marks=pytest.mark.slow),
        pytest.param("mixed_float16", False, "cosine", marks=pytest.mark.slow),
    ],
)
def test_fit_on_classes_and_on_episodes(name, policy, jit_compile, similarity):
    head = HEADS[name](similarity=similarity, dtype=policy)
    head.build((None, FEATURES))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss_twice(*inputs):
        targets = np.resize(LABELS, inputs[0].shape[:-1])
        value = loss(targets, head(*inputs))
        return value, value

    moved = set()
    for inputs in ([X], [X[None], SUPPORT[None], LABELS[None]]):
        value, _, found = differentiate(
            loss_twice, inputs, head.trainable_variables, jit_compile
        )
        assert np.isfinite(value)
        assert all(np.isfinite(g).all() for g in found)
        moved |= {
            v.path
            for v, g in zip(head.trainable_variables, found, strict=True)
            if np.any(g)
        }
    assert moved == {v.path for v in head.trainable_variables}
    assert dtype_of(head(X)) == head.compute_dtype
    assert all(w.dtype != "float16" for w in head.weights)


def test_unknown_sizes(name):
    head = HEADS[name]()
    inputs = [
        keras.Input((None, FEATURES)),
        keras.Input((None, FEATURES)),
        keras.Input((None,), dtype="int32"),
    ]
    model = keras.Model(inputs, head(*inputs))
    assert model.output_shape == (None, None, BASE + NOVEL)
    for shots in (1, 6):
        arguments = X[None], SUPPORT[None, :shots], LABELS[None, :shots]
        found = model.predict(list(arguments), verbose=0)
        np.testing.assert_allclose(found, head(*arguments), atol=1e-4)


def test_saved_with_what_it_learned(name, tmp_path):
    head = HEADS[name]()
    model = keras.Sequential([keras.Input((FEATURES,)), head])
    head.learn(SUPPORT, LABELS)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(X), model(X))
    again.layers[-1].forget([7, 8, 9])
    head.reset()
    np.testing.assert_array_equal(again(X), model(X))
    assert again.layers[-1].get_config() == head.get_config()


POISONED = np.where(np.arange(6)[:, None] == 3, np.nan, SUPPORT)


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (SUPPORT, LABELS - 1, r"between 7 and 9.*Received: \[6, "),
        (SUPPORT, LABELS + 1, r"between 7 and 9.*Received: \[8, 10"),
        (SUPPORT[:0], LABELS[:0], "at least one example"),
        (SUPPORT, LABELS[:2], r"`labels` must have shape.*Received: .*\(2,\)"),
        (SUPPORT, LABELS + 0.0, "must be integers.*Received: .*float64"),
        (np.concatenate([SUPPORT] * 2), np.full(12, 8), "max_shots=4"),
        (SUPPORT[:, :-1], LABELS, r"`features` must have shape.*\(6, 5\)"),
        (SUPPORT[None], LABELS[None], r"`features` must have shape.*\(1, 6, 6\)"),
        (POISONED, LABELS, "must be finite"),
        (SUPPORT * np.inf, LABELS, "must be finite"),
        (SUPPORT * 0, LABELS, "must not be all zero"),
    ],
)
@pytest.mark.parametrize("which", ["nam", "attention"])
def test_wrong_lessons_change_nothing(which, features, labels, message):
    head = HEADS[which]()
    head.build((None, FEATURES))
    head.learn(SUPPORT[:1], LABELS[:1])
    before = state(head)
    with pytest.raises(ValueError, match=message):
        head.learn(features, labels)
    for now, then in zip(state(head), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_only_what_was_taught_can_be_forgotten():
    head = HEADS["nam"]()
    with pytest.raises(ValueError, match="taught"):
        head.forget(7)
    head.build((None, FEATURES))
    for label, message in ((6, "7 and 9"), (7, "taught"), (10, "7 and 9")):
        with pytest.raises(ValueError, match=message):
            head.forget(label)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X[:, :3],), r"`features` must have shape.*Received: .*\(5, 3\)"),
        ((X, SUPPORT), "need `support_labels`"),
        ((X, None, LABELS), "need `support_features`"),
        ((X, SUPPORT, LABELS + 1), r"between 7 and 9.*Received: .*10"),
        ((X, SUPPORT, LABELS[:2]), "as many examples as `support_features`"),
        ((X, SUPPORT[:0], LABELS[:0]), "at least one example"),
        ((X, SUPPORT[:, :2], LABELS), r"`support_features` must have shape"),
        ((X, None, None, np.arange(3)), "need `support_features`"),
        ((X, SUPPORT, LABELS, np.array([[0]])), "`base_classes` must have shape"),
    ],
)
def test_wrong_episodes(arguments, message):
    head = HEADS["nam"]()
    head.build((None, FEATURES))
    with pytest.raises(ValueError, match=message):
        head(*arguments)


@pytest.mark.parametrize(
    ("layer", "arguments"),
    [
        (layers.NAMClassifier, {"num_base_classes": 0}),
        (layers.NAMClassifier, {"num_novel_classes": 0}),
        (layers.NAMClassifier, {"max_shots": 1.5}),
        (layers.NAMClassifier, {"erase": "never"}),
        (layers.NAMClassifier, {"gate_units": 0}),
        (layers.NAMClassifier, {"erase": "in_order", "use_attention": True}),
        (layers.CosineClassifier, {"generator": "nam"}),
        (layers.CosineClassifier, {"similarity": "euclidean"}),
    ],
)
def test_wrong_arguments(layer, arguments):
    message = (
        "`{}`.* must be .*Received: {}=" if len(arguments) == 1 else "use_attention"
    )
    with pytest.raises(ValueError, match=message.format(*list(arguments) * 2)):
        layer(**{"num_base_classes": 3, **arguments})


@pytest.mark.parametrize(
    ("layer", "changed"),
    [
        (layers.NAMClassifier, {"erase": "in_order", "gate_units": 9}),
        (layers.NAMClassifier, {"use_attention": True}),
        (layers.CosineClassifier, {"generator": "attention"}),
        (
            layers.CosineClassifier,
            {
                "num_novel_classes": 2,
                "max_shots": 3,
                "similarity": "dotproduct",
                "kernel_initializer": "ones",
                "kernel_regularizer": "l2",
                "name": "renamed",
                "dtype": "mixed_bfloat16",
            },
        ),
    ],
)
def test_config(layer, changed):
    head = layer(4, **changed)
    config = head.get_config()
    defaults = layer(4).get_config()
    assert all(config[key] != defaults[key] for key in changed)
    assert layer.from_config(config).get_config() == config


def test_the_gates_of_older_files_are_known_or_refused():
    config = layers.NAMClassifier(4).get_config()
    head = layers.NAMClassifier.from_config({**config, "gates": "separate"})
    assert head.get_config() == config
    with pytest.raises(ValueError, match=r"(?s)gates.*Received: "):
        layers.NAMClassifier.from_config({**config, "gates": "shared"})


@pytest.mark.parametrize("head", HEADS)
def test_the_parts_of_an_episode_fit(head):
    head = HEADS[head]()
    x, support = np.stack([X, X]), np.stack([X, X])[:, :4]
    labels = np.array([[BASE, BASE + 1] * 2] * 2)
    chosen = np.array([[0, 1, 2, 3, 4, 5, 6]] * 2)
    head(x, support, labels, base_classes=chosen)
    width = np.zeros((2, 4, NOVEL - 1), "float32")
    for wrong in (
        {"support_labels": width},
        {"support_labels": labels[:1]},
        {"base_classes": chosen[:1]},
        {"base_classes": chosen - 1},
        {"base_classes": chosen + 1},
        {"base_classes": chosen * 1.0},
    ):
        arguments = {"support_labels": labels, "base_classes": chosen, **wrong}
        with pytest.raises(ValueError, match="Received"):
            head(x, support, **arguments)
