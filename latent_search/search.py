"""A search for the minimum of a function in a box, or of an experiment: ask for points, and tell their results."""

import logging
import os
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from latent_search.events import Event, Experiment, Experiments, Recommendation, note_of, text_of
from latent_search.interrupts import interruptible
from latent_search.log import Log
from latent_search.points import (
    Array,
    NotFiniteError,
    as_number,
    check_inside,
    check_integer,
    check_points,
    plain,
)
from latent_search.settings import OfPoints, Settings, check_settings

if TYPE_CHECKING:
    from latent_search.journal import Journal

logger = logging.getLogger(__name__)

Objective = Callable[[Array], ArrayLike]
Exceptions = type[Exception] | Iterable[type[Exception]]


def create_optimizer(objective: Objective | None, domain: ArrayLike, seed: int = 0, *,
                     lower_bound: OfPoints | None = None, noisy: bool = False, spacing: float | None = None,
                     feasible: OfPoints | None = None, prediction: OfPoints | None = None,
                     journal: os.PathLike[str] | str | None = None) -> 'LatentOptimizer':
    """Creates a search for the minimum of a function in a box: Bayesian optimization.

    A Gaussian process (Matérn-5/2, a length scale for each dimension) models the evaluations so far: exact values or,
    if that fits better, the logarithm of how far they are above the lowest; noisy values as they are. The next
    evaluation is made where the expected improvement is highest, at a distance from earlier evaluations, and in many
    dimensions near the best of them; see `proposals`. Beyond 300 evaluations the model uses 300 of them. The search
    starts with six points that fill the box evenly (Sobol).

    If values come from outside, `ask` proposes experiments and `tell` takes their results.

        search = create_optimizer(lambda t: ((t - 1) ** 2).sum(), [(-4, 4)] * 2)
        search.run_optimization(max_iter=20)
        search.x_opt, search.fx_opt

    Args:
        objective: a function of one point, float64 (1, d), that returns one number in any form (a float or an array
            with one element). Smaller is better. None if values come from outside.
        domain: the bounds of the box, a sequence of d pairs `(low, high)`, or GPyOpt's list of dicts.
        seed: determines the search, whatever else ran in the process: the same seed proposes the same points.
        lower_bound: a cheap function of points, float64 (n, d), that returns values, (n, 1), which are never above the
            objective, such as `nll_prior` for the article's objectives. Only the difference is modelled. Without a
            bound, the whole objective is modelled. If values are noisy, it is a bound of the values without noise.
        noisy: whether repeating an experiment gives another value. The size of the noise is learned.
        spacing: for a search for different results, their smallest distance from each other, in units of the box's
            sides. Once the best value can hardly be improved, all proposals keep this distance. Without it, results
            are distinct at a distance of 1/80, and three quarters of the proposals refine the best one.
        feasible: a cheap function of points, float64 (n, d), that returns booleans, (n,). Experiments are proposed only
            where it is true.
        prediction: a cheap guess of the objective, a function of points, float64 (n, d), that returns values, (n, 1).
            The search starts at its minimum, with two starting points more in place of five. Then the model's mean
            follows it, with a weight by least squares, if that makes the values clearly more likely.
        journal: path of a CSV file to which each proposal and each result is written at once. If the file exists, the
            search continues from it; see `journal`. If the file records other settings, a warning names both.

    Raises:
        ValueError: the box is not d ≥ 1 pairs of finite numbers low < high, the seed is not an integer ≥ 0, the spacing
            is not a number between 0 and 1, a function does not return such values, or the journal is damaged or has
            exact values below the bound.
        JournalInUseError: another process writes to the journal.
        OSError: the journal cannot be read or written.
    """
    settings = check_settings(domain, seed, lower_bound, noisy, spacing, feasible, prediction)
    return LatentOptimizer(objective, settings,
                           Log(settings.domain, None if journal is None else _opened(journal, settings)))


