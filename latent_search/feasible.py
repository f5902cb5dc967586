"""Points of the unit box where experiments may be made, found by asking a function of points."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from latent_search.points import Array

Feasible = Callable[[Array], NDArray[np.bool_]]

# So many points are tried at a time, at most so often, until so many are found from which to go on.
batch, most_batches, enough = 5000, 60, 30
# From each of them so many steps are tried at a time, so often.
tries, rounds = 8, 20


def feasible_points(feasible: Feasible, known: Array, num: int, rng: np.random.RandomState) -> Array:
    """Draws points from all over the feasible part of the unit box.

    Uniform points are tried first. Where few of them are feasible, points between them and the corners or the centre
    are. From those that are found, and from known ones, random walks go on: of steps of all sizes, in all directions
    and along differences of found points, each takes the longest that stays feasible. So thin parts are followed.

    Args:
        feasible: a function of points (n, d) that returns booleans (n,).
        known: feasible points that are known, (m, d).
        num: how many points are wanted.
        rng: draws them.

    Returns:
        (num, d); points may be there twice where the part is tiny.

    Raises:
        ValueError: no feasible point was found.
    """
    d = known.shape[1]
    u = rng.uniform(size=(2 * num, d))
    found = u[feasible(u)]
    if len(found) >= num:
        return found[:num]
    found = np.vstack((known, found))
    for _ in range(most_batches):
        if len(found) >= enough:
            break
        anchors = np.array([np.zeros(d), np.ones(d), np.full(d, 0.5), rng.randint(2, size=d)])
        u = anchors[rng.randint(len(anchors), size=batch)]
        u = u + 10.0 ** rng.uniform(-4, 0, (batch, 1)) * (rng.uniform(size=(batch, d)) - u)
        found = np.vstack((found, u[feasible(u)]))
    if not len(found):
        raise ValueError('No feasible point was found in the box. Add one with add_known, with its value, or make '
                         'feasible wider.')
    walks = found[rng.randint(len(found), size=num)]
    for _ in range(rounds):
        first, second = walks[rng.randint(num, size=(2, num, tries))]
        directions = rng.normal(size=(num, tries, d))
        directions /= np.linalg.norm(directions, axis=2, keepdims=True)
        steps = np.where(rng.uniform(size=(num, tries, 1)) < 0.5, rng.normal(size=(num, tries, 1)) * (first - second),
                         10.0 ** rng.uniform(-4, 0, (num, tries, 1)) * directions)
        u = np.clip(walks[:, np.newaxis] + steps, 0, 1)
        lengths = np.where(feasible(u.reshape(-1, d)).reshape(num, tries),
                           np.linalg.norm(u - walks[:, np.newaxis], axis=2), 0.0)
        longest = lengths.argmax(axis=1)
        moved = lengths.max(axis=1) > 0
        walks[moved] = u[moved, longest[moved]]
    return walks
