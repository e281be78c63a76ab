"""A new class for a deployed few-shot head."""

import numpy as np

from benchmarks.case import Case
from benchmarks.case import case
from keras_nam.layers import CosineClassifier
from keras_nam.layers import NAMClassifier


@case
def teach(base=64, novel=5, width=3200, shots=5, queries=75):
    """A lesson, and answers after it, both called eagerly."""
    random = np.random.default_rng(0)
    features = random.normal(size=(shots, width)).astype("float32")
    images = random.normal(size=(queries, width)).astype("float32")

    def build(layer):
        head = layer(base, num_novel_classes=novel, max_shots=shots)
        head.build((None, width))
        for label in range(base, base + novel):
            head.learn(features, np.full(shots, label))
        return head

    def check():
        head = build(NAMClassifier)
        episode = head(
            images,
            support_features=np.tile(features, (novel, 1)),
            support_labels=np.repeat(np.arange(base, base + novel), shots),
        )
        np.testing.assert_allclose(head(images), episode, atol=1e-4)

    def learning(layer):
        head, labels = build(layer), np.full(shots, base)
        others = head.counts.numpy() * [0, *[1] * (novel - 1)]

        def step():
            # Room again, which costs next to nothing.
            head.counts.assign(others)
            head.learn(features, labels)
            return float(head.counts[0])

        return step

    def answering(layer):
        head = build(layer)
        return lambda: float(np.asarray(head(images))[0, 0])

    contenders = {}
    for layer in (NAMClassifier, CosineClassifier):
        name = layer.__name__
        contenders[f"{name} learns"] = lambda layer=layer: learning(layer)
        contenders[f"{name} answers"] = lambda layer=layer: answering(layer)
    return Case(check, contenders)
