"""What a search believes, in the units of the objective."""

import numpy as np
import pytest
from helpers import SQUARE, quadratic, run
from scipy.stats import norm

from latent_search import create_grid, create_optimizer


def test_published_posterior_is_in_units_of_the_objective():
    optimizer = run(lambda t: 1000 + 50 * quadratic(t), max_iter=10, published=True)
    gx, _, t = create_grid(SQUARE, points=9)

    mean, deviation, expected_improvement = optimizer.posterior(t)
    at_data, deviation_at_data, _ = optimizer.posterior(optimizer.X)

    assert mean.shape == deviation.shape == expected_improvement.shape == (81, 1)
    np.testing.assert_allclose(at_data, optimizer.Y, rtol=0.01)
    assert deviation_at_data.max() < deviation.max()
    # Expected improvement on the lowest posterior mean, with jitter 0.01 deviations of Y, from its closed form.
    improvement = at_data.min() - mean - 0.01 * optimizer.Y.std()
    u = improvement / deviation
    expected = improvement * norm.cdf(u) + deviation * norm.pdf(u)
    np.testing.assert_allclose(expected_improvement, expected, rtol=0.05, atol=1e-3 * expected.max())


@pytest.mark.parametrize('bound', [None, lambda t: 900 + 0 * t[:, :1]])
def test_posterior_is_in_units_of_the_objective(bound):
    optimizer = run(lambda t: 1000 + 50 * quadratic(t), max_iter=10, lower_bound=bound)
    _, _, t = create_grid(SQUARE, points=9)

    mean, deviation, expected_improvement = optimizer.posterior(t)
    at_data, deviation_at_data, _ = optimizer.posterior(optimizer.X)

    assert mean.shape == deviation.shape == expected_improvement.shape == (81, 1)
    np.testing.assert_allclose(at_data, optimizer.Y, rtol=0.001)
    assert deviation_at_data.max() < 0.1 * deviation.max()
    assert (expected_improvement >= 0).all() and (expected_improvement <= mean.max() - 900).all()


def test_posterior_needs_evaluations():
    with pytest.raises(ValueError, match='There are 0 evaluations.*run_optimization'):
        create_optimizer(quadratic, SQUARE).posterior(np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r'shape \(n, 2\)'):
        run(max_iter=0).posterior(np.zeros((1, 3)))
