"""A guess of the objective is used as far as the values say."""

import numpy as np
import pytest
from helpers import BOX, SQUARE, ZERO_BOUND, assert_same, bound, from_unit_box, quadratic, sample, snapshot, wavy
from model_helpers import assert_gradient_is_right, of_squares, of_values
from sklearn.gaussian_process.kernels import Matern

from latent_search import create_optimizer
from latent_search.gaussian_process import Kind, Model
from latent_search.hyperparameters import Hyperparameters
from latent_search.outcomes import Squares, Values

pytestmark = pytest.mark.usefixtures('one_thread')


def rough(t):
    """A function that 20 evaluations say little about."""
    return quadratic(t) + 3 * np.cos(5 * t).sum(axis=1, keepdims=True)


def guess_of_rough(t):
    return 40 + 2 * rough(t) + 0.2 * np.sin(20 * t[:, :1])


def best_of(num, objective=rough, **settings):
    """The lowest of `num` values, median of three seeds."""
    found = []
    for seed in range(3):
        search = create_optimizer(objective, SQUARE, seed, **settings)
        search.run(num)
        found.append(search.fx_opt)
    return np.median(found)


@pytest.mark.parametrize('settings', [{}, pytest.param({'noisy': True}, marks=pytest.mark.slow),
                                      {'lower_bound': lambda t: np.full((len(t), 1), -20.0)}], ids=' '.join)
def test_a_good_guess_saves_evaluations(settings):
    assert best_of(8, prediction=guess_of_rough, **settings) < best_of(25, **settings) + 0.1


def test_the_first_experiment_is_where_the_prediction_is_lowest():
    search = create_optimizer(None, SQUARE, prediction=lambda t: quadratic(t + 1))

    first, second, third = search.ask(3)

    np.testing.assert_allclose(first.t, [[-0.5, 0.0]], atol=1e-3)
    sobol = create_optimizer(None, SQUARE).ask(2)
    np.testing.assert_array_equal(np.vstack((second.t, third.t)), np.vstack([t for _, t in sobol]))


GUESSES = {'negated': lambda t: -quadratic(t), 'random': lambda t: np.cos(9 * t[:, :1]),
           'zero': lambda t: 0 * t[:, :1], 'constant': lambda t: np.full((len(t), 1), 7.0)}


@pytest.mark.parametrize('guess', ['random', *(pytest.param(name, marks=pytest.mark.slow) for name in GUESSES)])
@pytest.mark.parametrize('settings', [{}, ZERO_BOUND], ids=' '.join)
def test_a_bad_guess_does_little_harm(guess, settings):
    assert best_of(25, quadratic, prediction=GUESSES[guess], **settings) < 0.05


def kinds(noisy=False):
    def prediction(u):
        return np.sin(9 * u[:, 0])

    plain = Kind('constant', lambda y, unit: Values(), noisy)
    return plain, plain._replace(name='prediction', prediction=prediction, cost=2.0)


def test_the_mean_is_that_of_generalised_least_squares(rng):
    u, t = rng.uniform(size=(25, 2)), rng.uniform(size=(9, 2))
    y = 3 * np.sin(9 * u[:, 0]) + 0.1 * u[:, 1]
    model = Model(u, y, u[:0], kinds(), Hyperparameters())

    kernel = Matern(model.process.length_scales, nu=2.5)
    inverse = np.linalg.inv(kernel(u) + 1e-6 * np.eye(25))
    basis, of_t = (np.c_[np.ones(len(points)), np.sin(9 * points[:, 0])] for points in (u, t))
    weights = np.linalg.solve(basis.T @ inverse @ basis, basis.T @ inverse @ y)

    assert model.kind.name == 'prediction' and weights[1] == pytest.approx(3, abs=0.01)
    np.testing.assert_allclose(model.process.mean_weights, weights, rtol=1e-4)
    expected = of_t @ weights + kernel(t, u) @ inverse @ (y - basis @ weights)
    np.testing.assert_allclose(model.predict(t)[0][:, 0], expected, rtol=1e-4)


@pytest.mark.parametrize('sign, chosen', [(1, 'prediction'), (-1, 'constant'), (0, 'constant')])
def test_a_prediction_is_used_where_it_makes_values_clearly_likelier(sign, chosen, rng):
    u = rng.uniform(size=(20, 2))
    y = sign * np.sin(9 * u[:, 0]) + u[:, 1]

    assert Model(u, y, u[:0], kinds(), Hyperparameters()).kind.name == chosen


@pytest.mark.parametrize('squares', [False, True])
def test_gradient_of_log_ei_with_a_prediction(squares, rng):
    model = (of_squares(BOX[:2], bound) if squares else of_values(BOX[:2]))
    model.fit(x := sample(rng, 20), wavy(x))
    outcome = model.model.kind.outcome
    kind = Kind('prediction', outcome, prediction=lambda u: wavy(from_unit_box(u))[:, 0] + np.sin(20 * u[:, 0]))
    model.model = Model(model.model.u, model.model.y, model.model.pending, [kind], Hyperparameters())

    assert len(model.model.process.mean_weights) == 2
    assert isinstance(model.model.outcome, Squares if squares else Values)
    for point in sample(rng, 20):
        threshold = model.model.incumbent + 3 * model.model.spread
        if model.log_ei(point[np.newaxis], threshold) > -20:
            assert_gradient_is_right(model, point, threshold)


def test_a_search_with_a_prediction_goes_on_after_a_restart(path):
    search = create_optimizer(rough, SQUARE, prediction=guess_of_rough, journal=path)
    search.run(12)
    search.close()

    again = create_optimizer(rough, SQUARE, prediction=guess_of_rough, journal=path)

    assert_same(snapshot(again), snapshot(search))
    assert 'prediction=' in path.read_text().splitlines()[1]
    again.close()
    with pytest.warns(UserWarning, match='It continues with its own settings'):
        create_optimizer(rough, SQUARE, journal=path)


def test_a_prediction_of_another_form_is_refused_at_once():
    with pytest.raises(ValueError, match=r'prediction must return finite numbers with shape \(n, 1\)'):
        create_optimizer(None, SQUARE, prediction=lambda t: t[:, 0])
