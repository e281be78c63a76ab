"""Teaches an exported model a class from image files, and classifies others.

    python examples/teach.py results/few_shot/saved_model --label 64 \\
        --teach a.png b.png c.png --classify d.png e.png

Only TensorFlow and numpy are needed. The files are the ones that the exported model
was made for: of its size and its colors, white on black or RGB.
"""

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf


def read_images(paths):
    images = [
        tf.io.decode_image(tf.io.read_file(path), expand_animations=False)
        for path in paths
    ]
    return tf.stack([tf.cast(image, "float32") / 255 for image in images])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--label", type=int, required=True)
    parser.add_argument("--teach", nargs="+", required=True)
    parser.add_argument("--classify", nargs="+", required=True)
    arguments = parser.parse_args()

    signatures = tf.saved_model.load(arguments.model).signatures
    queries = read_images(arguments.classify)
    before = signatures["classify"](images=queries)["labels"].numpy()
    lesson = read_images(arguments.teach)
    signatures["learn"](images=lesson, labels=tf.fill([len(lesson)], arguments.label))
    after = signatures["classify"](images=queries)["labels"].numpy()
    for path, old, new in zip(arguments.classify, before, after, strict=True):
        print(f"{path}: {old} before the lesson, {new} after it")
    signatures["forget"](labels=tf.constant([arguments.label]))
    again = signatures["classify"](images=queries)["labels"].numpy()
    print("after forgetting as before:", bool((again == before).all()))
    print("keras_nam imported:", "keras_nam" in sys.modules)


if __name__ == "__main__":
    main()
