import numpy as np
import pytest

from vae_opt_util import (
    create_decode_classify,
    create_grid,
    create_nll_with_gradient,
    nll_all_targets,
    search_with_gradients,
)

SQUARE = [(-4.0, 4.0)] * 2


def label_probs_of(name, pretrained):
    model = pretrained['vae-predictor-softmax']
    if name == 'predictor':
        return model.get_layer('predictor')
    return create_decode_classify(model.get_layer('decoder'), pretrained['classifier'])


@pytest.fixture(params=['predictor', 'decode → classify'])
def label_probs(request, pretrained):
    return label_probs_of(request.param, pretrained)


@pytest.mark.backends
@pytest.mark.parametrize('target', [0, 7])
def test_value_and_gradient_are_the_objectives(label_probs, target, rng):
    objective = create_nll_with_gradient(label_probs, target)

    for t in rng.normal(size=(5, 2)):
        value, gradient = objective(t)
        around = t + 1e-3 * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
        nll = nll_all_targets(label_probs, np.vstack((t, around)))[:, target]
        assert value == pytest.approx(nll[0], rel=1e-5)
        differences = np.array([nll[1] - nll[2], nll[3] - nll[4]]) / 2e-3
        assert np.linalg.norm(gradient - differences) < 0.05 * np.linalg.norm(differences) + 0.02
        assert isinstance(value, float) and gradient.dtype == np.float64


@pytest.mark.parametrize('target', [-1, 10, 4.0, '4'])
def test_unknown_target(target, pretrained):
    with pytest.raises(ValueError, match='target must be a label'):
        create_nll_with_gradient(pretrained['vae-predictor-softmax'].get_layer('predictor'), target)


def test_bad_point(pretrained):
    objective = create_nll_with_gradient(pretrained['vae-predictor-softmax'].get_layer('predictor'), 4)

    with pytest.raises(ValueError, match=r'shape \(n, 2\)'):
        objective(np.zeros(3))


def quadratic(t):
    return ((t - [1.0, -2.0]) ** 2).sum(), 2 * (t - [1.0, -2.0])


def test_search_of_a_quadratic():
    calls = []

    def counted(t):
        calls.append(t.copy())
        return quadratic(t)

    search = search_with_gradients(counted, SQUARE, num_starts=5)

    np.testing.assert_allclose(search.X, [[1, -2]] * 5, atol=1e-6)
    assert search.Y.shape == (5, 1) and search.Y.max() < 1e-10
    assert search.evaluations == len(calls) >= 5


def test_search_keeps_to_the_box_and_sorts():
    def two_valleys(t):
        return np.cos(2 * t[0]) + 0.1 * t[0], np.array([-2 * np.sin(2 * t[0]) + 0.1])

    search = search_with_gradients(two_valleys, [(-3.0, 3.0)], num_starts=9)

    assert (np.abs(search.X) <= 3).all() and (np.diff(search.Y[:, 0]) >= 0).all()
    assert search.X[0, 0] == pytest.approx(-np.pi / 2, abs=0.05) and search.Y[-1, 0] > search.Y[0, 0] + 0.1


def test_same_seed_same_search():
    first, again, other = (search_with_gradients(quadratic, SQUARE, seed, 3) for seed in (0, 0, 1))

    np.testing.assert_array_equal(first.X, again.X)
    assert not np.array_equal(first.X, other.X)


@pytest.mark.parametrize('name', ['predictor', 'decode → classify'])
def test_finds_the_minimum_of_every_target(name, pretrained):
    """Required: within 0.001 nats of the minimum on a grid, with the default number of starts."""
    label_probs = label_probs_of(name, pretrained)
    minima = nll_all_targets(label_probs, create_grid(SQUARE, 201)[2]).min(axis=0)

    found = [search_with_gradients(create_nll_with_gradient(label_probs, target), SQUARE).Y[0, 0]
             for target in range(10)]

    assert (found < minima + 1e-3).all() and (found > minima - 0.02).all()
