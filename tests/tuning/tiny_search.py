"""A search without a model, as a script that tests start, hold up and kill.

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

import keras_tuner

from keras_nam import tuning

NAME = os.environ.get("KERASTUNER_TUNER_ID", "alone")


class Tuner(keras_tuner.Tuner):
    def run_trial(self, trial, folder):
        rate = trial.hyperparameters["rate"]
        (folder / f"begun-{rate}-{NAME}-{os.getpid()}").touch()
        while (folder / f"hold-{NAME}").exists():
            time.sleep(0.05)
        return rate


def build(hp):
    hp.Float("rate", 0.0, 1.0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--patience", type=float)
    arguments = parser.parse_args()
    folder = arguments.folder
    oracle = keras_tuner.oracles.RandomSearchOracle(
        keras_tuner.Objective("rate", "min"), max_trials=arguments.trials, seed=1
    )
    tuner = Tuner(oracle, build, directory=folder, project_name="search")
    outcome = tuning.search(tuner, folder, patience=arguments.patience)
    if outcome is None:
        return 0
    (folder / "outcome.json").write_text(json.dumps(outcome._asdict()))
    return 0 if outcome.complete else 3


if __name__ == "__main__":
    sys.exit(main())
