import csv
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from filelock import FileLock
from scipy.spatial.distance import cdist, pdist

import vae_opt_util
from vae_opt_util import create_grid, create_optimizer, distinct_distance

# GPyOpt's own import, which gpyopt_extensions would do otherwise, silences all warnings.
vae_opt_util._import_gpyopt()
from gpyopt_extensions import GaussianProcess, SpacedExpectedImprovement  # noqa: E402

SQUARE = [(-4.0, 4.0)] * 2
ALL_SETTINGS = [{}, {'noisy': True}, {'lower_bound': lambda t: np.zeros((len(t), 1))}, {'published': True}]
SETTINGS = ALL_SETTINGS[:3]


def quadratic(t):
    return ((t - np.arange(1, t.shape[1] + 1) / 2) ** 2).sum(axis=1, keepdims=True)


def told(num, objective=quadratic, domain=SQUARE, batch=1, **settings):
    """A search with `num` experiments, asked for in batches; all of a batch are told before the next."""
    search = create_optimizer(None, domain, **settings)
    while len(search.X) < num:
        for number, t in search.ask(min(batch, num - len(search.X))):
            search.tell(number, objective(t))
    return search


def points(experiments):
    return np.vstack([t for _, t in experiments])


def to_unit(t, domain=SQUARE):
    low, high = np.array(domain).T
    return (t - low) / (high - low)


def snapshot(search):
    return (search.X.copy(), search.Y.copy(), search.failed.copy(), [(number, *t[0]) for number, t in search.pending],
            search.suggest_next_locations())


def assert_same(snapshot, expected):
    for array, other in zip(snapshot, expected, strict=True):
        np.testing.assert_array_equal(array, other)


# Asking


@pytest.mark.parametrize('domain', [[(-0.3, 0.1)], SQUARE, [(5.0, 6.0), (-1e3, 1e3)] * 5])
def test_ask_and_tell_in_any_box(domain):
    search = create_optimizer(None, domain)
    low, high = np.array(domain).T

    for first in range(1, 13, 4):
        experiments = search.ask(4)
        assert [number for number, _ in experiments] == list(range(first, first + 4))
        for number, t in experiments:
            assert t.shape == (1, len(domain)) and t.dtype == np.float64
            assert (t >= low).all() and (t <= high).all()
            search.tell(number, t.sum())

    assert search.X.shape == (12, len(domain)) and search.Y.shape == (12, 1)
    np.testing.assert_array_equal(search.Y, search.X.sum(axis=1, keepdims=True))


def test_asking_evaluates_nothing():
    search = create_optimizer(lambda t: pytest.fail('evaluated'), SQUARE)

    search.ask(3)

    assert search.X.shape == (0, 2) and search.Y.shape == (0, 1) and search.failed.shape == (0, 2)


@pytest.mark.parametrize('settings', SETTINGS)
def test_asking_for_several_is_asking_several_times(settings):
    at_once, one_by_one = (told(8, **settings) for _ in range(2))

    experiments = at_once.ask(5)

    np.testing.assert_array_equal(points(experiments), points([one_by_one.ask()[0] for _ in range(5)]))
    np.testing.assert_array_equal(points(at_once.pending), points(experiments))


@pytest.mark.parametrize('settings', ALL_SETTINGS)
def test_asking_and_telling_one_by_one_is_the_search_itself(settings, capsys):
    itself = create_optimizer(quadratic, SQUARE, seed=3, **settings)
    itself.run_optimization(2)

    search = told(len(itself.X), seed=3, **settings)

    assert_same(snapshot(search), snapshot(itself))


def test_same_seed_same_batches_whatever_ran_before():
    np.random.seed(1)
    first = told(20, batch=4, seed=3)
    np.random.seed(2)
    told(9, batch=3, seed=4)
    np.random.random(100)

    np.testing.assert_array_equal(told(20, batch=4, seed=3).X, first.X)
    assert not np.allclose(told(20, batch=4, seed=4).X, first.X)


@pytest.mark.parametrize('q', [0, -1, 1.5, True, None, '2'])
def test_bad_number_of_experiments(q):
    search = create_optimizer(None, SQUARE)

    with pytest.raises(ValueError, match='q must be an integer of at least 1'):
        search.ask(q)
    assert search.pending == []


