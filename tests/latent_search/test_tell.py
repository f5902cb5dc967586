"""Telling results and failures."""

import csv
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from filelock import FileLock
from helpers import SETTINGS, SQUARE, assert_same, numbers_of, points_of, quadratic, snapshot, to_unit, told

from latent_search import create_optimizer


@pytest.mark.parametrize('order', [range(8), range(7, -1, -1), [3, 0, 7, 1, 6, 2, 5, 4]])
def test_results_may_come_in_any_order(order):
    search = create_optimizer(None, SQUARE)
    experiments = search.ask(8)

    for num_told, i in enumerate(order, start=1):
        number, t = experiments[i]
        search.tell(number, quadratic(t))
        missing = [experiments[j] for j in sorted(order[num_told:])]
        assert numbers_of(search.pending) == numbers_of(missing)

    np.testing.assert_array_equal(search.X, points_of([experiments[i] for i in order]))
    np.testing.assert_array_equal(search.Y, quadratic(search.X))
    in_order = create_optimizer(None, SQUARE)
    for number, t in in_order.ask(8):
        in_order.tell(number, quadratic(t))
    np.testing.assert_allclose(search.suggest_next_locations(), in_order.suggest_next_locations(), atol=1e-3)


def test_results_that_never_come_do_not_stop_a_search():
    search = create_optimizer(None, SQUARE)
    for _ in range(30):
        (number, t), = search.ask()
        if number % 3:
            search.tell(number, quadratic(t))

    assert numbers_of(search.pending) == list(range(3, 31, 3))
    # From an experiment that is pending at the minimum all others keep a distance of 0.1.
    assert len(search.X) == 20 and search.Y.min() < 2 * 0.1 ** 2


@pytest.mark.parametrize('value', [2, 2.0, np.float32(2), np.int64(2), np.array(2.0), [2.0], [[2]], np.array([[2.0]])])
def test_a_value_is_one_number_in_any_form(value):
    search = create_optimizer(None, SQUARE)
    search.ask()

    search.tell(1, value)

    assert search.Y.dtype == np.float64
    np.testing.assert_array_equal(search.Y, [[2]])


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 'low', '2', None, True, 1j, [1.0, 2.0], [], [[1, 2]], {},
                                   np.longdouble('1e400')])
def test_a_bad_value_is_refused_and_changes_nothing(value, tmp_path):
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    search.ask(2)
    before, content = snapshot(search), (tmp_path / 'journal.csv').read_bytes()

    with pytest.raises(ValueError, match='the value must be one finite number.*is told with tell_failed'):
        search.tell(1, value)
    assert_same(snapshot(search), before)
    assert (tmp_path / 'journal.csv').read_bytes() == content


@pytest.mark.parametrize('number', [0, -1, 4, 1.5, '1', None])
def test_an_unknown_number_is_refused_and_changes_nothing(number, tmp_path):
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    search.ask(3)
    search.tell(2, 1.0)
    before, content = snapshot(search), (tmp_path / 'journal.csv').read_bytes()

    for step in (lambda: search.tell(number, 1.0), lambda: search.tell_failed(number)):
        with pytest.raises(ValueError, match=f'no pending experiment {number!r}. The pending ones are 1, 3.'):
            step()
    assert_same(snapshot(search), before)
    assert (tmp_path / 'journal.csv').read_bytes() == content


@pytest.mark.parametrize('first', ['tell', 'tell_failed'])
@pytest.mark.parametrize('second', ['tell', 'tell_failed'])
def test_an_experiment_has_one_result(first, second):
    search = create_optimizer(None, SQUARE)
    search.ask()
    getattr(search, first)(1, 1.0)
    before = snapshot(search)

    with pytest.raises(ValueError, match='no pending experiment 1. The pending ones are none.'):
        getattr(search, second)(1, 1.0)
    assert_same(snapshot(search), before)


