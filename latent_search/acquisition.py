"""Expected improvement at a distance from what is evaluated: where a search looks next."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from latent_search.gaussian_process import GaussianProcess
from latent_search.likelihood import matern
from latent_search.points import Array, distinct_distance, spaced_best


class SpacedExpectedImprovement:
    """Expected improvement, in logarithms, at a distance from what is evaluated already.

    Without the distance a search refines each local minimum that it meets to many digits before it looks elsewhere, and
    its ten best evaluations are one image. So there are two kinds of proposals:

    - *spaced*: at least `spacing` away from all evaluations, with the highest expected improvement on a threshold a
      little above the incumbent. These find the minimum, and then points around it that are nearly as good.
    - *refined*: with the highest expected improvement on the incumbent, anywhere. Once the search has converged, that
      is, once no spaced point promises an improvement that matters, only one proposal in `spaced_every` is spaced.
      Where different results are worth more than the last digits of the best, `refinement_tolerance` ends that: once
      no point anywhere promises more, all proposals are spaced.

    Both stay at least `spacing` away from pending experiments, as long as there is such a place: the result of one
    would tell little about the other. The expected improvement is multiplied by the probability that the experiment
    succeeds (see `probability_of_feasibility`), and proposals are made only where that is above one half. Where there
    is no such place, the proposal goes to the candidate where it is highest.

    Args:
        model: is fitted before `propose` is called.
        failed: points of experiments that failed, (k, d).
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

    def __init__(self, model: GaussianProcess, failed: ArrayLike = (), *, spacing: float = distinct_distance,
                 refinement_tolerance: float = 0.0) -> None:
        self.model, self.spacing, self.refinement_tolerance = model, spacing, refinement_tolerance
        self.failed = np.reshape(failed, (-1, len(model.low)))

    def probability_of_feasibility(self, X: Array) -> Array:  # noqa: N803
        """The probability that an experiment succeeds at points (n, d): (n,), 1 until something has failed.

        See the function of that name. A first failure may be bad luck: its place is tried again if it promises much.
        After a second failure without a success nearby it is not.
        """
        u, evaluated, failed = ((points - self.model.low) / self.model.width
                                for points in (X, self.model.X, self.failed))
        return probability_of_feasibility(u, evaluated, failed)

    def propose(self, rng: np.random.RandomState) -> Array:
        """The next point, (1, d)."""
        candidates = self._candidates(rng)
        distances = self._distances(candidates)
        candidates, distances = candidates[distances >= self.min_distance], distances[distances >= self.min_distance]
        from_pending = self._distances_to_pending(candidates) >= self.spacing
        if from_pending.any():
            candidates, distances = candidates[from_pending], distances[from_pending]
        feasibility = self.probability_of_feasibility(candidates)
        if feasibility.max() <= 0.5:
            return candidates[[feasibility.argmax()]]
        likely = feasibility > 0.5
        candidates, feasibility = candidates[likely], feasibility[likely]
        at_distance = distances[likely] >= self.spacing
        incumbent, spread = self.model.incumbent(), self.model.spread
        threshold_of_spaced = incumbent + self.threshold_above_incumbent * spread
        log_ei = self.model.log_ei(candidates, np.array([incumbent, threshold_of_spaced]))
        if self._is_spaced(np.exp(log_ei[:, 0]), at_distance):
            values = log_ei[at_distance, 1] + np.log(feasibility[at_distance])
            return self._maximise(candidates[at_distance], values, threshold_of_spaced, self.spacing)
        return self._maximise(candidates, log_ei[:, 0] + np.log(feasibility), incumbent, self.min_distance)

    def _is_spaced(self, promised: Array, at_distance: NDArray[np.bool_]) -> bool:
        """Decides between a spaced and a refined proposal.

        Args:
            promised: the expected improvement on the incumbent at the candidates, (n,).
            at_distance: whether they keep the distance, (n,).
        """
        if not at_distance.any():
            return False
        num, spread = len(self.model.X) + len(self.model.pending), self.model.spread
        return bool(promised[at_distance].max() > self.convergence_tolerance * spread or num % self.spaced_every == 0
                    or self.refinement_tolerance > 0 and promised.max() <= self.refinement_tolerance * spread)

    def _maximise(self, candidates: Array, values: Array, threshold: float, spacing: float) -> Array:
        """Maximises the acquisition locally from the candidates of the best values, as far as the spacing allows."""
        model = self.model
        bounds = np.c_[model.low, model.low + model.width]
        order = np.argsort(-values)
        from_pending = self._distances_to_pending(candidates).min()
        best, highest = candidates[order[0]], values[order[0]]

        def negative(x: Array) -> tuple[float, Array]:
            value, gradient = model.log_ei_with_gradient(x, threshold)
            return -value, -gradient

        for start in candidates[order[:self.num_starts]]:
            refined = minimize(negative, start, jac=True, method='L-BFGS-B', bounds=bounds, options={'maxiter': 30})
            x = refined.x[np.newaxis]
            feasibility = self.probability_of_feasibility(x)[0]
            value = -refined.fun + np.log(feasibility)
            if (value > highest and feasibility > 0.5 and self._distances(x)[0] >= spacing
                    and self._distances_to_pending(x)[0] >= min(from_pending, self.spacing)):
                best, highest = refined.x, value
        return best[np.newaxis]

    def _distances(self, points: Array) -> Array:
        """Distances of points (n, d) to the nearest experiment in units of the box's sides, (n,)."""
        u, others = ((t - self.model.low) / self.model.width
                     for t in (points, np.vstack((self.model.X, self.model.pending))))
        return cdist(u, others).min(axis=1)

    def _distances_to_pending(self, points: Array) -> Array:
        """Distances of points (n, d) to the nearest pending experiment in units of the box's sides, (n,)."""
        if not len(self.model.pending):
            return np.full(len(points), np.inf)
        u, pending = ((t - self.model.low) / self.model.width for t in (points, self.model.pending))
        return cdist(u, pending).min(axis=1)

    def _candidates(self, rng: np.random.RandomState) -> Array:
        """Points all over the box, and in rings around the best evaluations, which keep their distance."""
        model = self.model
        n, d = self.num_around_best, len(model.low)
        evaluated = (model.X - model.low) / model.width
        centers: NDArray[np.float64] = evaluated[spaced_best(evaluated, model.Y[:, 0], 10, self.spacing)]
        directions = rng.normal(size=(n, d))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        low, high = np.log(self.radii_around_best)
        radii = self.spacing * np.sqrt(d / 2) * np.exp(rng.uniform(low, high, (n, 1)))
        around = centers[rng.randint(len(centers), size=n)] + radii * directions
        return model.low + model.width * np.vstack((rng.uniform(size=(self.num_uniform, d)), np.clip(around, 0, 1)))