def test_many_asked_before_any_result_fill_the_box():
    search = create_optimizer(None, SQUARE, seed=4)

    u = to_unit(points(search.ask(20)))

    # A net in base 2: each of 16 equal boxes of any shape has one of the first 16 points.
    for shape in ([1, 16], [2, 8], [4, 4], [8, 2], [16, 1]):
        assert len(np.unique((u[:16] * shape).astype(int), axis=0)) == 16
    assert pdist(u).min() > 0.01


@pytest.mark.parametrize('settings', SETTINGS)
@pytest.mark.parametrize('evaluated', [3, 6, 30])
def test_no_two_of_many_pending_ones_coincide(settings, evaluated):
    search = told(evaluated, **settings)

    search.ask(25)

    everything = np.vstack((search.X, points(search.pending)))
    assert len(everything) == evaluated + 25
    assert pdist(to_unit(everything)).min() >= SpacedExpectedImprovement.resolution * (1 - 1e-9)


@pytest.mark.parametrize('settings', SETTINGS)
def test_an_unconverged_search_keeps_its_distance_from_pending_ones(settings, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'improvement_that_matters', -1)
    search = told(6, **settings)

    proposed = to_unit(points(search.ask(20)))

    assert pdist(proposed).min() >= distinct_distance * (1 - 1e-9)
    assert cdist(proposed, to_unit(search.X)).min() >= distinct_distance * (1 - 1e-9)


def test_a_pending_experiment_makes_its_place_certain_and_changes_no_mean():
    search = told(12)
    _, _, grid = create_grid(SQUARE, points=12)
    mean, deviation, _ = search.posterior(grid)
    (_, t), = search.ask()
    there, elsewhere = search.posterior(t), search.posterior(grid)

    np.testing.assert_allclose(elsewhere[0], mean, rtol=1e-6, atol=1e-6)
    assert (elsewhere[1] <= deviation * (1 + 1e-6)).all()
    assert there[1] < 0.01 * deviation.max() and there[2] < 0.01 * np.ptp(search.Y)


def test_two_workers_get_different_points():
    search, workers, everything = create_optimizer(None, SQUARE), {}, []
    for turn in range(30):
        if turn % 2 in workers:
            number, t = workers[turn % 2]
            search.tell(number, quadratic(t))
        (experiment,) = search.ask()
        workers[turn % 2] = experiment
        everything.append(experiment)
        assert [number for number, _ in search.pending] == [number for number, _ in everything[-2:]]

    assert [number for number, _ in everything] == list(range(1, 31))
    assert pdist(to_unit(points(everything))).min() >= SpacedExpectedImprovement.resolution * (1 - 1e-9)
    assert len(search.X) == 28 and search.Y.min() < 0.01


def test_what_ask_and_pending_return_is_a_copy(tmp_path):
    search, other = (create_optimizer(None, SQUARE, journal=tmp_path / f'{i}.csv') for i in range(2))
    (number, t), = search.ask()
    t *= 0.01
    search.pending[0].t[:] = 7
    search.pending.clear()
    other.ask()

    assert_same(snapshot(search), snapshot(other))
    search.tell(number, 1)
    other.tell(number, 1)
    assert_same(snapshot(search), snapshot(other))
    assert_same(snapshot(create_optimizer(None, SQUARE, journal=tmp_path / '0.csv')), snapshot(other))


@pytest.mark.parametrize('domain', [[(-0.3, 0.1)], [(-0.3, 0.1), (0.1, 0.7)], [(1e9, 1e9 + 0.1), (-1e-9, 1 / 3)]])
@pytest.mark.parametrize('sign', [-1, 1])
def test_proposals_at_the_border_are_in_the_box(domain, sign, tmp_path):
    """In floating point low + (high - low) may be above high, as in the first of these boxes."""
    search = told(18, lambda t: sign * to_unit(t, domain).sum(), domain, journal=tmp_path / 'journal.csv')

    low, high = np.array(domain).T
    assert (search.X >= low).all() and (search.X <= high).all()
    assert np.abs(to_unit(search.X, domain) - (sign < 0)).max(axis=1).min() < 0.01
    assert len(create_optimizer(None, domain, journal=tmp_path / 'journal.csv').X) == 18


