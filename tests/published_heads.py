"""The published code's forms of `NAMClassifier`, slips included, for its arrays."""

from keras import ops

from keras_nam.layers import NAMClassifier
from keras_nam.layers.cosine_classifier import class_mean
from keras_nam.ops import memory_write_set
from keras_nam.ops.sets import erasure


class SharedGateClassifier(NAMClassifier):
    """One network gates writes and erasures.

    Every episode erases the mean of what the episodes of the batch do.
    """

    def build(self, features_shape):
        super().build(features_shape)
        self.writer = self.eraser

    def write(self, memory, keys, values, write_gates, erase_gates):
        erased = ops.mean(erasure(memory, keys, erase_gates), axis=0, keepdims=True)
        return memory_write_set(memory, keys, values, write_gates, 0.0) - erased


class PositionClassifier(SharedGateClassifier):
    """Erases by a learned probability for every place in the list of base classes.

    Novel classes are the means of their examples.
    """

    def build(self, features_shape):
        super().build(features_shape)
        self.erase_logits = self._add("erase_logits", (self.num_base_classes,), "zeros")

    def encode(self, features, base, base_classes=None):
        examples = super().encode(features, base, base_classes)
        ones = ops.ones_like(examples["write_gate"])
        return {**examples, "write_gate": ones, "erase_gate": ones}

    def base_rows(self, base):
        return base

    def write(self, memory, keys, values, write_gates, erase_gates):
        classes = memory.shape[1]
        places = ops.pad(self.erase_logits, [[0, classes]])[:classes]
        erased = ops.sigmoid(places)[:, None] * erasure(memory, keys, erase_gates)
        return memory - ops.mean(erased, axis=0, keepdims=True)

    def novel_rows(self, memory, examples, labels):
        return class_mean(examples["features"], labels)
