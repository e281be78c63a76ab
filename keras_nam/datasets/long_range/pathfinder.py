"""Pathfinder: are two dots joined by a dashed path?"""

import numpy as np

from keras_nam.arguments import check_cells
from keras_nam.arguments import check_integer
from keras_nam.datasets.splits import random_generator

# Curves live in a square of this side, whatever the size of the images.
SIDE = 32.0
STEP = 4.0
MARGIN = 3.25

# The square has room for fewer joints that keep their distance.
_MOST_STEPS = 300
_BORDER = 2.5
_MAX_TURN = 0.8
_PROPOSALS = 8
_ROUNDS = 30

_NUM_PATHS = 3
_DISTRACTOR_DASHES = 2
_DASH = 2.0
_DASH_WIDTH = 1.0
_DOT_RADIUS = 1.25
_TOLERANCE = 1.0

_MAX_SETS = 1024
_MAX_FRUITLESS_ROUNDS = 20


def pathfinder(
    num_examples,
    image_size=32,
    num_dashes=6,
    num_distractors=3,
    seed=0,
    split="train",
):
    """Images of dashed curved paths, two of whose ends are marked with a dot.

    Three paths of `num_dashes` dashes and some shorter ones curve through the image
    and never touch. In half of the images both dots are at the ends of one path, in
    the others they are at ends of two different paths.

    The paths do not depend on the label: for each image, two ends of one path and two
    ends of different paths are found that are equally far apart and whose middles are
    equally far from the centre, to a 32nd of the image, and the label decides which of
    them get the dots. So neither ink, nor the number of paths, nor where the dots are
    tells the label; one has to follow the path.

    Args:
        num_examples: Non-negative integer. The number of images. Labels are balanced.
        image_size: Integer of at least 32. The side of the images. Larger images show
            the same shapes in greater detail.
        num_dashes: Integer of at least 2. The length of the paths that may be marked.
        num_distractors: Non-negative integer. The number of paths of two dashes.
        seed: Non-negative integer of any size. The same arguments give the same images.
        split: String, one of `"train"`, `"id"`, `"ood"`, `"far"`. Each draws its
            images from a random stream of its own.

    Returns:
        A tuple `(images, labels)`: uint8 of shape `(num_examples, image_size,
        image_size)`, with 0 for the ground, and int32 of shape `(num_examples,)`, with
        1 where a path joins the dots.

    Example:

    ```python
    images, labels = keras_nam.datasets.pathfinder(100)
    images.shape  # (100, 32, 32)
    labels.sum()  # 50
    ```

    Raises:
        ValueError: If an argument is out of range, or if there is no room for so many
            paths of such lengths.

    References:

    - [Learning long-range spatial dependencies with horizontal gated-recurrent
      units](https://arxiv.org/abs/1805.08315)
    - [Long Range Arena](https://arxiv.org/abs/2011.04006)
    """
    num_examples = check_integer("num_examples", num_examples, at_least=0)
    image_size = check_integer("image_size", image_size, at_least=32)
    num_dashes = check_integer("num_dashes", num_dashes, at_least=2)
    num_distractors = check_integer("num_distractors", num_distractors, at_least=0)
    shape = num_examples, image_size, image_size
    check_cells(shape, num_examples=num_examples, image_size=image_size)
    no_room = ValueError(
        "There is no room for so many paths of such lengths. Received: "
        f"num_dashes={num_dashes}, num_distractors={num_distractors}"
    )
    if max(num_dashes, num_distractors) > _MOST_STEPS:
        raise no_room
    random = random_generator("pathfinder", split, seed)
    steps = [num_dashes] * _NUM_PATHS + [_DISTRACTOR_DASHES] * num_distractors
    labels = random.permutation(np.arange(num_examples, dtype=np.int32) % 2)
    images = np.zeros(shape, np.uint8)
    done = fruitless_rounds = 0
    while done < num_examples:
        if fruitless_rounds == _MAX_FRUITLESS_ROUNDS:
            raise no_room
        # Fewer than half of the sets of paths have ends that will do.
        sets = min(_MAX_SETS, 64 + 4 * (num_examples - done))
        curves = draw_curves(random, sets, steps)
        kept, joined, parted = _choose_dots(np.stack(curves[:_NUM_PATHS], 1))
        kept = kept[: num_examples - done]
        fruitless_rounds = 0 if len(kept) else fruitless_rounds + 1
        filled = slice(done, done + len(kept))
        is_joined = labels[filled, None, None] == 1
        dots = np.where(is_joined, joined[: len(kept)], parted[: len(kept)])
        chosen = [curve[kept] for curve in curves]
        images[filled] = _draw_images(chosen, dots, image_size)
        done += len(kept)
    return images, labels


