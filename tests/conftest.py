import gc
import os

# Before TensorFlow is imported: quiet, and one process per core under pytest-xdist.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# Compiling takes longer than what is compiled: `XLA_FLAGS= pytest` optimises in full.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
)

import keras
import pytest

if keras.backend.backend() == "torch":
    import torch

    def _as_array(tensor, dtype=None, copy=None):
        tensor = tensor.detach()
        wide = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
        return wide.numpy() if dtype is None else wide.numpy().astype(dtype)

    # Tests compare what layers return with arrays, which PyTorch refuses to do with
    # tensors that can be differentiated, and what has no dtype in NumPy.
    torch.Tensor.__array__ = _as_array


# What is imported stays; looking through it again and again takes a tenth of the time.
gc.freeze()
gc.set_threshold(100_000, 20, 100)


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
