"""A model that is fed piece by piece."""

import inspect

import keras
from keras import ops
from keras import tree

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_destination
from keras_nam.arguments import check_integer
from keras_nam.layers.streaming import streaming
from keras_nam.models.time_steps import keeps_time_steps
from keras_nam.ops.precision import as_tensor


class _InitialState(keras.layers.Layer):
    """The state before the first step for the batch size of its inputs."""

    def __init__(self, layer):
        super().__init__(autocast=False)
        self.supports_masking = True
        self.initial_state = layer.initial_stream_state

    def call(self, inputs):
        return self.initial_state(ops.shape(inputs)[0])

    def compute_mask(self, inputs, mask):
        return None


class _WithState(keras.layers.Layer):
    """A layer that takes and returns its state, called with all as keywords."""

    def __init__(self, layer, streaming, first, constants, name):
        super().__init__(autocast=False, dtype=layer.dtype_policy, name=name)
        self.supports_masking = True
        self.layer = layer
        self.streaming = streaming
        self.first = first
        self.constants = constants
        self.names = inspect.signature(layer.call).parameters

    def call(self, arguments, state, arguments_mask=None):
        layer = self.layer
        arguments = {
            name: tree.map_structure(
                lambda x: layer.dtype_policy.convert_input(
                    x, layer.autocast, layer.input_dtype
                ),
                value,
            )
            for name, value in arguments.items()
        }
        # As Keras does it in a call of the layer.
        for name, mask in (arguments_mask or {}).items():
            for target in (f"{name}_mask", "mask"):
                if target in self.names and arguments.get(target) is None:
                    arguments[target] = mask
                    break
        outputs, state = self.streaming.stream(
            **{**self.constants, **arguments}, state=state
        )
        return [*tree.flatten(outputs), *state]

    def compute_output_spec(self, arguments, state, arguments_mask=None):
        outputs = self.layer.compute_output_spec(**{**self.constants, **arguments})
        after = [keras.KerasTensor(x.shape, x.dtype) for x in state]
        return [*tree.flatten(outputs), *after]

    def compute_mask(self, arguments, previous_mask):
        if not self.layer.supports_masking:
            return None
        mask = arguments.get("mask")
        if mask is None:
            mask = previous_mask[self.first]
        return self.layer.compute_mask(arguments[self.first], mask)


