"""What a search knew after some of its evaluations: computed, drawn, and as an animation."""

import base64
import io
import re

import numpy as np
import pytest
from helpers import SQUARE, ZERO_BOUND, prior, quadratic, run
from PIL import Image

from latent_search import create_grid, create_optimizer, search_after, stages_of
from latent_search.figures import animate_stages, create_player, plot_stages

DOMAIN = np.array(SQUARE)


@pytest.fixture(scope='module')
def search():
    return run(quadratic, max_iter=4, **ZERO_BOUND)


@pytest.fixture(scope='module')
def stages(search):
    return stages_of(search, range(6, 11), points=21)


@pytest.fixture(scope='module')
def pictures(stages):
    return np.random.default_rng(0).uniform(size=(len(stages), 2, 8, 6))


@pytest.fixture(scope='module')
def player_and_shown(stages, pictures):
    """A player, and for each of its frames: arrays of the images, title, and points of the markers."""
    animation, shown = animate_stages(DOMAIN, stages, 'search', pictures), []
    figure, savefig = animation._fig, animation._fig.savefig

    def noted(*arguments, **settings):
        shown.append(([image.get_array().copy() for axis in figure.axes for image in axis.images],
                      figure.get_suptitle(), [line.get_xydata().copy() for line in figure.axes[2].lines]))
        savefig(*arguments, **settings)

    figure.savefig = noted
    return create_player(animation, 'a "search"'), shown


@pytest.fixture(scope='module')
def player(player_and_shown):
    return player_and_shown[0]


def pngs(player):
    return [base64.b64decode(text.replace('\\\n', '')) for text in
            re.findall(r'frames\[\d+\] = "data:image/png;base64,([^"]*)"', player)]


@pytest.mark.parametrize('settings', [{}, ZERO_BOUND, {'spacing': 0.2}, {'noisy': True}],
                         ids=' '.join)
def test_after_is_the_search_of_that_time(settings):
    search = run(quadratic, max_iter=2, seed=3, **settings)
    random_state, events = np.random.get_state()[1:3], search.events

    for n in range(len(search.X)):
        earlier = search_after(search, n)
        np.testing.assert_array_equal(earlier.X, search.X[:n])
        np.testing.assert_array_equal(earlier.suggest_next_locations(), search.X[[n]])
        earlier.run_optimization(0)

    assert search.events == events
    for event, expected in zip(search_after(search, len(search.X)).events, events, strict=True):
        assert event._replace(t=expected.t) == expected and (event.t == expected.t).all()
    np.testing.assert_equal(np.random.get_state()[1:3], random_state)


def test_after_as_many_as_there_are(search):
    with pytest.raises(ValueError, match='There are 10 evaluations, fewer than 11'):
        search_after(search, 11)
    with pytest.raises(ValueError, match='num_evaluations must be an integer of at least 0'):
        search_after(search, -1)


def test_after_ends_at_the_result_and_keeps_what_was_pending():
    search = create_optimizer(None, SQUARE)
    for number, t in search.ask(6):
        search.tell(number, quadratic(t))
    first, second, third = search.ask(3)
    search.tell_failed(second.number)
    search.tell(third.number, 5.0)
    search.tell(first.number, 4.0)
    fourth, = search.ask()

    assert [experiment.number for experiment in search_after(search, 7).pending] == [first.number]
    np.testing.assert_array_equal(search_after(search, 7).failed, second.t)
    assert len(search_after(search, 6).pending) == len(search_after(search, 6).failed) == 0
    np.testing.assert_array_equal(search_after(search, 8).Y[-2:], [[5], [4]])

    before, within, after = stages_of(search, [6, 7, 8], points=3)
    np.testing.assert_array_equal(before.next_location, first.t[0])
    np.testing.assert_array_equal(within.next_location, search_after(search, 7).suggest_next_locations()[0])
    np.testing.assert_array_equal(after.next_location, fourth.t[0])


@pytest.mark.parametrize('settings', [{}, ZERO_BOUND], ids=' '.join)
def test_stage_is_what_a_search_that_stopped_there_knows(settings):
    search = run(quadratic, max_iter=3, **settings)
    stopped = run(quadratic, max_iter=1, **settings)
    gx, _, t = create_grid(SQUARE, points=41)

    stage, last = stages_of(search, [len(stopped.X), len(search.X)], points=41)

    for values, expected in zip((stage.mean, stage.std, stage.ei), stopped.posterior(t), strict=True):
        np.testing.assert_array_equal(values, expected.reshape(gx.shape))
    np.testing.assert_array_equal(stage.Y, stopped.Y)
    np.testing.assert_array_equal(stage.best_location, stopped.x_opt)
    np.testing.assert_array_equal(stage.next_location, search.X[len(stopped.X)])
    np.testing.assert_array_equal(last.next_location, search.suggest_next_locations()[0])
    # The next proposal is where expected improvement is highest, but for the grid.
    assert stopped.posterior(stage.next_location[np.newaxis])[2] >= 0.8 * stage.ei.max()


def test_stages_have_two_dimensions_and_a_model():
    with pytest.raises(ValueError, match='a box of two dimensions, this one has 3'):
        stages_of(run(prior, [(-1, 1)] * 3, max_iter=0), [6])
    with pytest.raises(ValueError, match='There are 5 evaluations, and a posterior needs 6'):
        stages_of(run(max_iter=0), [5])


