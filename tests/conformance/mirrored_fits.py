"""Trains rows of the matrix on two devices, in a process of its own.

    python mirrored_fits.py FILE NAME ...

Logical devices have to be made before anything else. The weights of the rows of those
names go to `FILE`, an archive of NumPy.
"""

import sys

import numpy as np
import tensorflow as tf
from matrix import ROWS
from test_training import CLASSES
from test_training import classifier
from test_training import compiled

FULL, UNEVEN, ALONE = 6, 5, 1


def data(row):
    """Batches that are full, that is one row short, and that one device gets alone."""
    x = row.draw(FULL + UNEVEN + ALONE, 4)
    rows = tf.data.Dataset.from_tensor_slices((x, np.arange(len(x)) % CLASSES))
    first, last = rows.take(FULL + UNEVEN), rows.skip(FULL + UNEVEN)
    return first.batch(FULL).concatenate(last.batch(FULL))


def main(file, *names):
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.HierarchicalCopyAllReduce()
    )
    weights = {}
    for row in ROWS:
        if row.name in names:
            with strategy.scope():
                model = compiled(classifier(row), jit_compile=False)
            model.fit(data(row), verbose=0, shuffle=False)
            for i, weight in enumerate(model.get_weights()):
                weights[f"{row.name}/{i}"] = weight
            print(row.name, flush=True)
    np.savez(file, **weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