@pytest.mark.parametrize('q', [1, 2])
def test_the_articles_settings_know_no_pending_experiments(q):
    search = create_optimizer(None, SQUARE, published=True)
    (number, t), = search.ask()

    for step in (lambda: search.ask(q), search.suggest_next_locations):
        with pytest.raises(ValueError, match="The article's settings propose one experiment at a time"):
            step()
    assert len(search.pending) == 1
    search.tell(number, quadratic(t))
    assert search.ask()[0].number == 2


def test_the_articles_settings_refuse_a_batch_as_a_whole():
    search = create_optimizer(None, SQUARE, published=True)

    with pytest.raises(ValueError, match='one experiment at a time'):
        search.ask(2)
    assert search.pending == []


# Telling


@pytest.mark.parametrize('order', [range(8), range(7, -1, -1), [3, 0, 7, 1, 6, 2, 5, 4]])
def test_results_may_come_in_any_order(order):
    search = create_optimizer(None, SQUARE)
    experiments = search.ask(8)

    for told, i in enumerate(order, start=1):
        number, t = experiments[i]
        search.tell(number, quadratic(t))
        missing = [experiments[j] for j in sorted(order[told:])]
        assert [number for number, _ in search.pending] == [number for number, _ in missing]

    np.testing.assert_array_equal(search.X, points([experiments[i] for i in order]))
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

    assert [number for number, _ in search.pending] == list(range(3, 31, 3))
    assert len(search.X) == 20 and search.Y.min() < 0.01


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

    with pytest.raises(ValueError, match='not above the objective'):
        search.tell(2, quadratic(experiments[1].t) - 0.01)
    assert_same(snapshot(search), before)
    search.tell(2, quadratic(experiments[1].t))


# Failures


def test_failed_experiments_have_no_value(tmp_path):
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    experiments = search.ask(8)
    for number, t in experiments:
        if number in (2, 5):
            search.tell_failed(number, 'no oven')
        elif number != 7:
            search.tell(number, quadratic(t))
    done = [experiments[i] for i in (0, 2, 3, 5, 7)]

    np.testing.assert_array_equal(search.failed, points([experiments[1], experiments[4]]))
    np.testing.assert_array_equal(search.X, points(done))
    np.testing.assert_array_equal(search.Y, quadratic(points(done)))
    assert [number for number, _ in search.pending] == [7]
    with open(tmp_path / 'journal.csv', newline='') as file:
        failed = [row for row in csv.DictReader(file) if row['status'] == 'failed']
    assert [(row['number'], row['value'], row['note']) for row in failed] == [(n, '', 'no oven') for n in '25']


def test_random_points_differ_after_failures_and_beside_pending_ones(monkeypatch, capsys):
    """Those of the article's start, and those where no Gaussian process can be fitted."""
    published = create_optimizer(None, SQUARE, published=True)
    for _ in range(3):
        published.tell_failed(published.ask()[0].number)
    assert len(np.unique(published.failed, axis=0)) == 3

    def no_fit(*_):
        raise np.linalg.LinAlgError('not positive definite')

    search = told(6)
    monkeypatch.setattr(GaussianProcess, 'updateModel', no_fit)
    search.ask(3)
    search.tell_failed(8)
    search.ask(2)
    assert len(np.unique(points(search.pending), axis=0)) == 4
    assert capsys.readouterr().out.count('No Gaussian process can be fitted to these 6 evaluations') == 5


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


@pytest.mark.parametrize('settings', SETTINGS[:2])
@pytest.mark.parametrize('seed', range(4))
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
    assert search.Y.min() < 0.05 and np.linalg.norm(search.X[search.Y.argmin()] - 2) < 0.5


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


# Searches that evaluate by themselves


