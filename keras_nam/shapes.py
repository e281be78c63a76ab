"""Comparing static shapes, whose sizes may be unknown."""


def fits(shape, expected):
    """Whether two shapes agree wherever both are known (not `None`)."""
    return len(shape) == len(expected) and all(
        a is None or b is None or a == b for a, b in zip(shape, expected, strict=True)
    )