@pytest.mark.parametrize('unit, in_unit', [('', ''), ('mm', ' mm')])
def test_figure_of_stages(search, unit, in_unit):
    stages = stages_of(search, [7, 10], points=121)
    figure = plot_stages(DOMAIN, stages, 'both stages', unit)

    axes = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in axes] == ['Posterior mean', 'Posterior standard deviation',
                                                   'Expected improvement', '', '', '']
    for row, stage in zip((axes[:3], axes[3:]), stages, strict=True):
        mean, std, share = (axis.images[0].get_array() for axis in row)
        np.testing.assert_array_equal(mean, stage.mean)
        np.testing.assert_array_equal(std, stage.std)
        visible = stage.ei > 1e-6 * stage.ei.max()
        np.testing.assert_allclose(10 ** share[visible], stage.ei[visible] / stage.ei.max())
        assert share.max() == 0 and (share[~visible] <= -6).all()
        assert row[2].texts[0].get_text() == f'highest: {stage.ei.max():.2g}{in_unit}'
        assert row[0].get_ylabel() == f'{len(stage.X)} evaluations, best {stage.Y.min():.4g}{in_unit}\n$t_2$'
        for axis in row:
            evaluated, best, proposed = (line.get_xydata() for line in axis.lines)
            np.testing.assert_array_equal(evaluated, stage.X)
            np.testing.assert_array_equal(best, [stage.best_location])
            np.testing.assert_array_equal(proposed, [stage.next_location])
            # The first and the last point of the grid are the middles of pixels.
            np.testing.assert_allclose(axis.images[0].get_extent(), np.array([-1, 1, -1, 1]) * (4 + 4 / 120))
            assert axis.get_xlim() == axis.get_ylim() == (-4, 4)
    for first, second, name in zip(axes[:3], axes[3:], ('mean', 'std', 'ei'), strict=True):
        # Stages can be compared: they have the same colours, and all values of mean and deviation are among them.
        limits = first.images[0].get_clim()
        assert limits == second.images[0].get_clim()
        both = np.array([getattr(stage, name) for stage in stages])
        assert name == 'ei' or limits == (both.min() if name == 'mean' else 0, both.max())
    assert figure.get_suptitle() == 'both stages'
    assert [text.get_text() for text in figure.legends[0].texts] == ['evaluated', 'best so far', 'next proposal']


def test_figure_where_no_improvement_is_expected(stages):
    nowhere = stages[0]._replace(ei=np.zeros_like(stages[0].ei))

    axis = plot_stages(DOMAIN, [nowhere], 'nowhere').axes[2]

    assert axis.images[0].get_array().max() <= -6 and axis.texts[0].get_text() == 'highest: 0'


def test_figure_of_a_flat_objective(recwarn):
    search = run(lambda t: np.ones((1, 1)), max_iter=2)

    plot_stages(DOMAIN, stages_of(search, [6, 8]), 'flat').canvas.draw()

    assert [str(warning.message) for warning in recwarn] == []


def test_player_has_a_frame_for_each_stage(player, stages):
    frames = [Image.open(io.BytesIO(png)) for png in pngs(player)]

    assert len(frames) == len(stages)
    assert {(frame.size, frame.mode) for frame in frames} == {((1000, 450), 'P')}
    assert len({frame.convert('RGB').tobytes() for frame in frames}) == len(stages)
    assert max(map(len, pngs(player))) < 50_000


def test_player_needs_no_network(player):
    assert '//' not in re.sub(r'base64,[^"]*', '', player).replace('// ', '')
    assert re.findall(r'<button title="([^"]+)"[^>]*>\s*([^<\s]+)\s*<', player) == [
        ('Decrease speed', '−'), ('First frame', '⇤'), ('Previous frame', '←'), ('Play backwards', '◀\ufe0e'),
        ('Pause', '‖'), ('Play', '▶\ufe0e'), ('Next frame', '→'), ('Last frame', '⇥'), ('Increase speed', '+')]
    assert 'type="range" aria-label="Frame"' in player
    assert re.findall(r'<img [^>]*>', player)[0].startswith('<img alt="a &quot;search&quot;" id=')


def test_frames_show_their_stages(player_and_shown, stages, pictures):
    for ((mean, std, share, *beside), title, markers), stage, of_stage in zip(
            player_and_shown[1], stages, pictures, strict=True):
        np.testing.assert_array_equal(mean, stage.mean)
        np.testing.assert_array_equal(std, stage.std)
        assert share.argmax() == stage.ei.argmax()
        np.testing.assert_array_equal(beside, of_stage)
        assert title == f'search: {len(stage.X)} evaluations, best {stage.Y.min():.3f}'
        for points, expected in zip(markers, (stage.X, [stage.best_location], [stage.next_location]), strict=True):
            np.testing.assert_array_equal(points, expected)


def test_animation_without_pictures_is_saved_in_other_formats(stages, tmp_path):
    animation = animate_stages(DOMAIN, stages[:2], 'search', unit='mm')

    animation.save(tmp_path / 'search.gif', writer='pillow')

    with Image.open(tmp_path / 'search.gif') as gif:
        assert gif.n_frames == 2 and gif.size == (1000, 450)
    assert len([axis for axis in animation._fig.axes if axis.images]) == 3
    assert animation._fig.get_suptitle().endswith(' mm')
