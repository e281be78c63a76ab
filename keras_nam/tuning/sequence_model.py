"""What the search spaces of all models on tokens share."""

import keras
import numpy as np

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_jit_compile
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_optional_string
from keras_nam.callbacks import LengthCurriculum
from keras_nam.metrics import SequenceAccuracy
from keras_nam.optional import keras_tuner
from keras_nam.tuning.curriculum import curriculum_stages
from keras_nam.tuning.curriculum import row_ends
from keras_nam.tuning.longer_rows import EvaluateLonger
from keras_nam.tuning.rejection import reject_diverged


class HyperSequenceModel(keras_tuner.HyperModel):
    """Search space of the training of a model on tokens.

    Subclasses say which model it is, by a method `make_model(hp)`. What all share are
    the hyperparameters of training:

    | name | values |
    |---|---|
    | `batch_size` | 32, 64, 128, 256 |
    | `learning_rate` | 1e-4 to 1e-2, by its logarithm |
    | `final_learning_rate` | 1, 0.3 or 0.1 of it, reached exponentially |
    | `clip_norm` | 0.1, 0.3, 1 |
    | `weight_decay` | 0, 1e-4, 1e-2 |
    | `loss_on_answer_only` | whether positions without a weight count in the loss |
    | `mask_padding` | whether layers skip padding |
    | `length_curriculum` | whether training begins with short rows |
    | `curriculum_start` | the longest row at first, 0.2 to 0.8 of the longest of all |
    | `curriculum_share` | the share of the training after which all rows take part |

    The last two are searched where `length_curriculum` is true. `loss_on_answer_only`
    exists for models with a class per token; the last four need `padding_token`.

    Every trial sees as many rows, whatever its batch size. What is searched for is a
    model that generalises: `objective` is the accuracy on `longer_data`, rows longer
    than those trained on. A loss that is NaN or infinite fails the trial.

    Args:
        vocabulary_size: Positive integer, the number of tokens.
        num_classes: Positive integer for a model with one class per sequence. `None`
            means a class per token, out of the vocabulary.
        padding_token: Non-negative integer. `None` means that rows are not padded.
        epochs: Positive integer, the epochs of a whole training. Learning rate and
            curriculum are laid out over them, also where Hyperband stops earlier.
        rows_per_epoch: Positive integer.
        seed: Non-negative integer, which draws the batches.
        jit_compile: As in `keras.Model.compile`.
        name: String.
        tunable: Boolean, see `keras_tuner.HyperModel`.

    Example:

    ```python
    class HyperGRU(keras_nam.tuning.HyperSequenceModel):
        def make_model(self, hp):
            width = hp.Choice("width", [32, 64])
            core = keras.layers.GRU(width, return_sequences=True)
            return keras_nam.models.token_tagger(core, self.vocabulary_size, width)


    space = HyperGRU(16, epochs=1, rows_per_epoch=256)
    space.objective.name  # 'val_longer_sequence_accuracy'
    ```

    Raises:
        ValueError: If a size is not a positive integer.
    """

    # Whether the model of a subclass can only have a class per token.
    tags_tokens = False

    def __init__(
        self,
        vocabulary_size,
        num_classes=None,
        padding_token=None,
        epochs=10,
        rows_per_epoch=12_800,
        seed=0,
        jit_compile="auto",
        name=None,
        tunable=True,
    ):
        vocabulary_size = check_integer("vocabulary_size", vocabulary_size)
        epochs = check_integer("epochs", epochs)
        rows_per_epoch = check_integer("rows_per_epoch", rows_per_epoch)
        num_classes = check_optional_integer("num_classes", num_classes)
        if num_classes is not None and self.tags_tokens:
            raise ValueError(
                f"`{type(self).__name__}` builds models with a class per token: "
                f"`num_classes` must be `None`. Received: num_classes={num_classes}"
            )
        check_optional_string("name", name)
        super().__init__(name=name, tunable=check_boolean("tunable", tunable))
        self.vocabulary_size = vocabulary_size
        self.num_classes = num_classes
        self.padding_token = check_optional_integer(
            "padding_token", padding_token, at_least=0
        )
        self.epochs = epochs
        self.rows_per_epoch = rows_per_epoch
        self.seed = check_integer("seed", seed, at_least=0)
        self.jit_compile = check_jit_compile(jit_compile)

    @property
    def objective(self):
        """The `keras_tuner.Objective` that asks for longer rows."""
        kind = "sequence_accuracy" if self.num_classes is None else "accuracy"
        return keras_tuner.Objective(f"val_longer_{kind}", "max")

    @property
    def measures(self):
        """The metrics, as arguments of `keras.Model.compile`."""
        if self.num_classes is None:
            return {"weighted_metrics": [SequenceAccuracy(), "accuracy"]}
        return {"metrics": ["accuracy"]}

    def make_model(self, hp):
        """Returns a `keras.Model` for the hyperparameters `hp`, not yet compiled."""
        raise NotImplementedError

    def declare_hyperparameters(self, hp):
        """Makes what `fit` asks for known before the first trial."""
        self._batch_size(hp)
        self._uses_weight(hp)
        self._curriculum(hp)

    def build(self, hp):
        """Builds and compiles the model of a trial."""
        model = self.make_model(hp)
        rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log", default=1e-3)
        final = hp.Choice("final_learning_rate", [1.0, 0.3, 0.1], default=1.0)
        steps = self.epochs * self._steps_per_epoch(hp)
        optimizer = keras.optimizers.AdamW(
            keras.optimizers.schedules.ExponentialDecay(rate, steps, final),
            weight_decay=hp.Choice("weight_decay", [0.0, 1e-4, 1e-2], default=0.0),
            global_clipnorm=hp.Choice("clip_norm", [0.1, 0.3, 1.0], default=1.0),
        )
        model.compile(
            optimizer,
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=self.jit_compile,
            **self.measures,
        )
        # So that Hyperband, which goes on with the weights of an earlier trial, goes
        # on with its moments and its learning rate as well.
        optimizer.build(model.trainable_variables)
        return model

    def fit(
        self,
        hp,
        model,
        x,
        y,
        sample_weight=None,
        validation_data=None,
        longer_data=None,
        epochs=None,
        initial_epoch=0,
        callbacks=(),
        verbose=0,
        **kwargs,
    ):
        """Trains the model of a trial. `Tuner.search` passes its arguments on to here.

        Args:
            hp: `keras_tuner.HyperParameters`.
            model: What `build` returned.
            x: Integers of shape `(rows, time)`.
            y: Integers of shape `(rows, time)`, or `(rows,)` for `num_classes`.
            sample_weight: Numbers of shape `(rows, time)`, 0 where nothing is asked
                for.
            validation_data: Tuple like `(x, y, sample_weight)`, rows of trained
                lengths.
            longer_data: Another, of longer rows; measures on it are named
                `val_longer_...`.
            epochs: Positive integer. `None` means all `epochs` of the search space.
            initial_epoch: Integer, the epoch to start from.
            callbacks: List of callbacks, those of the tuner among them.
            verbose: As in `keras.Model.fit`. Given to `Tuner.search`, it sets what the
                tuner prints as well.
            **kwargs: Further arguments of `keras.Model.fit`.

        Returns:
            The history.

        Raises:
            keras_tuner.errors.FailedTrialError: If the loss became NaN or infinite.
        """
        rows = [np.asarray(x), np.asarray(y)]
        if sample_weight is not None and self._uses_weight(hp):
            rows.append(np.asarray(sample_weight))
        batch_size = self._batch_size(hp)
        steps = self._steps_per_epoch(hp)
        curriculum = self._make_curriculum(hp, rows, self.epochs * steps)
        # Rows come as often as the budget asks for, and in another order in a part of
        # the training that is done later.
        batches = curriculum.batches(
            tuple(rows), batch_size, seed=self.seed + initial_epoch
        ).repeat()
        measured = [] if longer_data is None else [longer_data]
        history = model.fit(
            batches,
            steps_per_epoch=steps,
            epochs=self.epochs if epochs is None else epochs,
            initial_epoch=initial_epoch,
            validation_data=validation_data,
            callbacks=[
                keras.callbacks.TerminateOnNaN(),
                curriculum,
                *(EvaluateLonger(data, batch_size) for data in measured),
                *callbacks,
            ],
            shuffle=False,
            verbose=verbose,
            **kwargs,
        )
        reject_diverged(history.history["loss"])
        return history

    def mask_token(self, hp):
        """The token that layers skip, or `None`."""
        if self.padding_token is None:
            return None
        return self.padding_token if hp.Boolean("mask_padding") else None

    def _batch_size(self, hp):
        return hp.Choice("batch_size", [32, 64, 128, 256], default=128)

    def _steps_per_epoch(self, hp):
        return max(1, round(self.rows_per_epoch / self._batch_size(hp)))

    def _uses_weight(self, hp):
        """Whether the loss takes the weights, which a classifier has to."""
        if self.num_classes is not None:
            return True
        return hp.Boolean("loss_on_answer_only", default=True)

    def _curriculum(self, hp):
        """The first length and the time until the last one, or `None` for neither."""
        if self.padding_token is None:
            return None
        grows = hp.Boolean("length_curriculum")
        with hp.conditional_scope("length_curriculum", [True]):
            start = hp.Choice("curriculum_start", [0.2, 0.4, 0.6, 0.8], default=0.4)
            share = hp.Choice("curriculum_share", [0.25, 0.5, 0.75], default=0.5)
        return (start, share) if grows else None

    def _make_curriculum(self, hp, rows, num_steps):
        x, y = rows[:2]
        stages, padding = {0: x.shape[1]}, 0
        growth = self._curriculum(hp)
        if growth is not None:
            padding = self.padding_token
            stages = curriculum_stages(row_ends(x, y, padding), *growth, num_steps)
        return LengthCurriculum(stages, unit="step", padding_value=padding)