@pytest.mark.parametrize('number', [1.0, np.float64(1), True])
@pytest.mark.parametrize('step', ['tell', 'tell_failed'])
def test_a_number_that_only_equals_an_integer_is_refused(step, number, tmp_path):
    """Such as from a table whose column of numbers has a gap. A journal with it could not be read again."""
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    search.ask(2)
    before = snapshot(search)

    with pytest.raises(ValueError, match='There is no pending experiment'):
        getattr(search, step)(number, 3.0)
    assert_same(snapshot(create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')), before)


@pytest.mark.parametrize('number', [1, np.int64(1), np.uint8(1)])
def test_a_number_may_be_an_integer_of_any_kind(number, tmp_path):
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    search.ask(2)

    search.tell(number, 3.0)

    assert_same(snapshot(create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')), snapshot(search))


def test_below_the_lower_bound_is_refused_and_changes_nothing():
    search = create_optimizer(None, SQUARE, lower_bound=quadratic)
    experiments = search.ask(2)
    before = snapshot(search)

    with pytest.raises(ValueError, match='must not be above the objective'):
        search.tell(2, quadratic(experiments[1].t) - 0.01)
    assert_same(snapshot(search), before)
    search.tell(2, quadratic(experiments[1].t))


def test_failed_experiments_have_no_value(tmp_path):
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    experiments = search.ask(8)
    for number, t in experiments:
        if number in (2, 5):
            search.tell_failed(number, 'no oven')
        elif number != 7:
            search.tell(number, quadratic(t))
    done = [experiments[i] for i in (0, 2, 3, 5, 7)]

    np.testing.assert_array_equal(search.failed, points_of([experiments[1], experiments[4]]))
    np.testing.assert_array_equal(search.X, points_of(done))
    np.testing.assert_array_equal(search.Y, quadratic(points_of(done)))
    assert numbers_of(search.pending) == [7]
    with open(tmp_path / 'journal.csv', newline='') as file:
        failed = [row for row in csv.DictReader(file) if row['status'] == 'failed']
    assert [(row['number'], row['value'], row['note']) for row in failed] == [(n, '', 'no oven') for n in '25']


def test_nothing_but_failures_fills_the_box():
    search = create_optimizer(None, SQUARE)
    for _ in range(16):
        search.tell_failed(search.ask()[0].number)

    assert len(search.X) == 0 and search.pending == []
    assert len(np.unique((to_unit(search.failed) * 4).astype(int), axis=0)) == 16


def two_valleys(t):
    """Deep at (-2, -2), and less so at (2, 2)."""
    deep, shallow = (((t - center) ** 2).sum(axis=1, keepdims=True) for center in (-2, 2))
    return np.minimum(deep - 5, shallow)


@pytest.mark.parametrize('settings, seed', [({}, 0), *(pytest.param(settings, seed, marks=pytest.mark.slow)
                                                    for settings in SETTINGS[:2] for seed in range(4))])
def test_a_search_leaves_where_everything_fails(seed, settings):
    search = create_optimizer(None, SQUARE, seed, **settings)
    for _ in range(40):
        (number, t), = search.ask()
        if np.linalg.norm(t + 2) < 2.5:  # Nothing else is lower than the minimum at (2, 2).
            search.tell_failed(number)
        else:
            search.tell(number, two_valleys(t))

    assert len(search.X) + len(search.failed) == 40
    assert 1 <= len(search.failed) <= 20
    assert search.Y.min() < 0.1 and np.linalg.norm(search.X[search.Y.argmin()] - 2) < 0.5


def test_a_search_in_which_nothing_fails_goes_to_the_deep_valley():
    """Otherwise the test above would show nothing."""
    search = told(25, two_valleys)

    assert np.linalg.norm(search.X[search.Y.argmin()] + 2) < 0.1


@pytest.mark.parametrize('settings', SETTINGS)
def test_random_failures_do_not_keep_a_search_from_the_minimum(settings, rng):
    search = create_optimizer(None, SQUARE, **settings)
    for _ in range(36):
        (number, t), = search.ask()
        if rng.random() < 0.3:
            search.tell_failed(number)
        else:
            search.tell(number, quadratic(t))

    assert len(search.failed) >= 5 and search.Y.min() < 0.02


def test_a_closed_search_leaves_its_journal_to_others(tmp_path):
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    search.ask()

    search.close()

    with FileLock(tmp_path / 'journal.csv.lock', timeout=0), pytest.raises(ValueError, match='is closed'):
        search.tell(1, 0.5)
    create_optimizer(None, SQUARE).close()


def test_a_withdrawn_experiment_leaves_no_trace_but_its_number(tmp_path):
    path = tmp_path / 'journal.csv'
    search, without = create_optimizer(None, SQUARE, journal=path), create_optimizer(None, SQUARE)
    for each in (search, without):
        for number, t in each.ask(7):
            each.tell(number, quadratic(t))
    withdrawn, = search.ask()

    search.withdraw(withdrawn.number)

    assert search.pending == [] and len(search.failed) == 0
    np.testing.assert_array_equal(search.suggest_next_locations(), without.suggest_next_locations())
    assert search.ask()[0].number == withdrawn.number + 1
    search.close()
    assert_same(snapshot(create_optimizer(None, SQUARE, journal=path)), snapshot(search))
    with pytest.raises(ValueError, match=f'no pending experiment {withdrawn.number}'):
        search.tell(withdrawn.number, 1.0)


def test_a_starting_point_that_was_withdrawn_is_not_pending_twice():
    search = create_optimizer(None, SQUARE)
    first, *_ = search.ask(3)

    search.withdraw(first.number)
    search.ask(3)

    points = np.vstack([t for _, t in search.pending])
    assert len(points) == 5 and len(np.unique(points, axis=0)) == 5


@pytest.mark.parametrize('value', [10 ** 20, Decimal('1.5'), Fraction(1, 3), np.float16(2), [[3]], np.int8(1)])
def test_a_value_may_be_a_number_in_any_form(value):
    search = create_optimizer(None, SQUARE)
    search.ask()

    search.tell(1, value)

    assert search.fx_opt == float(np.ravel(value)[0])


def test_a_value_may_be_a_small_float_of_a_network():
    """As PyTorch, JAX and TensorFlow have them, which NumPy does not know."""
    bfloat16 = pytest.importorskip('ml_dtypes').bfloat16
    search = create_optimizer(None, SQUARE)
    search.ask(2)

    search.tell(1, bfloat16(1.5))
    search.tell(2, np.array([[0.5]], dtype=bfloat16))

    assert search.Y.tolist() == [[1.5], [0.5]]
