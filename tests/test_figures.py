import matplotlib.pyplot as plt
import numpy as np
import pytest

from vae_opt_util import (
    assess_top,
    benchmark_results_dir,
    create_classifier,
    create_decoder,
    create_grid,
    create_judge,
    create_optimizer,
    encode,
    load_regret_curves,
    mean_pixel_distance,
    nll_prior,
    plot_architecture,
    plot_images,
    plot_latent_spaces,
    plot_learning_curves,
    plot_nll,
    plot_principal_components,
    plot_reconstructions,
    plot_regret,
    plot_top,
    plot_variations,
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


def test_trajectory(optimizer):
    gx, gy, t = create_grid(SQUARE, points=30)

    figure = optimizer.plot_trajectory(gx, gy, nll_prior(t)[:, 0], 'prior')

    plane, curve = (axis for axis in figure.axes if axis.get_title())
    np.testing.assert_array_equal(plane.collections[-1].get_offsets(), optimizer.X)
    np.testing.assert_array_equal(plane.lines[-1].get_xydata()[0], optimizer.X[optimizer.Y.argmin()])
    np.testing.assert_array_equal(curve.lines[0].get_ydata(), optimizer.Y[:, 0])
    np.testing.assert_array_equal(curve.lines[1].get_ydata(), np.minimum.accumulate(optimizer.Y[:, 0]))
    assert plane.get_xlabel() == '$t_1$' and curve.get_ylabel() == 'Objective (nats)'


def test_trajectory_of_what_does_not_fit(optimizer):
    gx, gy, t = create_grid(SQUARE, points=4)
    with pytest.raises(ValueError, match=r'values must have shape \(16,\)'):
        optimizer.plot_trajectory(gx, gy, nll_prior(t), 'prior')
    with pytest.raises(ValueError, match='this search has 0 in 2'):
        create_optimizer(nll_prior, SQUARE).plot_trajectory(gx, gy, nll_prior(t)[:, 0], 'prior')


def test_assess_top(optimizer):
    decoder, classifier, judge = create_decoder(2), create_classifier(), create_judge()
    points, values = top(optimizer, 5)
    images = predict(decoder, points.astype('float32'), '')

    assessed = assess_top(optimizer, 3, decoder, classifier, judge, num=5)

    np.testing.assert_array_equal(assessed['values'], values[:, 0])
    np.testing.assert_allclose(assessed['images'], images)
    np.testing.assert_allclose(assessed['classifier'], predict(classifier, images, '')[:, 3])
    np.testing.assert_allclose(assessed['judge'], predict(judge, images, '')[:, 3])
    np.testing.assert_array_equal(assessed['read'], predict(judge, images, '').argmax(axis=1))
    assert assessed['diversity'] == mean_pixel_distance(images) > 0


def test_mean_pixel_distance():
    images = np.zeros((3, 28, 28, 1))
    images[1, :2, :2] = 1
    images[2, :3, :3] = 1

    assert mean_pixel_distance(images) == pytest.approx((2 + 3 + np.sqrt(5)) / 3)
    assert mean_pixel_distance(images[:1]) == 0


def test_top(rng):
    def row(n, read):
        return {'values': np.arange(n) + 0.25, 'images': rng.random((n, 28, 28, 1)), 'classifier': np.full(n, 0.75),
                'judge': np.full(n, 0.5), 'read': np.array(read)}

    assessed = {4: row(3, [4, 9, 4]), 7: row(2, [7, 7])}

    figure = plot_top(assessed, 'best')

    rows = np.array(figure.axes).reshape(2, 3)
    for axes, of_target in zip(rows, assessed.values(), strict=True):
        for axis, image, value in zip(axes, of_target['images'], of_target['values'], strict=False):
            np.testing.assert_array_equal(axis.images[0].get_array(), image[..., 0])
            assert axis.get_title() == f'{value:.2f}'
    assert not rows[1, 2].images
    notes = [[text.get_text() for text in axis.texts] for axis in rows.flat]
    assert notes == [['0.75 | 0.50', '4'], ['0.75 | 0.50 (9)'], ['0.75 | 0.50'], ['0.75 | 0.50', '7'], ['0.75 | 0.50'],
                     []]


def test_regret():
    quartiles = np.array([[1.0, 2.0, 3.0], [0.0, 0.5, 0.6]])

    figure = plot_regret({'random': quartiles, 'ours': quartiles / 10}, 'regret')

    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    np.testing.assert_allclose(lines['random: 0.5'], [2, 0.5])
    np.testing.assert_allclose(lines['ours: 0.05'], [0.2, 0.05])
    assert figure.axes[0].get_yscale() == 'log' and figure.axes[0].get_xlabel() == 'Evaluations'


@pytest.mark.parametrize('names', [(), ('curves',), ('curves_ten_dimensions',)])
def test_regret_curves_that_were_measured(names):
    if names == ('curves_ten_dimensions',) and not (benchmark_results_dir / 'curves_ten_dimensions.csv').exists():
        pytest.skip('there is no curves_ten_dimensions.csv yet')
    curves = load_regret_curves(*names)

    assert {'random', 'GPyOpt as published', 'ours'} <= set(curves)
    for quartiles in curves.values():
        assert quartiles.shape == (52, 3) and (np.diff(quartiles, axis=1) >= 0).all()
        assert (np.diff(quartiles, axis=0) <= 0).all()


def test_regret_curves_that_are_damaged(tmp_path):
    with pytest.raises(FileNotFoundError, match='make bench'):
        load_regret_curves(folder=tmp_path)
    (tmp_path / 'curves.csv').write_text('method,evaluations,lower quartile,median,upper quartile\nours,1,low,2,3\n')
    with pytest.raises(ValueError, match='curves.csv is damaged'):
        load_regret_curves(folder=tmp_path)
    (tmp_path / 'other.csv').write_text('method,evaluations,lower quartile,median,upper quartile\nours,1,1,2,3\n')
    np.testing.assert_array_equal(load_regret_curves('other', tmp_path)['ours'], [[1, 2, 3]])


def test_table():
    shown = table(['a', 'b'], [[1, 'x'], [2, 'y']])

    assert shown.data == '| a | b |\n| --- | --- |\n| 1 | x |\n| 2 | y |'


@pytest.mark.parametrize('share, shown, title', [
    ([1, 0.97, 0.5], 1, 'the widest that the judge agrees with: 0.2'),
    ([0.9, 0.5, 1], 0, 'no radius is narrow enough')])
def test_variations(rng, share, shown, title):
    assessed = {'radii': np.array([0.1, 0.2, 0.4]), 'share': np.array(share), 'diversity': np.array([1.0, 2.0, 4.0]),
                'images': rng.random((3, 40, 28, 28, 1)), 'read': np.tile([8, 3], (3, 20))}

    figure = plot_variations(assessed, 8, 'eights')

    agreement, diversity, *panels = figure.axes
    np.testing.assert_array_equal(agreement.lines[0].get_xydata(), np.c_[assessed['radii'], share])
    np.testing.assert_array_equal(diversity.lines[0].get_xydata(), np.c_[assessed['radii'], assessed['diversity']])
    assert agreement.get_title() == title and 'read as 8' in agreement.get_ylabel()
    assert agreement.get_xlabel() == 'Radius in latent space' and agreement.get_xscale() == 'log'
    assert [list(line.get_xdata()) for line in agreement.lines[1:]] == ([[0.2, 0.2]] if shown else [])
    assert [axis.get_title() for axis in panels] == ['', '(3)'] * 15
    for axis, image in zip(panels, assessed['images'][shown, :30], strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), image[..., 0])
    assert figure.get_suptitle() == 'eights' and f'within 0.{shown + 1}' in figure.subfigs[1].get_suptitle()


