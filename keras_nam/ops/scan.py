"""The memory over time: write, then read, at every step."""

import functools

import keras
import numpy as np
from keras import ops

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_gate
from keras_nam.arguments import check_mask
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_rank
from keras_nam.arguments import check_segment_ids
from keras_nam.arguments import check_shape
from keras_nam.ops.decay import FORGETS_ALL
from keras_nam.ops.memory import as_channels
from keras_nam.ops.memory import check_decay
from keras_nam.ops.precision import floating_dtype
from keras_nam.ops.precision import promote
from keras_nam.ops.scan_chunked import chunked_scan
from keras_nam.ops.scan_recurrent import recurrent_scan
from keras_nam.ops.segments import latest
from keras_nam.ops.segments import starts_of

IMPLEMENTATIONS = ("auto", "recurrent", "chunked", "token")
DEFAULT_CHUNK_SIZE = 32
LONGEST_TOKEN_SPACE = 64


def memory_scan(
    query,
    key,
    value,
    write_gate=None,
    erase_gate=None,
    read_gate=None,
    initial_memory=None,
    mask=None,
    implementation="auto",
    chunk_size=None,
    decay=None,
    segment_ids=None,
):
    """Writes to a memory and reads from it at every time step, causally.

    Starting from `initial_memory`, step `t` forgets, writes and reads:

        D_t = M_{t-1} Diag(a_t)
        M_t = D_t + (w_t v_t - D_t (e_t k_t)) k_t^T
        o_t = r_t M_t q_t

    which is `memory_write` followed by `memory_read`. Without a decay, `a = 1` and
    `D_t = M_{t-1}`. The gates are numbers for each head or, but for `r`, for each of
    its channels. All implementations give the same numbers, and all run in float32 or
    wider whatever the dtype of the inputs. Known by names of their own are

    | | `a` | `e` | `w` |
    |---|---|---|---|
    | linear attention | 1 | 0 | 1 |
    | DeltaNet | 1 | `w` | per head |
    | RetNet, Mamba-2 | per head | 0 | 1 |
    | GLA | per channel | 0 | 1 |
    | Gated DeltaNet | per head | `w` | per head |
    | Kimi Delta Attention | per channel | `w` | per head |
    | Gated DeltaNet-2 | per channel | per channel | per channel |

    Args:
        query: Tensor of shape `(batch, time, heads, key_dim)`. Queries and keys are
            used as they are: pass them through `unit_normalize` first.
        key: Tensor of shape `(batch, time, heads, key_dim)`.
        value: Tensor of shape `(batch, time, heads, value_dim)`.
        write_gate: Tensor of shape `(batch, time, heads)`, the write probabilities, or
            of shape `(batch, time, heads, value_dim)`. `None` means 1.
        erase_gate: Tensor of shape `(batch, time, heads)`, the erase probabilities, or
            of shape `(batch, time, heads, key_dim)`. `None` means 1; the number `0.0`
            means a memory that never erases, which is cheaper.
        read_gate: Tensor of shape `(batch, time, heads)`, the read probabilities.
            `None` means 1.
        initial_memory: Tensor of shape `(batch, heads, value_dim, key_dim)`. `None`
            means zeros.
        mask: Boolean tensor of shape `(batch, time)`. A masked (`False`) step leaves
            the memory untouched and outputs zeros, whatever its inputs hold.
        implementation: String. `"recurrent"` goes step by step and keeps no memory
            matrix for the gradient; `"chunked"` solves chunks of the sequence as
            triangular systems; `"token"` treats the whole sequence as one chunk;
            `"auto"` chooses by length.
        chunk_size: Integer, the number of steps per chunk of `"chunked"`. The result
            does not depend on it.
        decay: Tensor of shape `(batch, time, heads)`, or of shape
            `(batch, time, heads, key_dim)`, the natural logarithm of `a`, not above 0.
            `None` means 0, a memory that keeps all.
        segment_ids: Integer tensor of shape `(batch, time)`, for rows that hold several
            sequences one after the other. A sequence starts with an empty memory where
            the number changes; the first one of a row starts with `initial_memory`.

    Returns:
        A tuple `(outputs, final_memory)`: `(batch, time, heads, value_dim)` in the
        dtype of `value`, and `(batch, heads, value_dim, key_dim)` in float32 (float64
        for float64 inputs).

    Example:

    ```python
    key = keras_nam.ops.unit_normalize(keras.random.normal((2, 100, 4, 16)))
    value = keras.random.normal((2, 100, 4, 32))
    gate = keras.random.uniform((2, 100, 4))
    outputs, memory = keras_nam.ops.memory_scan(key, key, value, gate, gate)
    outputs.shape, memory.shape  # (2, 100, 4, 32), (2, 4, 32, 16)
    ```

    Raises:
        ValueError: If shapes do not fit together, `implementation` or `chunk_size` is
            unknown, or a decay is above 0.

    References:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    - [Parallelizing Linear Transformers with the Delta
        Rule](https://arxiv.org/abs/2406.06484)
    - [Gated Delta Networks](https://arxiv.org/abs/2412.06464)
    - [Kimi Linear](https://arxiv.org/abs/2510.26692)
    """
    chunk_size = check_implementation(implementation, chunk_size)
    for name, x in (("query", query), ("key", key), ("value", value)):
        check_rank(name, x, 4, "(batch, time, heads, dim)")
    operands = (
        query,
        key,
        value,
        write_gate,
        erase_gate,
        read_gate,
        initial_memory,
        mask,
        decay,
        segment_ids,
    )
    scan = MemoryScan(implementation, chunk_size)
    if any(keras.utils.is_keras_tensor(x) for x in operands):
        return scan.symbolic_call(*operands)
    return scan.call(*operands)