def test_an_interrupted_evaluation_is_the_first_to_be_made_again():
    calls = []

    def fragile(t):
        calls.append(t.copy())
        if len(calls) in (3, 9, 10):
            raise KeyboardInterrupt
        return quadratic(t)

    search = create_optimizer(fragile, SQUARE, seed=2)
    for evaluated in (2, 7, 7):
        with pytest.raises(KeyboardInterrupt):
            search.run_optimization(6)
        assert len(search.X) == len(search.Y) == evaluated
        assert [number for number, _ in search.pending] == [evaluated + 1]
        np.testing.assert_array_equal(search.pending[0].t, calls[-1])
        interrupted = calls[-1]
    search.run_optimization(12 - len(search.X))

    whole = create_optimizer(quadratic, SQUARE, seed=2)
    whole.run_optimization(6)
    np.testing.assert_array_equal(np.vstack(calls[8:11]), np.vstack([interrupted] * 3))
    assert_same(snapshot(search), snapshot(whole))


def test_pending_experiments_are_evaluated_first():
    search = create_optimizer(quadratic, SQUARE)
    experiments = search.ask(4)
    search.tell(2, 0.5)

    search.run_optimization(0)

    np.testing.assert_array_equal(search.X[:4], points([experiments[i] for i in (1, 0, 2, 3)]))
    assert len(search.X) == 6 and search.pending == []


@pytest.mark.parametrize('settings', ALL_SETTINGS)
def test_a_journal_changes_no_search(settings, tmp_path, capsys):
    def search(journal):
        search = create_optimizer(quadratic, SQUARE, **settings, journal=journal)
        search.run_optimization(2)
        return search

    without = search(None)
    assert_same(snapshot(search(tmp_path / 'journal.csv')), snapshot(without))
    with open(tmp_path / 'journal.csv', newline='') as file:
        values = [float(row['value']) for row in csv.DictReader(file) if row['status'] == 'done']
    np.testing.assert_array_equal(values, without.Y[:, 0])


# What is known already