def test_reconstructions(pretrained, digits):
    models = {name: pretrained[name] for name in ('vae-predictor-softmax', 'vae-predictor-softmax-10d')}
    x = digits.x_test[:3]

    figure = plot_reconstructions(x, models, 'decoded')

    rows = np.array(figure.axes).reshape(3, 3)
    for axis, image in zip(rows[0], x, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), image[..., 0])
    for row, model in zip(rows[1:], models.values(), strict=True):
        decoded = model.get_layer('decoder').predict_on_batch(encode(x, model))
        p = np.clip(decoded.astype('float64'), 1e-7, 1 - 1e-7)
        losses = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=(1, 2, 3))
        for axis, image, loss in zip(row, decoded, losses, strict=True):
            np.testing.assert_allclose(axis.images[0].get_array(), image[..., 0], atol=1e-5)
            assert float(axis.get_title().removesuffix(' nats')) == pytest.approx(loss, abs=0.6)
    assert [row[0].texts[0].get_text() for row in rows] == ['image', *models]


def test_principal_components(rng):
    # The axes' own variances are far apart, so they are the principal components, in this order.
    t, y = rng.normal(size=(4000, 5)) * [1, 16, 8, 2, 4], np.arange(4000) % 10
    optimizer = create_optimizer(nll_prior, [(-4.0, 4.0)] * 5)
    optimizer.run_optimization(2)

    figure = plot_principal_components(t, y, optimizer, 'five dimensions')

    panels = [axis for axis in figure.axes if 'component' in axis.get_xlabel()]
    best = optimizer.Y.argmin()
    for axis, pair, names in zip(panels, ([1, 2], [4, 3]), ((1, 2), (3, 4)), strict=True):
        images, points = axis.collections
        np.testing.assert_array_equal(images.get_array(), y)
        np.testing.assert_allclose(np.abs(images.get_offsets()), np.abs((t - t.mean(axis=0))[:, pair]), atol=2)
        searched = np.abs((optimizer.X - t.mean(axis=0))[:, pair])
        np.testing.assert_allclose(np.abs(points.get_offsets()), searched, atol=0.5)
        np.testing.assert_array_equal(points.get_array(), np.arange(1, 9))
        np.testing.assert_array_equal(axis.lines[0].get_xydata(), points.get_offsets())
        np.testing.assert_array_equal(axis.lines[1].get_xydata()[0], points.get_offsets()[best])
        for label, component, i in zip((axis.get_xlabel(), axis.get_ylabel()), pair, names, strict=True):
            assert label.startswith(f'Principal component {i} ({t.var(axis=0)[component] / t.var(axis=0).sum():.0%}')


