"""Figures of what is decoded across latent spaces, and layer diagrams."""

import matplotlib
import numpy as np
import pytest

from alternatives import create_conditional_decoder
from digits.latent_figures import plot_interpolations, plot_manifolds, plot_value_walk
from digits.network_figures import network_blocks, plot_networks
from latent_search.figures import colors as label_colors
from vae_opt_util import create_classifier, create_decoder, create_encoder


def texts(axis):
    return [text.get_text() for text in axis.texts]


def orange(axis):
    return [text.get_text() for text in axis.texts if text.get_bbox_patch() is not None
            and matplotlib.colors.same_color(text.get_bbox_patch().get_facecolor(), 'orange')]


def test_manifolds(rng):
    images = {name: np.zeros((9, 28, 28, 1)) for name in ('first', 'second')}
    images['first'][1] = 1  # The second point of the grid: in the middle of the lowest row.
    images['second'][8] = rng.random((28, 28, 1))  # The last: top right.
    read = {'first': np.array([0, 4, 1, 2, 3, 5, 6, 8, 9]), 'second': np.array([0, 1, 2, 3, 4, 5, 6, 8, 7])}

    figure = plot_manifolds(images, read, [(-4, 4), (-2, 2)], 'grids')

    panels = {axis.get_title(): axis for axis in figure.axes}
    assert list(panels) == ['first', 'second'] and figure.get_suptitle() == 'grids'
    assert figure.alt.startswith('grids. A panel for each model (first, second)')
    tiles = panels['first'].images[0].get_array()
    assert tiles.shape == (84, 84, 3)
    np.testing.assert_allclose(tiles[56:, 28:56], np.broadcast_to(matplotlib.colors.to_rgb(label_colors[4]),
                                                                 (28, 28, 3)))
    assert (tiles[:56] == 1).all() and (tiles[56:, :28] == 1).all() and (tiles[56:, 56:] == 1).all()
    color = np.array(matplotlib.colors.to_rgb(label_colors[7]))
    np.testing.assert_allclose(panels['second'].images[0].get_array()[:28, 56:], 1 - images['second'][8] * (1 - color))
    assert panels['first'].images[0].get_extent() == [-6, 6, -3, 3]
    circle, = panels['first'].patches
    assert np.exp(-circle.radius ** 2 / 2) == pytest.approx(0.05)


def test_value_walk(rng):
    t, y = rng.normal(size=(50, 2)), rng.integers(10, size=50)
    walk = {'values': np.array([8, 8.5, 9, 10]), 'points': rng.normal(size=(4, 2)),
            'images': rng.random((4, 28, 28, 1)), 'read': np.array([8, 3, 9, 9]),
            'distance': np.array([0.25, 0.5, 0.75, 6])}

    figure = plot_value_walk(t, y, walk, 'a walk')

    near, far, strips = (axis for axis in figure.axes if axis.get_ylabel() != 'Digit value')
    figure.canvas.draw()
    for axis in (near, far):
        np.testing.assert_array_equal(axis.collections[0].get_offsets(), t)
        line, up_to, beyond = axis.lines
        np.testing.assert_array_equal(line.get_xydata(), walk['points'])
        np.testing.assert_array_equal(up_to.get_xydata(), walk['points'][:3])
        np.testing.assert_array_equal(beyond.get_xydata(), walk['points'][3:])
    assert texts(near) == ['8', '9'] and texts(far) == ['10']
    for image, shown in zip(walk['images'], strips.images, strict=True):
        np.testing.assert_array_equal(shown.get_array(), image[..., 0])
    distance = 'distance to the nearest\nencoded image'
    assert texts(strips) == [
        'predicted value', '8', '8.5', '9', '10', 'judge reads', '8', '3', '9', '9',
        distance, '0.25', '0.50', '0.75', '6.00']
    assert orange(strips) == ['10']
    assert figure.get_suptitle() == 'a walk'
    assert '8 at 8, 3 at 8.5, 9 at 9, 9 at 10' in figure.alt


