"""Files that older versions of the package saved still load and give their numbers."""

import inspect
import re
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_nam import layers

sys.path.append(str(Path(__file__).parent / "saved"))

from make_saved_files import FOLDER
from make_saved_files import MODELS
from make_saved_files import answer

FILES = sorted(FOLDER.glob("*/*.keras"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_saved_file(path):
    arrays = np.load(path.with_suffix(".npz"))
    inputs = [arrays[f"inputs_{i}"] for i in range(len(arrays.files) - 1)]
    model = keras.saving.load_model(path)
    np.testing.assert_allclose(answer(model, inputs), arrays["outputs"], atol=1e-5)


def test_every_layer_is_in_some_file():
    assert {path.stem for path in FILES} == set(MODELS)
    saved = set()
    for path in FILES:
        config = zipfile.ZipFile(path).read("config.json").decode()
        saved |= set(re.findall(r'"class_name": "(\w+)"', config))
    public = {n for n in layers.__all__ if inspect.isclass(getattr(layers, n))}
    assert not public - saved