def _choose_dots(paths):
    """Finds two ends of one path and two ends of different ones that lie alike.

    Both pairs have the same distance within `_TOLERANCE`, and so do their middles from
    the centre of the image. In some sets no ends do.

    Args:
        paths: Array of shape `(sets, paths, joints, 2)`.

    Returns:
        A tuple `(kept, joined, parted)`: the indices of the sets that have such ends,
        and the two pairs of points of each, of shape `(kept, 2, 2)`.
    """
    sets, num_paths = paths.shape[:2]
    ends = paths[:, :, [0, -1]].reshape(sets, 2 * num_paths, 2)
    first, second = np.triu_indices(2 * num_paths, k=1)
    pairs = np.stack([ends[:, first], ends[:, second]], axis=2)
    is_joined = first // 2 == second // 2
    joined, parted = pairs[:, is_joined], pairs[:, ~is_joined]
    differences = np.abs(_measures(joined)[:, :, None] - _measures(parted)[:, None])
    largest = differences.max(axis=-1).reshape(sets, np.prod(differences.shape[1:3]))
    best = largest.argmin(axis=1)
    kept = np.flatnonzero(largest[np.arange(sets), best] < _TOLERANCE)
    of_joined, of_parted = np.divmod(best[kept], parted.shape[1])
    return kept, joined[kept, of_joined], parted[kept, of_parted]


def _measures(pairs):
    """The distance of two points, and the distance of their middle from the centre."""
    first, second = pairs[..., 0, :], pairs[..., 1, :]
    between = np.linalg.norm(first - second, axis=-1)
    middle = np.linalg.norm((first + second - SIDE) / 2, axis=-1)
    return np.stack([between, middle], axis=-1)


def _draw_images(curves, dots, image_size):
    """Draws dashes and dots, with soft edges, as uint8 images."""
    images = np.zeros((len(dots), image_size, image_size), np.float32)
    scale = image_size / SIDE
    trim = (STEP - _DASH) / STEP / 2
    for curve in curves:
        start, end = curve[:, :-1], curve[:, 1:]
        gap = trim * (end - start)
        _draw_strokes(images, (start + gap) * scale, (end - gap) * scale, scale)
    radius = _DOT_RADIUS - _DASH_WIDTH / 2
    _draw_strokes(images, dots * scale, dots * scale, scale, radius * scale)
    return np.rint(255 * images).astype(np.uint8)


