"""The benchmarks run and check what they time; nothing is timed here."""

import pytest

from benchmarks.cases import CASES

SMALL = {
    "lsam": {"batch": 2, "length": 5, "width": 8, "heads": 2},
    "namtm": {"batch": 2, "length": 5, "width": 8, "tapes": 2, "tape_length": 6},
    "nam": {"batch": 2, "length": 5, "width": 8, "heads": 2},
    "memory_scan": {"batch": 2, "length": 5, "heads": 2, "dim": 4},
}


@pytest.mark.parametrize("name", list(CASES))
def test_contenders_compute_the_same_loss(name):
    contenders = CASES[name](**SMALL[name])
    ours = next(iter(contenders))
    loss, _ = contenders[ours]()
    assert loss > 0
    if name == "memory_scan":
        for other in contenders:
            assert float(contenders[other]()[0]) == pytest.approx(float(loss), rel=1e-5)
