"""What is written is read back from the event files."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_nam import datasets
from keras_nam import layers
from keras_nam import models
from keras_nam.callbacks import MemorySummary

pytest.importorskip("tensorboard")
pytest.importorskip("matplotlib")


def fit(model, summary, epochs=1, length=9):
    x = np.tile(np.arange(length, dtype="int32") % 9, (4, 1))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, run_eagerly=True)
    model.fit(x, x, epochs=epochs, callbacks=[summary], verbose=0)


def events(folder):
    """Dictionary from tags to lists of `(step, value)`."""
    files = sorted((folder / "memory").glob("events.out.tfevents.*"))
    assert len(files) == 1
    found = {}
    for record in tf.data.TFRecordDataset(str(files[0])):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            content = tf.make_ndarray(value.tensor)
            found.setdefault(value.tag, []).append((event.step, content))
    return found


@pytest.mark.slow
def test_gates_memory_and_heads_of_a_turing_machine(tmp_path):
    model = models.namtm_tagger(width=8, num_tapes=2, tape_length=6)
    inputs = datasets.encode_question("reverse", "314")[None]
    tokens = datasets.decode(inputs, "reverse")[0].split()
    fit(model, MemorySummary(tmp_path, inputs, tokens=tokens), epochs=2)
    found = events(tmp_path)
    name = next(tag for tag in found if tag.endswith("/tape")).split("/tape")[0]
    parts = ["erase_gate", "gates", "heads", "memory", "read_gate", "tape"]
    assert sorted(found) == [f"{name}/{part}" for part in [*parts, "write_gate"]]
    for written in found.values():
        assert [step for step, _ in written] == [0, 1]

    # Buckets have a left edge, a right edge and a count.
    gate = found[f"{name}/write_gate"][-1][1]
    assert gate[:, 2].sum() == inputs.shape[1] * 2
    assert gate[0, 0] >= 0
    assert gate[-1, 1] <= 1
    # Two tapes of six cells with four features.
    assert found[f"{name}/tape"][0][1][:, 2].sum() == inputs.shape[1] * 2 * 6 * 4

    for part in ("gates", "heads", "memory"):
        width, height, png = found[f"{name}/{part}"][-1][1]
        picture = tf.io.decode_png(png).numpy()
        assert picture.shape == (int(height), int(width), 4)
        assert picture.std() > 1


@pytest.mark.slow
def test_masked_steps_and_chosen_layers(tmp_path):
    core = [
        layers.LSAM(8, num_heads=2, return_sequences=True, name="first"),
        layers.NAM(8, num_heads=4, return_sequences=True, name="second"),
    ]
    model = models.token_tagger(core, vocabulary_size=16, width=8, mask_token=0)
    inputs = np.array([[1, 2, 0, 0, 0], [1, 2, 3, 0, 0]])
    summary = MemorySummary(
        tmp_path, inputs, layers=["second"], update_freq=2, write_images=False
    )
    fit(model, summary, epochs=5)
    found = events(tmp_path)
    assert {tag.split("/")[0] for tag in found} == {"second"}
    assert [step for step, _ in found["second/write_gate"]] == [1, 3]
    assert found["second/write_gate"][0][1][:, 2].sum() == 5 * 4


def test_a_broken_memory_does_not_stop_the_training(tmp_path):
    core = layers.NAM(8, num_heads=2, return_sequences=True, name="nam")
    model = models.token_tagger(core, vocabulary_size=16, width=8)
    model.get_layer("nam").build((None, None, 8))
    model.get_layer("embedding").embeddings.assign(np.full((16, 8), np.nan))
    fit(model, MemorySummary(tmp_path, np.ones((1, 5), "int32")))
    assert events(tmp_path)["nam/memory"][0][1][:, 2].sum() == 0


def test_bad_arguments(tmp_path):
    model = models.token_tagger(
        keras.layers.LSTM(8, return_sequences=True), vocabulary_size=16, width=8
    )
    inputs = np.ones((2, 5), "int32")
    with pytest.raises(ValueError, match="update_freq"):
        MemorySummary(tmp_path, inputs, update_freq=0)
    with pytest.raises(ValueError, match="must hold a recurrent layer"):
        fit(model, MemorySummary(tmp_path, inputs))
    core = layers.NAM(8, num_heads=2, return_sequences=True, name="nam")
    model = models.token_tagger(core, vocabulary_size=16, width=8)
    with pytest.raises(ValueError, match="must name one of the layers \\['nam'\\]"):
        fit(model, MemorySummary(tmp_path, inputs, layers=["other"]))
    with pytest.raises(ValueError, match="example"):
        fit(model, MemorySummary(tmp_path, inputs, example=2))
