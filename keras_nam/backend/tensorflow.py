"""The TensorFlow part of the package: a loop over time, checks, and a lock.

The loop lives here because `keras.ops.scan` cannot be differentiated under XLA on
TensorFlow (its while loop has no bound) and demands that a step's output looks like
its state. Keras has no checks of values that are known only when a graph runs, nor a
lock inside a graph.
"""

import tensorflow as tf
from keras import ops
from keras import tree

from keras_nam.portable_scope import in_portable_scope


def scan(step, state, sequences, reverse=False, unroll=False):
    """Runs `step` over the first axis of `sequences` and stacks its outputs.

    The loop is bounded by the length, so that it can be differentiated with and
    without XLA, for static and unknown lengths, length 0 included.

    Args:
        step: Function `(state, elements) -> (state, outputs)` of nested tensors. The
            new state has the structure, shapes and dtypes of the old one.
        state: Nested structure of tensors, the state before the first step.
        sequences: Nested structure of tensors of shape `(time, ...)`.
        reverse: Boolean. Whether to run from the last element to the first. Outputs
            stand at the index of their element either way.
        unroll: Boolean. Whether to lay the steps out one after the other instead of
            looping, which needs a static length.

    Returns:
        `(state, outputs)`: the final state, and the outputs with a leading time axis.
    """
    sequences = tree.map_structure(tf.convert_to_tensor, sequences)
    length = tree.flatten(sequences)[0].shape[0]
    # A loop of one step would only cost.
    if length == 1 or (unroll and length):
        return _unrolled(step, state, sequences, reverse, length)
    return _loop(step, state, sequences, reverse, length)


def _loop(step, state, sequences, reverse, static_length):
    # One step on zeros tells the structure of the outputs, also at length 0.
    # In a graph nothing reads it, so that it costs nothing.
    zeros = tree.map_structure(lambda x: tf.zeros(tf.shape(x)[1:], x.dtype), sequences)
    _, example = step(state, zeros)
    if static_length == 0:
        # XLA has no arrays of size 0.
        return state, tree.map_structure(lambda x: x[None][:0], example)
    flat_sequences, flat_example = tree.flatten(sequences), tree.flatten(example)
    size = length = static_length
    if length is None and in_portable_scope():
        size = length = tf.shape(flat_sequences[0])[0]
    elif length is None:
        # XLA cannot index arrays of size 0, and an array that nothing was written to
        # has no shape to be stacked: arrays of unknown length get one element more.
        length = tf.shape(flat_sequences[0])[0]
        size = length + 1
        flat_sequences = [_append_zeros(x) for x in flat_sequences]
    inputs = [
        tf.TensorArray(x.dtype, size=size, element_shape=x.shape[1:]).unstack(x)
        for x in flat_sequences
    ]
    outputs = [
        tf.TensorArray(x.dtype, size=size, element_shape=x.shape) for x in flat_example
    ]
    if size is not length:
        outputs = [
            array.write(length, tf.zeros_like(x))
            for array, x in zip(outputs, flat_example, strict=True)
        ]

    def body(index, flat_state, outputs):
        at = length - 1 - index if reverse else index
        elements = [array.read(at) for array in inputs]
        new_state, new_outputs = step(
            tree.pack_sequence_as(state, flat_state),
            tree.pack_sequence_as(sequences, elements),
        )
        outputs = [
            array.write(at, x)
            for array, x in zip(outputs, tree.flatten(new_outputs), strict=True)
        ]
        return index + 1, tree.flatten(new_state), outputs

    flat_state = [tf.convert_to_tensor(x) for x in tree.flatten(state)]
    _, flat_state, outputs = tf.while_loop(
        lambda index, *_: index < length,
        body,
        (tf.constant(0), flat_state, outputs),
        maximum_iterations=size,
    )
    stacked = []
    for array, like in zip(outputs, flat_example, strict=True):
        x = array.stack()[:length]
        x.set_shape([static_length, *like.shape])
        stacked.append(x)
    return (
        tree.pack_sequence_as(state, flat_state),
        tree.pack_sequence_as(example, stacked),
    )


def _append_zeros(x):
    return tf.pad(x, [[0, 1]] + [[0, 0]] * (len(x.shape) - 1))


def _unrolled(step, state, sequences, reverse, length):
    outputs = [None] * length
    for at in reversed(range(length)) if reverse else range(length):
        elements = tree.map_structure(lambda x, at=at: x[at], sequences)
        state, outputs[at] = step(state, elements)
    return state, tree.map_structure(lambda *steps: tf.stack(steps), *outputs)


def custom_gradient(function):
    """Gives a function a gradient of its own.

    Args:
        function: Function `(*tensors) -> (outputs, gradient)`, where `outputs` is a
            tuple of tensors and `gradient` maps their gradients, one argument each, to
            a tuple of the gradients of `tensors`.

    Returns:
        Function `(*tensors) -> outputs`.
    """
    return ops.custom_gradient(function)


def require(condition, message, tensor):
    """Returns `tensor`, or fails with `message` if `condition` is false.

    Args:
        condition: Boolean scalar tensor.
        message: String.
        tensor: What is computed from the result waits for the check.

    Raises:
        ValueError: If `condition` is false. In a graph, which has no exceptions of
            Python, it is `tf.errors.InvalidArgumentError` when the graph runs, and
            nothing if XLA compiles it.
    """
    if tf.executing_eagerly():
        if not bool(condition):
            raise ValueError(message)
        return tensor
    with tf.control_dependencies([tf.debugging.Assert(condition, [message])]):
        return tf.identity(tensor)


def has_accelerator():
    """Whether tensors live on a GPU or TPU."""
    return any(
        x.device_type in ("GPU", "TPU") for x in tf.config.list_logical_devices()
    )


def exclusive(function, name):
    """Runs a function of a graph while no other one under the same name runs.

    `tf.CriticalSection` keeps its lock outside of the graph, where a SavedModel
    cannot find it. This one is made by the graph itself, once in a process.

    Args:
        function: Function without arguments that returns nested tensors.
        name: String, the name of the lock.

    Returns:
        What `function` returns.
    """
    lock = tf.raw_ops.MutexLock(mutex=tf.raw_ops.MutexV2(shared_name=name))
    graph = tf.compat.v1.get_default_graph()
    before = len(graph.get_operations())
    with tf.control_dependencies([lock]):
        results = tree.map_structure(tf.convert_to_tensor, function())
    # The lock is given back when its last reader has run: after all assignments.
    with tf.control_dependencies(graph.get_operations()[before:]):
        given_back = tf.raw_ops.ConsumeMutexLock(mutex_lock=lock)
    with tf.control_dependencies([given_back]):
        return tree.map_structure(tf.identity, results)


def variable(value, name):
    """Returns a variable that stands outside of every layer."""
    return tf.Variable(value, trainable=False, name=name)


def computed_alike(function):
    """Returns a function that is compiled by itself wherever it is called.

    Two graphs that compute the same may round differently, because each is optimized
    as a whole. This one is left as it is in all graphs that call it.
    """
    return tf.function(
        function, autograph=False, experimental_attributes={"_noinline": True}
    )


def after(tensor):
    """Returns a context whose operations wait for `tensor`."""
    return tf.control_dependencies([tensor])
