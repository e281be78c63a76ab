"""Figures of what the memories of a model do over time."""

from keras_nam.visualization.gates import plot_gates
from keras_nam.visualization.memories import plot_memory
from keras_nam.visualization.recording import trajectory
from keras_nam.visualization.tape_heads import plot_head_entropy
from keras_nam.visualization.tape_heads import plot_tape_heads

__all__ = [
    "plot_gates",
    "plot_head_entropy",
    "plot_memory",
    "plot_tape_heads",
    "trajectory",
]