def test_value_walk_that_ends_early(rng):
    walk = {'values': np.array([2.0]), 'points': np.zeros((1, 2)), 'images': np.zeros((1, 28, 28, 1)),
            'read': np.array([2]), 'distance': np.zeros(1)}

    figure = plot_value_walk(rng.normal(size=(20, 2)), np.arange(20) % 10, walk, 'short')

    assert len(figure.axes[-1].images) == 1


def test_interpolations(rng):
    x = rng.random((2, 28, 28, 1))
    strips = {name: {'distance': np.arange(3) * step, 'images': rng.random((3, 28, 28, 1)),
                     'read': np.array(read), 'certainty': np.array([1, 0.5, 0.75])}
              for name, step, read in (('two', 1, [2, 5, 7]), ('ten', 1.5, [2, 2, 7]))}

    figure = plot_interpolations(x, [2, 7], strips, 'from 2 to 7')

    axis, = figure.axes
    expected = [image for strip in strips.values() for image in (x[0], *strip['images'], x[1])]
    for shown, image in zip(axis.images, expected, strict=True):
        np.testing.assert_array_equal(shown.get_array(), image[..., 0])
    assert texts(axis) == ['two', 'image\nof a 2', 'image\nof a 7', '0.00', '2 (100%)', '1.00', '5 (50%)', '2.00',
                           '7 (75%)', 'ten', 'image\nof a 2', 'image\nof a 7', '0.00', '2 (100%)', '1.50', '2 (50%)',
                           '3.00', '7 (75%)']
    assert orange(axis) == ['5 (50%)']
    assert 'two: 2, 5, 7; ten: 2, 2, 7.' in figure.alt


def test_network_blocks():
    encoder = network_blocks(create_encoder(3))
    classifier = {block.name: block for block in network_blocks(create_classifier())}

    assert encoder[0] == ('image', 'InputLayer', '', (28, 28, 1), 0, ())
    assert encoder[2] == ('conv_2', 'Conv2D', '3 × 3, stride 2, relu', (14, 14, 64), 32 * 9 * 64 + 64, ('conv_1',))
    assert [block[-2:] for block in encoder[-2:]] == [(32 * 3 + 3, ('dense',))] * 2
    assert classifier['pool_1'][1:] == ('MaxPooling2D', '2 × 2', (13, 13, 32), 0, ('conv_1',))
    assert classifier['label_probs'][1:4] == ('Dense', 'softmax', (10,))


def test_network_blocks_of_several_inputs():
    blocks = {block.name: block for block in network_blocks(create_conditional_decoder(2))}

    assert set(blocks['with_label'].sources) == {'t', 'label'}


def test_networks():
    models = create_encoder(2), create_decoder(2)

    figure = plot_networks({model.name: network_blocks(model) for model in models}, 'layers')

    axis, = figure.axes
    for model in models:
        assert f'{model.name}: {model.count_params():,} parameters' in texts(axis)
    shown = [text.split('\n') for text in texts(axis)]
    assert ['conv_2', '3 × 3, stride 2', 'relu', '18,496'] in shown
    assert ['t_mean', '66'] in shown and ['image'] in shown
    legend, = figure.legends
    colors = {text.get_text(): matplotlib.colors.to_hex(patch.get_facecolor())
              for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)}
    assert colors['Dense'] == matplotlib.colors.to_hex('orange') and 'Flatten, Reshape, Activation' in colors
    assert sum(text == '14 × 14 × 64' for text in texts(axis)) == 4
    assert 'decoder: 2, 12544, 14 × 14 × 64, ' in figure.alt
    arrows = sum(len(block.sources) for model in models for block in network_blocks(model))
    assert texts(axis).count('') == arrows == 13
    with pytest.raises(ValueError, match='one network or more'):
        plot_networks({}, 'nothing')


def test_width_is_the_number_of_channels():
    figure = plot_networks({'encoder': network_blocks(create_encoder(2))}, 'layers')

    fronts = [patch.get_xy() for patch in figure.axes[0].patches[1::6] if isinstance(patch, matplotlib.patches.Polygon)]
    widths, heights = zip(*(np.ptp(front, axis=0) for front in fronts), strict=True)
    assert widths[2] == pytest.approx(2 * widths[1]) and heights[1] == pytest.approx(2 * heights[2])
