"""The figures show what the trajectory holds, and say what they show."""

import sys

import keras
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_nam import baselines
from keras_nam import layers
from keras_nam.visualization import plot_gates
from keras_nam.visualization import plot_head_entropy
from keras_nam.visualization import plot_memory
from keras_nam.visualization import plot_tape_heads
from keras_nam.visualization import trajectory

PLOTS = [plot_tape_heads, plot_head_entropy, plot_gates, plot_memory]


def made_up(time=6, tapes=2, cells=5, jump=True, mask=False, seed=0):
    """A trajectory as that of a NAMTM layer."""
    random = np.random.default_rng(seed)
    shapes = {
        "read_position": (tapes, cells),
        "write_position": (tapes, cells),
        "read_gate": (tapes,),
        "write_gate": (tapes,),
        "erase_gate": (tapes,),
        "tape": (tapes, cells, 3),
    }
    if jump:
        shapes["jump_position"] = (tapes, cells)
    values = {name: random.random((2, time, *s)) for name, s in shapes.items()}
    values["tape"] -= 0.5
    if mask:
        values["mask"] = np.arange(time) < [[time - 2], [time]]
    return values


def panels(figure):
    """The axes with an image in them, but for the colour bar."""
    return [axes for axes in figure.axes if axes.get_images()]


def images(figure):
    return [axes.get_images()[0].get_array() for axes in panels(figure)]


def step_labels(axes):
    return [text.get_text() for text in axes.get_xticklabels()]


@pytest.mark.parametrize("jump", [False, True])
def test_tape_heads_show_positions_as_the_layer_uses_them(jump):
    values = made_up(jump=jump)
    figure = plot_tape_heads(values, example=1)
    shown = images(figure)
    assert len(shown) == 4
    for tape in range(2):
        for column, name in enumerate(["read_position", "write_position"]):
            expected = values[name][1, :, tape]
            if jump:
                expected = expected / np.linalg.norm(expected, axis=-1, keepdims=True)
            np.testing.assert_allclose(shown[2 * tape + column], expected.T, rtol=1e-5)
    titles = [axes.get_title() for axes in panels(figure)]
    assert titles == ["read head", "write head", "", ""]
    assert "tape 0" in panels(figure)[0].get_ylabel()
    assert "tape 1" in panels(figure)[2].get_ylabel()
    assert panels(figure)[2].get_xlabel() == "step"


def test_entropy_tells_how_many_cells_a_head_stands_on():
    values = made_up(cells=8)
    values["read_position"][1] = np.eye(8)[0]
    values["read_position"][1, 3, 1] = 0.5
    values["read_position"][1, 4, 0] = [2, 2, 0, 0, 0, 0, 0, 0]
    values["write_position"][1] = 0.0
    read, write = images(plot_head_entropy(values, example=1))
    expected = np.zeros((2, 6))
    expected[1, 3], expected[0, 4] = 3.0, 1.0
    np.testing.assert_allclose(read, expected, atol=1e-6)
    np.testing.assert_allclose(write, 0.0)


def test_gates_show_every_gate():
    values = made_up(tapes=3)
    figure = plot_gates(values, example=1)
    for axes, name in zip(
        panels(figure), ["read_gate", "write_gate", "erase_gate"], strict=True
    ):
        image = axes.get_images()[0]
        np.testing.assert_allclose(image.get_array(), values[name][1].T, rtol=1e-6)
        assert image.get_clim() == (0, 1)
        assert axes.get_title() == name.replace("_", " ")
        assert axes.get_ylabel() == "tape"
    del values["erase_gate"]
    assert len(panels(plot_gates(values))) == 2
    layer = layers.NAM(6, num_heads=2, decay="channel")
    x = np.ones((1, 5, 4), "float32")
    *_, panel = panels(plot_gates((layer, x)))
    assert panel.get_title() == "decay"
    shown = trajectory(layer, x)["decay"][0].mean(axis=-1).T
    np.testing.assert_allclose(panel.get_images()[0].get_array(), shown, rtol=1e-6)


def test_memory_shows_chosen_steps_on_one_scale():
    values = made_up()
    figure = plot_memory(values, example=1, steps=[4, 0], memory=[1], tokens="abcdef")
    shown = images(figure)
    np.testing.assert_allclose(shown[0], values["tape"][1, 4, 1], rtol=1e-6)
    np.testing.assert_allclose(shown[1], values["tape"][1, 0, 1], rtol=1e-6)
    assert [a.get_title() for a in panels(figure)] == ["step 4\ne", "step 0\na"]
    assert "tape 1" in panels(figure)[0].get_ylabel()
    limits = [axes.get_images()[0].get_clim() for axes in panels(figure)]
    assert limits[0] == limits[1]
    assert limits[0][0] == -limits[0][1]
    assert limits[0][1] == max(np.abs(image).max() for image in shown)
    assert len(panels(plot_memory(values, memory=0))) == 5
    assert len(panels(plot_memory(made_up(time=3), steps=2))) == 2


def test_negative_weights_get_a_scale_of_two_signs():
    values = made_up()
    scale = [axes.get_images()[0] for axes in panels(plot_tape_heads(values))]
    assert {image.get_clim()[0] for image in scale} == {0}
    assert {image.get_cmap().name for image in scale} == {"viridis"}
    values["read_position"][0, 3] *= -1
    scale = [axes.get_images()[0] for axes in panels(plot_tape_heads(values))]
    assert {image.get_cmap().name for image in scale} == {"RdBu_r"}
    assert len({image.get_clim() for image in scale}) == 1
    assert scale[0].get_clim()[0] == -scale[0].get_clim()[1]


