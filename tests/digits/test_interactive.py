"""Figures that widgets change: what the widgets show, and what stays where there is no kernel."""

import base64
import io

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from notebook_helpers import notebook_runner

from digits.interactive import InteractiveFigure, explore_latent_space, plot_point
from digits.objectives import nll_all_targets
from latent_search import create_grid
from latent_search.figures import describe
from networks.prediction import predict

GX, GY, GRID = create_grid([(-4, 4), (-3, 3)], 20)
NLL = 2 + np.abs(GRID - (1, 0)).sum(axis=1)
VIEW = 'application/vnd.jupyter.widget-view+json'


@pytest.fixture(scope='module')
def vae(pretrained):
    return pretrained['vae-predictor-softmax']


@pytest.fixture
def drawn(monkeypatch):
    """The figures that widgets draw, which are closed once they are pictures."""
    figures = []
    savefig = plt.Figure.savefig

    def keep(figure, *arguments, **options):
        figures.append(figure)
        savefig(figure, *arguments, **options)

    monkeypatch.setattr(plt.Figure, 'savefig', keep)
    return figures


def image_in(axis):
    return axis.images[0].get_array()


def test_explore_latent_space(vae, drawn):
    decoder, predictor = vae.get_layer('decoder'), vae.get_layer('predictor')
    objective = nll_all_targets(predictor, GRID)

    explorer = explore_latent_space(GX, GY, {'predictor': objective}, {'predictor': predictor}, decoder, target=4)
    before = explorer.png
    explorer.controls['t_1'].value = 1.25
    explorer.controls['t_2'].value = -0.75
    explorer.controls['target'].value = 7

    t = np.array([[1.25, -0.75]])
    plane, image, bars = drawn[-1].axes
    assert explorer.png.startswith(b'\x89PNG') and explorer.png != before
    assert len(drawn) == 4 and plt.get_fignums() == []
    assert plane.get_title() == (f'predictor: {nll_all_targets(predictor, t)[0, 7]:.2f} nats\n'
                                 f'(minimum {objective[:, 7].min():.2f})')
    np.testing.assert_allclose(image_in(image), predict(decoder, t, '')[0, ..., 0])
    np.testing.assert_allclose([bar.get_height() for bar in bars.patches],
                               predict(predictor, t, '')[0], rtol=1e-6)
    assert bars.get_xticklabels()[7].get_weight() == 'bold' != bars.get_xticklabels()[4].get_weight()
    np.testing.assert_array_equal(plane.lines[1].get_xydata(), t)
    assert (explorer.controls['t_1'].min, explorer.controls['t_2'].max) == (-4, 3)


@pytest.mark.parametrize(('change', 'message'), [
    ({'readers': {}}, 'the same names'),
    ({'objectives': {'predictor': np.zeros((3, 10))}}, r'must have shape \(400, 10\)'),
    ({'target': 10}, 'target'),
])
def test_explore_latent_space_checks_its_arguments(change, message):
    arguments = {'objectives': {'predictor': np.zeros((400, 10))}, 'readers': {'predictor': None}, 'decoder': None}
    with pytest.raises(ValueError, match=message):
        explore_latent_space(GX, GY, **{**arguments, **change})


def test_two_objectives_side_by_side():
    probs = {'a': np.eye(10)[3], 'b': np.full(10, 0.1)}
    figure = plot_point(GX, GY, {'a': NLL, 'b': 2 * NLL}, (0.5, 1), {'a': 3.5, 'b': 7}, probs, np.zeros((28, 28, 1)), 3)

    assert [axis.get_title().split(':')[0] for axis in figure.axes[:2]] == ['a', 'b']
    assert [bar.get_height() for bar in figure.axes[3].patches] == [*probs['a'], *probs['b']]
    assert [text.get_text() for text in figure.axes[3].get_legend().get_texts()] == ['a', 'b']


def test_map_lies_where_its_grid_does():
    figure = plot_point(GX, GY, {'a': NLL}, (0, 0), {'a': 3}, {'a': np.full(10, 0.1)}, np.zeros((28, 28, 1)), 3)

    shown, axis = figure.axes[0].images[0], figure.axes[0]
    left, right, bottom, top = shown.get_extent()
    np.testing.assert_allclose((left, right, bottom, top), (-4 - 4 / 19, 4 + 4 / 19, -3 - 3 / 19, 3 + 3 / 19))
    np.testing.assert_array_equal(shown.get_array(), NLL.reshape(20, 20))
    assert shown.origin == 'lower' and axis.get_xlim() == (-4, 4) and axis.get_ylim() == (-3, 3)


def draw_line(number):
    figure, axis = plt.subplots(figsize=(1, 1))
    axis.plot([0, number])
    return describe(figure, f'A line to {number} & on')


def test_picture_stays_where_there_is_no_kernel():
    import ipywidgets

    figure = InteractiveFigure({'number': ipywidgets.IntSlider(1)}, draw_line)
    figure.controls['number'].value = 5

    shown, metadata = figure._repr_mimebundle_()
    assert VIEW in shown
    assert base64.b64decode(shown['image/png']) == figure.png
    assert plt.imread(io.BytesIO(figure.png)).shape == (100, 100, 4)
    assert metadata == {'image/png': {'alt': 'A line to 5 & on'}}


def test_live_picture_has_an_alternative_text():
    import ipywidgets

    figure = InteractiveFigure({'number': ipywidgets.IntSlider(1)}, draw_line)
    figure.controls['number'].value = 5

    assert base64.b64encode(figure.png).decode() in figure.picture.value
    assert 'alt="A line to 5 &amp; on"' in figure.picture.value


@pytest.mark.slow
def test_executed_notebook_holds_the_picture_only(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(
        'import ipywidgets, matplotlib.pyplot as plt\n'
        'from latent_search.figures import describe\n'
        'from digits.interactive import InteractiveFigure\n'
        "InteractiveFigure({'number': ipywidgets.IntSlider(3)},\n"
        "                  lambda number: describe(plt.figure(figsize=(1, number)), 'Nothing, three high'))")])

    notebook_runner.execute(notebook, tmp_path)
    page, pngs = notebook_runner.export(notebook, tmp_path / 'page', 'page')

    output, = notebook.cells[0].outputs
    assert VIEW not in output.data and 'widgets' not in notebook.metadata
    assert plt.imread(pngs[0]).shape == (300, 100, 4)
    assert output.metadata['image/png']['alt'] == 'Nothing, three high'
    assert page.read_text().count('<img') == 1
