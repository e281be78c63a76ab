"""Episodes of few-shot learning from labelled examples."""

import numpy as np

from keras_nam.arguments import LARGEST
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_integers
from keras_nam.arguments import check_numbers
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_seed
from keras_nam.datasets.splits import one_of
from keras_nam.optional import tf


def episodes(
    images,
    labels,
    base_classes,
    novel_classes=None,
    num_ways=5,
    num_shots=1,
    num_queries=15,
    num_base_queries=15,
    batch_size=1,
    num_episodes=None,
    seed=0,
):
    """Draws N-way K-shot episodes over base and novel classes.

    An episode has a support set of `num_shots` examples of each of `num_ways` novel
    classes, and queries of novel and of base classes in one set. With `novel_classes`
    these classes are novel and all base classes take part, as in a deployed model.
    Without, the novel classes are drawn from the base classes, and the other base
    classes stay, which is how a head is trained to learn from few examples.

    Episode `i` depends on `seed` and `i` alone.

    Args:
        images: Array of shape `(n, ...)`, images or their features.
        labels: Integers of shape `(n,)`, the class of each.
        base_classes: Integers, the labels of the base classes. The first stands for
            the first row of the head, and so on.
        novel_classes: Integers, the labels of further classes, or `None`.
        num_ways: Positive integer, the number of novel classes in an episode.
        num_shots: Positive integer, the examples of each novel class.
        num_queries: Positive integer, the queries of novel classes, all together.
        num_base_queries: Non-negative integer, the queries of base classes.
        batch_size: Positive integer, the episodes in a batch.
        num_episodes: Positive integer, the number of episodes. `None` means that they
            never end.
        seed: Non-negative integer of any size.

    Returns:
        A `tf.data.Dataset` of `(inputs, targets)`. Inputs are what
        `keras_nam.models.FewShotClassifier` takes: `"images"` of shape `(batch,
        num_queries + num_base_queries, ...)`, `"support_images"` of shape `(batch,
        num_ways * num_shots, ...)`, `"support_labels"` and, without `novel_classes`,
        `"base_classes"`. Targets have shape `(batch, num_queries + num_base_queries)`
        and are the index of the score: base classes of the episode first, in the order
        of `"base_classes"`, then its novel ones.

    Example:

    ```python
    import numpy as np

    images, labels = np.zeros((300, 28, 28, 1), "float32"), np.arange(300) % 10
    dataset = keras_nam.datasets.episodes(
        images, labels, range(10), num_ways=3, batch_size=4, num_episodes=8
    )
    for inputs, targets in dataset:
        targets.shape  # (4, 30)
    ```

    Raises:
        ValueError: If there are too few classes, or too few examples of one.
    """
    sampler = _Sampler(labels, base_classes, novel_classes, num_ways, num_shots)
    num_queries = check_integer("num_queries", num_queries)
    num_base_queries = check_integer("num_base_queries", num_base_queries, 0)
    batch_size = check_integer("batch_size", batch_size)
    num_episodes = check_optional_integer("num_episodes", num_episodes)
    seed = check_seed("seed", seed)
    images = check_numbers("images", images)
    if len(images) != len(sampler.labels):
        raise ValueError(
            "There must be a label for each image. Received: "
            f"images.shape={images.shape}, labels.shape={sampler.labels.shape}"
        )

    def generate():
        episode = 0
        while num_episodes is None or episode < num_episodes:
            rng = np.random.default_rng((seed, episode))
            support, support_labels, queries, targets, base = sampler.draw(
                rng, num_queries, num_base_queries
            )
            inputs = {
                "images": images[queries],
                "support_images": images[support],
                "support_labels": support_labels,
            }
            if novel_classes is None:
                inputs["base_classes"] = base
            yield inputs, targets
            episode += 1

    item, total = images.shape[1:], num_queries + num_base_queries
    examples = sampler.num_ways * sampler.num_shots
    inputs = {
        "images": tf.TensorSpec((total, *item), images.dtype),
        "support_images": tf.TensorSpec((examples, *item), images.dtype),
        "support_labels": tf.TensorSpec((examples,), "int32"),
    }
    if novel_classes is None:
        stay = len(sampler.base_classes) - sampler.num_ways
        inputs["base_classes"] = tf.TensorSpec((stay,), "int32")
    signature = (inputs, tf.TensorSpec((total,), "int32"))
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    if num_episodes is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_episodes))
    return dataset.batch(batch_size).prefetch(2)


def _check_classes(name, classes):
    """The list of distinct labels."""
    classes = check_integers(name, classes, at_least=-LARGEST).tolist()
    if not classes or len(set(classes)) < len(classes):
        raise ValueError(
            f"Argument `{name}` must hold distinct labels, at least one. "
            f"Received: {name}={classes}"
        )
    return classes


class _Sampler:
    """Draws the rows of an episode."""

    def __init__(self, labels, base_classes, novel_classes, num_ways, num_shots):
        self.labels = check_integers("labels", labels, at_least=-LARGEST)
        self.num_ways = check_integer("num_ways", num_ways)
        self.num_shots = check_integer("num_shots", num_shots)
        self.base_classes = _check_classes("base_classes", base_classes)
        fake = novel_classes is None
        if not fake:
            novel_classes = _check_classes("novel_classes", novel_classes)
        self.novel_classes = novel_classes
        if not fake and set(self.base_classes) & set(self.novel_classes):
            raise ValueError(
                "Arguments `base_classes` and `novel_classes` must have no class in "
                "common. Received: "
                f"{sorted(set(self.base_classes) & set(self.novel_classes))} in both"
            )
        available = self.base_classes if fake else self.novel_classes
        if len(available) < self.num_ways + fake:
            raise ValueError(
                f"Argument `{'base_classes' if fake else 'novel_classes'}` must have "
                f"at least {self.num_ways + fake} classes, to draw `num_ways` novel "
                f"ones from. Received: {len(available)} classes, num_ways={num_ways}"
            )
        self.rows = {c: np.flatnonzero(self.labels == c) for c in available}
        for c in self.base_classes:
            self.rows.setdefault(c, np.flatnonzero(self.labels == c))
        for c, rows in self.rows.items():
            needed = self.num_shots + 1 if c in available else 1
            if len(rows) < needed:
                raise ValueError(
                    f"Argument `labels` must have at least {needed} examples of each "
                    "class, and more than `num_shots` of those that may be novel. "
                    f"Received: {len(rows)} examples of class {c}, "
                    f"num_shots={num_shots}"
                )

    def draw(self, rng, num_queries, num_base_queries):
        if self.novel_classes is None:
            places = rng.permutation(len(self.base_classes)).astype("int32")
            novel = [self.base_classes[i] for i in places[: self.num_ways]]
            base = np.sort(places[self.num_ways :])
        else:
            novel = rng.choice(self.novel_classes, self.num_ways, replace=False)
            base = np.arange(len(self.base_classes), dtype="int32")
        order = [rng.permutation(self.rows[int(c)]) for c in novel]
        support = np.concatenate([rows[: self.num_shots] for rows in order])
        rest = [rows[self.num_shots :] for rows in order]
        ways = np.arange(self.num_ways)
        asked = np.resize(ways, num_queries)
        queries = [one_of(rng, rest[way]) for way in asked]
        asked_base = rng.integers(len(base), size=num_base_queries)
        for place in asked_base:
            queries.append(one_of(rng, self.rows[self.base_classes[base[place]]]))
        targets = np.concatenate([asked + len(base), asked_base]).astype("int32")
        support_labels = np.repeat(ways, self.num_shots) + len(base)
        return support, support_labels.astype("int32"), queries, targets, base
