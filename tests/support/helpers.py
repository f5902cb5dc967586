"""What several tests of searches use: objectives, boxes, and searches with given experiments."""

import numpy as np

from latent_search import Event, create_optimizer

SQUARE = [(-4.0, 4.0)] * 2
# A box whose sides have very different lengths; tests take the first one, two or five of them.
BOX = np.array([[-2.0, 3.0], [10.0, 11.0], [0.0, 0.2], [-300.0, -100.0], [5.0, 9.0]])

ZERO_BOUND = {'lower_bound': lambda t: np.zeros((len(t), 1))}
SETTINGS = [{}, {'noisy': True}, ZERO_BOUND]


def quadratic(t):
    """The sum of squared differences to (0.5, 1, 1.5, ...)."""
    return ((t - np.arange(1, t.shape[1] + 1) / 2) ** 2).sum(axis=1, keepdims=True)


def prior(t):
    """The negative log density of the standard normal distribution, nats."""
    return (t ** 2 + np.log(2 * np.pi)).sum(axis=1, keepdims=True) / 2


def to_unit(t, domain=SQUARE):
    """Points in units of the box's sides."""
    low, high = np.array(domain).T
    return (t - low) / (high - low)


def to_unit_box(t):
    """Points in units of the sides of BOX."""
    return to_unit(t, BOX[:t.shape[-1]])


def from_unit_box(u):
    return BOX[:u.shape[-1], 0] + u * np.ptp(BOX[:u.shape[-1]], axis=1)


def sample(rng, n, d=2):
    """Draws n points from the first d dimensions of BOX."""
    return rng.uniform(*BOX[:d].T, (n, d))


def bound(t):
    """A lower bound of `wavy`."""
    return 1 + 0.3 * np.sin(t).sum(axis=1, keepdims=True)


def wavy(t):
    """An objective on BOX with several valleys."""
    u = to_unit_box(t)
    return bound(t) + (2 * u - 0.7 + np.sin(7 * u)).sum(axis=1, keepdims=True) ** 2


def run(objective=quadratic, domain=SQUARE, seed=0, max_iter=5, **settings):
    """A search that has run."""
    search = create_optimizer(objective, domain, seed, **settings)
    search.run_optimization(max_iter)
    return search


def told(num, objective=quadratic, domain=SQUARE, batch=1, **settings):
    """A search with `num` experiments, asked for in batches; all of a batch are told before the next."""
    search = create_optimizer(None, domain, **settings)
    while len(search.X) < num:
        for number, t in search.ask(min(batch, num - len(search.X))):
            search.tell(number, objective(t))
    return search


def search_with(points, values, failed=(), domain=SQUARE, objective=None, **settings):
    """A search with given evaluations, points (n, d) and values (n, 1), and given points of failed experiments."""
    search = create_optimizer(objective, domain, **settings)
    if len(points):
        search.add_known(points, values)
    failed = np.reshape(failed, (-1, 1, len(domain)))
    search.restore([Event(len(points) + i, 'known failure', t) for i, t in enumerate(failed, start=1)])
    return search


def points_of(experiments):
    """The points of experiments as rows."""
    return np.vstack([experiment.t for experiment in experiments])


def numbers_of(experiments):
    return [experiment.number for experiment in experiments]


def snapshot(search):
    """All that follows from the events of a search, and its next proposal."""
    return (search.X, search.Y, search.failed, [(number, *t[0]) for number, t in search.pending],
            search.suggest_next_locations())


def assert_same(snapshot, expected):
    for array, other in zip(snapshot, expected, strict=True):
        np.testing.assert_array_equal(array, other)