@keras.saving.register_keras_serializable(package="keras_nam")
class MemoryScan(keras.Operation):
    """`memory_scan` as a node of a functional model."""

    def __init__(self, implementation="auto", chunk_size=None, name=None):
        super().__init__(name=name)
        self.implementation = implementation
        self.chunk_size = chunk_size

    def call(
        self,
        query,
        key,
        value,
        write_gate,
        erase_gate,
        read_gate,
        memory,
        mask,
        decay=None,
        segment_ids=None,
    ):
        query, key, value = (ops.convert_to_tensor(x) for x in (query, key, value))
        _check_shapes(
            query,
            key,
            value,
            write_gate,
            erase_gate,
            read_gate,
            memory,
            mask,
            decay,
            segment_ids,
        )
        dtype = floating_dtype(value)
        never_erases = isinstance(erase_gate, (int, float)) and erase_gate == 0
        query, key, value, write, erase, read, memory, decay = promote(
            query,
            key,
            value,
            write_gate,
            None if never_erases else erase_gate,
            read_gate,
            memory,
            decay,
        )
        mask = None if mask is None else ops.cast(mask, "bool")
        if decay is not None:
            decay = ops.maximum(decay, FORGETS_ALL)

        # What is masked or not finite is taken out, and what depends on the latter is
        # set to NaN at the end. Products of whole chunks would carry a NaN to the
        # steps before it, as 0 * NaN.
        readable = _is_finite(query, read)
        writable = _is_finite(key, value, write, erase, decay)
        lost, unreadable = ~writable, ~readable
        if mask is not None:
            step = ops.expand_dims(mask, -1)
            lost, unreadable = lost & step, unreadable & step
            readable, writable = readable & step, writable & step
        query, read = _keep(readable, query, read)
        key, value, write, erase, decay = _keep(
            writable, key, value, write, erase, decay
        )
        if write is not None:
            value = value * as_channels(write, 4)
        erased = key if erase is None else key * as_channels(erase, 4)
        if decay is not None:
            decay = as_channels(check_decay(decay), 4)
        starts = None
        if segment_ids is not None:
            starts = starts_of(segment_ids, mask)
            decay = ops.zeros_like(key[..., :1]) if decay is None else decay
            decay = ops.where(ops.expand_dims(starts, (-2, -1)), FORGETS_ALL, decay)

        implementation, chunk_size = self._choose(query, decay)
        if implementation == "recurrent":
            if never_erases:
                erased = ops.zeros_like(key)
            if memory is None:
                memory = _zero_memory(key, value)
            outputs, memory = recurrent_scan(query, key, value, erased, decay, memory)
        else:
            erased = None if never_erases else erased
            outputs, memory = chunked_scan(
                query, key, value, erased, decay, memory, chunk_size
            )
        if read is not None:
            outputs = outputs * ops.expand_dims(read, -1)
        after_lost, lost_at_end = _reach(lost, starts)
        unreadable = unreadable | after_lost
        # Converters know no new axes of booleans in an index.
        outputs = ops.where(ops.expand_dims(unreadable, -1), np.nan, outputs)
        memory = ops.where(ops.expand_dims(lost_at_end, (-2, -1)), np.nan, memory)
        return ops.cast(outputs, dtype), memory

    def compute_output_spec(self, query, key, value, *others):
        _check_shapes(query, key, value, *others)
        batch, _, heads, key_dim = query.shape
        wide = keras.backend.result_type(value.dtype, "float32")
        return (
            keras.KerasTensor(
                (*query.shape[:3], value.shape[-1]), floating_dtype(value)
            ),
            keras.KerasTensor((batch, heads, value.shape[-1], key_dim), wide),
        )

    def get_config(self):
        return {
            "implementation": self.implementation,
            "chunk_size": self.chunk_size,
            "name": self.name,
        }

    def _choose(self, query, decay):
        """The implementation that `"auto"` stands for, and the chunk size."""
        implementation, chunk_size = self.implementation, self.chunk_size
        length = query.shape[1]
        if implementation == "auto":
            short = length is not None and length <= LONGEST_TOKEN_SPACE
            implementation = "token" if short else "chunked"
        size = None if implementation == "token" else chunk_size or DEFAULT_CHUNK_SIZE
        if decay is None and (size or length):
            return implementation, size
        # Systems, and how decays add up, are laid out beforehand.
        size = size or length or DEFAULT_CHUNK_SIZE
        if decay is not None and decay.shape[-1] > 1:
            # By halves, if there are many.
            size = 1 << (size - 1).bit_length()
        return implementation, size


