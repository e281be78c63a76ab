"""Bytes as tokens: byte `b` is token `b + 1`, and 0 is padding."""

import numpy as np

VOCABULARY_SIZE = 257
PAD = 0


def encode_bytes(texts, length):
    """Turns byte strings into int32 tokens `(texts, length)`, cut or padded."""
    rows = np.full((len(texts), length), PAD, np.int32)
    for row, text in zip(rows, texts, strict=True):
        text = text[:length]
        row[: len(text)] = np.frombuffer(text, np.uint8)
        row[: len(text)] += 1
    return rows
