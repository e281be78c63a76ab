"""What tests do the same way on every backend of Keras: dtypes and gradients."""

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import ops
from keras import tree

BACKEND = keras.backend.backend()
needs_tensorflow = pytest.mark.skipif(
    BACKEND != "tensorflow", reason="only TensorFlow has this"
)


def dtype_of(tensor):
    """The dtype as Keras names it."""
    return keras.backend.standardize_dtype(tensor.dtype)


def rounding(policy):
    """The largest relative error of one rounding to a policy's compute dtype."""
    dtype = keras.DTypePolicy(policy).compute_dtype
    return float(ml_dtypes.finfo(dtype).eps)


def differentiate(
    function, arguments, variables=(), jit_compile=False, shapes=None, trace=True
):
    """Calls a function and differentiates its loss.

    Args:
        function: Function `(*arguments) -> (loss, outputs)` of tensors.
        arguments: List of nested arrays.
        variables: List of Keras variables.
        jit_compile: Boolean. Whether to compile the function.
        shapes: List of the shapes of the arguments, flat, with `None` for sizes that
            are unknown when the function is traced, which only TensorFlow has.
        trace: Boolean. Whether TensorFlow makes a graph of the function, or runs it
            as it stands, which saves the time of tracing.

    Returns:
        `(outputs, gradients, variable_gradients)` as arrays. Gradients of arguments
        that are not floating are `None`; of what has no influence, zeros.
    """
    flat = [np.asarray(x) for x in tree.flatten(arguments)]
    watched = [i for i, x in enumerate(flat) if np.issubdtype(x.dtype, np.floating)]

    def call(flat):
        return function(*tree.pack_sequence_as(arguments, flat))

    differentiate_flat = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    outputs, floating, variable_gradients = differentiate_flat[BACKEND](
        call, flat, watched, list(variables), jit_compile, shapes, trace
    )
    gradients = [None] * len(flat)
    for i, gradient in zip(watched, floating, strict=True):
        gradients[i] = ops.convert_to_numpy(gradient)
    return (
        tree.map_structure(ops.convert_to_numpy, outputs),
        tree.pack_sequence_as(arguments, gradients),
        [ops.convert_to_numpy(gradient) for gradient in variable_gradients],
    )


def _tensorflow(call, flat, watched, variables, jit_compile, shapes, trace):
    import tensorflow as tf

    def evaluate(*flat):
        floating = [flat[i] for i in watched]
        with tf.GradientTape() as tape:
            tape.watch(floating)
            loss, outputs = call(flat)
        gradients = tape.gradient(
            loss,
            [floating, [v.value for v in variables]],
            unconnected_gradients="zero",
        )
        return outputs, *tf.nest.map_structure(tf.convert_to_tensor, gradients)

    if not trace:
        return evaluate(*map(tf.constant, flat))
    signature = [
        tf.TensorSpec(shape, x.dtype)
        for x, shape in zip(flat, shapes or [x.shape for x in flat], strict=True)
    ]
    compiled = tf.function(
        evaluate, jit_compile=jit_compile, input_signature=signature, autograph=False
    )
    return compiled(*map(tf.constant, flat))


def _jax(call, flat, watched, variables, jit_compile, shapes, trace):
    import jax

    def loss_and_outputs(floating, values):
        given = [ops.convert_to_tensor(x) for x in flat]
        for i, x in zip(watched, floating, strict=True):
            given[i] = x
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            return call(given)

    evaluate = jax.grad(loss_and_outputs, (0, 1), has_aux=True)
    if jit_compile:
        evaluate = jax.jit(evaluate)
    gradients, outputs = evaluate(
        [ops.convert_to_tensor(flat[i]) for i in watched], [v.value for v in variables]
    )
    return outputs, *gradients


def _torch(call, flat, watched, variables, jit_compile, shapes, trace):
    import torch

    if jit_compile:
        pytest.skip("PyTorch is tested as it runs by default, uncompiled")
    flat = [ops.convert_to_tensor(x) for x in flat]
    sources = [flat[i].requires_grad_() for i in watched]
    sources += [v.value for v in variables]
    loss, outputs = call(flat)
    gradients = [None] * len(sources)
    if loss.requires_grad:
        gradients = torch.autograd.grad(loss, sources, allow_unused=True)
    gradients = [
        torch.zeros_like(x) if g is None else g
        for x, g in zip(sources, gradients, strict=True)
    ]
    return outputs, gradients[: len(watched)], gradients[len(watched) :]
