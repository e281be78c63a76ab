"""Two devices train as one does, also when one has fewer rows or none at all."""

from pathlib import Path

import numpy as np
import pytest
from backends import needs_tensorflow
from matrix import ROWS
from matrix import close
from processes import ROOT
from processes import Script
from test_training import fitted

# The variants of these are trained in the same way.
FIRST = [row for row in ROWS if not row.slow]
pytestmark = [pytest.mark.slow, needs_tensorflow, pytest.mark.xdist_group("mirrored")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The weights of all rows after training on two devices."""
    file = tmp_path_factory.mktemp("mirrored") / "weights.npz"
    command = [Path(__file__).with_name("mirrored_fits.py"), file]
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    with Script([*command, *(row.name for row in FIRST)], paths) as script:
        assert script.status == 0, script.output
    return np.load(file)


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name.replace(" ", "-")) for row in FIRST]
)
def test_two_devices_train_as_one(row, trained):
    from mirrored_fits import data

    expected = fitted(row, data(row))
    two = [trained[f"{row.name}/{i}"] for i in range(len(expected))]
    close(two, expected)
