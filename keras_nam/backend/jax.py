"""The JAX part of the package. The functions are those of the TensorFlow part."""

import jax
from keras import ops
from keras import tree


def scan(step, state, sequences, reverse=False, unroll=False):
    """Runs `step` over the first axis of `sequences` and stacks its outputs."""
    sequences = tree.map_structure(ops.convert_to_tensor, sequences)

    def body(flat_state, elements):
        new_state, outputs = step(tree.pack_sequence_as(state, flat_state), elements)
        return tree.flatten(new_state), outputs

    flat_state = [ops.convert_to_tensor(x) for x in tree.flatten(state)]
    flat_state, outputs = jax.lax.scan(
        body, flat_state, sequences, reverse=reverse, unroll=unroll or 1
    )
    return tree.pack_sequence_as(state, flat_state), outputs


def custom_gradient(function):
    """Gives a function a gradient of its own."""

    @ops.custom_gradient
    def with_gradient(*tensors):
        outputs, gradient = function(*tensors)
        return outputs, lambda gradients: gradient(*gradients)

    return with_gradient


def require(condition, message, tensor):
    """Returns `tensor`, or fails with `message` if `condition` is false.

    While JAX traces a function it knows no values, and nothing is checked.
    """
    if not isinstance(condition, jax.core.Tracer) and not bool(condition):
        raise ValueError(message)
    return tensor


def has_accelerator():
    """Whether tensors live on a GPU or TPU."""
    return jax.default_backend() != "cpu"
