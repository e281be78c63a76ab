"""Asks a trained machine that comes with the package.

    python examples/ask.py                              # lists them
    python examples/ask.py reverse 31415926535
    python examples/ask.py reduction 3001040500926000535897

A question may have 2,000 digits with most tasks.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from keras_nam import models


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("preset", nargs="?", choices=models.list_presets())
    parser.add_argument("question", nargs="*")
    arguments = parser.parse_args()
    if arguments.preset is None:
        for name in models.list_presets():
            accuracy = models.from_preset(name).card["accuracy"]
            cells = (f"{key} {100 * value:.1f} %" for key, value in accuracy.items())
            print(f"{name}: {', '.join(cells)}")
        return
    if not arguments.question:
        parser.error("a preset takes a question")
    for question in arguments.question:
        try:
            answer = models.from_preset(arguments.preset).answer(question)
        except ValueError as error:
            parser.error(str(error))
        print(f"{arguments.preset} {question} -> {answer}")


if __name__ == "__main__":
    main()