def test_masked_steps_are_blank():
    values = made_up(mask=True)
    for plot in (plot_tape_heads, plot_gates):
        for example, blank in [(0, [4, 5]), (1, [])]:
            figure = plot(values, example=example)
            for image in images(figure):
                hidden = np.ma.getmaskarray(image).all(axis=0)
                assert np.flatnonzero(hidden).tolist() == blank
                assert np.ma.getmaskarray(image).any(axis=0).sum() == len(blank)
            assert "masked" in figure.axes[-2].get_xlabel()


def test_masked_steps_keep_the_memory():
    values = made_up(mask=True)
    values["mask"][0] = [False, True, True, False, True, False]
    figure = plot_memory(values, steps=[0, 3, 5], memory=0)
    shown = images(figure)
    assert np.ma.getmaskarray(shown[0]).all()
    np.testing.assert_allclose(shown[1], values["tape"][0, 2, 0], rtol=1e-6)
    np.testing.assert_allclose(shown[2], values["tape"][0, 4, 0], rtol=1e-6)
    assert panels(figure)[1].get_title() == "step 3 (masked)"


@pytest.mark.parametrize("plot", [plot_tape_heads, plot_gates])
def test_tokens_label_the_steps(plot):
    tokens = ["$", "$x$", "_", "12", "", "end"]
    axes = plot(made_up(), tokens=tokens).axes[-2]
    assert step_labels(axes) == tokens
    assert axes.get_xlabel() == "token"
    axes = plot(made_up(), tokens=range(6)).axes[-2]
    assert step_labels(axes) == list("012345")


@pytest.mark.parametrize("time", [1, 100])
@pytest.mark.parametrize("plot", PLOTS)
def test_draws_without_a_display(plot, time, tmp_path):
    figure = plot(made_up(time=time, tapes=3), tokens=["$token$"] * time)
    assert type(figure) is Figure
    assert max(figure.get_size_inches()) < 30
    figure.savefig(tmp_path / "figure.png", dpi=20)
    assert figure.axes[-1].get_ylabel()
    if "matplotlib.pyplot" in sys.modules:
        assert not matplotlib.pyplot.get_fignums()


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ["NAM", "LSAM", "NAMTM"])
def test_figures_of_layers(name, dtype):
    keras.config.set_dtype_policy(dtype)
    size = {"num_tapes": 2} if name == "NAMTM" else {"num_heads": 2}
    layer = getattr(layers, name)(4, **size)
    sequences = np.ones((1, 3, 2), "float32")
    recorded = trajectory(layer, sequences)
    content = recorded["tape" if name == "NAMTM" else "memory"]
    shown = images(plot_memory((layer, sequences), steps=2))
    np.testing.assert_allclose(shown[1], content[0, 2, 1], rtol=1e-5)
    shown = images(plot_gates((layer, sequences, layer)))
    gate = recorded["write_gate"][0].astype("float32")
    np.testing.assert_allclose(shown[1], gate.T, rtol=1e-5)
    assert len(shown) == (2 if name == "LSAM" else 3)
    if name != "NAMTM":
        with pytest.raises(ValueError, match="has heads to plot. Received: .*'key'"):
            plot_tape_heads((layer, sequences))


@pytest.mark.parametrize("plot", PLOTS)
def test_arguments_that_do_not_fit(plot):
    for example in (2, -1, 0.0, None):
        with pytest.raises(ValueError, match=f"Received: example={example}"):
            plot(made_up(), example=example)
    with pytest.raises(ValueError, match="`tokens`.*6 steps. Received: 5 tokens"):
        plot(made_up(), tokens="abcde")
    for wrong in ("text", (1,), None):
        with pytest.raises(ValueError, match="Argument `trajectory` .*Received"):
            plot(wrong)
    with pytest.raises(ValueError, match=r"Received: \['query'\]"):
        plot({"query": np.zeros((1, 2, 3))})


def test_indices_that_do_not_fit():
    for tape in (2, [0, -1], True):
        with pytest.raises(ValueError, match="Received: tape="):
            plot_tape_heads(made_up(), tape=tape)
    with pytest.raises(ValueError, match="`tape` must not be empty"):
        plot_tape_heads(made_up(), tape=[])
    with pytest.raises(ValueError, match="Received: steps=6"):
        plot_memory(made_up(), steps=[0, 6])
    with pytest.raises(ValueError, match="Received: memory=2"):
        plot_memory(made_up(), memory=2)


@pytest.mark.parametrize("plot", PLOTS)
def test_without_matplotlib(plot, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install keras_nam\[plots\]"):
        plot(made_up())


@pytest.mark.parametrize("name", ["NTM", "DNC"])
def test_a_memory_without_heads_is_one(name):
    layer = getattr(baselines, name)(4, memory_size=5, word_size=3)
    sequences = np.random.default_rng(0).normal(size=(2, 6, 2)).astype("float32")
    contents = trajectory(layer, sequences)["memory"]
    shown = images(plot_memory((layer, sequences), example=1, steps=[2, 5]))
    assert len(shown) == 2
    np.testing.assert_allclose(shown[1], contents[1, 5], rtol=1e-5)
