"""Unit lower triangular systems.

Runtimes without an operator that solves them have matrix products, and accelerators
are faster at these. The inverse of a block triangular matrix is

    [A 0]^-1   [   A^-1          0  ]
    [C B]    = [-B^-1 C A^-1   B^-1 ]

so that the inverses of the diagonal blocks of twice a size follow from those of that
size, for all blocks at once. This is as exact as solving row by row.
"""

import numpy as np
from keras import ops

from keras_nam.backend import has_accelerator
from keras_nam.portable_scope import in_portable_scope


def solve_unit_lower(system, right):
    """Solves `system @ x = right`.

    Args:
        system: Tensor of shape `(..., n, n)` with ones on its diagonal and zeros above,
            of known size `n`.
        right: Tensor of shape `(..., n, columns)`.

    Returns:
        Tensor of the shape of `right`.
    """
    if in_portable_scope() or has_accelerator():
        return ops.matmul(_invert(system), right)
    return ops.solve_triangular(system, right, lower=True)


def _invert(system):
    size = system.shape[-1]
    row, column = np.indices((size, size))
    inverse = ops.eye(size, dtype=system.dtype)
    block = 1
    while block < size:
        is_below = (
            (row // (2 * block) == column // (2 * block))
            & (row // block % 2 == 1)
            & (column // block % 2 == 0)
        )
        below = system * ops.convert_to_tensor(is_below, system.dtype)
        if block > 1:
            below = ops.matmul(inverse, ops.matmul(below, inverse))
        inverse = inverse - below
        block *= 2
    return inverse
