"""Expected improvement at a distance from the evaluations: where a search looks next. Points are in the unit box."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from latent_search.feasible import Feasible, feasible_points
from latent_search.gaussian_process import Model, part
from latent_search.likelihood import matern
from latent_search.points import Array, distinct_distance, spaced_best


class SpacedExpectedImprovement:
    """Expected improvement, in logarithms, at a distance from the evaluations so far.

    Without the distance a search refines each local minimum that it meets to many digits before it looks elsewhere, and
    its ten best evaluations decode to the same image. So there are two kinds of proposals:

    - *spaced*: at least `spacing` away from all evaluations, with the highest expected improvement on a threshold a
      little above the incumbent. These find the minimum, and then points around it that are nearly as good.
    - *refined*: with the highest expected improvement on the incumbent, anywhere. Once the search has converged, that
      is, once no spaced point promises an improvement that matters, only one proposal in `spaced_every` is spaced.
      Where different results are worth more than the last digits of the best, `refinement_tolerance` ends that: once
      no point anywhere promises more, all proposals are spaced.

    Both stay at least `spacing` away from pending experiments, as long as there is such a place: the result of one
    would tell little about the other. The expected improvement is multiplied by the probability that the experiment
    succeeds (see `probability_of_success`), and proposals are made only where that is above one half. Where there is no
    such place, the proposal goes to the candidate where it is highest. It is also multiplied by the probability that an
    exact value is not just that of the nearest experiment again (see `probability_of_novelty`).

    Args:
        model: of the evaluations.
        failed: points of experiments that failed, (k, d).
        feasible: a function of points (n, d) that returns whether experiments may be made there, (n,); None where they
            may everywhere.
        spacing: the distance, in units of the box's sides.
        refinement_tolerance: the expected improvement that is not worth a refined proposal, in standard deviations of
            the values so far.
    """

    # In standard deviations of the values so far; about 0.2 and 0.01 nats in the article's searches.
    threshold_above_incumbent = 0.03
    convergence_tolerance = 0.002
    spaced_every = 4
    # In units of the box's sides. No point is evaluated twice.
    min_distance = 1e-5

    num_uniform = 500
    num_around_best = 200
    # Of the rings that they are in, from and to, in units of the spacing times √(d / 2).
    radii_around_best = 0.01, 4.0
    num_starts = 2
    # Along a side of the box: the first step of L-BFGS has the length 1 at most, and would otherwise cross the box.
    num_steps = 8.0

    def __init__(self, model: Model, failed: Array, *, feasible: Feasible | None = None,
                 spacing: float = distinct_distance, refinement_tolerance: float = 0.0) -> None:
        self.model, self.failed, self.feasible = model, failed, feasible
        self.spacing, self.refinement_tolerance = spacing, refinement_tolerance
        self._experiments = np.vstack((model.u, model.pending))
        self._reach = 0.0 if model.kind.noisy else reach_of_repeats(model.u, model.y)

    def propose(self, rng: np.random.RandomState) -> Array:
        """The next point, (d,)."""
        candidates = self._candidates(rng)
        start, value, threshold, spacing = self._best_of(candidates)
        best: Array = candidates[start[0]]
        if value is None:
            return best
        climb = self._climb if self.feasible is None else self._climb_in_feasible_part
        return climb(candidates[start], value, threshold, spacing, rng)

    def choose(self, candidates: Array) -> int:
        """The index of the best of given points (n, d)."""
        return int(self._best_of(candidates)[0][0])

    def _best_of(self, candidates: Array) -> tuple[NDArray[np.intp], float | None, float, float]:
        """Indices of the best candidates, best first, and what a better point has to have.

        Returns:
            The indices; the acquisition's value of the first, None where no place is likely to succeed; the threshold
            that is to be improved on, and the distance to be kept from evaluations.
        """
        distances, from_pending = _distances(candidates, self._experiments), _distances(candidates, self.model.pending)
        left = np.flatnonzero(distances >= self.min_distance)
        if not len(left):
            return distances.argsort()[::-1][:1], None, 0.0, 0.0
        if (from_pending[left] >= self.spacing).any():
            left = left[from_pending[left] >= self.spacing]
        success = self._probability_of_success(candidates[left])
        if success.max() <= 0.5:
            return left[[success.argmax()]], None, 0.0, 0.0
        likely = success > 0.5
        left, success = left[likely], success[likely]
        at_distance = distances[left] >= self.spacing
        incumbent = self.model.incumbent
        threshold_of_spaced = incumbent + self.threshold_above_incumbent * self.model.spread
        log_ei = self.model.log_ei(candidates[left], np.array([incumbent, threshold_of_spaced]))
        log_ei += np.log(probability_of_novelty(distances[left], self._reach))[:, np.newaxis]
        if self._is_spaced(np.exp(log_ei[:, 0]), at_distance):
            left, values = left[at_distance], log_ei[at_distance, 1] + np.log(success[at_distance])
            threshold, spacing = threshold_of_spaced, self.spacing
        else:
            values, threshold, spacing = log_ei[:, 0] + np.log(success), incumbent, self.min_distance
        order = np.argsort(-values)[:self.num_starts]
        return left[order], float(values[order[0]]), threshold, spacing

    def _is_spaced(self, promised: Array, at_distance: NDArray[np.bool_]) -> bool:
        """Decides between a spaced and a refined proposal.

        Args:
            promised: the expected improvement on the incumbent at the candidates, (n,).
            at_distance: whether they keep the distance, (n,).
        """
        if not at_distance.any():
            return False
        num, spread = len(self._experiments), self.model.spread
        return bool(promised[at_distance].max() > self.convergence_tolerance * spread or num % self.spaced_every == 0
                    or self.refinement_tolerance > 0 and promised.max() <= self.refinement_tolerance * spread)

    def _climb(self, starts: Array, value: float, threshold: float, spacing: float,
               rng: np.random.RandomState) -> Array:
        """Maximises the acquisition locally, as far as the distances allow; the first start has the value `value`."""
        from scipy.optimize import minimize

        from_pending = min(_distances(starts, self.model.pending).min(), self.spacing)
        best, highest = starts[0], value

        def negative(steps: Array) -> tuple[float, Array]:
            value, gradient = self.model.log_ei_with_gradient(steps / self.num_steps, threshold)
            return -value, -gradient / self.num_steps

        for start in starts:
            refined = minimize(negative, self.num_steps * start, jac=True, method='L-BFGS-B',
                               bounds=[(0, self.num_steps)] * len(start), options={'maxiter': 30})
            u = refined.x[np.newaxis] / self.num_steps
            success, distance = self._probability_of_success(u)[0], _distances(u, self._experiments)
            value = -refined.fun + np.log(success) + np.log(probability_of_novelty(distance, self._reach)[0])
            if (value > highest and success > 0.5 and distance[0] >= spacing
                    and _distances(u, self.model.pending)[0] >= from_pending):
                best, highest = u[0], value
        return best

    def _climb_in_feasible_part(self, starts: Array, value: float, threshold: float, spacing: float,
                                rng: np.random.RandomState) -> Array:
        """The same where only some places are feasible: steps of falling size, and the way to the end of `_climb`."""
        assert self.feasible is not None
        from_pending = min(_distances(starts, self.model.pending).min(), self.spacing)
        best, highest = starts[0], value
        end = self._climb(starts, value, threshold, spacing, rng)
        for size in (0.1, 0.03, 0.01, 0.003, 0.001):
            steps = size * rng.normal(size=(self.num_around_best, len(best)))
            u = np.clip(np.vstack((best + steps, best + rng.uniform(size=(20, 1)) * (end - best), end)), 0, 1)
            u = u[self.feasible(u)]
            u = u[(_distances(u, self._experiments) >= spacing) & (_distances(u, self.model.pending) >= from_pending)]
            if len(u):
                success = self._probability_of_success(u)
                novelty = probability_of_novelty(_distances(u, self._experiments), self._reach)
                values = self.model.log_ei(u, np.array([threshold]))[:, 0] + np.log(success) + np.log(novelty)
                values[success <= 0.5] = -np.inf
                if values.max() > highest:
                    best, highest = u[values.argmax()], values.max()
        return best

    def _probability_of_success(self, u: Array) -> Array:
        return probability_of_success(u, self.model.u, self.failed)

    def _candidates(self, rng: np.random.RandomState) -> Array:
        """Points all over the box, and in rings around the best evaluations, which keep their distance."""
        n, d = self.num_around_best, self.model.u.shape[1]
        evaluated = self.model.u
        centers: NDArray[np.float64] = evaluated[spaced_best(evaluated, self.model.y, 10, self.spacing)]
        directions = rng.normal(size=(n, d))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        low, high = np.log(self.radii_around_best)
        radii = self.spacing * np.sqrt(d / 2) * np.exp(rng.uniform(low, high, (n, 1)))
        around = np.clip(centers[rng.randint(len(centers), size=n)] + radii * directions, 0, 1)
        if self.feasible is None:
            return np.vstack((rng.uniform(size=(self.num_uniform, d)), around))
        around, known = around[self.feasible(around)], evaluated[self.feasible(evaluated)]
        return np.vstack((feasible_points(self.feasible, known, self.num_uniform, rng), around))


def _distances(u: Array, others: Array) -> Array:
    """Distances of points u (n, d) to the nearest of others, ∞ where there are none: (n,)."""
    if not len(others):
        return np.full(len(u), np.inf)
    return np.concatenate([np.empty(0), *(cdist(u[start:start + part], others).min(axis=1)
                                          for start in range(0, len(u), part))])


def probability_of_novelty(distances: Array, reach: float) -> Array:
    """The probability that a value is not that of the nearest experiment again: 1 − exp(−distance / reach).

    Args:
        distances: of points to the nearest experiment, (n,).
        reach: see `reach_of_repeats`; where it is 0, the probability is 1.
    """
    return -np.expm1(-np.maximum(distances, 1e-9) / reach) if reach else np.ones(len(distances))


def reach_of_repeats(evaluated: Array, y: Array) -> float:
    """How far from a point its value repeats itself, as in a table or on a step; 0 if no value occurs twice.

    It is the likeliest reach if each value y (n,) repeats that of the nearest point before it with the probability
    exp(−distance / reach). Only values below the median count, so that a plateau far above the minimum has no effect.
    """
    if len(np.unique(y)) == len(y):
        return 0.0
    distances = cdist(evaluated, evaluated)
    distances[np.triu_indices(len(y))] = np.inf
    nearest = distances.argmin(axis=1)
    low = np.flatnonzero((y < np.median(y)) | (y == y.min()))
    low = low[low > 0]
    repeats = y[low] == y[nearest[low]]
    if not repeats.any():
        return 0.0
    reaches = np.geomspace(1e-5, 10, 121)
    shares = np.maximum(distances[low, nearest[low]], 1e-9)[:, np.newaxis] / reaches
    log_density = np.where(repeats[:, np.newaxis], -shares, np.log(np.maximum(-np.expm1(-shares), 1e-300)))
    return float(reaches[log_density.sum(axis=0).argmax()])


def probability_of_success(u: Array, evaluated: Array, failed: Array) -> Array:
    """The probability that an experiment succeeds at points u (n, d): (n,), 1 until something has failed.

    Laplace's rule of succession, (p + s) / (1 + s + f): each of the successes and failures counts in s or f by its
    Matérn correlation with the point, of length scale 0.1 √d. One experiment more is assumed to succeed, p = 1. Where
    most experiments have failed that would be too optimistic, and p is the share that succeeded. So a first failure may
    be bad luck, and its place is tried again if its expected improvement is high. After a second failure without a
    success nearby it is not tried again.

    Args:
        u: points, (n, d).
        evaluated: where experiments succeeded, (s, d).
        failed: where experiments failed, (f, d).
    """
    if not len(failed):
        return np.ones(len(u))
    successes, failures = (matern(np.sqrt(5 / u.shape[1]) / 0.1 * cdist(u, others)).sum(axis=1)
                           for others in (evaluated, failed))
    share = (1 + len(evaluated)) / (1 + len(evaluated) + len(failed))
    return ((share if share < 0.5 else 1) + successes) / (1 + successes + failures)


def starting_point_around_successes(evaluated: Array, failed: Array, pending: Array, rng: np.random.RandomState,
                                    feasible: Feasible | None = None) -> Array:
    """A starting point where an experiment is likely to succeed, for searches in which some have failed.

    Of random points around the successes it is the one with the highest probability of success, at a distance from
    all experiments.

    Args:
        evaluated: where experiments succeeded, (s, d), s ≥ 1.
        failed: where experiments failed, (f, d).
        pending: experiments without a result, (p, d).
        rng: draws the random points.
        feasible: as for `SpacedExpectedImprovement`.

    Returns:
        The point, (d,).
    """
    n, d = 200, evaluated.shape[1]
    directions = rng.normal(size=(n, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radii = distinct_distance * np.exp(rng.uniform(np.log(4), np.log(16), (n, 1)))
    around = np.clip(evaluated[rng.randint(len(evaluated), size=n)] + radii * directions, 0, 1)
    if feasible is not None:
        around = around[feasible(around)]
        if not len(around):
            around = feasible_points(feasible, evaluated[feasible(evaluated)], n, rng)
    distances = _distances(around, np.vstack((evaluated, failed, pending)))
    around = around[distances >= min(4 * distinct_distance, distances.max())]
    return around[probability_of_success(around, evaluated, failed).argmax()]


def best_spread(u: Array, others: Array, rng: np.random.RandomState, num: int = 10) -> int:
    """Which of `num` points drawn from u (n, d) is the farthest from all others: Mitchell's best candidate."""
    drawn = rng.permutation(len(u))[:num] if len(u) <= 10 ** 5 else rng.randint(len(u), size=num)
    return int(drawn[_distances(u[drawn], others).argmax()])