def test_known_results(tmp_path):
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    search.ask(2)

    search.add_known([[0, 1], [-4.0, 4.0]], [[3], [2]])
    search.add_known(np.array([[1, 2]], dtype='float32'), np.array([[0.5]], dtype='float32'))

    np.testing.assert_array_equal(search.X, [[0, 1], [-4, 4], [1, 2]])
    np.testing.assert_array_equal(search.Y, [[3], [2], [0.5]])
    assert search.X.dtype == search.Y.dtype == np.float64
    assert [number for number, _ in search.pending] == [1, 2] and search.ask()[0].number == 6
    assert_same(snapshot(create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')), snapshot(search))


@pytest.mark.parametrize('t, values, message', [
    ([[0, 1], [0, 1]], [[3]], r'shape \(2, 1\)'), ([[0, 1]], [3], r'shape \(1, 1\)'), ([[0, 1]], 3, r'shape \(1, 1\)'),
    ([[0, 1]], [[3, 4]], r'shape \(1, 1\)'), ([[0, 1]], [['low']], 'must be finite numbers'),
    ([[0, 1], [1, 1]], [[3], [np.nan]], 'must be finite numbers'), ([[0, 1]], [[-np.inf]], 'must be finite numbers'),
    ([[0, 1]], [[True]], 'must be finite numbers'), ([[0, 1]], [[1j]], 'must be finite numbers'),
    ([0, 1], [[3]], r'shape \(n, 2\)'), ([[0, 1, 2]], [[3]], r'shape \(n, 2\)'), ([], [], r'shape \(n, 2\)'),
    ([[0, np.nan]], [[3]], 'Points must be finite'),
    ([[0, 1], [0, 4.1], [-5, 0]], [[3]] * 3, r'2 of the 3 points are not within the bounds.*\[0.  4.1\]')])
def test_bad_known_results_are_refused_and_none_is_added(t, values, message, tmp_path):
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    search.ask()
    before, content = snapshot(search), (tmp_path / 'journal.csv').read_bytes()

    with pytest.raises(ValueError, match=message):
        search.add_known(t, values)
    assert_same(snapshot(search), before)
    assert (tmp_path / 'journal.csv').read_bytes() == content


def test_known_results_below_the_lower_bound_are_refused_and_none_is_added():
    search = create_optimizer(None, SQUARE, lower_bound=quadratic)
    t = np.array([[1, 1], [0, 0], [2, 2]])

    with pytest.raises(ValueError, match='not above the objective'):
        search.add_known(t, quadratic(t) - [[0], [0], [0.01]])
    assert len(search.X) == len(search.Y) == 0
    search.add_known(t, quadratic(t))


def test_a_warm_start_needs_no_starting_points(rng):
    t = rng.uniform(-4, 4, (30, 2))
    search, without = (create_optimizer(quadratic, SQUARE) for _ in range(2))

    search.add_known(t, quadratic(t))
    search.run_optimization(3)
    without.run_optimization(0)

    assert len(search.X) == 33 and len(without.X) == 6
    assert search.Y[30:].max() < 0.5 * search.Y[:30].min()


def test_a_few_known_results_save_as_many_starting_points():
    search = create_optimizer(quadratic, SQUARE)

    search.add_known([[1, 1], [2, 2]], quadratic(np.array([[1, 1], [2, 2]])))
    search.run_optimization(0)

    assert len(search.X) == 6 and len(np.unique(search.X, axis=0)) == 6


# Noise


def noisy_quadratic(seed):
    rng = np.random.default_rng(seed)
    return lambda t: quadratic(t) + rng.normal(0, 1, (len(t), 1))


def test_the_minimum_is_found_under_noise():
    def error(seed, **settings):
        search = told(40, noisy_quadratic(seed), seed=seed, **settings)
        best = search.X[search.posterior(search.X)[0].argmin()]
        return np.linalg.norm(best - [0.5, 1.0])

    errors = [error(seed, noisy=True) for seed in range(5)]

    assert np.median(errors) < 0.5
    # A search for exact values takes the noise for what the objective does.
    assert np.mean(errors) < np.mean([error(seed) for seed in range(5)])


def test_repeated_values_that_differ_are_averaged():
    search = create_optimizer(None, SQUARE, noisy=True)
    t = create_grid(SQUARE, points=4)[2]
    search.add_known(np.vstack((t, t)), np.vstack((quadratic(t) - 1, quadratic(t) + 1)))

    mean, deviation, _ = search.posterior(t)

    assert np.abs(mean - quadratic(t)).max() < 1
    assert len(search.ask(3)) == 3


def test_a_lower_bound_is_for_exact_values():
    with pytest.raises(ValueError, match='lower_bound is for exact values.*Leave out one of'):
        create_optimizer(None, SQUARE, lower_bound=quadratic, noisy=True)


# Batches


@pytest.mark.parametrize('settings', SETTINGS)
def test_batches_of_four_find_the_minimum_as_well(settings):
    def best(batch):
        return np.median([told(26, batch=batch, seed=seed, **settings).Y.min() for seed in range(3)])

    assert best(batch=4) < max(0.01, 3 * best(batch=1))


def test_a_batch_looks_in_different_valleys():
    def valleys(t):
        return np.cos(np.pi * t / 2).sum(axis=1, keepdims=True)  # Four are equally deep, at ±2.

    signs = np.sign(points(told(20, valleys).ask(8)))

    assert len(np.unique(signs, axis=0)) >= 3


def test_threads_may_tell(tmp_path):
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    experiments = search.ask(40)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda experiment: search.tell(experiment.number, quadratic(experiment.t)), experiments))

    assert len(search.X) == len(search.Y) == 40 and search.pending == []
    np.testing.assert_array_equal(search.Y, quadratic(search.X))
    assert len(create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv').X) == 40


def test_an_evaluation_is_not_made_again_because_the_journal_could_not_be_written(tmp_path, monkeypatch):
    calls = []

    def objective(t):
        calls.append(t)
        return quadratic(t)

    search = create_optimizer(objective, SQUARE, journal=tmp_path / 'journal.csv')
    search.run_optimization(0)
    append = search._journal.append
    monkeypatch.setattr(search._journal, 'append', lambda event: append(event) if event.status == 'proposed' else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        search.run_optimization(1)
    monkeypatch.undo()
    search.run_optimization(2)

    assert len(calls) == len(search.X) == 8 and search.pending == []
    assert_same(search.X, np.vstack(calls))


def test_a_closed_search_leaves_its_journal_to_others(tmp_path):
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    search.ask()

    search.close()

    with FileLock(tmp_path / 'journal.csv.lock', timeout=0), pytest.raises(ValueError, match='is closed'):
        search.tell(1, 0.5)
    create_optimizer(None, SQUARE).close()
