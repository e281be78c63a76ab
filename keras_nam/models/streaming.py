"""A model that is fed piece by piece."""

import keras
from keras import ops
from keras import tree

# Layers that see more of a sequence than a state can carry from piece to piece.
_LOOK_AROUND = (
    keras.layers.Bidirectional,
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
    keras.layers.Attention,
    keras.layers.AdditiveAttention,
    keras.layers.Conv1D,
    keras.layers.SeparableConv1D,
    keras.layers.DepthwiseConv1D,
    keras.layers.Conv1DTranspose,
    keras.layers.AveragePooling1D,
    keras.layers.MaxPooling1D,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.Flatten,
)


class _InitialState(keras.layers.Layer):
    """The initial states of a recurrent layer for the batch size of its input."""

    def __init__(self, layer):
        super().__init__(autocast=False, name=f"{layer.name}_initial_state")
        self.supports_masking = True
        self.initial_states = lambda batch: tree.flatten(_initial_states(layer, batch))

    def call(self, sequences):
        return self.initial_states(ops.shape(sequences)[0])

    def compute_mask(self, sequences, mask):
        return None


class _WithStates(keras.layers.Layer):
    """A recurrent layer that takes and returns its states."""

    def __init__(self, layer):
        super().__init__(autocast=False, name=f"{layer.name}_with_states")
        self.supports_masking = True
        self.layer = layer

    def call(self, sequences, states, sequences_mask=None):
        states = tree.pack_sequence_as(_initial_states(self.layer, 1), states)
        flags = self.layer.return_state, self.layer.stateful
        self.layer.return_state, self.layer.stateful = True, False
        try:
            outputs = self.layer(sequences, initial_state=states, mask=sequences_mask)
        finally:
            self.layer.return_state, self.layer.stateful = flags
        return tree.flatten(outputs)

    def compute_mask(self, sequences, mask):
        outputs = [mask if self.layer.return_sequences else None]
        return outputs + [None] * len(tree.flatten(_initial_states(self.layer, 1)))


