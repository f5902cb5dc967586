"""Points of the unit box where experiments may be made, found by asking a function of points."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from latent_search.points import Array

Feasible = Callable[[Array], NDArray[np.bool_]]

batch, rounds = 2000, 40


def feasible_points(feasible: Feasible, known: Array, num: int, rng: np.random.RandomState) -> Array:
    """Draws points from all over the feasible part of the unit box.

    Uniform points are tried first. Where few of them are feasible, points nearer to the corners or to the centre are,
    and from each point that was found steps of all sizes go on, also along the difference of two such points: so thin
    and narrow parts are followed.

    Args:
        feasible: a function of points (n, d) that returns booleans (n,).
        known: feasible points that are known, (m, d).
        num: how many points are wanted.
        rng: draws them.

    Returns:
        (num, d); fewer where the part is tiny.

    Raises:
        ValueError: no feasible point was found.
    """
    d = known.shape[1]
    u = rng.uniform(size=(2 * num, d))
    found = u[feasible(u)]
    if len(found) >= num:
        return found[:num]
    found = np.vstack((known, found))
    for _ in range(rounds):
        if len(found):
            break
        anchors = np.array([np.zeros(d), np.ones(d), np.full(d, 0.5), rng.randint(2, size=d)])
        shares = 10.0 ** rng.uniform(-4, 0, (batch, 1))
        u = anchors[rng.randint(4, size=batch)]
        u = np.clip(u + shares * (rng.uniform(size=(batch, d)) - u), 0, 1)
        found = u[feasible(u)]
    if not len(found):
        raise ValueError('No feasible point was found in the box. Add one with add_known, with its value, or make '
                         'feasible wider.')
    for _ in range(rounds):
        if len(found) >= 4 * num:
            break
        directions = rng.normal(size=(batch, d))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        first, second, base = found[rng.randint(len(found), size=(3, batch))]
        along = rng.uniform(size=(batch, 1)) < 0.5
        steps = np.where(along, rng.normal(size=(batch, 1)) * (first - second),
                         10.0 ** rng.uniform(-4, 0, (batch, 1)) * directions)
        u = np.clip(base + steps, 0, 1)
        found = np.vstack((found, u[feasible(u)]))
    return found[rng.permutation(len(found))[:num]]
