"""Search spaces that ask for less."""

import contextlib

import numpy as np

from keras_nam.arguments import check_instance
from keras_nam.arguments import check_list
from keras_nam.optional import keras_tuner


def narrow_space(hypermodel, tune=None, fixed=None):
    """Returns the hyperparameters of a search space that are to be searched.

    Give them to a tuner together with `tune_new_entries=False`; all others then have
    their defaults. A grid, above all, needs a space of few dimensions.

    Args:
        hypermodel: `keras_tuner.HyperModel`.
        tune: List of strings, the names of hyperparameters to search. One that exists
            under a condition needs the one that it depends on. `None` means all.
        fixed: Dictionary from the names of hyperparameters to the values that they
            are to have.

    Returns:
        A `keras_tuner.HyperParameters`.

    Example:

    ```python
    space = keras_nam.tuning.HyperLSAM(16)
    hp = keras_nam.tuning.narrow_space(
        space, tune=["learning_rate", "num_heads"], fixed={"width": 32}
    )
    [h.name for h in hp.space]  # ['width', 'num_heads', 'learning_rate']
    ```

    Raises:
        ValueError: If there is no such hyperparameter, one is both searched and fixed,
            a value is of another type, or a condition is missing.
    """
    check_instance("hypermodel", hypermodel, keras_tuner.HyperModel)
    if tune is not None:
        tune = check_list("tune", tune, str, "a list of strings")
    fixed = check_instance("fixed", {} if fixed is None else fixed, dict)
    space = full_space(hypermodel)
    names = dict.fromkeys(hp.name for hp in space)
    tuned = [n for n in names if n not in fixed] if tune is None else tune
    unknown = [name for name in [*tuned, *fixed] if name not in names]
    if unknown:
        raise ValueError(
            f"The search space has the hyperparameters {sorted(names)}. "
            f"Received: {unknown}"
        )
    twice = sorted(set(tuned) & set(fixed))
    if twice:
        raise ValueError(
            "A hyperparameter is either searched or fixed. Received: "
            f"{twice} in both `tune` and `fixed`"
        )
    narrowed = keras_tuner.HyperParameters()
    for hp in space:
        if hp.name in fixed or hp.name in tuned:
            _check_conditions(hp, {*tuned, *fixed})
        if hp.name in fixed:
            _fix(narrowed, hp, fixed[hp.name])
        elif hp.name in tuned:
            narrowed.merge([hp])
    return narrowed


def full_space(hypermodel):
    """Returns all hyperparameters of a search space, whatever their conditions."""
    hp = keras_tuner.HyperParameters()
    hypermodel.declare_hyperparameters(hp)
    hypermodel.build(hp)
    return hp.space


def _check_conditions(hp, known):
    for condition in hp.conditions:
        if condition.name not in known:
            raise ValueError(
                f"Hyperparameter '{hp.name}' exists only where '{condition.name}' is "
                f"one of {condition.values}, so '{condition.name}' has to be searched "
                f"or fixed as well. Received: {sorted(known)}"
            )


def _fix(narrowed, hp, value):
    kind = type(hp.default)
    value = value.item() if isinstance(value, np.generic) else value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise ValueError(
            f"Hyperparameter '{hp.name}' must be of type {kind.__name__}, like its "
            f"default {hp.default!r}. Received: {value!r}"
        )
    with contextlib.ExitStack() as scopes:
        for condition in hp.conditions:
            scope = narrowed.conditional_scope(condition.name, condition.values)
            scopes.enter_context(scope)
        narrowed.Fixed(hp.name, value)
