"""What the few-shot heads share: a table of classes that can be taught."""

import keras
from keras import initializers
from keras import ops
from keras import regularizers

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_integer
from keras_nam.backend import require
from keras_nam.layers.lesson import check_base
from keras_nam.layers.lesson import check_episode
from keras_nam.layers.lesson import check_lesson
from keras_nam.layers.lesson import check_novel
from keras_nam.layers.lesson import check_width
from keras_nam.layers.lesson import shown
from keras_nam.ops import memory_read_set
from keras_nam.ops import unit_normalize
from keras_nam.ops.precision import as_tensor

SIMILARITIES = ("cosine", "dotproduct")


class FewShotHead(keras.layers.Layer):
    """Base class of the heads that learn classes from a support set.

    A subclass says how an example is encoded (`encode`) and how base weights and
    encoded examples make the memory of all classes (`combine`). The same two serve
    an episode and a deployed head, whose encoded examples stand in non-trainable
    weights of fixed size, `max_shots` slots for each novel class. Because the memory
    is always made anew from the base weights, which nothing but training changes, and
    from what stands in the slots, forgetting a class restores the answers bit by bit.
    """

    def __init__(
        self,
        num_base_classes,
        num_novel_classes=5,
        max_shots=10,
        similarity="cosine",
        kernel_initializer=None,
        kernel_regularizer=None,
        **kwargs,
    ):
        num_base_classes = check_integer("num_base_classes", num_base_classes)
        num_novel_classes = check_integer("num_novel_classes", num_novel_classes)
        max_shots = check_integer("max_shots", max_shots)
        check_choice("similarity", similarity, SIMILARITIES)
        super().__init__(**kwargs)
        self.num_base_classes = num_base_classes
        self.num_novel_classes = num_novel_classes
        self.max_shots = max_shots
        self.similarity = similarity
        if kernel_initializer is None:
            # The variance depends on the features, not on the number of classes.
            kernel_initializer = initializers.VarianceScaling(2.0, mode="fan_out")
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)

    @property
    def num_classes(self):
        """The number of scores: base classes, then novel ones, taught or not."""
        return self.num_base_classes + self.num_novel_classes

    def encoded_shapes(self, features):
        """The shapes of what is kept of an example, in a dictionary by name."""
        raise NotImplementedError

    def encode(self, features, base, base_classes=None):
        """Encodes examples.

        Args:
            features: Tensor of shape `(batch, num_examples, features)`.
            base: Tensor of shape `(batch, num_base_classes, features)`.
            base_classes: Integer tensor of shape `(batch, num_base_classes)`, the
                rows of the table that `base` is made of, or `None` for all.

        Returns:
            Dictionary of tensors of shape `(batch, num_examples, ...)`.
        """
        raise NotImplementedError

    def combine(self, base, examples, labels):
        """Makes the memory of all classes.

        Args:
            base: Tensor of shape `(batch, num_base_classes, features)`, what
                `base_rows` returns.
            examples: What `encode` returns.
            labels: Tensor of shape `(batch, num_examples, num_novel_classes)`, one-hot
                rows, or zeros where there is no example.

        Returns:
            Tensor of shape `(batch, num_base_classes + num_novel_classes, features)`:
            the memory, whose value axis are the classes. The row of a novel class
            without examples is zero.
        """
        raise NotImplementedError

    def build(self, features_shape):
        features = features_shape[-1]
        if features is None:
            raise ValueError(
                "The last axis of the features must be known. Received: shape "
                f"{tuple(features_shape)}"
            )
        self.kernel = self._add("kernel", (self.num_base_classes, features))
        self.scale = self._add("scale", (), initializers.Constant(10.0))
        self.bias = self._add("bias", (), "zeros")
        self.counts = self.add_weight(
            shape=(self.num_novel_classes,),
            initializer="zeros",
            dtype="int32",
            trainable=False,
            autocast=False,
            name="counts",
        )
        slots = (self.num_novel_classes, self.max_shots)
        self.slots = {
            name: self._add(f"slots_{name}", (*slots, *shape), "zeros", trainable=False)
            for name, shape in self.encoded_shapes(features).items()
        }

    def call(
        self, features, support_features=None, support_labels=None, base_classes=None
    ):
        check_width("features", features, self.kernel.shape[-1])
        if support_features is None:
            if support_labels is not None or base_classes is not None:
                raise ValueError(
                    "`support_labels` and `base_classes` need `support_features`. "
                    "Received: support_features=None"
                )
            memory = self.class_memory()
        else:
            single = len(features.shape) == 2
            if single:
                features, support_features, support_labels, base_classes = (
                    None if x is None else ops.convert_to_tensor(x)[None]
                    for x in (features, support_features, support_labels, base_classes)
                )
            memory = self.episode_memory(support_features, support_labels, base_classes)
            scores = self.scores(features, memory)
            return ops.cast(scores[0] if single else scores, self.compute_dtype)
        return ops.cast(self.scores(features, memory), self.compute_dtype)

    def base_rows(self, base):
        """What the base weights are before anything is taught."""
        return base

    def class_memory(self, base=None):
        """The memory of the base classes and of all that was taught.

        Args:
            base: Tensor of shape `(num_base_classes, features)`, what `base_rows`
                returned before. `None` means to call it.

        Returns:
            Tensor of shape `(num_base_classes + num_novel_classes, features)`. The
            row of a class that was not taught is zero.
        """
        slots = self.num_novel_classes * self.max_shots
        examples = {
            name: ops.reshape(slot, (1, slots, *slot.shape[2:]))
            for name, slot in self.slots.items()
        }
        used = ops.arange(self.max_shots) < self.counts[:, None]
        dtype = self.kernel.dtype
        labels = ops.eye(self.num_novel_classes, dtype=dtype)[:, None]
        labels = labels * ops.cast(used[..., None], dtype)
        labels = ops.reshape(labels, (1, slots, self.num_novel_classes))
        if base is None:
            base = self.base_rows(ops.convert_to_tensor(self.kernel))
        return self.combine(base[None], examples, labels)[0]

    def episode_memory(self, support_features, support_labels, base_classes=None):
        """The memory of the base classes and of the support sets of episodes.

        Args:
            support_features: Tensor of shape `(batch, num_examples, features)`.
            support_labels: Integers of shape `(batch, num_examples)`, at which score
                each class shall stand, or floats of shape `(batch, num_examples,
                num_novel_classes)`, how much each example counts for each class.
            base_classes: Integers of shape `(batch, num_base_classes)`, or `None`.

        Returns:
            Tensor of shape `(batch, num_base_classes + num_novel_classes, features)`.
        """
        check_width("support_features", support_features, self.kernel.shape[-1])
        parts = support_features, support_labels, base_classes
        check_episode(*parts, self.num_novel_classes)
        if base_classes is None:
            batch = ops.shape(support_features)[0]
            base = ops.tile(self.kernel[None], (batch, 1, 1))
        else:
            base_classes = check_base(base_classes, self.kernel.shape[0])
            base = ops.take(self.kernel, base_classes, axis=0)
        labels = ops.convert_to_tensor(support_labels)
        if len(labels.shape) == 2:
            labels = check_novel(labels, base.shape[1], self.num_novel_classes)
            labels = ops.one_hot(labels - base.shape[1], self.num_novel_classes)
        examples = self.encode(self._prepare(support_features), base, base_classes)
        labels = ops.cast(labels, base.dtype)
        return self.combine(self.base_rows(base), examples, labels)

    def scores(self, features, memory):
        """Compares features with the rows of a memory.

        Args:
            features: Tensor of shape `(..., features)`, or `(batch, ..., features)`
                for a memory with a batch axis.
            memory: Tensor of shape `(num_classes, features)`, or of shape `(batch,
                num_classes, features)`.

        Returns:
            Tensor of shape `(..., num_classes)` in float32 or wider: `scale * (bias +
            similarity)`. Classes whose row is zero, because they were not taught,
            score so low that they are never the answer.
        """
        features = self._prepare(features)
        taught = ops.any(ops.not_equal(memory, 0), axis=-1)
        if self.similarity == "cosine":
            memory = unit_normalize(memory)
        queries = features
        if len(memory.shape) == 2:
            queries = ops.reshape(features, (-1, memory.shape[-1]))
        similarities = memory_read_set(memory, queries)
        if len(memory.shape) == 2:
            leading = ops.shape(features)[:-1]
            similarities = ops.reshape(similarities, (*leading, memory.shape[0]))
        else:
            taught = taught[:, None]
        scores = self.scale * (self.bias + similarities)
        lowest = -3e4 if self.compute_dtype == "float16" else -1e9
        rows = memory.shape[-2]
        base = ops.arange(rows) < rows - self.num_novel_classes
        return ops.where(ops.logical_or(taught, base), scores, lowest)

    def learn(self, features, labels):
        """Writes examples of novel classes into the head, without a gradient step.

        Examples of a class that was taught before are added to it.

        Args:
            features: Tensor of shape `(num_examples, features)`.
            labels: Integers of shape `(num_examples,)`, from `num_base_classes` to
                `num_base_classes + num_novel_classes - 1`: the index of the score
                that is to stand for the class.

        Raises:
            ValueError: If there is no example, a label is out of range, a class has
                more than `max_shots` examples, or features have another width than
                the table, are all zero, or are not finite. Nothing is changed then.
        """
        features, labels = as_tensor("features", features), as_tensor("labels", labels)
        if not self.built:
            self.build(tuple(features.shape))
        features, labels = check_lesson(features, labels, self.kernel.shape[-1])
        first = self.num_base_classes
        classes = check_novel(labels, first, self.num_novel_classes) - first
        one_hot = ops.one_hot(classes, self.num_novel_classes, dtype="int32")
        # Where an example stands among those of its class.
        counts = self.counts + ops.zeros_like(self.counts)
        places = ops.cumsum(one_hot, axis=0) - 1 + counts
        places = ops.sum(places * one_hot, axis=1)
        places = require(
            ops.all(places < self.max_shots),
            f"A class has room for max_shots={self.max_shots} examples, and more than "
            "that were taught. `forget` it first, or build the head with more room.",
            places,
        )
        examples = self.encode(
            self._prepare(features)[None], ops.convert_to_tensor(self.kernel)[None]
        )
        indices = ops.stack([classes, places], axis=1)
        new_slots = {
            name: ops.scatter_update(
                slot, indices, ops.cast(examples[name][0], slot.dtype)
            )
            for name, slot in self.slots.items()
        }
        # Not before every check has passed, hence the places.
        new_counts = counts + ops.sum(one_hot, axis=0) + 0 * ops.sum(places)
        for name, slot in self.slots.items():
            slot.assign(new_slots[name])
        self.counts.assign(new_counts)

    def forget(self, labels):
        """Removes classes that were taught.

        All answers are those of a head that never saw the classes, bit by bit.

        Args:
            labels: Integer or integers, as in `learn`.

        Raises:
            ValueError: If a class was not taught. Nothing is changed then.
        """
        labels = ops.reshape(as_tensor("labels", labels), (-1,))
        only_taught = "Only a class that was taught can be forgotten. Received: "
        if self.built:
            first = self.num_base_classes
            classes = check_novel(labels, first, self.num_novel_classes) - first
            counts = self.counts + ops.zeros_like(self.counts)
            classes = require(
                ops.all(ops.take(counts, classes) > 0),
                f"{only_taught}{shown(labels)}",
                classes,
            )
            one_hot = ops.one_hot(classes, self.num_novel_classes, dtype="int32")
            self._keep(ops.logical_not(ops.any(ops.cast(one_hot, "bool"), axis=0)))
        else:
            raise ValueError(f"{only_taught}{shown(labels)}")

    def reset(self):
        """Forgets everything that was taught."""
        if self.built:
            self._keep(ops.zeros((self.num_novel_classes,), dtype="bool"))

    def _keep(self, kept):
        for slot in self.slots.values():
            wide = ops.reshape(kept, (-1, *[1] * (len(slot.shape) - 1)))
            slot.assign(ops.where(wide, slot, 0.0))
        self.counts.assign(ops.where(kept, self.counts, 0))

    def _prepare(self, features):
        features = ops.cast(features, self.kernel.dtype)
        return unit_normalize(features) if self.similarity == "cosine" else features

    def _add(self, name, shape, initializer=None, trainable=True):
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer or self.kernel_initializer,
            regularizer=self.kernel_regularizer if initializer is None else None,
            trainable=trainable,
            # Half precision would lose what many small writes add up to.
            dtype=keras.backend.result_type(self.variable_dtype, "float32"),
            autocast=False,
        )

    def compute_output_shape(
        self,
        features_shape,
        support_features_shape=None,
        support_labels_shape=None,
        base_classes_shape=None,
    ):
        base = base_classes_shape[-1] if base_classes_shape else self.num_base_classes
        return (*features_shape[:-1], base + self.num_novel_classes)

    def get_config(self):
        return {
            **super().get_config(),
            "num_base_classes": self.num_base_classes,
            "num_novel_classes": self.num_novel_classes,
            "max_shots": self.max_shots,
            "similarity": self.similarity,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
        }
