import numpy as np
import pytest
from scipy.stats import chi, multivariate_normal

from digits.objectives import (
    create_decode_classify,
    create_nll,
    nll_all_targets,
    nll_minima,
    nll_norm,
    nll_of_probs,
    nll_prior,
    probability_floor,
)
from latent_search import create_grid
from networks.backend import keras, layers
from vae_opt_util import create_classifier, create_decoder, create_predictor

pytestmark = pytest.mark.backends


@pytest.fixture
def stub():
    """A predictor whose probabilities are known: softmax of ten times the sum of the coordinates, for label 3."""
    t = layers.Input((2,))
    dense = layers.Dense(10, activation='softmax')
    model = keras.Model(t, dense(t), name='stub')
    kernel = np.zeros((2, 10), dtype='float32')
    kernel[:, 3] = 10
    dense.set_weights([kernel, np.zeros(10, dtype='float32')])
    return model


def known_probs(t):
    logit = 10 * t.sum(axis=1)
    return np.exp(logit) / (np.exp(logit) + 9)


@pytest.mark.parametrize('latent_dim', [1, 2, 10])
def test_prior(latent_dim, rng):
    t = rng.normal(size=(20, latent_dim))

    expected = -multivariate_normal(np.zeros(latent_dim), np.eye(latent_dim)).logpdf(t)

    np.testing.assert_allclose(nll_prior(t), expected[:, np.newaxis])


def test_floor_of_the_objective():
    assert nll_prior(np.zeros((1, 2)))[0, 0] == pytest.approx(np.log(2 * np.pi))


def test_predictor_objective(stub):
    t = np.array([[0.0, 0.0], [0.1, 0.2], [-0.3, 0.1], [1.0, -0.5]])

    nll = create_nll(stub, 3)(t)

    assert nll.shape == (4, 1) and nll.dtype == np.float64
    np.testing.assert_allclose(nll, nll_prior(t) - np.log(known_probs(t) + 1e-8)[:, np.newaxis], rtol=1e-5)


def test_floor_caps_the_label_term(stub):
    t = np.array([[-3.0, -3.0]])

    assert known_probs(t)[0] < 1e-20
    np.testing.assert_allclose(create_nll(stub, 3)(t) - nll_prior(t), -np.log(1e-8), rtol=1e-6)


def test_decode_classify_objective_is_the_composition(rng):
    decoder, classifier = create_decoder(3), create_classifier()
    t = rng.normal(size=(5, 3))
    probs = classifier.predict_on_batch(decoder.predict_on_batch(t.astype('float32')))

    for target in range(10):
        np.testing.assert_allclose(create_nll(create_decode_classify(decoder, classifier), target)(t),
                                   nll_prior(t) - np.log(probs[:, [target]] + 1e-8), rtol=1e-5)


def test_objectives_are_pure(rng):
    nll = create_nll(create_decode_classify(create_decoder(2), create_classifier()), 4)
    t = rng.normal(size=(3, 2))
    before = t.copy()

    np.testing.assert_array_equal(nll(t), nll(t))
    np.testing.assert_array_equal(t, before)
    np.testing.assert_allclose(np.vstack([nll(row[np.newaxis]) for row in t]), nll(t), rtol=1e-5)


def test_grid_is_evaluated_once_for_all_targets(stub, monkeypatch, rng):
    t = rng.normal(size=(1200, 2))
    batches = []
    predict_on_batch = keras.Model.predict_on_batch
    monkeypatch.setattr(keras.Model, 'predict_on_batch',
                        lambda model, x: batches.append(len(x)) or predict_on_batch(model, x))

    nll = nll_all_targets(stub, t)

    assert nll.shape == (1200, 10) and batches == [500, 500, 200]
    for target in (0, 3):
        np.testing.assert_allclose(nll[:, [target]], create_nll(stub, target)(t), rtol=1e-6)


@pytest.mark.skipif(keras.backend.backend() == 'torch', reason='Keras does not compile with PyTorch')
def test_an_evaluation_is_one_compiled_call(monkeypatch):
    decoder, classifier = create_decoder(2), create_classifier()
    nll = create_nll(create_decode_classify(decoder, classifier), 0)
    nll(np.zeros((1, 2)))
    called = []
    predict_on_batch = keras.Model.predict_on_batch
    monkeypatch.setattr(keras.Model, 'predict_on_batch',
                        lambda model, x: called.append(model.name) or predict_on_batch(model, x))
    for part in (decoder, classifier):
        monkeypatch.setattr(part, 'call', lambda *_, **__: pytest.fail('called outside of the compiled graph'))

    nll(np.ones((1, 2)))

    assert called == ['decode_classify']