def check_implementation(implementation, chunk_size):
    """Returns `chunk_size`, if both arguments are ones of `memory_scan`."""
    check_choice("implementation", implementation, IMPLEMENTATIONS)
    return check_optional_integer("chunk_size", chunk_size)


def _check_shapes(
    query, key, value, write, erase, read, memory, mask, decay=None, segment_ids=None
):
    steps, key_dim, value_dim = query.shape[:3], query.shape[-1], value.shape[-1]
    check_shape("key", key, query.shape, "(batch, time, heads, key_dim)")
    check_shape("value", value, (*steps, value_dim), "(batch, time, heads, value_dim)")
    check_gate("read_gate", read, steps, "(batch, time, heads)")
    for name, gate, channels, size in (
        ("write_gate", write, value_dim, "value_dim"),
        ("erase_gate", erase, key_dim, "key_dim"),
        ("decay", decay, key_dim, "key_dim"),
    ):
        meaning = f"(batch, time, heads) or (batch, time, heads, {size})"
        check_gate(name, gate, steps, meaning, channels)
    if memory is not None:
        check_shape(
            "initial_memory",
            memory,
            (steps[0], steps[2], value_dim, key_dim),
            "(batch, heads, value_dim, key_dim)",
        )
    if mask is not None:
        check_mask("mask", mask, steps[:2])
    check_segment_ids(segment_ids, steps[:2])


def _is_finite(*tensors):
    """Whether all of a token is, for tensors `(batch, time, heads, ...)` or `None`."""
    # Not of a sum, which may overflow.
    finite = [ops.isfinite(x) for x in tensors if x is not None]
    finite = [ops.all(x, axis=-1) if len(x.shape) == 4 else x for x in finite]
    return functools.reduce(ops.logical_and, finite)


def _keep(tokens, *tensors):
    """The tensors with zeros in all other tokens; `None` stays `None`."""

    def keep(x):
        chosen = ops.expand_dims(tokens, -1) if len(x.shape) == 4 else tokens
        return ops.where(chosen, x, 0.0)

    return tuple(None if x is None else keep(x) for x in tensors)


def _reach(lost, starts):
    """What depends on lost tokens, `(batch, time, heads)`.

    Returns:
        `(outputs, memory)`: booleans of shape `(batch, time, heads)`, at each step, and
        `(batch, heads)`, at the end.
    """
    count = ops.cumsum(ops.cast(lost, "int32"), axis=1)
    if starts is None:
        return count > 0, ops.any(lost, axis=1)
    start, any_yet = latest(starts)
    start = ops.where(any_yet, start, 0)
    before = ops.take_along_axis(
        count - ops.cast(lost, "int32"), start[..., None], axis=1
    )
    in_last = ops.expand_dims(start == start[:, -1:], -1)
    return count > before, ops.any(lost & in_last, axis=1)


def _zero_memory(key, value):
    """Zeros of the shape `(batch, heads, value_dim, key_dim)`."""
    batch, _, heads, key_dim = ops.shape(key)
    return ops.zeros((batch, heads, ops.shape(value)[-1], key_dim), value.dtype)
