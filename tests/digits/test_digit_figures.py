import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from digits.figures import (
    plot_architecture,
    plot_constrained,
    plot_images,
    plot_latent_spaces,
    plot_learning_curves,
    plot_nll,
    plot_principal_components,
    plot_progress,
    plot_reconstructions,
)
from digits.image_figures import plot_generated, plot_top, plot_top_beside, plot_variations
from latent_search.points import create_grid

SQUARE = [(-4.0, 4.0)] * 2


def prior(t):
    return np.log(2 * np.pi) + 0.5 * (t ** 2).sum(axis=1, keepdims=True)


def texts(figure):
    return ' '.join(text.get_text() for axis in figure.axes for text in axis.texts)


def shown_images(axis):
    """The images that a montage shows, row by row, as bytes: what is left where its gaps are cut out."""
    montage = np.ma.getdata(axis.images[0].get_array())
    rows = np.split(montage, np.flatnonzero(np.isnan(montage).all(axis=1)))
    tiles = [tile for row in rows for tile in np.split(row, np.flatnonzero(np.isnan(row).all(axis=0)), axis=1)]
    tiles = [tile[~np.isnan(tile)] for tile in tiles]
    return [tile.tobytes() for tile in tiles if tile.size]


def test_images(rng):
    x = rng.random((3, 28, 28, 1), dtype='float32')

    figure = plot_images(x, [5, 0, 4], 'three digits')

    assert [axis.get_title() for axis in figure.axes] == ['5', '0', '4']
    for axis, image in zip(figure.axes, x, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), image[..., 0])
    assert figure.get_suptitle() == 'three digits'


def test_learning_curves():
    histories = {**{name: [{'loss': 0, 'vae_loss': loss, 'val_vae_loss': loss - 1, 'predictor_loss': 2.0,
                            'val_predictor_loss': 3.0} for loss in (180.0, 150.0, 140.0)] for name in ('vae', 'other')},
                 'judge': [{'loss': 0.5, 'val_loss': 0.4}]}

    figure = plot_learning_curves(histories, 'Losses', {'vae': 'nats', 'other': 'squared digits'})

    lines = {axis.get_title(): [line.get_ydata().tolist() for line in axis.lines] for axis in figure.axes}
    assert list(lines.values()) == [[[179, 149, 139], [180, 150, 140]] * 2, [[3] * 3, [2] * 3], [[3] * 3, [2] * 3],
                                    [[0.4], [0.5]]]
    assert list(lines)[:3] == ['−ELBO (nats)', 'Predictor loss (nats)', 'Predictor loss (squared digits)']
    assert figure.get_suptitle().startswith('Losses')
    assert 150 < figure.axes[0].get_ylim()[1] < 160  # The first epoch is left out.
    assert 'vae 139' in figure.alt and 'judge 0.4' in figure.alt


def test_latent_spaces(rng):
    ts, y = rng.normal(size=(3, 50, 2)), np.arange(50) % 10

    figure = plot_latent_spaces(ts, y, ['a', 'b', 'c'], 'data')

    panels = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == [f'{name}, by {by}' for by in ('label', 'value') for name in 'abc']
    for axis, t in zip(panels, [*ts, *ts], strict=True):
        np.testing.assert_array_equal(axis.collections[0].get_offsets(), t)
        np.testing.assert_array_equal(axis.collections[0].get_array(), y)
        assert {text.get_text() for text in axis.texts} == set('0123456789')
        for text in axis.texts:
            np.testing.assert_allclose(text.xy, np.median(t[y == int(text.get_text())], axis=0))
    assert panels[3].get_xlabel() == '$t_1$' and panels[3].get_ylabel() == '$t_2$'


@pytest.mark.parametrize('spread', [0, 0.1, 1])
def test_numbers_do_not_cover_each_other(spread, rng):
    medians = spread * rng.normal(size=(10, 2))
    moved = medians[:, np.newaxis]

    figure = plot_constrained(np.repeat(medians, 3, axis=0), np.repeat(np.arange(10), 3), {'a': moved, 'b': moved}, 'c')
    figure.canvas.draw()

    for axis in figure.axes[:2]:
        boxes = [matplotlib.text.Text.get_window_extent(text) for text in axis.texts]
        assert len(boxes) == 10 and all(axis.bbox.contains(*box.p0) and axis.bbox.contains(*box.p1) for box in boxes)
        assert not any(box.overlaps(other) for i, box in enumerate(boxes) for other in boxes[:i])
        np.testing.assert_allclose([text.xy for text in axis.texts], medians)
        if spread == 0:
            assert all(text.arrow_patch for text in axis.texts[1:])


