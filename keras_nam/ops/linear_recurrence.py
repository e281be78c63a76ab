"""A matrix that is multiplied and added to, from chunk to chunk."""

from keras import ops

from keras_nam import backend
from keras_nam.ops.memory import transpose


def linear_recurrence(transition, addend, initial):
    """Runs `M_{c+1} = M_c T_c + B_c` and keeps every `M_c`.

    The adjoint is the same recurrence run backwards, so the gradient needs nothing
    but the matrices that are returned anyway.

    Args:
        transition: Tensor `T` of shape `(chunks, ..., key_dim, key_dim)`.
        addend: Tensor `B` of shape `(chunks, ..., value_dim, key_dim)`.
        initial: Tensor `M_0` of shape `(..., value_dim, key_dim)`.

    Returns:
        `(starts, final)`: `M_0 ... M_{chunks-1}` stacked, and `M_chunks`.
    """

    @backend.custom_gradient
    def run(transition, addend, initial):
        def step(matrix, elements):
            transition, addend = elements
            return ops.matmul(matrix, transition) + addend, matrix

        final, starts = backend.scan(step, initial, (transition, addend))

        def gradient(starts_gradient, final_gradient):
            def step_back(adjoint, elements):
                transition, start_gradient = elements
                before = ops.matmul(adjoint, transpose(transition))
                return before + start_gradient, adjoint

            initial_gradient, addend_gradient = backend.scan(
                step_back, final_gradient, (transition, starts_gradient), reverse=True
            )
            transition_gradient = ops.matmul(transpose(starts), addend_gradient)
            return transition_gradient, addend_gradient, initial_gradient

        return (starts, final), gradient

    return run(transition, addend, initial)


def low_rank_recurrence(removed, key, addend, initial):
    """As `linear_recurrence`, of transitions `T_c = I - R_c^T K_c` that are not formed.

    Where keys have more dimensions than a chunk has steps, as the cells of a long tape,
    that takes less time, and memory that grows with the keys and not with their square.

    Args:
        removed: Tensor `R` of shape `(chunks, ..., chunk_size, key_dim)`.
        key: Tensor `K` of the same shape.
        addend: Tensor of shape `(chunks, ..., value_dim, key_dim)`.
        initial: Tensor of shape `(..., value_dim, key_dim)`.

    Returns:
        `(starts, final)`, see `linear_recurrence`.
    """

    def move(matrix, left, right):
        return matrix - ops.matmul(ops.matmul(matrix, transpose(left)), right)

    @backend.custom_gradient
    def run(removed, key, addend, initial):
        def step(matrix, elements):
            removed, key, addend = elements
            return move(matrix, removed, key) + addend, matrix

        final, starts = backend.scan(step, initial, (removed, key, addend))

        def gradient(starts_gradient, final_gradient):
            def step_back(adjoint, elements):
                removed, key, start_gradient = elements
                return move(adjoint, key, removed) + start_gradient, adjoint

            initial_gradient, adjoints = backend.scan(
                step_back, final_gradient, (removed, key, starts_gradient), reverse=True
            )
            gradients = [
                -ops.matmul(ops.matmul(x, transpose(a)), b)
                for x, a, b in ((key, adjoints, starts), (removed, starts, adjoints))
            ]
            return (*gradients, adjoints, initial_gradient)

        return (starts, final), gradient

    return run(removed, key, addend, initial)