@pytest.mark.parametrize('target', [-1, 10, 2.0, '4', None])
def test_unknown_target(stub, target):
    with pytest.raises(ValueError, match='target must be a label, an integer from 0 to 9'):
        create_nll(stub, target)


@pytest.mark.parametrize('t, message', [
    (np.zeros(2), r'shape \(n, 2\)'),
    (np.zeros((0, 2)), r'n ≥ 1, got float64 with shape \(0, 2\)'),
    (np.zeros((4, 3)), r'got float64 with shape \(4, 3\)'),
    (np.array([['0', '1']]), 'Points must be numbers'),
    (np.array([[0.0, np.nan]]), 'Points must be finite'),
    (np.array([[0.0, np.inf]]), 'Points must be finite'),
])
def test_bad_points(stub, t, message):
    with pytest.raises(ValueError, match=message):
        create_nll(stub, 0)(t)
    with pytest.raises(ValueError, match=message):
        nll_all_targets(stub, t)


def test_models_that_do_not_fit_together():
    with pytest.raises(ValueError):
        create_decode_classify(create_decoder(2), create_predictor(2))
    assert probability_floor == 1e-8


def test_nll_of_known_probabilities_by_hand():
    probs = np.zeros((2, 10), dtype='float32')
    probs[0, 2] = 1
    probs[1, [4, 5]] = 0.25, 0.75
    floor = 8 * np.log(10)

    nll = nll_of_probs(probs, [[0.0, 0.0, 0.0], [1.0, -2.0, 2.0]])

    expected = np.full((2, 10), floor)
    expected[0, 2], expected[1, [4, 5]] = 0, [np.log(4), np.log(4 / 3)]
    np.testing.assert_allclose(nll, expected + 1.5 * np.log(2 * np.pi) + [[0], [4.5]], atol=1e-6)
    assert nll.dtype == np.float64


def test_nll_of_the_probabilities_that_a_model_gives(pretrained, rng):
    predictor = pretrained['vae-predictor-softmax'].get_layer('predictor')
    t = rng.normal(size=(8, 2))

    nll = nll_of_probs(predictor.predict_on_batch(t.astype('float32')), t)

    np.testing.assert_allclose(nll, nll_all_targets(predictor, t), rtol=1e-5, atol=1e-6)


def test_minima_are_those_of_all_points_with_a_part_of_the_evaluations(pretrained, monkeypatch):
    predictor = pretrained['vae-predictor-softmax'].get_layer('predictor')
    t = create_grid([(-4.0, 4.0)] * 2, 101)[2]
    expected = nll_all_targets(predictor, t).min(axis=0)
    rows = []
    predict_on_batch = keras.Model.predict_on_batch
    monkeypatch.setattr(keras.Model, 'predict_on_batch',
                        lambda model, x: rows.append(len(x)) or predict_on_batch(model, x))

    minima = nll_minima(predictor, t)

    # The points are 0.08 apart, the minima lie between them.
    assert (minima <= expected).all() and (minima > expected - 0.02).all() and (minima < expected - 1e-4).any()
    assert 1000 < sum(size for size in rows if size > 1) < len(t) / 2


def test_minima_stay_in_the_box_of_the_points(pretrained):
    predictor = pretrained['vae-predictor-softmax'].get_layer('predictor')
    t = create_grid([(2.0, 3.0)] * 2, 21)[2]

    np.testing.assert_allclose(nll_minima(predictor, t)[0], nll_all_targets(predictor, t)[:, 0].min(), rtol=1e-4)


@pytest.mark.parametrize('d', [1, 2, 10, 196])
def test_density_of_the_norm(d, rng):
    t = rng.normal(size=(50, d))

    nll = nll_norm(t)

    assert nll.shape == (50, 1) and nll.dtype == np.float64
    np.testing.assert_allclose(nll[:, 0], -chi(d).logpdf(np.linalg.norm(t, axis=1)), rtol=1e-9)
    radii = np.linspace(0, 3 * np.sqrt(d), 3001)
    lowest = radii[nll_norm(radii[:, np.newaxis] * np.eye(d)[0]).argmin()]
    assert lowest == pytest.approx(np.sqrt(d - 1), abs=radii[1])


def test_objective_with_the_density_of_the_norm(stub, rng):
    """Infinite at the origin, where it is capped: a search needs finite values."""
    t = np.vstack((np.zeros((1, 2)), rng.normal(size=(20, 2))))
    nll = create_nll(stub, 3, nll_norm)(t)

    np.testing.assert_allclose(nll, create_nll(stub, 3)(t) - nll_prior(t) + nll_norm(t), rtol=1e-6)
    assert (nll >= nll_norm(t) - 1e-7).all() and np.isfinite(nll).all()
    np.testing.assert_allclose(nll_all_targets(stub, t, nll_norm)[:, [3]], nll)
