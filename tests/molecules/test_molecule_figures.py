"""Figures of molecules: what they draw, and the text for those who do not see them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from molecules.figures import plot_best_so_far, plot_molecules, plot_properties, plot_visited, principal_plane


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close('all')


def test_rows_of_molecules():
    figure = plot_molecules({'acids': [('CC(=O)O', '1.7 D'), ('O=CO', '')], 'amines': [('CN', '1.3 D')]}, 'Some')

    pictures = [[axis.images[0].get_array() for axis in row if axis.images]
                for row in np.reshape(figure.axes, (2, 2))]
    assert [len(row) for row in pictures] == [2, 1]
    assert len({picture.tobytes() for row in pictures for picture in row}) == 3
    assert [axis.get_xlabel() for axis in figure.axes] == ['1.7 D', '', '1.3 D', '']
    assert figure.alt == 'Some. acids: CC(=O)O (1.7 D); O=CO. amines: CN (1.3 D).'


def test_properties_in_the_plane(rng):
    t, values = rng.normal(size=(50, 4)) * [1, 5, 1, 3], {'logP': rng.normal(size=50), 'QED': rng.uniform(size=50)}
    figure = plot_properties({'one': t, 'two': t[:, ::-1]}, values, 'Two spaces')

    assert [axis.get_title() for axis in figure.axes[:4]] == ['logP', 'QED', '', '']
    assert [figure.axes[i].get_ylabel() for i in (0, 2)] == ['one', 'two'] and figure.alt.startswith('Two spaces.')
    for axis, y in zip(figure.axes[:4], list(values.values()) * 2, strict=True):
        np.testing.assert_array_equal(axis.collections[0].get_array(), y)


def test_plane_has_the_largest_variances(rng):
    t = rng.normal(size=(2000, 4)) * [1, 5, 0.1, 3]

    np.testing.assert_allclose(principal_plane(t)(t).std(axis=0), [5, 3], rtol=0.1)


def test_best_so_far():
    quartiles = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 5.0]])
    figure = plot_best_so_far([10, 20], {'dipole': {'random': quartiles, 'ours, screening': quartiles + 1}}, 'Curves',
                              ['dipole (D)'])

    axis, = figure.axes
    assert [line.get_ydata().tolist() for line in axis.lines] == [[2, 4], [3, 5]]
    assert axis.get_ylabel() == 'dipole (D)'
    assert figure.alt == 'Curves. Medians at the end: dipole: random 4, ours, screening 5.'


def test_visited(rng):
    t, values = rng.normal(size=(40, 3)), np.array([1.0, 3.0, 2.0])
    figure = plot_visited(t, t[:3], values, 'Where', 'D')

    plane, course = figure.axes[0], figure.axes[1]
    np.testing.assert_allclose(plane.collections[1].get_offsets(), principal_plane(t)(t[:3]))
    assert course.lines[0].get_ydata().tolist() == [1, 3, 3]
    assert figure.alt == 'Where. Left: 3 experiments among 40 molecules. Right: their values, from 1 to 3.'