class LatentOptimizer:
    """A search, made by `create_optimizer`. Its attributes have the same names as in GPyOpt.

    A search is the list of its events, and everything else follows from them. A proposal depends on the seed and on the
    experiments so far (evaluated, pending and failed) and on nothing else. So looking at a search does not change what
    it does next, and an interrupted search continues as if it had not been interrupted. Several threads may use one
    search: each experiment is evaluated by one of them.

    Attributes:
        objective: as given.
        settings: see `Settings`.
        error: the text of the exception that ended this search in `run_searches`; None if nothing did.
    """

    error: str | None = None

    def __init__(self, objective: Objective | None, settings: Settings, log: Log) -> None:
        from latent_search.proposals import Proposals  # It loads much of SciPy.

        self.objective, self.settings, self._log = objective, settings, log
        self._proposals = Proposals(settings)
        # Which thread evaluates an experiment, and values that could not be written to the journal yet.
        self._evaluating: dict[int, threading.Thread] = {}
        self._values: dict[int, float] = {}

    def __repr__(self) -> str:
        experiments = self._experiments
        best = f', best {self.fx_opt:.6g}' if len(experiments.Y) else ''
        return (f'<{type(self).__name__} in {len(self.domain)} dimensions: {len(experiments.X)} evaluations{best}, '
                f'{len(experiments.pending)} pending, {len(experiments.failed)} failed>')

    @property
    def _experiments(self) -> Experiments:
        return self._log.experiments

    @property
    def domain(self) -> Array:
        """The bounds of the box, float64 (d, 2)."""
        return self.settings.domain

    @property
    def spacing(self) -> float:
        """How far apart results are to be, in units of the box's sides."""
        return self.settings.spacing

    @property
    def num_starting_points(self) -> int:
        """How many evaluations come before a model is fitted."""
        return self.settings.num_starting_points

    @property
    def events(self) -> tuple[Event, ...]:
        """Proposals and results in their order."""
        return self._log.events

    @property
    def X(self) -> Array:  # noqa: N802 (GPyOpt's name)
        """The points evaluated so far, float64 (n, d), in the order of their results."""
        return self._experiments.X.copy()

    @property
    def Y(self) -> Array:  # noqa: N802 (GPyOpt's name)
        """Their values, float64 (n, 1). Smaller is better."""
        return self._experiments.Y.copy()

    @property
    def failed(self) -> Array:
        """The points of experiments that failed, float64 (m, d)."""
        return self._experiments.failed.copy()

    @property
    def pending(self) -> list[Experiment]:
        """The experiments that were proposed and have no result yet, oldest first."""
        return [experiment.copy() for experiment in self._experiments.pending.values()]

    @property
    def x_opt(self) -> Array | None:
        """The point with the lowest value, float64 (d,); None where there are no evaluations."""
        experiments = self._experiments
        return experiments.X[experiments.Y.argmin()].copy() if len(experiments.Y) else None

    @property
    def fx_opt(self) -> float | None:
        """The lowest value; None where there are no evaluations."""
        experiments = self._experiments
        return float(experiments.Y.min()) if len(experiments.Y) else None

    def ask(self, q: int = 1, candidates: ArrayLike | None = None) -> list[Experiment]:
        """Proposes `q` new experiments, which are then pending. Each keeps its distance from other pending experiments.

        Args:
            q: how many. After an interruption, ask only for as many as are missing in `pending`.
            candidates: points, (n, d), among which the experiments are chosen, none twice: a library, a list of
                settings, or points that a generator has made. Without candidates, any point of the box may be chosen.

        Raises:
            ValueError: `q` is not a positive integer, candidates are no points in the box, or fewer than `q` of them
                are feasible and new.
            OSError: the journal cannot be written. Experiments proposed before that are in `pending`.
        """
        q = check_integer('q', q, at_least=1)
        if candidates is None:
            with self._log.alone():
                return [self._ask() for _ in range(q)]
        points = check_inside(candidates, self.domain)
        rows = np.flatnonzero(self.settings.feasible_at(points))
        with self._log.alone():
            new = _new_rows(points[rows], self._experiments.points)
            if new.sum() < q:
                raise ValueError(f'{q} experiments are to be chosen, and {new.sum()} of the {len(points)} candidates '
                                 'are feasible and were not proposed or known before. Give more candidates.')
            rows = rows[new]
            experiments = []
            for _ in range(q):
                row = int(rows[self._proposals.candidate(self._experiments, points[rows])])
                experiments.append(self._propose(points[[row]], row))
                rows = rows[rows != row]
            return experiments

    def tell(self, number: int, value: ArrayLike) -> None:
        """Takes the result of a pending experiment; results may come in any order. Smaller is better.

        Args:
            number: that of the experiment.
            value: one finite number in any form; for an experiment without a value, call `tell_failed`.

        Raises:
            ValueError: there is no pending experiment of that number, or the value is not one finite number, or below
                the lower bound. The experiment is then still pending.
            OSError: the journal cannot be written. The experiment is then still pending, and can be told again.
        """
        with self._log.alone():
            t = self._pending_point(number)
            self._log.record(Event(int(number), 'done', t, self._checked_value(t, value)))

    def tell_failed(self, number: int, reason: object = '') -> None:
        """Records that a pending experiment failed: it gets no value, and the search avoids its surroundings.

        Args:
            number: that of the experiment.
            reason: written into the journal as text.

        Raises:
            ValueError: there is no pending experiment of that number.
            OSError: the journal cannot be written. The experiment is then still pending, and can be told again.
        """
        with self._log.alone():
            t = self._pending_point(number)
            self._log.record(Event(int(number), 'failed', t, note=str(reason)))

    def withdraw(self, number: int) -> None:
        """Takes back a pending experiment that will not be made. Its place may be proposed again.

        Raises:
            ValueError: there is no pending experiment of that number.
            OSError: the journal cannot be written. The experiment is then still pending.
        """
        with self._log.alone():
            t = self._pending_point(number)
            self._log.record(Event(int(number), 'withdrawn', t))

    def add_known(self, t: ArrayLike, values: ArrayLike | None) -> None:
        """Adds results that no proposal asked for, for example from training images: a warm start.

        A known result is not added again, so a program with known results and a journal can run again.

        Args:
            t: points in the box, (n, d).
            values: their values, (n, 1). Smaller is better. None if the experiments at these points have failed.

        Raises:
            ValueError: points or values have another shape or are not finite, a point is out of the box, or a value is
                below the lower bound. Nothing is added then.
            OSError: the journal cannot be written. Nothing is added then.
        """
        points = check_inside(t, self.domain)
        status, y = ('known failure', [None] * len(points)) if values is None else (
            'known', self._checked_values(points, values))
        with self._log.alone():
            known = Counter((event.t.tobytes(), event.value) for event in self.events if event.status == status)
            events, number = [], self._experiments.last_number
            for row, value in zip(points[:, np.newaxis], y, strict=True):
                if known[row.tobytes(), value] > 0:
                    known[row.tobytes(), value] -= 1
                    continue
                number += 1
                events.append(Event(number, status, row, value))
            self._log.record(*events)

    def restore(self, events: Iterable[Event]) -> None:
        """Takes over the events of a search with the same settings, such as one that ran in another process.

        Raises:
            ValueError: an event is not of this box, or cannot follow those before it. Nothing is taken then.
            OSError: the journal cannot be written. Nothing is taken then.
        """
        self._log.restore(events)

    def close(self) -> None:
        """Releases the journal: others may then edit it or continue from it. The end of the process does so, too."""
        if self._log.journal is not None:
            self._log.journal.close()

    def run_optimization(self, max_iter: int) -> None:
        """Evaluates the starting points, unless this is done, and then `max_iter` proposals.

        Pending experiments, whose evaluation was interrupted, come first.

        Args:
            max_iter: number of proposals to evaluate, 0 or more.

        Raises:
            ValueError: there is no objective, or it returned something other than one finite number. After this and
                after any error that the objective raises itself, all earlier evaluations are in `X` and `Y`, and the
                search can continue.
            Interrupted: a KeyboardInterrupt that says what is kept and how to continue.
        """
        max_iter = check_integer('max_iter', max_iter, at_least=0)
        before = len(self._experiments.X)
        missing = max(self.num_starting_points - before, 0)

        def rest() -> str:
            done = len(self._experiments.X)
            return f'run_optimization({before + missing + max_iter - max(done, self.num_starting_points)})'

        self._run(lambda: len(self._experiments.X) - before, missing + max_iter, rest)

    def run(self, num_experiments: int, failures: Exceptions = ()) -> None:
        """Evaluates the objective until `num_experiments` experiments have a result, including earlier experiments.

        Pending experiments, whose evaluation was interrupted, come first. So with a journal, the same call in a program
        that was stopped and started again continues to the same number.

        Args:
            num_experiments: how many experiments must have a result, a value or a failure.
            failures: the exceptions of the objective that mean that an experiment has failed, see `tell_failed`. All
                others end the run. A value that is not finite counts as a FloatingPointError and as a ValueError.

        Raises:
            ValueError, Interrupted: see `run_optimization`.
        """
        num_experiments = check_integer('num_experiments', num_experiments, at_least=0)
        self._run(lambda: self._experiments.num_results, num_experiments,
                  lambda: f'run({num_experiments}, ...)' if failures else f'run({num_experiments})', failures)

    def step(self, failures: Exceptions = ()) -> None:
        """Evaluates one experiment: the oldest that is pending, or else a new proposal.

        Args:
            failures: as for `run`.

        Raises:
            ValueError: see `run_optimization`.
        """
        exceptions = _check_failures(failures)
        experiment = self._next_of_this_thread(lambda: 1, at_once=True)
        assert experiment is not None
        self._evaluate(experiment, exceptions)

    def _run(self, num_done: Callable[[], int], total: int, rest: Callable[[], str], failures: Exceptions = ()) -> None:
        def what_is_kept() -> str:
            journal = '' if self._log.journal is None else f' and in {self._log.journal.path}'
            return (f'The {len(self._experiments.X)} evaluations of this search are kept in X and Y{journal}. '
                    f'{rest()} continues it.')

        exceptions, name = _check_failures(failures), getattr(self.objective, '__name__', '')
        with interruptible(what_is_kept), \
                tqdm(total=total, initial=min(num_done(), total), desc=name if name.isidentifier() else 'search',
                  unit='evaluation', file=sys.stdout) as bar:
            while (experiment := self._next_of_this_thread(lambda: total - num_done())) is not None:
                self._evaluate(experiment, exceptions)
                bar.update()
                if len(self._experiments.Y):
                    bar.set_postfix(best=f'{self._experiments.Y.min():.4g}', refresh=False)

    def _next_of_this_thread(self, num_left: Callable[[], int], at_once: bool = False) -> Experiment | None:
        """The oldest pending experiment that no other thread evaluates, or else a new proposal.

        Args:
            num_left: returns how many experiments are still to be evaluated.
            at_once: whether those that other threads evaluate do not count among them.

        Returns:
            The experiment, or None where none is left. It waits while other threads evaluate all that are left: one of
            them may end without a result.
        """
        if not callable(self.objective):
            raise ValueError('This search has no objective that it could evaluate: it was created with '
                             f'{self.objective!r}. Use ask and tell, or create it with a function.')
        with self._log.alone():
            while num_left() > 0:
                others = {number for number, thread in self._evaluating.items()
                          if thread is not threading.current_thread() and thread.is_alive()}
                if at_once or num_left() > len(others):
                    pending = [experiment for experiment in self.pending if experiment.number not in others]
                    experiment = pending[0] if pending else self._ask()
                    self._evaluating[experiment.number] = threading.current_thread()
                    return experiment
                self._log.changed.wait(timeout=1.0)
            return None

    def _evaluate(self, experiment: Experiment, failures: tuple[type[Exception], ...]) -> None:
        number, t = experiment
        assert self.objective is not None
        try:
            if number not in self._values:
                try:
                    value = self.objective(t.copy())
                    if _is_not_finite(value):
                        raise NotFiniteError(self._not_one_number(t, value))
                except failures as error:
                    return self.tell_failed(number, text_of(error))
                except Exception as error:
                    if not len(self._experiments.X):
                        error.add_note(self._form_of_points())
                    raise
                self._values[number] = self._checked_value(t, value)
            # If the journal cannot be written, the value is there when the search continues.
            with self._log.alone():
                if number in self._experiments.pending:
                    self._log.record(Event(number, 'done', t, self._values[number]))
                del self._values[number]
        finally:
            with self._log.changed:
                self._evaluating.pop(number, None)
                self._log.changed.notify_all()
        values = self._experiments.Y
        if len(values) == self.num_starting_points and np.ptp(values) == 0:
            logger.warning('All %d values so far are %g. %s', len(values), values[0, 0], self._form_of_points())

    def _form_of_points(self) -> str:
        return (f'The objective is given one point at a time, as an array with shape (1, {len(self.domain)}): its '
                'coordinates are t[0].')

    def suggest_next_locations(self) -> Array:
        """The next point that the search would evaluate, float64 (1, d); `ask` proposes it."""
        return self._proposals.point(self._experiments)

    def posterior(self, t: ArrayLike) -> tuple[Array, Array, Array]:
        """Fits the Gaussian process to all evaluations and predicts at points `t` (n, d).

        Returns:
            Posterior mean, posterior standard deviation of the function without noise, and expected improvement on
            the lowest posterior mean among the evaluated and pending points, each (n, 1) in the units of the objective.

        Raises:
            ValueError: there are fewer evaluations than starting points, or `t` has another shape.
        """
        experiments = self._experiments
        if len(experiments.X) < self.num_starting_points:
            raise ValueError(f'There are {len(experiments.X)} evaluations, and a posterior needs '
                             f'{self.num_starting_points}. Call run_optimization first.')
        return self._proposals.posterior(experiments, check_points(t, len(self.domain)))

    def recommend(self) -> Recommendation:
        """The evaluated point with the lowest posterior mean: the result of a noisy search, as `x_opt` is partly luck.

        Where values are exact, it is the point with the lowest value.

        Raises:
            ValueError: there are fewer evaluations than starting points.
        """
        points, values = self._experiments.X, self._experiments.Y
        mean, std, _ = self.posterior(points if len(points) else self.domain.mean(axis=1)[np.newaxis])
        if not self.settings.noisy:
            mean, std = values, np.zeros_like(values)
        best = mean.argmin()
        return Recommendation(points[best].copy(), float(mean[best, 0]), float(std[best, 0]))

    def __getstate__(self) -> dict[str, Any]:
        if self._log.journal is not None:
            raise TypeError('A search with a journal cannot be pickled or copied, as its journal belongs to one '
                            'process. Create it there from the same file, after close().')
        return {'objective': self.objective, 'settings': self.settings, 'events': self.events, 'error': self.error}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A copy may go on with other evaluations, so it fits its own hyperparameters.
        settings = state['settings']
        self.__init__(state['objective'], settings, Log(settings.domain))  # type: ignore[misc]
        self.error = state['error']
        self.restore(state['events'])

    def _ask(self) -> Experiment:
        return self._propose(self.suggest_next_locations())

    def _propose(self, t: Array, candidate: int | None = None) -> Experiment:
        number = self._experiments.last_number + 1
        self._log.record(Event(number, 'proposed', t, note=note_of(candidate)))
        return Experiment(number, t.copy(), candidate)

    def _pending_point(self, number: int) -> Array:
        pending = self._experiments.pending
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number not in pending:
            raise ValueError(f'There is no pending experiment {number!r}. The pending ones are '
                             f'{", ".join(map(str, pending)) or "none"}.')
        return pending[int(number)].t

    def _checked_value(self, t: Array, value: ArrayLike) -> float:
        try:
            number = as_number(value)
        except ValueError:
            number = np.nan
        if not np.isfinite(number):
            raise ValueError(self._not_one_number(t, value))
        if not number >= self.settings.lowest_value(t):
            raise ValueError(f"At {t} the lower bound must not be above the objective's {number:.6g}, got "
                             f'{self.settings.bound_at(t)[0, 0]:.6g}. {self._what_is_kept()} Lower the bound, or leave '
                             'it out.')
        return number

    def _not_one_number(self, t: Array, value: Any) -> str:
        return (f'At {t} the value must be one finite number, got {value!r}. {self._what_is_kept()} An experiment '
                'without a value is told with tell_failed.')

    def _what_is_kept(self) -> str:
        return f'The {len(self._experiments.X)} evaluations before it are kept in X and Y.'

    def _checked_values(self, points: Array, values: ArrayLike) -> list[float]:
        y = plain(values)
        if y.shape != (len(points), 1) or y.dtype.kind not in 'iuf':
            raise ValueError(f'values must be numbers with shape ({len(points)}, 1), one a point, got {y.dtype} with '
                             f'shape {y.shape}.')
        infinite = ~np.isfinite(y[:, 0])
        if infinite.any():
            raise ValueError(f'{infinite.sum()} of the {len(points)} values are NaN or infinite, the first is at '
                             f'{points[infinite][0]}. Leave them out, or add their points with None as values if these '
                             'experiments failed.')
        y, bound = y.astype('float64'), self.settings.bound_at(points)
        below = (y < bound - 1e-6 * np.maximum(1, np.abs(bound)))[:, 0] & np.isfinite(bound[:, 0])
        if below.any() and not self.settings.noisy:
            first = below.argmax()
            raise ValueError(f"At {points[[first]]} the lower bound must not be above the objective's "
                             f'{y[first, 0]:.6g}, got {bound[first, 0]:.6g}. Nothing was added. Lower the bound, or '
                             'leave it out.')
        return [float(value) for value in y[:, 0]]