class StreamingModel:
    """Runs a model with recurrent layers on a sequence that arrives piece by piece.

    All that a model of recurrent layers keeps of the past is their states. This class
    lays them open: a step takes them beside its inputs and returns them beside its
    outputs, so that a sequence fed in pieces of any lengths, down to single steps,
    gives what the model gives for the whole. A step costs the same however long the
    past is. The weights are those of the model.

    Args:
        model: A functional model of which every layer that mixes time steps is
            recurrent (`keras_nam.layers.NAM`, `LSAM` and `NAMTM`,
            `keras.layers.LSTM`, `GRU`, `SimpleRNN` and `RNN`) and runs forwards from
            its own initial state.

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
        ValueError: If the model is not functional, has no recurrent layer, or has a
            layer that cannot be fed piece by piece.
    """

    def __init__(self, model):
        if not isinstance(model, keras.Model) or not hasattr(
            model, "_run_through_graph"
        ):
            raise ValueError(
                "Argument `model` must be a functional model. Received: "
                f"model={model} (of type {type(model)})"
            )
        self.model = model
        self._layers = {}
        self._build_step()

    def __call__(self, inputs, state):
        """Runs the model on the next piece.

        Args:
            inputs: What the model takes, for any number of time steps.
            state: Dictionary of tensors, from `initial_state` or the piece before.

        Returns:
            `(outputs, state)`: what the model returns for these time steps, and the
            state after them.
        """
        inputs = tree.map_structure(ops.convert_to_tensor, inputs)
        results = self.step_model({**self._named(inputs), **state})
        outputs = tree.pack_sequence_as(
            self.model.output, [results[name] for name in self._output_names()]
        )
        return outputs, {name: results[name] for name in state}

    def initial_state(self, batch_size):
        """Returns the state before the first step, a dictionary of tensors."""
        state = {}
        for name, layer in self._layers.items():
            values = tree.flatten(_initial_states(layer, batch_size))
            for i, value in enumerate(values):
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
        archive = keras.export.ExportArchive()
        archive.add_endpoint(
            "serve",
            lambda inputs: self.model(inputs, training=False),
            input_signature=[_specs(self.model.input)],
        )
        self.add_endpoints(
            archive,
            lambda inputs: self.step_model(inputs, training=False),
            _specs(self._named(tree.flatten(self.model.input))),
        )
        archive.write_out(str(path), verbose=verbose)

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
            "step", step, input_signature=[{**inputs, **self._state_specs}]
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

        def call(layer, *args, **kwargs):
            if isinstance(layer, (keras.Model, *_LOOK_AROUND)):
                raise ValueError(
                    "Only recurrent layers and layers that treat every time step by "
                    "itself can be fed piece by piece, and nested models have to be "
                    f"unpacked. Received: layer '{layer.name}' of type {type(layer)}"
                )
            if not isinstance(layer, keras.layers.RNN):
                return layer(*args, **kwargs)
            sequences, *rest = args
            _check_recurrent(layer, self._layers, rest, kwargs)
            self._layers[layer.name] = layer
            # Only a graph that is connected to its inputs can be cloned, so the states
            # come from there at first, and are cut off below.
            values = _InitialState(layer)(sequences)
            inputs = {f"{layer.name}_state_{i}": x for i, x in enumerate(values)}
            for name, x in inputs.items():
                x.name = name
            states.update(inputs)
            outputs, *after = _WithStates(layer)(sequences, values)
            # Copies, because a model may not return the same tensor twice.
            new_states.update(zip(inputs, map(ops.copy, after), strict=True))
            return [outputs, *after] if layer.return_state else outputs

        piece = tree.map_structure(
            lambda x: keras.Input(x.shape[1:], dtype=x.dtype, name=x.name),
            self.model.input,
        )
        clone = keras.models.clone_model(
            self.model,
            input_tensors=piece,
            clone_function=lambda layer: layer,
            call_function=call,
        )
        if not states:
            raise ValueError(
                "Argument `model` must have a recurrent layer. Received: "
                f"model={self.model} with layers "
                f"{[layer.name for layer in self.model.layers]}"
            )
        self._state_specs = _specs(states)
        outputs = dict(
            zip(self._output_names(), tree.flatten(clone.output), strict=True)
        )
        self.step_model = keras.Model(
            {**{x.name: x for x in tree.flatten(clone.input)}, **states},
            {**outputs, **new_states},
            name=f"{self.model.name}_step",
        )

    def _named(self, inputs):
        names = [x.name for x in tree.flatten(self.model.input)]
        return dict(zip(names, tree.flatten(inputs), strict=True))

    def _output_names(self):
        outputs = tree.flatten(self.model.output)
        if len(outputs) == 1:
            return ["outputs"]
        return [f"outputs_{i}" for i in range(len(outputs))]


def _check_recurrent(layer, known, rest, kwargs):
    if layer.name in known:
        raise ValueError(
            "A recurrent layer that is used twice would need two states. Received: "
            f"layer '{layer.name}'"
        )
    if layer.go_backwards:
        raise ValueError(
            "A layer that runs backwards needs the end of a sequence first. "
            f"Received: layer '{layer.name}' with go_backwards=True"
        )
    if layer.unroll:
        raise ValueError(
            "A layer with `unroll=True` knows sequences of one length only. Received: "
            f"layer '{layer.name}'"
        )
    if any(x is not None for x in (*rest[:1], kwargs.get("initial_state"))):
        raise ValueError(
            "A layer that starts from a state computed elsewhere cannot go on from "
            f"the state of the last piece. Received: layer '{layer.name}' with "
            "an `initial_state`"
        )


def _initial_states(layer, batch_size):
    """The initial states in the shapes in which the layer takes and returns them."""
    if hasattr(layer, "cell") and hasattr(layer.cell, "initial_states"):
        return layer.cell.initial_states(batch_size)
    return layer.get_initial_state(batch_size)


def _specs(tensors):
    def spec(name, x):
        return keras.InputSpec(shape=x.shape, dtype=x.dtype, name=name)

    if isinstance(tensors, dict):
        return {name: spec(name, x) for name, x in tensors.items()}
    return tree.map_structure(lambda x: spec(x.name, x), tensors)
