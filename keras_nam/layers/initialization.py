"""Initializers for layers that are made of several parts."""

from keras import initializers


def clone_initializer(initializer):
    """Returns an initializer that draws anew: equal shapes get different numbers.

    An initializer with a seed of its own, or any other callable, is returned as it is.
    """
    if not isinstance(initializer, initializers.Initializer):
        return initializer
    return type(initializer).from_config(initializer.get_config())
