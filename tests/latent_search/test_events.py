"""What follows from the events of a search, and copies of a search."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from journal_helpers import EXPERIMENTS, SQUARE, assert_same, plain, rows, state, steps

import latent_search
from latent_search import Event, create_optimizer
from latent_search.events import no_experiments


def replay(events, dimensions):
    return no_experiments(dimensions).after(events)


A, B, C = np.array([[0.5, 1.0]]), np.array([[-2.0, 3.0]]), np.array([[0.0, -4.0]])


@pytest.mark.parametrize('dimensions', [1, 2, 5])
def test_no_events_are_no_experiments(dimensions):
    experiments = replay([], dimensions)

    assert experiments.X.shape == experiments.failed.shape == (0, dimensions) and experiments.Y.shape == (0, 1)
    assert experiments.pending == {} and experiments.last_number == experiments.num == 0


def test_a_proposal_is_pending():
    experiments = replay([Event(3, 'proposed', A), Event(1, 'proposed', B)], 2)

    assert list(experiments.pending) == [3, 1] and len(experiments.X) == 0
    np.testing.assert_array_equal(experiments.pending[3].t, A)
    assert experiments.last_number == 3 and experiments.num == 2


def test_results_are_in_the_order_in_which_they_came():
    experiments = replay([Event(1, 'proposed', A), Event(2, 'proposed', B), Event(2, 'done', B, 7.0),
                          Event(3, 'known', C, -1.0), Event(1, 'done', A, 0.5)], 2)

    np.testing.assert_array_equal(experiments.X, np.vstack([B, C, A]))
    np.testing.assert_array_equal(experiments.Y, [[7], [-1], [0.5]])
    assert experiments.X.dtype == experiments.Y.dtype == np.float64
    assert experiments.pending == {} and experiments.last_number == experiments.num == 3


def test_a_failed_experiment_has_no_value_and_is_no_longer_pending():
    experiments = replay([Event(1, 'proposed', A), Event(2, 'proposed', B), Event(1, 'failed', A, note='out')], 2)

    np.testing.assert_array_equal(experiments.failed, A)
    assert len(experiments.X) == len(experiments.Y) == 0
    assert list(experiments.pending) == [2] and experiments.num == 2


def test_the_last_number_is_the_highest():
    """Results that were added by hand may have any numbers."""
    assert replay([Event(99, 'known', A, 1.0), Event(5, 'proposed', B)], 2).last_number == 99


def test_one_event_more_is_what_replay_makes_of_all():
    search = create_optimizer(None, SQUARE, seed=1)
    for _ in steps(search):
        pass
    step_by_step = replay([], 2)
    for i, event in enumerate(search.events, start=1):
        step_by_step, at_once = step_by_step.after([event]), replay(search.events[:i], 2)
        for ours, expected in zip(step_by_step[:3], at_once[:3], strict=True):
            np.testing.assert_array_equal(ours, expected)
        assert step_by_step.pending.keys() == at_once.pending.keys()
        assert step_by_step.last_number == at_once.last_number


def test_events_cannot_be_changed():
    search = create_optimizer(None, SQUARE)
    search.ask()

    with pytest.raises(ValueError, match='read-only'):
        search.events[0].t[:] = 0


def test_a_search_is_the_list_of_its_events():
    search = create_optimizer(None, SQUARE)
    (_, first), (_, second) = search.ask(2)
    search.tell(2, 7)
    search.tell_failed(1, 'the oven is out')
    search.add_known(A, [[3]])

    assert plain(search.events) == [
        (1, 'proposed', first.tolist(), None, ''), (2, 'proposed', second.tolist(), None, ''),
        (2, 'done', second.tolist(), 7.0, ''), (1, 'failed', first.tolist(), None, 'the oven is out'),
        (3, 'known', A.tolist(), 3.0, '')]
    experiments = replay(search.events, 2)
    assert_same(experiments[:3], (search.X, search.Y, search.failed))
    assert list(experiments.pending) == [number for number, _ in search.pending] == []


def test_a_search_continues_from_the_events_of_another():
    search = create_optimizer(None, SQUARE)
    for i, _ in enumerate(steps(search)):
        restored = create_optimizer(None, SQUARE)
        restored.restore(search.events)
        if i % 4 == 0:
            assert_same(state(restored), state(search))
            assert plain(restored.events) == plain(search.events)

    assert len(restored.X) + len(restored.failed) == EXPERIMENTS


def test_restored_events_belong_to_the_search():
    events = [Event(1, 'known', A.copy(), 3.0), Event(2, 'proposed', B.copy())]
    search = create_optimizer(None, SQUARE)
    search.restore(iter(events))
    events[0].t[:] = events[1].t[:] = 9
    search.tell(2, 1)

    np.testing.assert_array_equal(search.X, np.vstack([A, B]))


def test_restored_events_are_written_to_the_journal(path):
    search = create_optimizer(None, SQUARE, journal=path)

    search.restore([Event(1, 'known', A, 3.0)])
    search.ask()
    search.close()

    assert [row['number'] for row in rows(path)] == ['1', '2']
    assert_same(state(create_optimizer(None, SQUARE, journal=path)), state(search))


@pytest.mark.parametrize('event, message', [
    (Event(1, 'known', A, 2.0), 'there is an experiment 1 already'), (Event(2, 'done', A, 1.0), 'no event before'),
    (Event(2, 'proposed', np.zeros((1, 3))), 'not within the bounds'), (Event(2, 'known', A, np.nan), 'has a value'),
    (Event(2, 'proposed', np.full((1, 2), np.nan)), 'not within the bounds'),
    (Event(2, 'known', 9 * A, 1.0), 'not within the bounds'), (Event(2, 'finished', A, 1.0), 'status must be one of')])
def test_events_that_cannot_follow_are_refused(event, message, path):
    search = create_optimizer(None, SQUARE, journal=path)
    search.restore([Event(1, 'known', A, 3.0)])
    before, content = state(search), path.read_bytes()

    with pytest.raises(ValueError, match=message):
        search.restore([Event(7, 'proposed', B), event])

    assert_same(state(search), before)
    assert path.read_bytes() == content


def test_a_restored_journal_has_the_events_of_the_search_that_wrote_it(path):
    search = create_optimizer(None, SQUARE, seed=1, journal=path)
    for _ in steps(search):
        pass
    search.add_known(A, [[1 / 3]])
    search.close()

    restored = create_optimizer(None, SQUARE, seed=1, journal=path)

    # The journal writes the note, 'too hot,\n"again"', in one line.
    assert {event.note for event in restored.events} == {'', 'too hot, "again"'}
    assert plain(restored.events) == plain(event._replace(note=' '.join(event.note.split())) for event in search.events)
    assert_same(state(restored), state(search))


def test_importing_the_journal_loads_no_large_package():
    code = ('import sys, latent_search.journal; loaded = {name.partition(".")[0] for name in sys.modules}; '
            'print(*loaded & {"tensorflow", "keras", "GPyOpt", "GPy", "matplotlib", "vae_opt_util", "digits"})')

    result = subprocess.run([sys.executable, '-c', code], check=True, cwd=Path(latent_search.__file__).parents[1],
                            capture_output=True, text=True)
    assert result.stdout == '\n'


# Copies of a search


COPIES = {'pickle': lambda search: pickle.loads(pickle.dumps(search)), 'copy': copy.copy, 'deepcopy': copy.deepcopy}


@pytest.mark.parametrize('duplicate', COPIES)
def test_a_search_with_a_journal_cannot_be_copied(duplicate, path):
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask()

    with pytest.raises(TypeError, match='with a journal cannot be pickled or copied.* the same file, after close'):
        COPIES[duplicate](search)
    search.tell(1, 2)

    assert len(rows(path)) == 2


@pytest.mark.parametrize('duplicate', ['pickle', 'deepcopy'])
@pytest.mark.parametrize('settings', [{}, {'noisy': True}])
def test_a_copied_search_continues_with_the_same_proposals(duplicate, settings):
    search = create_optimizer(None, SQUARE, seed=3, **settings)
    going_on = steps(search)
    for _ in range(19):
        next(going_on)

    copied = COPIES[duplicate](search)

    assert_same(state(copied), state(search))
    with pytest.raises(ValueError, match='read-only'):
        copied.events[0].t[:] = 0
    events = plain(search.events)
    for _ in steps(copied):
        pass
    assert plain(search.events) == events  # The two share nothing.
    for _ in going_on:
        pass
    assert plain(copied.events) == plain(search.events) and len(search.events) == 2 * EXPERIMENTS
