"""The heads of a tape and how they move by one step.

A head is a vector over the cells of a circular tape. Its next position mixes the
neighbours of where it is, where it is, and where a jump leads:

    p' = d_previous shift_back(p) + d_stay p + d_next shift_forward(p) + d_jump j
"""

from keras import ops


def move_heads(positions, directions, jump=None):
    """Moves the reading and the writing head of a tape.

    Args:
        positions: Tensor of shape `(..., 2, tape_length)`, the reading and the writing
            head.
        directions: Tensor of shape `(..., 2, 4)`, the shares of the previous cell, of
            staying, of the next cell and of the jump.
        jump: Tensor of shape `(..., tape_length)`, where a jump of either head leads,
            or `None`.

    Returns:
        Tensor of the shape of `positions`.
    """
    previous, stay, following, jumping = (directions[..., i, None] for i in range(4))
    moved = (
        previous * shift_back(positions)
        + stay * positions
        + following * shift_forward(positions)
    )
    return moved if jump is None else moved + jumping * ops.expand_dims(jump, -2)


def staying(dtype):
    """The directions `(2, 4)` of two heads that stay where they are."""
    return ops.one_hot([1, 1], 4, dtype=dtype)


def move_heads_adjoint(adjoint, directions):
    """The adjoint of `move_heads` with respect to the positions."""
    previous, stay, following = (directions[..., i, None] for i in range(3))
    return (
        previous * shift_forward(adjoint)
        + stay * adjoint
        + following * shift_back(adjoint)
    )


def shift_back(positions):
    """Moves heads to the previous cell: every cell takes the weight of the next."""
    return ops.roll(positions, -1, axis=-1)


def shift_forward(positions):
    """Moves heads to the next cell: every cell takes the weight of the previous."""
    return ops.roll(positions, 1, axis=-1)