def test_principal_components_of_what_does_not_fit(optimizer, rng):
    with pytest.raises(ValueError, match='this search has 15 in 2'):
        plot_principal_components(rng.normal(size=(50, 2)), np.zeros(50), optimizer, '')
    search = create_optimizer(nll_prior, [(-1, 1)] * 4)
    with pytest.raises(ValueError, match='this search has 0 in 4'):
        plot_principal_components(rng.normal(size=(50, 4)), np.zeros(50), search, '')


def test_experiments():
    search = create_optimizer(None, SQUARE)
    search.add_known([[0.0, 1.0], [2.0, 0.0]], [[7.0], [5.0]])
    first, second, third, fourth, _ = search.ask(5)
    search.tell(third.number, 6)
    search.tell_failed(first.number, 'broken')
    search.tell(second.number, 2)
    search.tell_failed(fourth.number)

    axis = search.plot_experiments('experiments', expected=nll_prior).axes[0]

    lines = {line.get_label(): line for line in axis.lines}
    assert set(lines) == {'experiment', 'known before', 'best value so far', '… without noise', 'failed: 2'}
    np.testing.assert_array_equal(lines['known before'].get_xydata(), [[1, 7], [2, 5]])
    np.testing.assert_array_equal(lines['experiment'].get_xydata(), [[3, 6], [5, 2]])
    np.testing.assert_array_equal(lines['failed: 2'].get_xdata(), [4, 6])
    assert lines['failed: 2'].get_transform() == axis.get_xaxis_transform()
    np.testing.assert_array_equal(lines['best value so far'].get_xydata(), [[1, 7], [2, 5], [3, 5], [5, 2]])
    best_points = np.vstack([[0, 1], [2, 0], [2, 0], second.t])
    np.testing.assert_allclose(lines['… without noise'].get_ydata(), nll_prior(best_points)[:, 0])
    assert axis.get_title() == 'experiments' and axis.get_ylabel() == 'Value (smaller is better)'
    assert '… without noise' not in {line.get_label() for line in search.plot_experiments('').axes[0].lines}


def test_experiments_without_results():
    search = create_optimizer(None, SQUARE)
    for _ in range(2):
        with pytest.raises(ValueError, match='There are no results yet'):
            search.plot_experiments('')
        search.tell_failed(search.ask()[0].number)
