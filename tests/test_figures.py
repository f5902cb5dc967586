import matplotlib.pyplot as plt
import numpy as np
import pytest

from vae_opt_util import (
    create_decoder,
    create_grid,
    create_judge,
    create_optimizer,
    nll_prior,
    plot_architecture,
    plot_images,
    plot_latent_spaces,
    plot_learning_curves,
    plot_nll,
    plot_top,
    predict,
    table,
    top,
)

SQUARE = [(-4.0, 4.0)] * 2


@pytest.fixture(scope='module')
def optimizer():
    optimizer = create_optimizer(nll_prior, SQUARE)
    optimizer.run_optimization(9)
    return optimizer


def texts(figure):
    return ' '.join(text.get_text() for axis in figure.axes for text in axis.texts)


def test_architecture():
    figure = plot_architecture(7)

    assert isinstance(figure, plt.Figure)
    for word in ('encoder', 't_mean', 't_log_var', '7 numbers', 'sampler', 'decoder', 'predictor', 'KL', '20 ×'):
        assert word in texts(figure)


def test_images(rng):
    x = rng.random((3, 28, 28, 1), dtype='float32')

    figure = plot_images(x, [5, 0, 4], 'three digits')

    assert [axis.get_title() for axis in figure.axes] == ['5', '0', '4']
    for axis, image in zip(figure.axes, x, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), image[..., 0])
    assert figure.get_suptitle() == 'three digits'


def test_learning_curves():
    histories = {'vae': [{'reconstruction': 9.0, 'kl': 1.0, 'val_reconstruction': 8.0, 'val_kl': 2.0},
                         {'reconstruction': 7.0, 'kl': 3.0, 'val_reconstruction': 6.0, 'val_kl': 4.0}],
                 'judge': [{'loss': 0.5, 'val_loss': 0.4}]}

    figure = plot_learning_curves(histories, 'Losses')

    lines = {axis.get_title(): [line.get_ydata() for line in axis.lines] for axis in figure.axes}
    np.testing.assert_array_equal(lines['Reconstruction (nats)'], [[8, 6], [9, 7]])
    np.testing.assert_array_equal(lines['KL divergence (nats)'], [[2, 4], [1, 3]])
    np.testing.assert_array_equal(lines['Cross-entropy (nats)'], [[0.4], [0.5]])
    assert figure.get_suptitle().startswith('Losses')


def test_latent_spaces(rng):
    ts, y = rng.normal(size=(3, 50, 2)), np.arange(50) % 10

    figure = plot_latent_spaces(ts, y, ['a', 'b', 'c'], 'data')

    panels = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == [f'{name}, by {by}' for by in ('label', 'value') for name in 'abc']
    for axis, t in zip(panels, [*ts, *ts], strict=True):
        np.testing.assert_array_equal(axis.collections[0].get_offsets(), t)
        np.testing.assert_array_equal(axis.collections[0].get_array(), y)
        assert {text.get_text() for text in axis.texts} == set('0123456789')
        assert axis.get_xlabel() == '$t_1$' and axis.get_ylabel() == '$t_2$'


def test_nll(rng):
    gx, gy, t = create_grid(SQUARE, points=20)
    nll = nll_prior(t) + rng.uniform(0, 18, (400, 10))

    figure = plot_nll(gx, gy, nll, 'objective')

    panels = [axis for axis in figure.axes if axis.get_title()]
    for target, axis in enumerate(panels):
        np.testing.assert_array_equal(axis.collections[0].get_array().ravel(), nll[:, target])
        np.testing.assert_array_equal(np.ravel(axis.lines[0].get_data()), t[nll[:, target].argmin()])
        assert axis.get_title() == f'target {target}: minimum {nll[:, target].min():.2f} nats'
    assert len(panels) == 10
    assert [axis.get_ylabel() for axis in figure.axes if not axis.get_title()] == ['Negative log-likelihood (nats)']


def test_figures_of_what_does_not_fit():
    gx, gy, t = create_grid(SQUARE, points=4)
    with pytest.raises(ValueError, match=r'nll must have shape \(16, 10\)'):
        plot_nll(gx, gy, nll_prior(t), 'objective')
    with pytest.raises(ValueError, match=r'shape \(n, 2\)'):
        plot_latent_spaces([np.zeros((5, 3))], np.arange(5), ['a'], 'data')


def test_acquisition(optimizer):
    figure = optimizer.plot_acquisition()

    panels = {axis.get_title(): axis for axis in figure.axes if axis.get_title()}
    _, _, t = create_grid(SQUARE)
    expected = dict(zip(['Posterior mean', 'Posterior standard deviation', 'Expected improvement'],
                        optimizer.posterior(t), strict=True))
    assert list(panels) == list(expected)
    for title, axis in panels.items():
        np.testing.assert_array_equal(axis.collections[0].get_array().ravel(), expected[title][:, 0])
        assert np.isfinite(expected[title]).all() and np.ptp(expected[title]) > 0
        np.testing.assert_array_equal(axis.lines[0].get_xydata(), optimizer.X)
        np.testing.assert_array_equal(axis.lines[1].get_xydata(), optimizer.suggest_next_locations())
    assert [axis.get_ylabel() for axis in figure.axes if not axis.get_title()] == ['nats'] * 3


def test_acquisition_of_a_flat_objective():
    optimizer = create_optimizer(lambda t: np.ones((1, 1)), SQUARE)
    optimizer.run_optimization(2)

    optimizer.plot_acquisition().canvas.draw()


def test_acquisition_draws_two_dimensions():
    optimizer = create_optimizer(nll_prior, [(-1, 1)] * 3)
    optimizer.run_optimization(1)
    with pytest.raises(ValueError, match='two dimensions, this one has 3'):
        optimizer.plot_acquisition()


def test_top(optimizer):
    decoder, judge = create_decoder(2), create_judge()
    points, values = top(optimizer, 5)
    images = predict(decoder, points.astype('float32'), '')
    read = predict(judge, images, '').argmax(axis=1)

    figure = plot_top({int(read[0]): optimizer, 10: optimizer}, decoder, judge, 'ten best', num=5)

    rows = np.array(figure.axes).reshape(2, 5)
    for row in rows:
        for axis, image, value in zip(row, images, values[:, 0], strict=True):
            np.testing.assert_allclose(axis.images[0].get_array(), image[..., 0])
            assert axis.get_title() == f'{value:.2f}'
    # What the judge reads is noted where it is not the target, and no label is 10.
    assert 'judge' not in ' '.join(text.get_text() for text in rows[0, 0].texts)
    assert sum('judge' in text.get_text() for axis in rows[1] for text in axis.texts) == 5


def test_top_of_fewer_evaluations(optimizer):
    figure = plot_top({0: optimizer}, create_decoder(2), create_judge(), 'few', num=20)

    assert sum(bool(axis.images) for axis in figure.axes) == 11


def test_table():
    shown = table(['a', 'b'], [[1, 'x'], [2, 'y']])

    assert shown.data == '| a | b |\n| --- | --- |\n| 1 | x |\n| 2 | y |'