def _is_not_finite(value: Any) -> bool:
    """Whether it is one number, and NaN or infinite."""
    try:
        return not np.isfinite(as_number(value))
    except ValueError:
        return False


def _check_failures(failures: Exceptions) -> tuple[type[Exception], ...]:
    try:
        exceptions = (failures,) if isinstance(failures, type) else tuple(failures)
    except TypeError:
        exceptions = (failures,)  # type: ignore[assignment]
    if not all(isinstance(exception, type) and issubclass(exception, Exception) for exception in exceptions):
        raise ValueError('failures must be a class of exceptions or several, such as RuntimeError or '
                         f'(RuntimeError, OSError), got {failures!r}.')
    return exceptions


def _new_rows(points: Array, others: Array) -> NDArray[np.bool_]:
    """Which points (n, d) are none of the others (m, d), and none of those before: booleans (n,)."""
    known = {row.tobytes() for row in others + 0.0}  # −0.0 is 0.0.
    new = np.zeros(len(points), dtype=bool)
    for i, row in enumerate(points + 0.0):
        content = row.tobytes()
        if content not in known:
            known.add(content)
            new[i] = True
    return new


def _opened(path: os.PathLike[str] | str, settings: Settings) -> 'Journal':
    from latent_search.journal import Journal

    journal = Journal(path, settings.domain, str(settings))
    try:
        for event in journal.events:
            if event.value is not None and not event.value >= settings.lowest_value(event.t):
                raise ValueError(f'The journal {journal.path} has the value {event.value!r} for experiment '
                                 f'{event.number}, which is below the lower bound '
                                 f'{float(settings.bound_at(event.t)[0, 0])!r}. Correct the bound, or leave it out.')
        # Earlier versions could also search with GPyOpt, and named that in the settings.
        if journal.settings is not None and journal.settings.replace(' published=False', '') != str(settings):
            warnings.warn(f'The journal {journal.path} was made by a search with {journal.settings}; this one has '
                          f'{settings}. It continues with its own settings.', stacklevel=3)
    except BaseException:
        journal.close()
        raise
    return journal
