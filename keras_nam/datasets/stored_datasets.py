"""Rows from the data sets of TensorFlow Datasets, with no download unless asked for."""

from keras_nam.optional import tfds


def read_stored(name, split, keys, data_dir=None, download=False):
    """Reads a split of a data set that TensorFlow Datasets has on disk.

    Args:
        name: String. The name of the data set.
        split: String. What `tfds.load` takes.
        keys: Sequence of strings. The features to return.
        data_dir: String or path. `None` means the folder of TensorFlow Datasets.
        download: Boolean. Whether to download what is not on disk.

    Returns:
        A list with a list of numpy values for each key.
    """
    if not isinstance(download, bool):
        raise ValueError(
            f"Setting `download` must be a boolean. Received: download={download!r}"
        )
    try:
        dataset = tfds.load(
            name,
            split=split,
            data_dir=None if data_dir is None else str(data_dir),
            download=download,
        )
    except AssertionError as error:
        # What TensorFlow Datasets raises when it finds no files and may not download.
        raise ValueError(
            f"TensorFlow Datasets has no data set '{name}' on disk. Pass "
            "`download=True` to download it, or as `folder` the `data_dir` that has "
            f"it. Received: folder={data_dir!r}, download={download}"
        ) from error
    rows = list(tfds.as_numpy(dataset))
    return [[row[key] for row in rows] for key in keys]
