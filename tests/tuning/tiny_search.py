"""A search of the smallest model, as a script that tests start, hold up and kill.

    python tiny_search.py FOLDER [--trials N] [--patience SECONDS]

A trial writes a file `FOLDER/begun-TRIAL-WORKER` and, as long as there is a file
`FOLDER/hold-WORKER`, waits in the middle. The chief writes `FOLDER/outcome.json`.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import keras
import keras_tuner
import numpy as np

from keras_nam import tuning

NAME = os.environ.get("KERASTUNER_TUNER_ID", "alone")


class Tiny(keras_tuner.HyperModel):
    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def build(self, hp):
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(hp.Float("rate", 0.01, 0.1)), "mse")
        return model

    def fit(self, hp, model, x, y, **kwargs):
        rate = hp["rate"]
        (self.folder / f"begun-{rate}-{NAME}-{os.getpid()}").touch()
        while (self.folder / f"hold-{NAME}").exists():
            time.sleep(0.05)
        return model.fit(x, y, verbose=0, **kwargs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--patience", type=float)
    arguments = parser.parse_args()
    folder = arguments.folder
    tuner = keras_tuner.RandomSearch(
        Tiny(folder),
        "loss",
        max_trials=arguments.trials,
        seed=1,
        directory=folder,
        project_name="search",
    )
    data = np.ones((4, 1)), np.ones((4, 1))
    outcome = tuning.search(tuner, *data, patience=arguments.patience, verbose=0)
    if outcome is None:
        return 0
    (folder / "outcome.json").write_text(json.dumps(outcome._asdict()))
    return 0 if outcome.complete else 3


if __name__ == "__main__":
    sys.exit(main())
