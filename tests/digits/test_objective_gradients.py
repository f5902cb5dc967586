import numpy as np
import pytest

from digits.objectives import create_decode_classify, create_nll_with_gradient, nll_all_targets, nll_minima
from latent_search import create_grid, search_with_gradients

SQUARE = [(-4.0, 4.0)] * 2


def reader_of(name, pretrained):
    model = pretrained['vae-predictor-softmax']
    if name == 'predictor':
        return model.get_layer('predictor')
    return create_decode_classify(model.get_layer('decoder'), pretrained['classifier'])


@pytest.fixture(params=['predictor', 'decode → classify'])
def reader(request, pretrained):
    return reader_of(request.param, pretrained)


@pytest.mark.backends
@pytest.mark.parametrize('target', [0, 7])
def test_value_and_gradient_are_the_objectives(reader, target, rng):
    """A kink of the networks between two points can make a single difference of values wrong."""
    objective = create_nll_with_gradient(reader, target)
    errors = []

    for t in rng.normal(size=(9, 2)):
        value, gradient = objective(t)
        around = t + 2e-4 * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
        nll = nll_all_targets(reader, np.vstack((t, around)))[:, target]
        differences = np.array([nll[1] - nll[2], nll[3] - nll[4]]) / 4e-4
        errors.append(np.linalg.norm(gradient - differences) / (np.linalg.norm(differences) + 0.4))
        assert value == pytest.approx(nll[0], rel=1e-5)
        assert isinstance(value, float) and gradient.dtype == np.float64
    assert np.median(errors) < 0.02 and np.mean(np.array(errors) < 0.05) > 0.7


@pytest.mark.parametrize('target', [-1, 10, 4.0, '4'])
def test_unknown_target(target, pretrained):
    with pytest.raises(ValueError, match='target must be a label'):
        create_nll_with_gradient(pretrained['vae-predictor-softmax'].get_layer('predictor'), target)


def test_bad_point(pretrained):
    objective = create_nll_with_gradient(pretrained['vae-predictor-softmax'].get_layer('predictor'), 4)

    with pytest.raises(ValueError, match=r'shape \(n, 2\)'):
        objective(np.zeros(3))


@pytest.mark.slow
@pytest.mark.parametrize('name', ['predictor', 'decode → classify'])
def test_finds_the_minimum(name, pretrained):
    """Within 0.001 nats of the minimum on a grid, with the default number of starts."""
    reader = reader_of(name, pretrained)
    minima = nll_minima(reader, create_grid(SQUARE, 201)[2])

    for target in (3, 8):
        found = search_with_gradients(create_nll_with_gradient(reader, target), SQUARE).Y[0, 0]
        assert minima[target] - 0.02 < found < minima[target] + 1e-3
