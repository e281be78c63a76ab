"""Smooth random curves that keep their distance from each other."""

import numpy as np

# Curves live in a square of this side, whatever the size of the images.
SIDE = 32.0
STEP = 4.0
MARGIN = 3.25

_BORDER = 2.5
_MAX_TURN = 0.8
_PROPOSALS = 8
_ROUNDS = 30


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
