"""What a search believes, in the units of the objective."""

import numpy as np
import pytest
from helpers import SQUARE, quadratic, run

from latent_search import create_grid, create_optimizer


@pytest.mark.parametrize('bound', [None, lambda t: 900 + 0 * t[:, :1]])
def test_posterior_is_in_units_of_the_objective(bound):
    search = run(lambda t: 1000 + 50 * quadratic(t), max_iter=10, lower_bound=bound)
    _, _, t = create_grid(SQUARE, points=9)

    mean, std, ei = search.posterior(t)
    at_data, std_at_data, _ = search.posterior(search.X)

    assert mean.shape == std.shape == ei.shape == (81, 1)
    np.testing.assert_allclose(at_data, search.Y, rtol=0.001)
    assert std_at_data.max() < 0.1 * std.max()
    assert (ei >= 0).all() and (ei <= mean.max() - 900).all()


def test_posterior_needs_evaluations():
    with pytest.raises(ValueError, match='There are 0 evaluations.*run_optimization'):
        create_optimizer(quadratic, SQUARE).posterior(np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r'shape \(n, 2\)'):
        run(max_iter=0).posterior(np.zeros((1, 3)))