def test_nll(rng):
    gx, gy, t = create_grid(SQUARE, points=20)
    nll = prior(t) + rng.uniform(0, 18, (400, 10))

    figure = plot_nll(gx, gy, nll, 'objective')

    panels = [axis for axis in figure.axes if axis.get_title()]
    for target, axis in enumerate(panels):
        np.testing.assert_array_equal(axis.collections[0].get_array().ravel(), nll[:, target])
        np.testing.assert_array_equal(np.ravel(axis.lines[0].get_data()), t[nll[:, target].argmin()])
        assert axis.get_title() == f'{target}: {nll[:, target].min():.2f} nats'
    assert len(panels) == 10
    assert [axis.get_ylabel() for axis in figure.axes if not axis.get_title()] == ['Negative log-likelihood (nats)']


def test_figures_of_what_does_not_fit():
    gx, gy, t = create_grid(SQUARE, points=4)
    with pytest.raises(ValueError, match=r'nll must have shape \(16, targets\)'):
        plot_nll(gx, gy, prior(t)[1:], 'objective')
    with pytest.raises(ValueError, match=r'shape \(n, 2\)'):
        plot_latent_spaces([np.zeros((5, 3))], np.arange(5), ['a'], 'data')


def test_top(rng):
    def row(n, read):
        return {'values': np.arange(n) + 0.25, 'images': rng.random((n, 28, 28, 1)), 'classifier': np.full(n, 0.75),
                'judge': np.full(n, 0.5), 'read': np.array(read)}

    assessed = {4: row(3, [4, 9, 4]), 7: row(2, [7, 7])}

    figure = plot_top(assessed, 'best')

    axis, = figure.axes
    assert shown_images(axis) == [image.tobytes() for of_target in assessed.values() for image in of_target['images']]
    assert [text.get_text() for text in axis.texts] == [
        '4', '0.25', '75 | 50', '1.25', '75 | 50 (9)', '2.25', '75 | 50', '7', '0.25', '75 | 50', '1.25', '75 | 50']
    assert [text.get_text() for text in axis.texts if text.get_bbox_patch() is not None
            and matplotlib.colors.same_color(text.get_bbox_patch().get_facecolor(), 'orange')] == ['75 | 50 (9)']
    assert figure.get_suptitle() == 'best' and 'reads 4 of 5 as their target' in figure.alt

    beside = plot_top_beside({'these': assessed, 'those': {7: assessed[7]}}, 'two', num=2)

    assert [axis.get_title() for axis in beside.axes] == ['these', 'those'] and beside.get_suptitle() == 'two'
    assert [text.get_text() for text in beside.axes[1].texts] == ['7', '0.25', '75 | 50', '1.25', '75 | 50']
    assert shown_images(beside.axes[0]) == [image.tobytes() for of_target in assessed.values()
                                            for image in of_target['images'][:2]]
    assert 'these: 2 rows' in beside.alt and 'reads 3 of 4' in beside.alt


@pytest.mark.parametrize('share, shown, title', [
    ([1, 0.97, 0.5], 1, 'widest radius with 95%: 0.2'),
    ([0.9, 0.5, 1], 0, 'no radius has 95%')])
def test_variations(rng, share, shown, title):
    assessed = {'radii': np.array([0.1, 0.2, 0.4]), 'share': np.array(share), 'diversity': np.array([1.0, 2.0, 4.0]),
                'images': rng.random((3, 40, 28, 28, 1)), 'read': np.tile([8, 3], (3, 20))}

    figure = plot_variations(assessed, 8, 'eights')

    agreement, diversity, *panels = figure.axes
    np.testing.assert_array_equal(agreement.lines[0].get_xydata(), np.c_[assessed['radii'], share])
    np.testing.assert_array_equal(diversity.lines[0].get_xydata(), np.c_[assessed['radii'], assessed['diversity']])
    assert agreement.get_title() == title and 'read as 8' in agreement.get_ylabel()
    assert agreement.get_xlabel() == 'Radius in latent space' and agreement.get_xscale() == 'log'
    assert list(agreement.lines[1].get_ydata()) == [0.95, 0.95]
    assert [list(line.get_xdata()) for line in agreement.lines[2:]] == ([[0.2, 0.2]] if shown else [])
    panel, = panels
    assert [text.get_text() for text in panel.texts] == ['3'] * 15
    assert shown_images(panel) == [image.tobytes() for image in assessed['images'][shown, :30]]
    assert figure.get_suptitle() == 'eights' and f'within 0.{shown + 1}' in panel.get_title()


def test_architecture():
    figure = plot_architecture(7, predictor_weight=15.0)

    assert isinstance(figure, plt.Figure)
    for word in ('encoder', 't_mean', 't_log_var', '7 numbers', 'sampler', 'decoder', 'predictor', 'KL', '15 ×'):
        assert word in texts(figure)


def test_reconstructions(rng):
    x = rng.random((3, 28, 28, 1))
    decoded = {name: (rng.random((3, 28, 28, 1)), rng.uniform(80, 160, 3)) for name in ('two', 'ten dimensions')}

    figure = plot_reconstructions(x, decoded, 'decoded')

    rows = np.array(figure.axes).reshape(3, 3)
    for axis, image in zip(rows[0], x, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), image[..., 0])
    for row, (images, losses) in zip(rows[1:], decoded.values(), strict=True):
        for axis, image, loss in zip(row, images, losses, strict=True):
            np.testing.assert_array_equal(axis.images[0].get_array(), image[..., 0])
            assert axis.get_title() == f'{loss:.0f} nats'
    assert [row[0].texts[0].get_text() for row in rows] == ['image', *decoded]


