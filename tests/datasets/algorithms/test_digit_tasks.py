"""Rows of the digit tasks against the rules of the papers, restated in plain Python."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_nam import datasets

DELIMITER, PAD, END, MASK = 10, 11, 13, 14
DIGIT_TASKS = (
    "addition",
    "arithmetic",
    "reverse",
    "copy",
    "repeated_copy",
    "reduction",
)


def row_length(task, max_digits, repeats=3):
    return {
        "addition": 3 * (max_digits + 2) + 3,
        "arithmetic": 3 * (max_digits + 2) + 3,
        "reverse": 2 * max_digits + 3,
        "copy": 2 * max_digits + 3,
        "repeated_copy": 2 * repeats * (max_digits + 1) + 1,
        "reduction": 2 * max_digits + 1,
    }[task]


def used_cells(row):
    """The cells from the first to the last one that is no padding, and their start."""
    cells = [cell for cell, token in enumerate(row) if token != PAD]
    return list(row[cells[0] : cells[-1] + 1]), cells[0]


def number(digits):
    """The value of digits that stand last digit first, which must be in normal form."""
    assert all(0 <= digit <= 9 for digit in digits)
    assert digits[-1] != 0
    return int("".join(str(digit) for digit in reversed(digits)))


def operands(inputs):
    """The digits of both numbers of a row, the last ones first."""
    tokens, _ = used_cells(inputs)
    _, middle, end = np.flatnonzero(np.array(tokens) == DELIMITER)
    return tokens[1:middle], tokens[middle + 1 : end]


def little_endian(value):
    return [int(digit) for digit in reversed(str(value))]


def check_number_row(task, digits, max_digits, inputs, targets, weights):
    tokens, start = used_cells(inputs)
    assert inputs[-1] == PAD
    ends = [i for i, token in enumerate(tokens) if token == DELIMITER]
    assert ends[0] == 0
    assert len(ends) == 3
    first, second = map(number, operands(inputs))
    if task == "addition":
        answer = first + second
        assert len(str(second)) == digits
        assert len(str(first)) <= digits + 1
    else:
        answer = 2 * second - first
        assert first <= second
        assert digits in (len(str(first)), len(str(second)))
        assert len(str(second)) <= digits + 1
    answer = little_endian(answer)
    question = [DELIMITER, *little_endian(first), DELIMITER, *little_endian(second)]
    question.append(DELIMITER)
    assert tokens == [*question, *[MASK] * len(answer), END]
    assert used_cells(targets) == ([*question, *answer, END], start)
    expected = np.zeros(len(inputs))
    expected[start + len(question) :][: len(answer)] = 1
    np.testing.assert_array_equal(weights, expected)


def check_string_row(task, digits, max_digits, inputs, targets, weights):
    tokens, start = used_cells(inputs)
    string = tokens[1 : 1 + digits]
    assert all(0 <= digit <= 9 for digit in string)
    question = [DELIMITER, *string, DELIMITER]
    answer = string[::-1] if task == "reverse" else string
    assert tokens == [*question, *[MASK] * digits, END]
    assert used_cells(targets) == ([*question, *answer, END], start)
    assert 0 <= start <= 2 * (max_digits - digits)
    np.testing.assert_array_equal(weights, inputs == MASK)


def check_repeated_copy_row(task, digits, max_digits, inputs, targets, weights):
    tokens, start = used_cells(inputs)
    answers, repeats = used_cells(targets)[0], len(tokens) // (2 * digits + 2)
    assert used_cells(targets)[1] == start
    assert len(tokens) == len(answers) == repeats * (2 * digits + 2)
    for block in range(repeats):
        cells = slice(block * (2 * digits + 2), (block + 1) * (2 * digits + 2))
        string = answers[cells][:digits]
        assert all(0 <= digit <= 9 for digit in string)
        assert tokens[cells] == [*string, DELIMITER, *[MASK] * digits, END]
        assert answers[cells] == [*string, DELIMITER, *string, END]
    assert 0 <= start <= 2 * repeats * (max_digits - digits)
    np.testing.assert_array_equal(weights, inputs == MASK)


def check_reduction_row(task, digits, max_digits, inputs, targets, weights):
    tokens, start = used_cells(inputs)
    assert len(tokens) == digits + 1
    assert tokens[-1] == DELIMITER
    assert all(0 <= digit <= 9 for digit in tokens[:-1])
    assert 0 <= start <= max_digits - digits
    remaining = [digit for digit in tokens[:-1] if digit]
    expected = [PAD] * len(inputs)
    after = start + digits + 1
    expected[after : after + len(remaining)] = remaining
    assert list(targets) == expected
    expected = np.zeros(len(inputs))
    expected[after : after + digits] = 1
    np.testing.assert_array_equal(weights, expected)


CHECKS = {
    "addition": check_number_row,
    "arithmetic": check_number_row,
    "reverse": check_string_row,
    "copy": check_string_row,
    "repeated_copy": check_repeated_copy_row,
    "reduction": check_reduction_row,
}


@given(
    task=st.sampled_from(DIGIT_TASKS),
    low=st.integers(1, 5),
    extra=st.integers(0, 25),
    count=st.integers(0, 40),
    seed=st.integers(0, 2**40),
    split=st.sampled_from(datasets.SPLITS),
)
@settings(max_examples=60, deadline=None)
def test_rows_follow_the_rules(task, low, extra, count, seed, split):
    high = low + extra
    draw = getattr(datasets, task)
    inputs, targets, weights = draw(count, low, high, seed=seed, split=split)
    shape = (count, row_length(task, high))
    assert inputs.shape == targets.shape == weights.shape == shape
    assert inputs.dtype == targets.dtype == np.int32
    assert weights.dtype == np.float32
    for i in range(count):
        digits = low + math.floor((high - low + 1) * i / count)
        CHECKS[task](task, digits, high, inputs[i], targets[i], weights[i])


def test_numbers_of_forty_digits_do_not_overflow():
    for task in ("addition", "arithmetic"):
        rows = getattr(datasets, task)(200, 38, 40, seed=3)
        for i, row in enumerate(zip(*rows, strict=True)):
            check_number_row(task, 38 + 3 * i // 200, 40, *row)


def test_repeats():
    rows = datasets.repeated_copy(30, 2, 4, repeats=5)
    assert rows[0].shape == (30, row_length("repeated_copy", 4, repeats=5))
    for i, row in enumerate(zip(*rows, strict=True)):
        check_repeated_copy_row("repeated_copy", 2 + 3 * i // 30, 4, *row)
        assert (row[0] == END).sum() == 5


def test_strings_of_several_lengths():
    rows = datasets.load_task(
        "repeated_copy", "train", 300, min_digits=2, max_digits=4, same_length=False
    )
    found = set()
    for i, (inputs, targets, weights) in enumerate(zip(*rows, strict=True)):
        tokens, start = used_cells(inputs)
        answers = list(targets[start : start + len(tokens)])
        for _ in range(3):
            block, tokens = np.split(tokens, [tokens.index(END) + 1])
            said, answers = np.split(answers, [len(block)])
            length = len(block) // 2 - 1
            assert list(block[length:]) == [DELIMITER, *[MASK] * length, END]
            assert list(said) == [*block[:length], DELIMITER, *block[:length], END]
            found.add((2 + 3 * i // 300, length))
            tokens, answers = list(tokens), list(answers)
        assert not tokens
        assert list(weights) == [*(inputs == MASK)]
    assert found == {(2, 2), (3, 2), (3, 3), (4, 2), (4, 3), (4, 4)}


def test_reduction_with_any_share_of_zeros():
    rows = datasets.load_task("reduction", "train", 2000, digits=10, zeros="any")
    zeros = []
    for i, (inputs, targets, weights) in enumerate(zip(*rows, strict=True)):
        check_reduction_row("reduction", 1 + i // 200, 10, inputs, targets, weights)
        zeros.append(used_cells(inputs)[0].count(0))
    # None to all of ten digits are 0, in as many rows each.
    assert_shares(np.bincount(zeros[1800:]), np.full(11, 1 / 11))


def test_half_of_the_digits_are_zeros_by_default():
    rows = zip(
        datasets.reduction(50), datasets.reduction(50, zeros="half"), strict=True
    )
    for default, half in rows:
        np.testing.assert_array_equal(default, half)
    with pytest.raises(ValueError, match="`zeros` must be one of .*='none'"):
        datasets.reduction(5, zeros="none")


def operands_of(task, carries):
    """The two numbers of rows that are checked as all of the task are."""
    rows = datasets.load_task(task, "train", 2000, digits=4, carries=carries)
    for i, (inputs, targets, weights) in enumerate(zip(*rows, strict=True)):
        digits = 1 + i // 500
        check_number_row(task, digits, 4, inputs, targets, weights)
        yield operands(inputs)


def test_sums_without_carries():
    found, pairs = set(), set()
    for first, second in operands_of("addition", "none"):
        places = list(zip(first, second, strict=True))
        assert all(sum(pair) <= 9 for pair in places)
        found.add(len(second))
        pairs.update(places)
    assert found == {1, 2, 3, 4}
    assert len(pairs) == 55


def test_sums_with_many_carries():
    longest = 0
    for first, second in operands_of("addition", "many"):
        carry = run = 0
        for place, digit in enumerate(second):
            total = digit + sum(first[place : place + 1])
            run = run + 1 if carry and total == 9 else 0
            longest = max(longest, run)
            carry = total + carry > 9
    # A carry starts in the last place and reaches the first one.
    assert longest == 3


def test_progressions_with_many_carries_and_borrows():
    longest = {-1: 0, 1: 0}
    for low, high in operands_of("arithmetic", "many"):
        carry = run = 0
        for place, digit in enumerate(high):
            total = 2 * digit - sum(low[place : place + 1])
            after = (total + carry) // 10
            # Without what arrives something else would be handed on.
            run = run + 1 if after != total // 10 and after == carry else 0
            longest[carry] = max(longest.get(carry, 0), run)
            carry = after
    # Either starts in the last place and reaches the first one.
    assert longest[-1] == longest[1] == 2


@pytest.mark.parametrize("task", ["addition", "arithmetic"])
def test_random_numbers_are_the_default(task):
    draw = getattr(datasets, task)
    for rows in zip(draw(50), draw(50, carries="random"), strict=True):
        np.testing.assert_array_equal(*rows)
    with pytest.raises(ValueError, match="`carries` must be one of .*='few'"):
        draw(5, carries="few")


def assert_shares(counts, shares):
    """Checks counts against the shares to expect, within 4.5 standard deviations."""
    counts, shares = np.asarray(counts, float), np.asarray(shares, float)
    total = counts.sum()
    deviation = np.sqrt(total * shares * (1 - shares))
    assert np.all(np.abs(counts - total * shares) <= 4.5 * deviation + 1e-9)


def test_operands_of_addition_are_drawn_as_in_the_papers():
    inputs, _, _ = datasets.addition(20000, 3, 3, seed=1)
    pairs = [[number(digits) for digits in operands(row)] for row in inputs]
    first, second = np.array(pairs).T
    # The bound 10 ** s - 1 of the first number has s uniform on 1 to 4.
    chances = [
        sum(9 * 10 ** (length - 1) / (10**s - 1) for s in range(length, 5)) / 4
        for length in range(1, 5)
    ]
    counts = np.bincount([len(str(a)) for a in first], minlength=5)[1:]
    assert_shares(counts, chances)
    short = first[first < 10]
    assert_shares(np.bincount(short, minlength=10)[1:], [1 / 9] * 9)
    longer = first[first >= 10]
    assert_shares(np.bincount(longer % 10, minlength=10), [1 / 10] * 10)
    assert (second.min(), second.max()) == (100, 999)
    assert_shares(np.bincount(second // 100)[1:], [1 / 9] * 9)
    assert_shares(np.bincount(second % 10), [1 / 10] * 10)


def test_order_of_operands_is_kept_in_addition_only():
    def longer_first(rows):
        pairs = map(operands, rows[0])
        return np.mean([len(first) > len(second) for first, second in pairs])

    assert longer_first(datasets.addition(500, 2, 2)) > 0.1
    assert longer_first(datasets.arithmetic(500, 2, 2)) == 0


@pytest.mark.parametrize("task", DIGIT_TASKS)
def test_shift_is_uniform_and_reaches_both_ends(task):
    repeats, high = 3, 3
    # The first 6000 rows have the length 2, for which there is room.
    inputs, _, _ = getattr(datasets, task)(12000, 2, high, seed=5)
    starts, rooms = [], []
    for row in inputs[:6000]:
        tokens, start = used_cells(row)
        starts.append(start)
        rooms.append(
            {
                "reverse": 2 * (high - 2),
                "copy": 2 * (high - 2),
                "repeated_copy": 2 * repeats * (high - 2),
                "reduction": high - 2,
            }.get(task, len(row) - len(tokens) - 1)
        )
    starts, rooms = np.array(starts), np.array(rooms)
    assert rooms.min() >= 1
    for room in np.unique(rooms):
        chosen = starts[rooms == room]
        if len(chosen) < 200:
            continue
        counts = np.bincount(chosen, minlength=room + 1)
        assert len(counts) == room + 1
        assert_shares(counts, [1 / (room + 1)] * (room + 1))


def test_digits_of_strings_are_uniform_and_may_lead_with_zero():
    inputs, _, _ = datasets.copy(5000, 4, 4)
    strings = inputs[:, 1:5]
    for place in range(4):
        assert_shares(np.bincount(strings[:, place], minlength=10), [0.1] * 10)


def test_strings_of_repeated_copy_differ():
    inputs, _, _ = datasets.repeated_copy(1000, 6, 6)
    # No shift: the longest strings fill their row but for one cell.
    assert np.mean(np.all(inputs[:, :6] == inputs[:, 14:20], axis=1)) < 0.01


def test_half_of_the_digits_of_a_reduction_are_zero():
    inputs, _, _ = datasets.reduction(5000, 4, 4)
    counts = np.bincount(inputs[:, :4].ravel(), minlength=10)
    assert_shares(counts, [1 / 2, *[1 / 18] * 9])


def test_one_hundred_thousand_rows_take_seconds():
    start = time.perf_counter()
    inputs, _, _ = datasets.addition(100_000)
    assert time.perf_counter() - start < 10
    assert inputs.shape == (100_000, 39)
