"""Episodes of few-shot learning."""

import numpy as np
import pytest

from keras_nam import datasets

LABELS = np.repeat(np.arange(12), 6)
# An image is its own number, so that it can be told where it came from.
IMAGES = np.arange(len(LABELS), dtype="float32")[:, None]
BASE, NOVEL = [3, 0, 7, 5, 1], [2, 11, 8]


def draw(**arguments):
    arguments = {"num_ways": 2, "num_shots": 3, "num_queries": 8, **arguments}
    return list(datasets.episodes(IMAGES, LABELS, BASE, **arguments))


@pytest.mark.parametrize("novel", [None, NOVEL])
def test_an_episode_asks_for_what_it_shows(novel):
    batches = draw(novel_classes=novel, batch_size=4, num_episodes=8)
    assert len(batches) == 2
    for inputs, targets in batches:
        assert targets.shape == (4, 8 + 15)
        for i in range(4):
            rows = {k: v[i].numpy() for k, v in inputs.items()}
            support = rows["support_images"][:, 0].astype(int)
            queries = rows["images"][:, 0].astype(int)
            base = BASE if novel else [BASE[j] for j in rows["base_classes"]]
            meaning = dict(enumerate(base))
            for row, label in zip(support, rows["support_labels"], strict=True):
                assert meaning.setdefault(label, LABELS[row]) == LABELS[row]
            assert len(meaning) == len(base) + 2 == len(set(meaning.values()))
            expected = [meaning[t] for t in targets[i].numpy()]
            assert (LABELS[queries] == expected).all()
            assert not set(support) & set(queries)
            if novel:
                assert set(LABELS[support]) <= set(novel)
            else:
                assert set(base) | set(LABELS[support]) == set(BASE)


def test_seeds():
    def flat(**arguments):
        batches = draw(num_episodes=4, **arguments)
        return np.concatenate([x[0]["images"].numpy().ravel() for x in batches])

    np.testing.assert_array_equal(flat(seed=3), flat(seed=3))
    np.testing.assert_array_equal(flat(seed=3), flat(seed=3, batch_size=3))
    assert not np.array_equal(flat(seed=3), flat(seed=4))


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_ways": 0},
        {"num_ways": 5},
        {"num_shots": 6},
        {"num_queries": 0},
        {"num_episodes": 0},
        {"batch_size": 0},
        {"seed": -1},
        {"novel_classes": [2]},
        {"novel_classes": [2, 3, 8]},
        {"novel_classes": [2, 99]},
        {"novel_classes": [2, 2, 11]},
        {"novel_classes": [2.0, 11.0]},
    ],
)
def test_wrong_episodes(arguments):
    with pytest.raises(ValueError, match="Received"):
        draw(**arguments)


def test_as_many_labels_as_images():
    with pytest.raises(ValueError, match="Received"):
        datasets.episodes(IMAGES[:5], LABELS, BASE)