def test_principal_components(rng):
    # The variances of the axes are far apart, so the axes are the principal components, in this order.
    t, y = rng.normal(size=(4000, 5)) * [1, 16, 8, 2, 4], np.arange(4000) % 10
    points = rng.uniform(-4, 4, size=(8, 5))
    values = prior(points)

    figure = plot_principal_components(t, y, points, values, 'five dimensions')

    panels = [axis for axis in figure.axes if 'component' in axis.get_xlabel()]
    for axis, pair, names in zip(panels, ([1, 2], [4, 3]), ((1, 2), (3, 4)), strict=True):
        images, evaluated = axis.collections
        np.testing.assert_array_equal(images.get_array(), y)
        np.testing.assert_allclose(np.abs(images.get_offsets()), np.abs((t - t.mean(axis=0))[:, pair]), atol=2)
        expected = np.abs((points - t.mean(axis=0))[:, pair])
        np.testing.assert_allclose(np.abs(evaluated.get_offsets()), expected, atol=0.5)
        np.testing.assert_array_equal(evaluated.get_array(), np.arange(1, 9))
        np.testing.assert_array_equal(axis.lines[0].get_xydata()[0], evaluated.get_offsets()[values.argmin()])
        for label, component, i in zip((axis.get_xlabel(), axis.get_ylabel()), pair, names, strict=True):
            assert label.startswith(f'Principal component {i} ({t.var(axis=0)[component] / t.var(axis=0).sum():.0%}')


@pytest.mark.parametrize('shape', [(15, 2), (0, 4)])
def test_principal_components_of_what_does_not_fit(shape, rng):
    points = np.zeros(shape)

    with pytest.raises(ValueError, match=rf'four dimensions or more, got X with shape \({shape[0]}, {shape[1]}\)'):
        plot_principal_components(rng.normal(size=(50, shape[1])), np.zeros(50), points, points[:, :1], '')


def test_plot_generated(rng):
    generated = {name: list(rng.random((10, num, 28, 28, 1))) for name, num in (('three', 3), ('one', 1), ('six', 6))}
    read = {name: [np.full(len(images), label) for label, images in enumerate(of_labels)]
            for name, of_labels in generated.items()}
    read['three'][4][1] = 9

    figure = plot_generated(generated, read, 'methods', num=4)

    assert isinstance(figure, plt.Figure)
    three, one, six, empty = figure.axes
    assert [axis.get_title() for axis in figure.axes] == ['three', 'one', 'six', ''] and not empty.axison
    assert [len(axis.patches) for axis in (three, one, six)] == [1, 0, 0]
    assert three.patches[0].get_xy() == (120, 30)
    assert [axis.images[0].get_array().shape for axis in (three, one, six)] == [(90, 300), (30, 300), (120, 300)]
    montage = six.images[0].get_array()
    np.testing.assert_allclose(montage[91:119, 271:299], generated['six'][9][5][..., 0])  # The last of six.
    np.testing.assert_allclose(montage[1:29, 1:29], generated['six'][0][0][..., 0])


def test_plot_constrained(rng):
    t, y = rng.normal(size=(50, 2)), rng.integers(10, size=50)

    moved = rng.normal(size=(10, 7, 2))
    moved[3, 2, 1] = -6

    figure = plot_constrained(t, y, {'actor': moved}, 'moved')

    axis = figure.axes[0]
    assert axis.get_title() == 'actor' and axis.get_xlabel() == '$t_1$' and axis.get_ylim()[0] < -6
    assert sorted(len(points.get_offsets()) for points in axis.collections) == [7] * 10 + [50]


def test_progress_of_searches(rng):
    gx, gy, t = create_grid(SQUARE, 9)
    nll = prior(t)[:, 0]
    searches = {name: (points, prior(points)) for name, points in (('a', rng.normal(size=(6, 2))),
                                                                   ('b', rng.normal(size=(6, 2))))}

    figure = plot_progress(gx, gy, nll, searches, [2, 6], 'two searches')

    for row, (name, (points, values)) in zip(np.reshape(figure.axes[:4], (2, 2)), searches.items(), strict=True):
        assert row[0].get_ylabel().startswith(name)
        for axis, num in zip(row, (2, 6), strict=True):
            best = values[:num].argmin()
            np.testing.assert_array_equal(axis.lines[0].get_xydata(), points[:num])
            np.testing.assert_array_equal(axis.lines[1].get_xydata(), points[[best]])
            assert axis.get_title() == f'{num} evaluations\nbest: {values[best, 0]:.3f} nats'
            np.testing.assert_allclose(axis.collections[0].get_array().ravel(), nll)