class StreamingModel:
    """Runs a model on a sequence that arrives piece by piece.

    All that such a model keeps of the past is the states of its layers. This class
    lays them open: a step takes them beside its inputs and returns them beside its
    outputs, so that a sequence fed in pieces of any lengths, down to single steps,
    gives what the model gives for the whole. A step costs the same however long the
    past is. The weights are those of the model.

    Of the layers of the model, each goes on from a state or treats every time step, the
    second axis of its inputs, by itself. Those with a state are

    - `keras_nam.layers.NAM`, `LSAM`, `GatedDeltaNet`, and `NAMTM` with a
        `tape_length`; `NTM`, `DNC`, and `StackRNN` with a `stack_depth`, of
        `keras_nam.baselines`; `keras.layers.LSTM`, `GRU`, `SimpleRNN` and `RNN`, and
        `keras_nam.layers.LSTMEncoder` in one direction;
    - `keras_nam.layers.NAMAttention`, `LinearAttention`, and `TransformerBlock` or
        `NAMTransformerEncoder` on one of them, if they are called with
        `use_causal_mask=True`; so `keras_nam.baselines.RotaryAttention` with a
        `window`;
    - `keras.layers.Conv1D` with `padding="causal"`, which drops masks there as well;
    - `keras_nam.layers.PositionEmbedding`, which counts on;
    - a layer of your own with the methods `initial_stream_state(batch_size)`, which
        returns a list of tensors `(batch_size, ...)`, and `stream(*args, state,
        **kwargs)`, which takes the arguments of `call` and such a list, and returns
        what `call` returns for these steps and the list after them.

    Those without are Keras' layers and operations that are known to leave time alone,
    such as `Dense`, `LayerNormalization` or `Add`. All others are refused. Inputs that
    are optional are left out.

    Args:
        model: A functional model.

    Example:

    ```python
    core = keras_nam.layers.NAM(64, num_heads=4, return_sequences=True)
    model = keras_nam.models.token_tagger(core, vocabulary_size=16, width=64)
    tokens = np.array([[10, 1, 2, 3, 10]])

    stream = keras_nam.models.StreamingModel(model)
    state = stream.initial_state(batch_size=1)
    first, state = stream(tokens[:, :2], state)
    rest, state = stream(tokens[:, 2:], state)
    first.shape, rest.shape  # (1, 2, 16), (1, 3, 16); as in model(tokens)
    ```

    Raises:
        ValueError: If the model is not functional, has no layer with a state, or has
            one that cannot be fed piece by piece.
    """

    def __init__(self, model):
        if not (isinstance(model, keras.Model) and isinstance(model, keras.Function)):
            raise ValueError(
                "Argument `model` must be a functional model. Received: "
                f"model={model} (of type {type(model)})"
            )
        self.model = model
        optional = {x.name for x in model.input_spec or () if x.optional}
        self._inputs = [x for x in tree.flatten(model.input) if x.name not in optional]
        self._layers = {}
        self._build_step()

    def __call__(self, inputs, state):
        """Runs the model on the next piece.

        Args:
            inputs: What the model takes, for any number of time steps.
            state: Dictionary of tensors, or arrays that they were stored as, from
                `initial_state` or the piece before.

        Returns:
            `(outputs, state)`: what the model returns for these time steps, and the
            state after them.
        """
        names = [x.name for x in self._inputs]
        inputs = tree.flatten(inputs)
        if len(inputs) != len(names):
            raise ValueError(
                f"Argument `inputs` must be what the model takes, {names}. "
                f"Received: {len(inputs)} tensors"
            )
        inputs = {n: as_tensor(n, x) for n, x in zip(names, inputs, strict=True)}
        wanted = sorted(self.state_specs)
        if not isinstance(state, dict) or sorted(map(str, state)) != wanted:
            raise ValueError(
                "Argument `state` must be a dictionary, from `initial_state` or the "
                f"piece before, with {wanted}. Received: state={state!r:.200}"
            )
        state = {name: as_tensor(name, x) for name, x in state.items()}
        results = self.step_model({**inputs, **state})
        outputs = tree.pack_sequence_as(
            self.model.output, [results[name] for name in self._output_names()]
        )
        return outputs, {name: results[name] for name in state}

    def initial_state(self, batch_size):
        """Returns the state before the first step, a dictionary of tensors."""
        if not hasattr(batch_size, "dtype"):
            batch_size = check_integer("batch_size", batch_size, at_least=0)
        state = {}
        for name, layer in self._layers.items():
            for i, value in enumerate(layer.initial_stream_state(batch_size)):
                state[f"{name}_state_{i}"] = value
        return state

    def export(self, path, verbose=False):
        """Exports a SavedModel that runs without this package.

        It has the endpoints and signatures `serve` for whole sequences; `step` from a
        dictionary of inputs and states to one of outputs and states; and
        `initial_state` from a scalar batch size to a dictionary of states. Batch size
        and length are free wherever the model's are.

        Args:
            path: String, the folder to write to.
            verbose: Boolean. Whether to print the endpoints.
        """
        path = check_destination("path", path)
        verbose = check_boolean("verbose", verbose)
        archive = keras.export.ExportArchive()
        archive.add_endpoint(
            "serve",
            lambda inputs: self.model(inputs, training=False),
            input_signature=[_specs(self.model.input)],
        )
        self.add_endpoints(
            archive,
            lambda inputs: self.step_model(inputs, training=False),
            _specs({x.name: x for x in self._inputs}),
        )
        archive.write_out(path, verbose=verbose)

    def add_endpoints(self, archive, step, inputs):
        """Adds the endpoints `step` and `initial_state` to an archive.

        Args:
            archive: A `keras.export.ExportArchive`.
            step: Function from a dictionary of inputs and states to one of outputs and
                states.
            inputs: Dictionary from names to `keras.InputSpec`, what `step` takes beside
                the states.
        """
        archive.track(self.step_model)
        archive.add_endpoint(
            "step", step, input_signature=[{**inputs, **self.state_specs}]
        )
        archive.add_endpoint(
            "initial_state",
            self.initial_state,
            input_signature=[
                keras.InputSpec(shape=(), dtype="int32", name="batch_size")
            ],
        )

    def _build_step(self):
        states, new_states = {}, {}
        # What has no time axis, such as the last output of a recurrent layer: tensors
        # by their ids, which hold as long as the tensors live.
        without_time = {}

        def call(operation, *args, **kwargs):
            args, kwargs = tree.map_structure(
                lambda x: None if id(x) in left_out else x, (args, kwargs)
            )
            tensors = _symbolic((args, kwargs))
            timeless = [id(x) in without_time for x in tensors]
            if all(timeless):
                outputs = operation(*args, **kwargs)
                without_time.update({id(x): x for x in _symbolic(outputs)})
                return outputs
            if any(timeless):
                raise _cannot_stream(
                    operation,
                    "it is called on single steps together with what holds for a whole "
                    "sequence",
                )
            if keeps_time_steps(operation, args, kwargs):
                return operation(*args, **kwargs)
            try:
                outputs, state, after = self._with_state(operation, args, kwargs)
            except ValueError as error:
                # Keras wraps what happens in a call in lists of its arguments.
                while isinstance(error.__context__, ValueError):
                    error = error.__context__
                raise _cannot_stream(operation, error) from error
            first, *others = outputs
            if not getattr(operation, "return_sequences", True):
                others = outputs
            without_time.update({id(x): x for x in others})
            states.update(state)
            # Copies, because a model may not return the same tensor twice.
            new_states.update(zip(state, map(ops.copy, after), strict=True))
            return outputs

        piece = tree.map_structure(
            lambda x: keras.Input(
                (None, *x.shape[2:])[: x.ndim - 1], dtype=x.dtype, name=x.name
            ),
            self.model.input,
        )
        without_time.update({id(x): x for x in _symbolic(piece) if x.ndim < 2})
        names = [x.name for x in self._inputs]
        left_out = {id(x) for x in _symbolic(piece) if x.name not in names}
        clone = keras.models.clone_model(
            self.model,
            input_tensors=piece,
            clone_function=lambda layer: layer,
            call_function=call,
        )
        if not states:
            raise ValueError(
                "Argument `model` must have a layer that goes on from a state, for "
                f"example a recurrent layer. Received: model={self.model} with layers "
                f"{[layer.name for layer in self.model.layers]}"
            )
        self.state_specs = _specs(states)
        outputs = dict(
            zip(self._output_names(), tree.flatten(clone.output), strict=True)
        )
        self.step_model = keras.Model(
            {**{x.name: x for x in _symbolic(piece) if x.name in names}, **states},
            {**outputs, **new_states},
            name=f"{self.model.name}_step",
        )

    def _with_state(self, layer, args, kwargs):
        """Calls a layer that goes on from a state: `(outputs, state, state after)`."""
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError("it is not known to treat every time step by itself")
        streaming_layer = streaming(layer)
        name = layer.name
        while name in self._layers:
            name = f"{name}_again"
        self._layers[name] = streaming_layer
        arguments = inspect.signature(layer.call).bind(*args, **kwargs).arguments
        tensors = {k: v for k, v in arguments.items() if _symbolic(v)}
        # Only a graph that is connected to its inputs can be cloned, so the state comes
        # from there at first, and is cut off below.
        first = next(iter(tensors))
        values = _InitialState(streaming_layer)(*_symbolic(tensors[first])[:1])
        state = {f"{name}_state_{i}": x for i, x in enumerate(values)}
        for key, x in state.items():
            x.name = key
        step = _WithState(
            layer,
            streaming_layer,
            first,
            {k: v for k, v in arguments.items() if k not in tensors},
            f"{name}_with_state",
        )
        # What the layer refuses to go on with is to be known now.
        one_step = tree.map_structure(
            lambda x: ops.zeros([size or 1 for size in x.shape], x.dtype), tensors
        )
        step(arguments=one_step, state=streaming_layer.initial_stream_state(1))
        results = step(arguments=tensors, state=values)
        count = len(results) - len(values)
        return results[:count], state, results[count:]

    def _output_names(self):
        outputs = tree.flatten(self.model.output)
        if len(outputs) == 1:
            return ["outputs"]
        return [f"outputs_{i}" for i in range(len(outputs))]


def _symbolic(structure):
    return [x for x in tree.flatten(structure) if isinstance(x, keras.KerasTensor)]


def _cannot_stream(operation, reason):
    return ValueError(
        "A model can be fed piece by piece if each of its layers goes on from a state "
        "or is known to treat every time step by itself: recurrent layers and "
        "`LSTMEncoder` that run forwards, causal `NAMAttention`, `LinearAttention` and "
        "`NAMTransformerEncoder`, causal `Conv1D`, `PositionEmbedding`, Keras' layers "
        "and operations that leave time alone, and a layer of your own with the "
        "methods `initial_stream_state` and `stream`. Nested models have to be "
        "unpacked. "
        f"Received: '{operation.name}' of type {type(operation)}: {reason}"
    )


def _specs(tensors):
    def spec(name, x):
        return keras.InputSpec(shape=x.shape, dtype=x.dtype, name=name)

    if isinstance(tensors, dict):
        return {name: spec(name, x) for name, x in tensors.items()}
    return tree.map_structure(lambda x: spec(x.name, x), tensors)