def _draw_strokes(images, starts, ends, scale, extra=0.0):
    """Draws strokes with round ends from `starts` to `ends`, `(images, strokes, 2)`."""
    size = images.shape[1]
    half_width = _DASH_WIDTH * scale / 2 + extra
    reach = int(np.ceil((_DASH * scale) / 2 + half_width + 1))
    corner = np.floor((starts + ends) / 2).astype(int) - reach
    offsets = np.arange(2 * reach + 1)
    rows = corner[..., 1, None] + offsets
    columns = corner[..., 0, None] + offsets
    # The distance of every pixel's centre from the stroke.
    y = rows[..., :, None] + 0.5 - starts[..., 1, None, None]
    x = columns[..., None, :] + 0.5 - starts[..., 0, None, None]
    dx, dy = np.moveaxis(ends - starts, -1, 0)[..., None, None]
    along = np.clip((x * dx + y * dy) / np.maximum(dx**2 + dy**2, 1e-9), 0, 1)
    distance = np.hypot(x - along * dx, y - along * dy)
    ink = np.clip(half_width + 0.5 - distance, 0, 1).astype(np.float32)
    image = np.arange(len(images))[:, None, None, None]
    rows, columns = rows[..., :, None], columns[..., None, :]
    ink *= (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
    cells = image, rows.clip(0, size - 1), columns.clip(0, size - 1)
    np.maximum.at(images, cells, ink)


def draw_curves(random, count, num_steps):
    """Draws sets of curves, grown step by step, many sets side by side.

    No point of a curve comes closer than about `MARGIN` to another curve, or to the
    border. Sets in which a curve finds no room are left out.

    Args:
        random: A numpy random generator.
        count: Integer. How many sets to try.
        num_steps: Sequence of integers. The number of steps of each curve of a set.

    Returns:
        A list of arrays of shape `(sets, num_steps[i] + 1, 2)`, the joints of curve
        `i`, with at most `count` sets.
    """
    curves = []
    obstacles = np.zeros((count, 0, 2))
    for steps in num_steps:
        curve = np.zeros((count, steps + 1, 2))
        done = np.zeros(count, bool)
        for _ in range(_ROUNDS):
            pending = np.flatnonzero(~done)
            if not len(pending):
                break
            grown, complete = _grow(random, obstacles[pending], steps)
            curve[pending] = grown
            done[pending] = complete
        curves = [earlier[done] for earlier in curves] + [curve[done]]
        obstacles = np.concatenate([obstacles[done], with_middles(curves[-1])], axis=1)
        count = len(obstacles)
    return curves


def with_middles(joints):
    """Adds the middle of every step, giving `2 * steps + 1` points per curve."""
    points = np.empty((len(joints), 2 * joints.shape[1] - 1, 2))
    points[:, ::2] = joints
    points[:, 1::2] = (joints[:, 1:] + joints[:, :-1]) / 2
    return points


def _grow(random, obstacles, steps):
    """Grows a curve in every set, each step the first proposal that has room.

    Returns:
        A tuple `(joints, complete)` of shapes `(sets, steps + 1, 2)` and `(sets,)`.
    """
    count = len(obstacles)
    joints = np.zeros((count, steps + 1, 2))
    starts = random.uniform(_BORDER, SIDE - _BORDER, (count, _PROPOSALS, 2))
    joints[:, 0], alive = _first_with_room(obstacles, starts, starts)
    alive = np.flatnonzero(alive)
    heading = np.zeros((len(alive), 1))
    for step in range(steps):
        # Any direction will do to start with, small turns from there on.
        spread = np.pi if step == 0 else _MAX_TURN
        turns = random.uniform(-spread, spread, (len(alive), _PROPOSALS))
        headings = heading + turns
        moves = STEP * np.stack([np.cos(headings), np.sin(headings)], axis=-1)
        # The curve itself is in its own way too, apart from its latest steps.
        own = with_middles(joints[alive, : step - 1]) if step > 1 else joints[alive, :0]
        near = np.concatenate([obstacles[alive], own], axis=1)
        latest = joints[alive, step, None]
        chosen, possible = _first_with_room(near, latest + moves, latest + moves / 2)
        joints[alive, step + 1] = chosen
        alive = alive[possible]
        moved = (joints[alive, step + 1] - joints[alive, step])[:, None]
        heading = np.arctan2(moved[..., 1], moved[..., 0])
    complete = np.zeros(count, bool)
    complete[alive] = True
    return joints, complete


def _first_with_room(obstacles, points, middles):
    """Picks the first point that stands free, and whose way to it does.

    Returns:
        A tuple `(point, possible)` of shapes `(sets, 2)` and `(sets,)`.
    """
    free = ((points > _BORDER) & (points < SIDE - _BORDER)).all(axis=-1)
    for ends in (points, middles):
        x = ends[:, :, None, 0] - obstacles[:, None, :, 0]
        y = ends[:, :, None, 1] - obstacles[:, None, :, 1]
        free &= (x * x + y * y > MARGIN**2).all(axis=-1)
    every = np.arange(len(points))
    first = free.argmax(axis=1)
    return points[every, first], free[every, first]
