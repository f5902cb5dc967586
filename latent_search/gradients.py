"""Local searches with gradients, from several starting points."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from latent_search.points import Array, as_number, check_domain, check_integer, distinct_distance
from latent_search.threads import limit_threads


class GradientSearch(NamedTuple):
    """What `search_with_gradients` found.

    Attributes:
        X: the end of each local optimization that has a finite value, float64 (n, d), best first.
        Y: their values, float64 (n, 1), in the units of the objective.
        evaluations: calls of the objective, each of which also gives its gradient.
        domain: the bounds of the box, (d, 2), for `top`.
    """

    X: Array
    Y: Array
    evaluations: int
    domain: Array

    @property
    def spacing(self) -> float:
        """How far points have to be apart to be distinct, for `top`."""
        return distinct_distance


def search_with_gradients(objective: Callable[[Array], tuple[float, Array]], domain: ArrayLike, seed: int = 0,
                          num_starts: int = 16) -> GradientSearch:
    """Looks for the minimum of a function with gradient in a box: L-BFGS-B from several points that fill it (Sobol).

    BLAS and OpenMP have one thread meanwhile, also in the objective; TensorFlow and JAX have threads of their own.

    Args:
        objective: a function of one point (d,) that returns its value and gradient, such as `create_nll_with_gradient`
            makes.
        domain: the bounds of the box, a sequence of d pairs `(low, high)`.
        seed: of the starting points.
        num_starts: how many there are.

    Raises:
        ValueError: the box is not d ≥ 1 pairs of finite numbers low < high, a number is not an integer in its range, or
            the objective is finite at no end.
    """
    from scipy.optimize import minimize
    from scipy.stats import qmc

    box = check_domain(domain)
    num_starts = check_integer('num_starts', num_starts, at_least=1)
    sobol = qmc.Sobol(len(box), rng=check_integer('seed', seed, at_least=0))
    starts = qmc.scale(sobol.random_base2((num_starts - 1).bit_length())[:num_starts], *box.T)
    evaluations = 0

    def where_finite(t: Array) -> tuple[float, Array]:
        nonlocal evaluations
        evaluations += 1
        value, gradient = objective(t.copy())
        value, gradient = as_number(value), np.asarray(gradient, dtype='float64')
        # From infinity the line search turns back.
        return (value, gradient) if np.isfinite([value, *gradient]).all() else (np.inf, np.zeros(len(t)))

    # The default tolerance of 2e-9 is below what float32 can tell apart, and costs more than twice the evaluations.
    with limit_threads(1):  # L-BFGS's matrices are tiny: several threads would spend their time waiting.
        found = [minimize(where_finite, start, jac=True, method='L-BFGS-B', bounds=box, options={'ftol': 1e-6})
                 for start in starts]
    found = sorted((local for local in found if np.isfinite(local.fun)), key=lambda local: local.fun)
    if not found:
        raise ValueError(f'The objective has no finite value with a finite gradient from any of the {num_starts} '
                         'starts. Return finite ones, or give more starts.')
    return GradientSearch(np.array([local.x for local in found]), np.array([[local.fun] for local in found]),
                          evaluations, box)