def probability_of_feasibility(u: Array, evaluated: Array, failed: Array) -> Array:
    """The probability that an experiment succeeds at points u (n, d): (n,), 1 until something has failed.

    Laplace's rule of succession, (p + s) / (1 + s + f): each of the successes and failures counts in s or f by its
    Matérn correlation with the point, of length scale 0.1 √d. One experiment more is assumed to succeed, p = 1. Where
    most experiments have failed that would be too optimistic, and p is the share that succeeded. All points are in
    units of the box's sides.

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


def starting_point_around_successes(evaluated: Array, failed: Array, pending: Array,
                                    rng: np.random.RandomState) -> Array:
    """A starting point where an experiment is likely to succeed, for searches in which some have failed.

    Of random points around the successes it is the one with the highest probability of feasibility, at a distance from
    all experiments. All points are in units of the box's sides.

    Args:
        evaluated: where experiments succeeded, (s, d), s ≥ 1.
        failed: where experiments failed, (f, d).
        pending: experiments without a result, (p, d).
        rng: draws the random points.

    Returns:
        The point, (d,).
    """
    n, d = 200, evaluated.shape[1]
    directions = rng.normal(size=(n, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radii = distinct_distance * np.exp(rng.uniform(np.log(4), np.log(16), (n, 1)))
    around = np.clip(evaluated[rng.randint(len(evaluated), size=n)] + radii * directions, 0, 1)
    distances = cdist(around, np.vstack((evaluated, failed, pending))).min(axis=1)
    around = around[distances >= min(4 * distinct_distance, distances.max())]
    return around[probability_of_feasibility(around, evaluated, failed).argmax()]
