"""How sharp the heads of a trained Turing machine are, and its controller."""

from collections.abc import Callable

import keras

from keras_nam.arguments import check_instance
from keras_nam.arguments import check_integers
from keras_nam.arguments import check_list
from keras_nam.arguments import check_numbers
from keras_nam.arguments import check_positive
from keras_nam.arguments import check_shape
from keras_nam.metrics.sequence_accuracy import SequenceAccuracy
from keras_nam.visualization.search import find_machines

BATCH_SIZE = 32


def with_sharpness(model, sharpness):
    """Returns a copy of a model with heads of another sharpness.

    The weights are copied. The copy is compiled as the model is, with an optimizer that
    starts anew.

    Args:
        model: A model that holds a layer or a cell with a `sharpness`: a
            `keras_nam.layers.NAMTM`, or an `NTM` or `DNC` of `keras_nam.baselines`. If
            there are several, all are changed.
        sharpness: Positive number, see `keras_nam.layers.NAMTM`.

    Returns:
        A model of the same kind.

    Example:

    ```python
    model = keras_nam.models.namtm_tagger(width=16, num_tapes=2)
    sharp = keras_nam.models.with_sharpness(model, 4)
    sharp.get_layer("namtm").cell.sharpness  # 4.0
    ```

    Raises:
        ValueError: If the model holds no Turing machine, or `sharpness` is not a
            positive number.
    """
    check_instance("model", model, keras.Model)
    sharpness = check_positive("sharpness", sharpness)
    config = keras.saving.serialize_keras_object(model)
    if not _set_sharpness(config, sharpness):
        raise ValueError(
            "Argument `model` must hold a layer with a `sharpness`, as `NAMTM` is. "
            f"Received: model={model}"
        )
    return _copy(config, model)


def sharpen_controller(model, factor):
    """Returns a copy of a model whose Turing machines have a sharper controller.

    The controller is an LSTM. Training makes its gates nearly, never quite, open or
    closed, so that its state goes on changing for as long as a sequence lasts, and with
    it what the heads do: a machine that adds numbers of 25 digits may be wrong in all
    of 40. The copy has gates and candidates of `factor (x_t W + h_{t-1} R + b)`, which
    are its weights: it goes on training with them.

    Args:
        model: A model that holds a `keras_nam.layers.NAMTM`. If there are several, all
            are changed.
        factor: Positive number. 1 changes nothing.

    Returns:
        A model of the same kind, compiled as the model is, with an optimizer that
        starts anew.

    Example:

    ```python
    model = keras_nam.models.namtm_tagger(width=16, num_tapes=2, tape_length=None)
    rows = keras_nam.datasets.load_task("addition", "ood", 64)
    factor = keras_nam.models.choose_sharpness(
        model, *rows, candidates=[1, 2], sharpen=keras_nam.models.sharpen_controller
    )
    model = keras_nam.models.sharpen_controller(model, factor)
    ```

    Raises:
        ValueError: If the model holds no `NAMTM`, or `factor` is not a positive number.
    """
    check_instance("model", model, keras.Model)
    factor = check_positive("factor", factor)
    copy = _copy(keras.saving.serialize_keras_object(model), model)
    problem = "Argument `model` must hold a `keras_nam.layers.NAMTM`"
    for cell in find_machines(copy, problem):
        cell.scale_controller(factor)
    return copy


def choose_sharpness(
    model,
    inputs,
    targets,
    sample_weight=None,
    candidates=(1, 2, 4),
    sharpen=with_sharpness,
):
    """Returns how sharp the heads of a trained model should be.

    A model that has learned an algorithm is the better the sharper its heads are, one
    whose heads still work as mixtures is destroyed. So the factor is chosen on rows
    that are moderately longer than those of training, such as the split `"ood"` of
    `keras_nam.datasets.load_task`, and never on those that are reported in the end.

    Args:
        model: A model of tokens in and logits of tokens out that holds a layer with a
            `sharpness`, see `with_sharpness`.
        inputs: Integer array of shape `(rows, time)`.
        targets: Integer array of shape `(rows, time)`.
        sample_weight: Array of shape `(rows, time)`, which is 0 outside of the answer.
            `None` means that all positions are.
        candidates: List of positive numbers, the factors to try.
        sharpen: Function that makes the copy to try of a model and a candidate:
            `with_sharpness` or, for the controller, `sharpen_controller`.

    Returns:
        The candidate with the most rows without an error or, if several have as many,
        the largest of them: what does no harm here holds on longer rows.

    Example:

    ```python
    model = keras_nam.models.namtm_tagger(width=16, num_tapes=2, tape_length=None)
    rows = keras_nam.datasets.load_task("reverse", "ood", 64)
    sharpness = keras_nam.models.choose_sharpness(model, *rows)
    model = keras_nam.models.with_sharpness(model, sharpness)
    ```

    Raises:
        ValueError: If the model holds no Turing machine, the arrays do not fit, or
            a candidate is not a positive number.
    """
    check_instance("model", model, keras.Model)
    check_instance("sharpen", sharpen, Callable, "a function")
    inputs = check_integers("inputs", inputs, ranks=2)
    targets = check_integers("targets", targets, ranks=2)
    check_shape("targets", targets, inputs.shape, "(rows, time)")
    if not len(inputs):
        raise ValueError(
            f"Argument `inputs` must have a row. Received: inputs.shape={inputs.shape}"
        )
    if sample_weight is not None:
        sample_weight = check_numbers("sample_weight", sample_weight)
        check_shape("sample_weight", sample_weight, inputs.shape, "(rows, time)")
    candidates = [
        check_positive("candidates", candidate)
        for candidate in check_list(
            "candidates", candidates, object, "a list of positive numbers", at_least=1
        )
    ]

    def score(sharpness):
        copy = sharpen(model, sharpness)
        logits = copy.predict(inputs, batch_size=BATCH_SIZE, verbose=0)
        accuracy = SequenceAccuracy()
        accuracy.update_state(targets, logits, sample_weight=sample_weight)
        return float(accuracy.result()), sharpness

    return max(candidates, key=score)


def _copy(config, model):
    """A model of that config, with the weights of another one."""
    copy = keras.saving.deserialize_keras_object(config)
    copy.set_weights(model.get_weights())
    return copy


def _set_sharpness(config, sharpness):
    """Writes the sharpness into all machines of a config, and tells whether any is."""
    found = False
    if isinstance(config, dict):
        is_ours = str(config.get("registered_name")).startswith("keras_nam>")
        if is_ours and "sharpness" in config["config"]:
            config["config"]["sharpness"] = sharpness
            found = True
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        return any([found, *[_set_sharpness(part, sharpness) for part in config]])
    return found
