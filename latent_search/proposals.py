"""Where a search looks next: a function of settings, experiments and seed only."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from latent_search.acquisition import SpacedExpectedImprovement, best_spread, starting_point_around_successes
from latent_search.events import Experiments
from latent_search.feasible import feasible_points
from latent_search.gaussian_process import Kind, Model, noise_prior
from latent_search.hyperparameters import Hyperparameters
from latent_search.outcomes import Logarithms, Squares, Values, log_sqrt_2pi, with_gradient
from latent_search.points import Array
from latent_search.settings import Settings
from latent_search.threads import limit_threads

logger = logging.getLogger(__name__)

# In nats: how much likelier a prediction has to make the values to be used.
prediction_cost = 2.0


class Proposals:
    """Proposes the next experiment of a search.

    1. The box becomes the unit box.
    2. The first six evaluations fill it evenly (Sobol), or what is feasible of it. With a prediction the first is at
       its minimum, and two more are enough.
    3. Then models of several kinds are fitted to the values: of values or logarithms, with a constant mean or one that
       follows the prediction. The model under which the values are most likely is chosen.
    4. The expected improvement on the lowest mean is computed at candidates: all over the box and around the best
       evaluations, or at given candidates.
    5. From the best candidates it is maximised locally, at a distance from evaluations. Given candidates do not move.
    6. The point goes back to the user's box.

    Args:
        settings: of the search.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._hyperparameters = Hyperparameters()

    def point(self, experiments: Experiments) -> Array:
        """The next point in the box, (1, d).

        Raises:
            ValueError: a function of the user returned something invalid, or no feasible point was found.
        """
        rng = self._random_state(experiments)
        with computing():
            if len(experiments.X) < self.settings.num_starting_points:
                u = self._starting_point(experiments, rng)
            else:
                try:
                    u = self._acquisition(experiments, self.kinds()).propose(rng)
                except np.linalg.LinAlgError as error:
                    self._say_that_no_model_fits(experiments, error)
                    u = rng.uniform(size=len(self.settings.domain))
                    if self.settings.feasible is not None:
                        u = feasible_points(self._feasible, self._feasible_experiments(experiments), 1, rng)[0]
            return self.settings.from_unit(u[np.newaxis])

    def candidate(self, experiments: Experiments, candidates: Array) -> int:
        """The index of the next experiment among points of the box (n, d), n ≥ 1."""
        rng, u = self._random_state(experiments), self.settings.to_unit(candidates)
        with computing():
            if len(experiments.X) >= self.settings.num_starting_points:
                try:
                    return self._acquisition(experiments, self.kinds(of_candidates=True)).choose(u)
                except np.linalg.LinAlgError as error:
                    self._say_that_no_model_fits(experiments, error)
            return best_spread(u, self.settings.to_unit(experiments.points), rng)

    def posterior(self, experiments: Experiments, t: Array) -> tuple[Array, Array, Array]:
        """Mean, standard deviation and expected improvement at points of the box (n, d), each (n, 1).

        Raises:
            np.linalg.LinAlgError: no covariance matrix is positive definite.
        """
        with computing():
            model, u = self._model(experiments, self.kinds()), self.settings.to_unit(t)
            return *model.predict(u), model.expected_improvement(u)

    def _model(self, experiments: Experiments, kinds: list[Kind]) -> Model:
        to_unit = self.settings.to_unit
        return Model(to_unit(experiments.X), experiments.Y[:, 0], to_unit(experiments.pending_points), kinds,
                     self._hyperparameters)

    def _acquisition(self, experiments: Experiments, kinds: list[Kind]) -> SpacedExpectedImprovement:
        settings = self.settings
        return SpacedExpectedImprovement(
            self._model(experiments, kinds), settings.to_unit(experiments.failed),
            feasible=None if settings.feasible is None else self._feasible, spacing=settings.spacing,
            refinement_tolerance=settings.refinement_tolerance)

    def kinds(self, of_candidates: bool = False) -> list[Kind]:
        """The kinds of models that this search chooses from.

        Args:
            of_candidates: whether the next experiment is chosen among given points.
        """
        kinds = self._kinds_with_constant_mean(of_candidates)
        if self.settings.prediction is None:
            return kinds
        return [*kinds, *(kind._replace(name=f'{kind.name} with prediction', prediction=self._prediction,
                                        cost=kind.cost + prediction_cost) for kind in kinds)]

    def _kinds_with_constant_mean(self, of_candidates: bool) -> list[Kind]:
        settings = self.settings
        if settings.lower_bound is not None:
            return [Kind('squares', lambda y, unit: Squares(lambda u: self._bound(u) / unit), settings.noisy)]
        if settings.noisy:
            return [Kind('values', lambda y, unit: Values(), noisy=True)]
        values = Kind('nearly values', lambda y, unit: Logarithms(y, 1e4))
        # A few values do not tell what is rough from what is steep, the less the more dimensions there are. Given
        # points are not refined, so that a wrong choice does less harm. The cost is the logarithm of the constant
        # factor of a prior that other kinds do not have.
        rough = values._replace(name='rough', rough=True,
                                fewest=30 if of_candidates else max(30, 3 * len(settings.domain)),
                                cost=float(np.log(noise_prior.std) + log_sqrt_2pi))
        return [Kind('logarithms', lambda y, unit: Logarithms(y, 1.0)), values, rough]

    def _bound(self, u: Array) -> Array:
        return self.settings.bound_at(self.settings.from_unit(u))[:, 0]

    def _prediction(self, u: Array) -> Array:
        return self.settings.prediction_at(self.settings.from_unit(u))[:, 0]

    def _feasible(self, u: Array) -> NDArray[np.bool_]:
        return self.settings.feasible_at(self.settings.from_unit(u))

    def _feasible_experiments(self, experiments: Experiments) -> Array:
        points = experiments.points
        return self.settings.to_unit(points[self.settings.feasible_at(points)])

    def _random_state(self, experiments: Experiments) -> np.random.RandomState:
        return np.random.RandomState(np.random.SeedSequence((self.settings.seed, experiments.num)).generate_state(4))

    def _starting_point(self, experiments: Experiments, rng: np.random.RandomState) -> Array:
        from scipy.stats import qmc

        settings, to_unit = self.settings, self.settings.to_unit
        feasible = None if settings.feasible is None else self._feasible
        if len(experiments.failed) and len(experiments.X):
            return starting_point_around_successes(to_unit(experiments.X), to_unit(experiments.failed),
                                                   to_unit(experiments.pending_points), rng, feasible)
        if settings.prediction is not None and not experiments.num:
            return self._lowest_prediction()
        if feasible is not None:
            u = feasible_points(feasible, self._feasible_experiments(experiments), 200, rng)
            return u[best_spread(u, to_unit(experiments.points), rng)]
        # Sobol's sequence is even from the start only in powers of two.
        index = experiments.num - (settings.prediction is not None)
        sobol = qmc.Sobol(len(settings.domain), rng=settings.seed).random_base2(max(3, index.bit_length()))
        taken = to_unit(experiments.points)
        for u in sobol[index:]:  # Where one was withdrawn, a later one may be pending.
            if not (np.abs(taken - u) < 1e-9).all(axis=1).any():
                return u
        return rng.uniform(size=len(settings.domain))

    def _lowest_prediction(self) -> Array:
        from scipy.optimize import minimize
        from scipy.stats import qmc

        u = qmc.Sobol(len(self.settings.domain), rng=self.settings.seed).random_base2(10)
        if self.settings.feasible is not None:
            u = feasible_points(self._feasible, u[:0], 1024, np.random.RandomState(self.settings.seed))
        start = u[self._prediction(u).argmin()]
        found = minimize(lambda u: with_gradient(self._prediction, u), start, jac=True, method='L-BFGS-B',
                         bounds=[(0, 1)] * len(start), options={'maxiter': 20})
        better = found.fun < self._prediction(start[np.newaxis])[0] and self._feasible(found.x[np.newaxis])[0]
        return found.x if better else start

    def _say_that_no_model_fits(self, experiments: Experiments, error: np.linalg.LinAlgError) -> None:
        logger.warning('No Gaussian process can be fitted to these %d evaluations (%s); the next point is a random '
                       'one.', len(experiments.X), error)


@contextmanager
def computing() -> Iterator[None]:
    """One thread, which is fastest for matrices this small, and NumPy's own handling of rounding errors."""
    with limit_threads(1), np.errstate(divide='warn', over='warn', under='ignore', invalid='warn'):
        yield
