"""Two devices train as one does, and what was killed goes on."""

import json
import signal
from pathlib import Path

import mirrored_run
import numpy as np
import pytest
from processes import run

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mirrored")]
SCRIPT = Path(mirrored_run.__file__)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the process has written until it was killed."""
    folder = tmp_path_factory.mktemp("mirrored")
    status, output = run([SCRIPT, folder])
    assert status == -signal.SIGKILL, output
    return folder


@pytest.fixture(scope="module")
def results(folder):
    return json.loads((folder / "losses.json").read_text())


@pytest.mark.parametrize("name", [*mirrored_run.MODELS, "curriculum"])
def test_two_devices_have_the_losses_of_one(results, name):
    one, two = results["one"][name], results["two"][name]
    assert one.keys() == two.keys()
    for metric, values in one.items():
        np.testing.assert_allclose(two[metric], values, rtol=1e-5, atol=1e-6)
    assert one["loss"][0] != one["loss"][1]


def test_a_broken_layer_is_found_on_its_replica(results):
    assert "broken" in results["nan"]


def test_a_killed_run_ends_as_if_it_had_not_been(folder):
    status, output = run([SCRIPT, folder])
    assert status == 0, output
    restored, uninterrupted = json.loads((folder / "backups.json").read_text())
    assert len(restored["loss"]) == mirrored_run.BACKUP_EPOCHS - 2
    for metric, values in uninterrupted.items():
        np.testing.assert_allclose(restored[metric], values[2:], rtol=1e-5)
