"""Text to tokens and back, queries, and the rows of the papers' own generators."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_nam import datasets

PAD = 11


@pytest.fixture(scope="module")
def published():
    return np.load(Path(__file__).parents[2] / "golden" / "datasets.npz")


def published_rows(published, name):
    return zip(published[f"{name}.input"], published[f"{name}.target"], strict=True)


def assert_laid_out(rows, inputs, targets, pad=PAD):
    """Checks that a query, shifted to where a published row starts, is that row."""
    start = int(np.flatnonzero(inputs != pad)[0])
    for ours, theirs in zip(rows, (inputs, targets), strict=True):
        padding = start, len(theirs) - start - ours.shape[1]
        row = np.pad(ours[0], padding, constant_values=pad)
        np.testing.assert_array_equal(row, theirs)


@pytest.mark.golden
@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("addition", "nam.add"),
        ("addition", "nam.add.ood"),
        ("arithmetic", "nam.arith"),
        ("arithmetic", "nam.arith.ood"),
    ],
)
def test_published_rows_of_numbers(published, task, name):
    for inputs, targets in published_rows(published, name):
        first, second = datasets.decode(inputs).replace(" ", "").split("_")[1:3]
        # The largest operand first, to see that arithmetic puts them in order.
        numbers = first[::-1], second[::-1]
        if task == "arithmetic":
            numbers = numbers[::-1]
        assert_laid_out(datasets.query(task, *numbers)[:2], inputs, targets)


@pytest.mark.golden
@pytest.mark.parametrize("task", ["reverse", "copy"])
def test_published_rows_of_strings(published, task):
    # Published the wrong way round: the answer in the input, the masks in the target.
    for targets, inputs in published_rows(published, f"nam.{task}"):
        string = datasets.decode(inputs).replace(" ", "").split("_")[1]
        assert_laid_out(datasets.query(task, string)[:2], inputs, targets)


@pytest.mark.golden
def test_published_rows_of_repeated_copy(published):
    for targets, inputs in published_rows(published, "nam.repeatcopy"):
        blocks = datasets.decode(inputs).replace(" ", "").strip(".").split("E")
        strings = [block.split("_")[0] for block in blocks if block]
        assert len(strings) == 3
        rows = datasets.query("repeated_copy", *strings)[:2]
        assert_laid_out(rows, inputs, targets)


@pytest.mark.golden
def test_published_rows_of_reduction(published):
    for inputs, targets in published_rows(published, "nam.reduce"):
        string = datasets.decode(inputs).replace(" ", "").strip(".").strip("_")
        assert_laid_out(datasets.query("reduction", string)[:2], inputs, targets)


@pytest.mark.golden
def test_published_rows_of_dyck(published):
    for text, (inputs, targets) in zip(
        published["nam.dyck.text"], published_rows(published, "nam.dyck"), strict=True
    ):
        brackets = text.split("\t")[0].replace(",", " ")
        rows = datasets.query("dyck", brackets)[:2]
        assert_laid_out(rows, inputs, targets, pad=10)


@pytest.mark.golden
def test_published_expressions(published):
    for text, length in zip(
        published["lra.listops.text"], published["lra.listops.length"], strict=True
    ):
        tokens = datasets.encode(str(text), task="listops")
        assert len(tokens) == length
        assert datasets.listops_text(np.pad(tokens, (0, 3))) == text


@pytest.mark.parametrize(
    ("task", "operands", "inputs", "targets", "weights"),
    [
        ("addition", (95, 7), "_59_7_MMME", "_59_7_201E", [6, 7, 8]),
        ("arithmetic", ("12", 2), "_2_21_MME", "_2_21_22E", [6, 7]),
        ("reverse", ("0012",), "_0012_MMMME", "_0012_2100E", [6, 7, 8, 9]),
        ("copy", (12,), "_12_MME", "_12_12E", [4, 5]),
        ("repeated_copy", ("1", "2"), "1_ME2_ME", "1_1E2_2E", [2, 6]),
        ("reduction", ("907",), "907_...", "....97.", [4, 5, 6]),
        ("dyck", ("[(<>",), "[(<>_MM", "[(<>_)]", [5, 6]),
    ],
)
def test_query(task, operands, inputs, targets, weights):
    rows = datasets.query(task, *operands)
    assert rows[0].shape == rows[1].shape == rows[2].shape == (1, len(inputs))
    np.testing.assert_array_equal(rows[0], datasets.encode([inputs], task=task))
    np.testing.assert_array_equal(rows[1], datasets.encode([targets], task=task))
    np.testing.assert_array_equal(np.flatnonzero(rows[2][0]), weights)


def test_query_of_a_number_beyond_64_bits():
    _, targets, _ = datasets.query("addition", 10**30 - 1, 1)
    answer = datasets.decode(targets)[0].split("_")[-1].replace(" ", "").strip("E")
    assert int(answer[::-1]) == 10**30


@pytest.mark.parametrize(
    ("task", "operands"),
    [
        ("addition", (1,)),
        ("addition", (1, 2, 3)),
        ("addition", (0, 2)),
        ("addition", ("01", 2)),
        ("addition", (-1, 2)),
        ("addition", (1.5, 2)),
        ("addition", (True, 2)),
        ("addition", ("", 2)),
        ("addition", ("١", 2)),
        ("addition", (None, 2)),
        ("reverse", ()),
        ("reverse", ("1 2",)),
        ("reverse", ("12a",)),
        ("repeated_copy", ()),
        ("repeated_copy", ("1", "22")),
        ("dyck", ("[]",)),
        ("dyck", ("",)),
        ("dyck", ("[)",)),
        ("dyck", ("[M",)),
        ("dyck", ("[_",)),
        ("dyck", (5,)),
        ("listops", ("[MAX 1 2 ]",)),
        ("sorting", (1,)),
    ],
)
def test_query_of_no_problem(task, operands):
    with pytest.raises(ValueError, match="Received: "):
        datasets.query(task, *operands)


@given(task=st.sampled_from(datasets.TASKS), data=st.data())
@settings(max_examples=50, deadline=None)
def test_decode_and_encode_are_inverse(task, data):
    size = 11 if task == "dyck" else 16
    length = data.draw(st.integers(0, 12))
    row = st.lists(st.integers(0, size - 1), min_size=length, max_size=length)
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    texts = datasets.decode(np.array(rows), task=task)
    assert len(texts) == len(rows)
    np.testing.assert_array_equal(datasets.encode(texts, task=task), rows)
    assert datasets.decode(rows[0], task=task) == texts[0]
    np.testing.assert_array_equal(datasets.encode(texts[0], task=task), rows[0])


def test_blanks_may_be_left_out():
    np.testing.assert_array_equal(
        datasets.encode("_12_MM E"), [10, 1, 2, 10, 14, 14, 13]
    )


@pytest.mark.parametrize(
    ("tokens", "task"),
    [
        ([16], "addition"),
        ([-1], "copy"),
        ([[1, 2], [3, 11]], "dyck"),
        ([16], "listops"),
        ([1.0], "copy"),
        ([True], "copy"),
        (3, "copy"),
        ([[[1]]], "copy"),
        ([1], "sorting"),
    ],
)
def test_decode_raises(tokens, task):
    with pytest.raises(ValueError, match="Received: "):
        datasets.decode(tokens, task=task)


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("_ x", "copy"),
        ("[MAX 3 [ ]", "listops"),
        ("[MAX3", "listops"),
        (["12", "1"], "copy"),
        ([], "copy"),
        (12, "copy"),
        ("12", "sorting"),
    ],
)
def test_encode_raises(text, task):
    with pytest.raises(ValueError, match="Received: "):
        datasets.encode(text, task=task)
