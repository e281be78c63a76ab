"""The cases, a file per kind of layer; importing them registers them."""

from benchmarks.cases import attention
from benchmarks.cases import demo
from benchmarks.cases import encoders
from benchmarks.cases import feedback
from benchmarks.cases import language
from benchmarks.cases import memories
from benchmarks.cases import scans
from benchmarks.cases import streams
from benchmarks.cases import tapes
from benchmarks.cases import teaching

__all__ = [
    "attention",
    "demo",
    "encoders",
    "feedback",
    "language",
    "memories",
    "scans",
    "streams",
    "tapes",
    "teaching",
]
