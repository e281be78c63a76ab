"""What every kind of model gives on the backend of Keras: outputs and gradients.

    KERAS_BACKEND=jax python tests/backend_cases.py FOLDER

loads the models of `tests/saved` and writes `FOLDER/NAME.npz` for each of them.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent
sys.path += [str(ROOT), str(ROOT.parent), str(ROOT / "saved")]

import keras
import numpy as np
from backends import BACKEND
from backends import differentiate
from keras import ops
from make_saved_files import FOLDER
from make_saved_files import MODELS

FILES = {path.stem: path for path in sorted(FOLDER.glob("*/*.keras"))}


def evaluate(name):
    """Outputs of a saved model, and the gradients of its weights, as arrays."""
    arrays = np.load(FILES[name].with_suffix(".npz"))
    inputs = [arrays[f"inputs_{i}"] for i in range(len(arrays.files) - 1)]
    model = keras.saving.load_model(FILES[name])

    def loss_and_outputs(*inputs):
        outputs = model(inputs[0] if len(inputs) == 1 else list(inputs))
        return ops.sum(ops.sin(3.0 * outputs)), outputs

    outputs, _, gradients = differentiate(
        loss_and_outputs, inputs, model.trainable_variables, BACKEND == "jax"
    )
    names = [f"{i} {v.path}" for i, v in enumerate(model.trainable_variables)]
    return {"outputs": outputs, **dict(zip(names, gradients, strict=True))}


def main(folder):
    for name in MODELS:
        np.savez(Path(folder) / f"{name}.npz", **evaluate(name))


if __name__ == "__main__":
    main(*sys.argv[1:])
