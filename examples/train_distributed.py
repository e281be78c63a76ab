"""Trains one model with several processes, here or on several machines.

    python examples/train_distributed.py --workers 2                 # on this machine
    python examples/train_distributed.py --workers 2 --backend jax

Two processes on the loopback address stand for two machines. On real ones, run this on
each of them, with the addresses of all and the number of its own, and with a folder for
`--out` that all of them share:

    python examples/train_distributed.py --addresses host1:2222,host2:2222 --index 1

With TensorFlow the trainer is `keras_nam.distribution.fit_multi_worker`, with JAX it is
`model.fit` under `keras.distribution.DataParallel`. Either way the losses are those of
`--workers 1`. Kill a worker (`kill -9`): the others end with an error, and the same
command goes on from the last checkpoint in `--out`.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# How long the other workers have to see that one is gone, in seconds.
GRACE = 120
HEARTBEAT = 10


def make_model(arguments):
    import keras

    import keras_nam

    keras.utils.set_random_seed(arguments.seed)
    width = arguments.width
    if arguments.model == "nam":
        core = keras_nam.layers.NAM(width, num_heads=2, return_sequences=True)
    else:
        core = keras.layers.LSTM(width, return_sequences=True)
    model = keras_nam.models.token_tagger(core, vocabulary_size=16, width=width)
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def make_dataset(arguments, epoch=0):
    import tensorflow as tf

    import keras_nam

    size = arguments.steps * arguments.batch_size
    rows = keras_nam.datasets.load_task("copy", "train", size, seed=arguments.seed)
    dataset = tf.data.Dataset.from_tensor_slices(rows)
    # In the same order after a restart as before it.
    dataset = dataset.shuffle(size, seed=epoch, reshuffle_each_iteration=False)
    return dataset.batch(arguments.batch_size, drop_remainder=True)


def train_with_tensorflow(arguments):
    import keras_nam

    if len(arguments.addresses) > 1:
        task = {"type": "worker", "index": arguments.index}
        config = {"cluster": {"worker": arguments.addresses}, "task": task}
        os.environ["TF_CONFIG"] = json.dumps(config)
    return keras_nam.distribution.fit_multi_worker(
        lambda: make_model(arguments),
        lambda epoch: make_dataset(arguments, epoch),
        epochs=arguments.epochs,
        checkpoint_dir=arguments.out / "checkpoints",
        verbose=2,
    )


def train_with_jax(arguments):
    import jax
    import keras

    if len(arguments.addresses) > 1:
        # As `keras.distribution.initialize` does it, but that a dead worker is noticed
        # sooner than after 100 seconds.
        jax.distributed.initialize(
            arguments.addresses[0],
            len(arguments.addresses),
            arguments.index,
            heartbeat_timeout_seconds=HEARTBEAT,
        )
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    model = make_model(arguments)
    history = model.fit(
        make_dataset(arguments),
        epochs=arguments.epochs,
        shuffle=False,
        verbose=2 if arguments.index == 0 else 0,
        callbacks=[make_backup(arguments)],
    )
    # An ordinary model, which one worker can save alone.
    weights = model.get_weights()
    keras.distribution.set_distribution(None)
    model = make_model(arguments)
    model.set_weights(weights)
    return model, history


def make_backup(arguments):
    """What restores the last epoch on all workers, and saves it."""
    import keras

    backup = keras.callbacks.BackupAndRestore(
        arguments.out / "backup", double_checkpoint=True, delete_checkpoint=False
    )
    if arguments.index == 0:
        return backup
    # Saving takes all workers. What the others save is the same, and nobody reads it.
    unread = tempfile.TemporaryDirectory()
    weakref.finalize(backup, unread.cleanup)
    saving = keras.callbacks.BackupAndRestore(unread.name, delete_checkpoint=False)

    class Restore(keras.callbacks.Callback):
        def set_model(self, model):
            backup.set_model(model)
            saving.set_model(model)

        def on_train_begin(self, logs=None):
            backup.on_train_begin(logs)

        def on_epoch_end(self, epoch, logs=None):
            saving.on_epoch_end(epoch, logs)

    return Restore()


def train(arguments):
    """Trains as one of the workers. The first one writes what comes out."""
    os.environ["KERAS_BACKEND"] = arguments.backend
    arguments.out.mkdir(parents=True, exist_ok=True)
    trainers = {"tensorflow": train_with_tensorflow, "jax": train_with_jax}
    model, history = trainers[arguments.backend](arguments)
    if arguments.index == 0:
        result = {"epochs": history.epoch, **history.history}
        (arguments.out / "history.json").write_text(json.dumps(result, indent=2))
        model.save(arguments.out / "model.keras")
        print(f"Saved to {arguments.out}: history.json, model.keras")


def launch(arguments):
    """Starts all workers on this machine and returns the status to exit with."""
    addresses = free_addresses(arguments.workers)
    workers = []
    for index in range(arguments.workers):
        command = [sys.executable, *sys.argv, "--index", str(index)]
        command += ["--addresses", ",".join(addresses)]
        workers.append(subprocess.Popen(command))
        print(f"Worker {index} is process {workers[-1].pid}.", flush=True)
    try:
        return wait_for(workers)
    finally:
        for worker in workers:
            worker.kill()


def wait_for(workers):
    """Waits until all workers have ended, or one has and the others do not follow."""
    deadline = float("inf")
    while any(worker.poll() is None for worker in workers):
        if deadline == float("inf") and any(worker.poll() for worker in workers):
            deadline = time.monotonic() + GRACE
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    failed = [i for i, worker in enumerate(workers) if worker.poll() != 0]
    if not failed:
        return 0
    print(
        f"Training has broken off: workers {failed} failed, with the statuses "
        f"{[workers[i].poll() for i in failed]}. Run the same command again to go on "
        "from the last checkpoint.",
        file=sys.stderr,
    )
    return 1


def free_addresses(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return [f"127.0.0.1:{port}" for port in ports]


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--backend", choices=["tensorflow", "jax"], default="tensorflow"
    )
    parser.add_argument("--workers", type=int, default=2, help="on this machine")
    parser.add_argument(
        "--addresses",
        type=lambda text: text.split(","),
        help="host:port of every worker, parted by commas",
    )
    parser.add_argument("--index", type=int, help="which of them this is")
    parser.add_argument("--model", choices=["nam", "lstm"], default="nam")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50, help="of an epoch")
    parser.add_argument("--batch-size", type=int, default=128, help="of all workers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/distributed"))
    arguments = parser.parse_args()
    for name in ("workers", "width", "epochs", "steps", "batch_size"):
        value = getattr(arguments, name)
        if value < 1:
            parser.error(f"--{name} must be a positive integer, not {value}")
    if (arguments.addresses is None) != (arguments.index is None):
        parser.error("--addresses and --index are given together")
    if arguments.addresses and not 0 <= arguments.index < len(arguments.addresses):
        parser.error(f"--index must be below {len(arguments.addresses)}")
    return arguments


def main():
    arguments = parse_arguments()
    if arguments.index is None:
        sys.exit(launch(arguments))
    train(arguments)


if __name__ == "__main__":
    main()
