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
