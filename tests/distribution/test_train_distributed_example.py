"""The example trains with two processes as with one, also after a worker was killed."""

import importlib.util
import json
import os
import re
import signal

import keras
import numpy as np
import pytest
from processes import ROOT
from processes import Script
from processes import run

# What files name is known once it is imported.
from keras_nam import layers  # noqa: F401

SCRIPT = ROOT / "examples" / "train_distributed.py"
SMALL = ["--width", 8, "--steps", 4, "--batch-size", 16]


def history(folder):
    return json.loads((folder / "history.json").read_text())


@pytest.mark.slow
def test_two_workers_with_tensorflow(tmp_path):
    status, output = run([SCRIPT, *SMALL, "--epochs", 2, "--out", tmp_path])
    assert status == 0, output
    assert history(tmp_path)["epochs"] == [0, 1]
    tokens = np.array([[10, 1, 2, 3]])
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert model(tokens).shape == (1, 4, 16)


@pytest.mark.skipif(
    importlib.util.find_spec("jax") is None,
    reason="JAX is not installed: pip install jax",
)
@pytest.mark.slow
def test_a_killed_run_with_jax_ends_like_one_process(tmp_path):
    command = [SCRIPT, *SMALL, "--epochs", 40, "--backend", "jax"]
    two = [*command, "--workers", 2, "--out", tmp_path / "two"]
    with Script(two) as script:
        script.wait_for((tmp_path / "two/backup/training_metadata.json").exists)
        victim = int(re.search(r"Worker 1 is process (\d+)", script.output)[1])
        os.kill(victim, signal.SIGKILL)
        assert script.status == 1, script.output
        assert "Training has broken off" in script.output
    assert not (tmp_path / "two" / "history.json").exists()

    status, output = run(two)
    assert status == 0, output
    status, output = run([*command, "--workers", 1, "--out", tmp_path / "one"])
    assert status == 0, output
    one, two = history(tmp_path / "one"), history(tmp_path / "two")
    assert one["epochs"] == list(range(40))
    assert two["epochs"][0] > 0
    assert two["epochs"][-1] == 39
    for name in ("loss", "accuracy"):
        values = one[name][two["epochs"][0] :]
        np.testing.assert_allclose(two[name], values, rtol=1e-3, atol=1e-3)


def test_arguments():
    for wrong, message in [
        (["--workers", 0], "--workers must be a positive integer"),
        (["--index", 1], "--addresses and --index are given together"),
        (["--index", 2, "--addresses", "a:1,b:1"], "--index must be below 2"),
    ]:
        status, output = run([SCRIPT, *wrong])
        assert status == 2
        assert message in output
