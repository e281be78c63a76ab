"""The search space of few-shot classifiers."""

import keras
import numpy as np

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_jit_compile
from keras_nam.arguments import check_optional_string
from keras_nam.datasets import episodes
from keras_nam.layers import CosineClassifier
from keras_nam.layers import NAMClassifier
from keras_nam.metrics import GroupAccuracy
from keras_nam.models import FewShotClassifier
from keras_nam.models import conv_features
from keras_nam.models import fit_few_shot
from keras_nam.models.features import check_image_shape
from keras_nam.optional import keras_tuner
from keras_nam.tuning.rejection import reject_diverged

# More blocks than that do not see anything new in small images.
MOST_POOLS = 4


class HyperFewShot(keras_tuner.HyperModel):
    """Search space of a `FewShotClassifier`, its features and its training.

    | name | values |
    |---|---|
    | `filters` | 16, 32, 64 in each convolution |
    | `num_pools` | 2 to 4, as far as the images are large enough |
    | `augmentation` | whether images are moved, scaled and turned a little |
    | `feature_dropout` | 0, 0.15, 0.3 |
    | `head` | `"nam"` or `"cosine"` |
    | `erase`, `gate_units` | see `keras_nam.layers.NAMClassifier`, for `"nam"` |
    | `use_attention` | the same, for `erase="together"`, which alone can have it |
    | `generator` | see `keras_nam.layers.CosineClassifier`, for `"cosine"` |
    | `batch_size` | 32, 64, 128, 256 |
    | `learning_rate` | 0.01 to 0.3, by its logarithm |
    | `weight_decay` | 1e-4, 5e-4, 2e-3 |
    | `feature_views` | 0, 2, 4, see `keras_nam.models.fit_few_shot` |

    What is searched for is a model that learns classes it was not trained on:
    `objective` is the accuracy on base and novel classes over episodes with
    `validation_data`.

    Args:
        image_shape: Tuple `(height, width, channels)`.
        num_base_classes: Positive integer.
        num_ways: Positive integer, the novel classes of an episode.
        num_shots: Positive integer, the examples of each.
        epochs: Positive integer, the epochs of either stage of a training.
        episodes_per_epoch: Positive integer.
        validation_episodes: Positive integer.
        seed: Non-negative integer, which draws the episodes.
        jit_compile: As in `keras.Model.compile`.
        name: String.
        tunable: Boolean, see `keras_tuner.HyperModel`.

    Example:

    ```python
    import keras_tuner

    space = keras_nam.tuning.HyperFewShot((28, 28, 1), num_base_classes=20)
    hp = keras_tuner.HyperParameters()
    model = space.build(hp)
    hp["head"], hp["erase"], hp["use_attention"]  # ('nam', 'together', False)
    ```

    Raises:
        ValueError: If a size is not a positive integer.
    """

    def __init__(
        self,
        image_shape,
        num_base_classes,
        num_ways=5,
        num_shots=1,
        epochs=10,
        episodes_per_epoch=200,
        validation_episodes=100,
        seed=0,
        jit_compile="auto",
        name=None,
        tunable=True,
    ):
        check_optional_string("name", name)
        super().__init__(name=name, tunable=check_boolean("tunable", tunable))
        self.image_shape = check_image_shape(image_shape)
        self.num_base_classes = check_integer("num_base_classes", num_base_classes)
        self.num_ways = check_integer("num_ways", num_ways)
        self.num_shots = check_integer("num_shots", num_shots)
        self.epochs = check_integer("epochs", epochs)
        self.episodes_per_epoch = check_integer(
            "episodes_per_epoch", episodes_per_epoch
        )
        self.validation_episodes = check_integer(
            "validation_episodes", validation_episodes
        )
        self.seed = check_integer("seed", seed, at_least=0)
        self.jit_compile = check_jit_compile(jit_compile)

    @property
    def objective(self):
        """The `keras_tuner.Objective` that asks for classes never trained on."""
        return keras_tuner.Objective("val_accuracy", "max")

    def declare_hyperparameters(self, hp):
        """Makes what `fit` asks for known before the first trial."""
        self._training(hp)

    def build(self, hp):
        """Builds and compiles the model of a trial."""
        model = FewShotClassifier(self._make_features(hp), self._make_head(hp))
        self._compile(model)
        return model

    def fit(
        self,
        hp,
        model,
        images,
        labels,
        base_classes=None,
        validation_data=None,
        epochs=None,
        initial_epoch=0,
        callbacks=(),
        verbose=0,
    ):
        """Trains the model of a trial. `Tuner.search` passes its arguments on to here.

        Args:
            hp: `keras_tuner.HyperParameters`.
            model: What `build` returned.
            images: Array of shape `(n, height, width, channels)`.
            labels: Integers of shape `(n,)`.
            base_classes: Integers, the labels to train on. `None` means all.
            validation_data: Tuple `(images, labels, novel_classes)`: images of base
                classes that are not trained on, images of further classes, and the
                labels of these.
            epochs: Positive integer. `None` means all `epochs` of the search space.
            initial_epoch: Integer, how many epochs an earlier trial did.
            callbacks: List of callbacks, those of the tuner among them. They are
                called once, after the training.
            verbose: As in `keras.Model.fit`. Given to `Tuner.search`, it sets what the
                tuner prints as well.

        Returns:
            A dictionary of measures.

        Raises:
            ValueError: If there is no `validation_data`.
            keras_tuner.errors.FailedTrialError: If the loss became NaN or infinite.
        """
        parts = None if validation_data is None else len(validation_data)
        if parts != 3:
            raise keras_tuner.errors.FatalValueError(
                "Argument `validation_data` must be a tuple `(images, labels, "
                "novel_classes)`, which the objective is measured on. Received: "
                f"{validation_data if parts is None else f'{parts} parts'}"
            )
        if base_classes is None:
            base_classes = np.unique(labels)
        epochs = (self.epochs if epochs is None else epochs) - initial_epoch
        callbacks = keras.callbacks.CallbackList(list(callbacks), model=model)
        callbacks.on_train_begin()
        histories = fit_few_shot(
            model,
            images,
            labels,
            base_classes,
            num_ways=self.num_ways,
            num_shots=self.num_shots,
            epochs=epochs,
            episode_epochs=epochs,
            episodes_per_epoch=self.episodes_per_epoch,
            seed=self.seed,
            jit_compile=self.jit_compile,
            verbose=verbose,
            **self._training(hp),
        )
        measures = {}
        for history in histories:
            reject_diverged(history.history["loss"])
            measures.update({n: v[-1] for n, v in history.history.items()})
        self._compile(model)
        measures.update(self._validate(model, base_classes, *validation_data))
        # The training is over, and this is where a tuner saves the weights.
        callbacks.on_epoch_end(initial_epoch + epochs - 1, measures)
        callbacks.on_train_end(measures)
        return measures

    def _validate(self, model, base_classes, images, labels, novel_classes):
        dataset = episodes(
            images,
            labels,
            base_classes,
            novel_classes,
            num_ways=self.num_ways,
            num_shots=self.num_shots,
            batch_size=10,
            num_episodes=self.validation_episodes,
            seed=self.seed,
        )
        measures = model.evaluate(dataset, verbose=0, return_dict=True)
        return {f"val_{name}": value for name, value in measures.items()}

    def _compile(self, model):
        groups = [GroupAccuracy(self.num_ways, group) for group in ("novel", "base")]
        model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy", *groups],
            jit_compile=self.jit_compile,
        )

    def _make_features(self, hp):
        filters = hp.Choice("filters", [16, 32, 64], default=32)
        # Every pooling halves height and width.
        most = min(MOST_POOLS, int(np.log2(min(self.image_shape[:2]))))
        num_pools = hp.Int("num_pools", min(2, most), most, default=min(3, most))
        augmentation = hp.Boolean("augmentation", default=True)
        dropout = hp.Choice("feature_dropout", [0.0, 0.15, 0.3], default=0.15)
        x = inputs = keras.Input(self.image_shape)
        if augmentation:
            for layer in (
                keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
                keras.layers.RandomZoom(0.15, fill_mode="constant"),
                keras.layers.RandomRotation(0.03, fill_mode="constant"),
            ):
                x = layer(x)
        x = conv_features(self.image_shape, [filters] * MOST_POOLS, num_pools)(x)
        x = keras.layers.Dropout(dropout, name="feature_dropout")(x)
        return keras.Model(inputs, x, name="features")

    def _make_head(self, hp):
        head = hp.Choice("head", ["nam", "cosine"], default="nam")
        with hp.conditional_scope("head", ["nam"]):
            erase = hp.Choice("erase", ["together", "in_order"], default="together")
            gate_units = hp.Choice("gate_units", [32, 64, 128], default=64)
            with hp.conditional_scope("erase", ["together"]):
                use_attention = hp.Boolean("use_attention")
        with hp.conditional_scope("head", ["cosine"]):
            generator = hp.Choice(
                "generator", ["mean", "feature_averaging", "attention"]
            )
        sizes = (self.num_base_classes, self.num_ways)
        if head == "cosine":
            return CosineClassifier(*sizes, generator=generator)
        return NAMClassifier(
            *sizes,
            erase=erase,
            gate_units=gate_units,
            use_attention=bool(use_attention),
        )

    def _training(self, hp):
        """The arguments of `fit_few_shot` that are searched."""
        return {
            "batch_size": hp.Choice("batch_size", [32, 64, 128, 256], default=64),
            "learning_rate": hp.Float(
                "learning_rate", 0.01, 0.3, sampling="log", default=0.1
            ),
            "weight_decay": hp.Choice("weight_decay", [1e-4, 5e-4, 2e-3], default=5e-4),
            "feature_views": hp.Choice("feature_views", [0, 2, 4], default=0),
        }
