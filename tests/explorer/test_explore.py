"""What the page of `make explore` is computed from. tests/explorer/test_page.py tries the page itself."""

import base64
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / 'explorer'))
import explore  # noqa: E402


@pytest.fixture(scope='module')
def predictor(pretrained):
    return pretrained['vae-predictor-softmax'].get_layer('predictor')


def floats(text):
    return np.frombuffer(base64.b64decode(text), '<f4')


def test_weights_are_exact(pretrained):
    decoder = pretrained['vae-predictor-off'].get_layer('decoder')
    expected = decoder.get_weights()

    kept = [floats(text) for layer in explore.weights_of(decoder) for text in layer]

    expected[2] = expected[2].swapaxes(2, 3)
    assert expected[2].shape == (3, 3, 64, 32)
    assert len(kept) == len(expected) == 6
    for array, weights in zip(kept, expected, strict=True):
        np.testing.assert_array_equal(array, weights.ravel())


def test_quantised_terms_are_finest_near_zero():
    terms = np.linspace(0, explore.highest_term, 10_000)

    restored = explore.highest_term * (explore.quantised(terms) / 255) ** 2

    errors = np.abs(restored - terms)
    assert errors.max() < 0.08 and errors[terms < 0.1].max() < 0.01
    assert explore.quantised(np.array([-1e-9, 100.0])).tolist() == [0, 255]


def test_refined_minima(predictor):
    from scipy.optimize import minimize

    from digits.objectives import create_nll_with_gradient, nll_all_targets

    _, _, t_grid = explore.create_grid(explore.domain, 41)
    nll = nll_all_targets(predictor, t_grid)

    minima = explore.refined_minima(predictor, t_grid, nll, 0.2)

    assert minima.shape == (10, 3)
    np.testing.assert_allclose(nll_all_targets(predictor, minima[:, :2]).diagonal(), minima[:, 2], rtol=1e-6)
    for target in (1, 4):
        exact = minimize(create_nll_with_gradient(predictor, target), minima[target, :2], jac=True)
        assert minima[target, 2] - exact.fun < 1e-3 < nll[:, target].min() - exact.fun


def test_searches_are_those_of_the_helper(predictor):
    described = explore.describe_objective('predictor', predictor, points=5, max_iter=2)

    search = explore.create_optimizer(explore.create_nll(predictor, 3), explore.domain, 0,
                                      lower_bound=explore.nll_prior)
    search.run_optimization(2)
    assert np.shape(described['searches']) == (10, 8, 3)
    np.testing.assert_allclose(described['searches'][3], np.c_[search.X, search.Y], atol=1e-5)
    assert len(base64.b64decode(described['terms'])) == 10 * 5 * 5


def test_search_that_fails_stops_the_page(predictor, monkeypatch):
    def fails(reader, target):
        def nll(t):
            raise ArithmeticError('no value')

        return nll

    monkeypatch.setattr(explore, 'create_nll', fails)
    with pytest.raises(RuntimeError, match='The search for 0 failed: ArithmeticError: no value'):
        explore.describe_objective('predictor', predictor, points=5, max_iter=0)


def test_page_holds_its_parts():
    page = explore.compose({'vaes': ['here']})

    assert json.loads(re.search(r'id="data">(.*?)</script>', page)[1]) == {'vaes': ['here']}
    assert '/* style */' not in page and '/* scripts */' not in page
    assert 'function decode(' in page and 'function paintMap(' in page and 'touch-action' in page
