"""What a case is: contenders at given sizes, and the check that comes first."""

import inspect
from collections.abc import Callable
from typing import NamedTuple

CASES = {}


class Case(NamedTuple):
    """A case at given sizes.

    `check` raises unless ours computes the numbers of the plain form. `contenders` are
    functions by name that build a step, a function of no argument that runs once what
    is measured. The first is ours, and so is the same compiled by XLA; another one that
    raises, as it is not installed or refuses the sizes, is left out and named.
    """

    check: Callable
    contenders: dict


def case(build):
    """Registers a function from sizes to a `Case` under its own name."""
    CASES[build.__name__] = build
    return build


def ours(contenders):
    """The names of the contenders that others are compared with."""
    first = next(iter(contenders))
    return [name for name in (first, f"{first} (XLA)") if name in contenders]


def sizes_of(name, **changed):
    """The default sizes of a case, with some changed; unknown ones are left out."""
    parameters = inspect.signature(CASES[name]).parameters
    sizes = {p.name: p.default for p in parameters.values()}
    return {**sizes, **{k: v for k, v in changed.items() if k in sizes}}


def make_case(name, sizes):
    return CASES[name](**sizes)
