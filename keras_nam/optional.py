"""Packages that may be missing, and names that are imported when they are first used.

Python alone is all it needs. Neither TensorFlow, which other backends of Keras do
without, nor an optional package is imported along with this one.
"""

import importlib

# What installs a package, where that is not its own name.
_EXTRAS = {
    "PIL": "plots",
    "keras_tuner": "tuner",
    "matplotlib": "plots",
    "sklearn": "images",
    "tensorboard": "tensorboard",
    "tensorflow_datasets": "datasets",
}


def require_package(name):
    """Imports a module of an optional package, or says what to install to have it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        extra = _EXTRAS.get(package)
        wanted = package if extra is None else f"keras_nam[{extra}]"
        raise ImportError(
            f"This needs the package {package}. Install it with "
            f"`pip install {wanted}`. What was missing: {error}"
        ) from error


class OptionalModule:
    """Stands for a module, which is imported whenever one of its names is asked for.

    Args:
        name: String. The full name of the module.
    """

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        return getattr(require_package(self._name), name)


keras_tuner = OptionalModule("keras_tuner")
tf = OptionalModule("tensorflow")
tfds = OptionalModule("tensorflow_datasets")


def imported_on_use(package, modules):
    """Makes `__getattr__` and `__dir__` for a package that imports none of its modules.

    Args:
        package: String. The name of the package.
        modules: Dictionary from the public names to the modules that define them.

    Returns:
        A tuple of two functions.
    """

    def get(name):
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)

    return get, lambda: sorted(modules)
