"""Experiments that are chosen among given points."""

import numpy as np
import pytest
from helpers import SQUARE, assert_same, quadratic, snapshot

from latent_search import create_optimizer
from latent_search.proposals import Proposals


@pytest.fixture
def library(rng):
    return rng.uniform(-4, 4, (300, 2))


def searched(library, num, path=None, q=1, **settings):
    search = create_optimizer(None, SQUARE, journal=path, **settings)
    while len(search.X) < num:
        for experiment in search.ask(q, candidates=library):
            np.testing.assert_array_equal(experiment.t[0], library[experiment.candidate])
            search.tell(experiment.number, quadratic(experiment.t))
    return search


@pytest.mark.parametrize('settings', [{}, {'noisy': True}, {'spacing': 0.1},
                                      {'lower_bound': lambda t: np.zeros((len(t), 1))}], ids=' '.join)
@pytest.mark.parametrize('q', [1, 4])
def test_the_best_of_a_library_are_found_and_none_twice(settings, q, library):
    search = searched(library, 24, q=q, **settings)

    assert len(np.unique(search.X, axis=0)) == len(search.X)
    assert {tuple(t) for t in search.X} <= {tuple(t) for t in library}
    best = np.sort(quadratic(library)[:, 0])
    assert (search.Y < best[10]).sum() >= (5 if 'spacing' not in settings else 1)


def test_a_search_of_a_library_goes_on_after_a_restart(library, path):
    search = searched(library, 12, path)
    first, second = search.ask(2, candidates=library)
    search.tell_failed(first.number)
    search.close()

    again = create_optimizer(None, SQUARE, journal=path)

    assert [(number, *t[0]) for number, t in again.pending] == [(second.number, *library[second.candidate])]
    assert again.pending[0].candidate == second.candidate
    assert f',candidate {second.candidate},' in path.read_text()
    after, = again.ask(candidates=library)
    assert len({first.candidate, second.candidate, after.candidate}) == 3
    alone = create_optimizer(None, SQUARE)
    alone.restore(again.events)
    assert_same(snapshot(alone), snapshot(again))
    assert alone.ask(candidates=library)[0].candidate == again.ask(candidates=library)[0].candidate


def test_each_ask_may_have_other_candidates(rng):
    search = create_optimizer(None, SQUARE)
    for _ in range(10):
        made = rng.uniform(-4, 4, (20, 2))
        experiment, = search.ask(candidates=made)
        np.testing.assert_array_equal(experiment.t[0], made[experiment.candidate])
        search.tell(experiment.number, quadratic(experiment.t))

    assert search.ask()[0].candidate is None


def test_what_is_known_pending_failed_or_there_twice_is_not_chosen(library):
    few = np.vstack((library[:6], library[:3]))
    search = create_optimizer(None, SQUARE)
    search.add_known(few[[0]], [[1.0]])
    search.add_known(few[[1]], None)
    first, = search.ask(candidates=few)

    rest = search.ask(3, candidates=few)

    chosen = {tuple(t[0]) for _, t in (first, *rest)}
    assert chosen == {tuple(t) for t in few[2:6]}
    with pytest.raises(ValueError, match='3 experiments are to be chosen, and 2 of the 3 candidates are'):
        create_optimizer(None, SQUARE).ask(3, candidates=[[1, 1], [0, 0], [1, 1]])
    with pytest.raises(ValueError, match='1 experiments are to be chosen, and 0 of the 9 candidates are feasible and'):
        search.ask(candidates=few)


def test_a_withdrawn_candidate_can_be_chosen_again(library):
    search = create_optimizer(None, SQUARE)
    first, = search.ask(candidates=library[:1])

    search.withdraw(first.number)

    assert search.ask(candidates=library[:1])[0].number == 2


def test_infeasible_candidates_are_left_out(library):
    search = create_optimizer(None, SQUARE, feasible=lambda t: t[:, 0] > 0)
    for _ in range(12):
        experiment, = search.ask(candidates=library)
        search.tell(experiment.number, quadratic(experiment.t))

    assert (search.X[:, 0] > 0).all()


@pytest.mark.parametrize('candidates, message', [([[0, 5]], 'not within the bounds'), ([0, 1], r'shape \(n, 2\)'),
                                                 ([[]], r'shape \(n, 2\)'), ([[0, np.nan]], 'must be finite'),
                                                 ([[0, 1]], '2 experiments are to be chosen, and 1 of the 1')])
def test_bad_candidates_are_refused_and_nothing_is_proposed(candidates, message):
    search = create_optimizer(None, SQUARE)

    with pytest.raises(ValueError, match=message):
        search.ask(2, candidates=candidates)

    assert search.events == ()


@pytest.mark.parametrize('num', [6, 40])
def test_the_choice_does_not_depend_on_the_size_of_parts(num, library, monkeypatch):
    search = searched(library, num)
    chosen = search.ask(3, candidates=library)
    monkeypatch.setattr('latent_search.acquisition.part', 7)
    monkeypatch.setattr('latent_search.gaussian_process.part', 7)
    other = searched(library, num)

    assert [experiment.candidate for experiment in other.ask(3, candidates=library)] == [
        experiment.candidate for experiment in chosen]


def test_values_may_be_rough_earlier_among_candidates(rng, monkeypatch):
    asked, kinds = [], Proposals.kinds
    monkeypatch.setattr(Proposals, 'kinds', lambda self, of_candidates=False: (
        asked.append(of_candidates) or kinds(self, of_candidates)))
    points = rng.uniform(size=(40, 16))
    search = create_optimizer(None, [(0, 1)] * 16)
    search.add_known(points[:8], rng.normal(size=(8, 1)))

    search.ask(candidates=points)
    search.ask()

    assert asked == [True, False]
    fewest = [{kind.name: kind.fewest for kind in kinds(Proposals(search.settings), among)}['rough']
              for among in (True, False)]
    assert fewest == [30, 48]
