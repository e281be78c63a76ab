"""Where the heads of the NTM and the DNC read and write: equations, as functions.

Cells of a memory have the axis `slots`; heads weigh them by what stands in them, by
where the head stood before, or by what was written least recently.
"""

from keras import ops

# As in the published code, in every denominator and under every power.
EPSILON = 1e-6


def one_plus(x):
    """A number above 1: `1 + log(1 + exp(x))`."""
    return 1.0 + ops.softplus(x)


def content_weights(memory, key, strength, mask=None):
    """Weighs slots by how much they look like a key.

        softmax_i(strength * cos(mask * M_i, mask * key))

    Args:
        memory: Tensor of shape `(batch, slots, word)`.
        key: Tensor of shape `(batch, heads, word)`.
        strength: Tensor of shape `(batch, heads)`.
        mask: Tensor of shape `(batch, heads, word)`, what of a word counts how much,
            or `None` for all of it.

    Returns:
        A tensor of shape `(batch, heads, slots)`.
    """
    if mask is None:
        slots = ops.sum(ops.square(memory), axis=-1)[:, None]
        masked = key
    else:
        slots = ops.einsum("bhw,bnw->bhn", ops.square(mask), ops.square(memory))
        masked = key * mask
        key = masked * mask
    norms = _root(ops.sum(ops.square(masked), axis=-1, keepdims=True)) * _root(slots)
    scores = ops.einsum("bhw,bnw->bhn", key, memory) / (norms + EPSILON)
    return ops.softmax(strength[..., None] * scores)


def allocation_weights(usage):
    """Weighs slots by how free they are, the freest before all others.

        a_i = (1 - u_i) * product of u_j over all j that come before i

    Slots come in the order of their usage, and of their number where that is equal.

    Args:
        usage: Tensor of shape `(batch, slots)`, from 0 to 1.

    Returns:
        A tensor of the same shape.
    """
    usage = usage * (1.0 - EPSILON) + EPSILON
    own, other = usage[:, :, None], usage[:, None, :]
    number = ops.arange(ops.shape(usage)[1])
    lower = number[None, :] < number[:, None]
    comes_before = ops.logical_or(
        other < own, ops.logical_and(ops.equal(other, own), lower)
    )
    # A comparison of all pairs does what sorting would, without moving anything.
    logs = ops.where(comes_before, ops.log(other), 0.0)
    return (1.0 - usage) * ops.exp(ops.sum(logs, axis=-1))


def sharpen(weights, power):
    """Raises weights to a power and lets them sum to 1 again.

    Args:
        weights: Tensor of shape `(batch, heads, slots)`, not negative.
        power: Tensor of shape `(batch, heads)`.
    """
    # In logarithms, so that no power underflows.
    return ops.softmax(power[..., None] * ops.log(weights + EPSILON))


def shift(weights, shares):
    """Moves heads around the memory, its last slot next to its first one.

    Args:
        weights: Tensor of shape `(batch, heads, slots)`.
        shares: Tensor of shape `(batch, heads, 2 * reach + 1)`, how much of it moves
            by `-reach` to `reach` slots.
    """
    reach = shares.shape[-1] // 2
    return sum(
        shares[..., i : i + 1] * ops.roll(weights, i - reach, axis=-1)
        for i in range(2 * reach + 1)
    )


def _root(x):
    """The square root, whose derivative at 0 is 0 here."""
    is_zero = ops.equal(x, 0.0)
    return ops.where(is_zero, 0.0, ops.sqrt(ops.where(is_zero, 1.0, x)))
