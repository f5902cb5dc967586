"""A search for the minimum of a function in a box, or of an experiment: ask where, tell what came of it."""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from latent_search.events import Event, Experiment, Experiments, Recommendation, Stage, read_only, replay
from latent_search.hyperparameters import Hyperparameters
from latent_search.interrupts import interruptible
from latent_search.points import Array, check_domain, check_integer, check_points, create_grid, distinct_distance, plain
from latent_search.threads import limit_threads

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from latent_search.acquisition import SpacedExpectedImprovement
    from latent_search.gaussian_process import GaussianProcess
    from latent_search.journal import Journal

logger = logging.getLogger(__name__)

Objective = Callable[[Array], ArrayLike]
Exceptions = type[Exception] | tuple[type[Exception], ...]


class _History(NamedTuple):
    """The events of a search and what follows from them, which change in one step."""

    events: tuple[Event, ...]
    experiments: Experiments


def create_optimizer(objective: Objective | None, domain: ArrayLike, seed: int = 0, *,
                     lower_bound: Callable[[Array], Array] | None = None, noisy: bool = False,
                     spacing: float | None = None,
                     journal: os.PathLike[str] | str | None = None) -> 'LatentOptimizer':
    """Creates a search for the minimum of a function in a box: Bayesian optimization.

    A Gaussian process (Matérn-5/2, a length scale for each dimension) models the evaluations so far: exact values or,
    if that fits better, the logarithm of how far they are above the lowest; noisy values as they are. The next
    evaluation is where the expected improvement is highest, at a distance from those that are there, in many dimensions
    near the best; see `gaussian_process` and `acquisition`. Beyond 300 evaluations the model is of 300 of them. The
    search starts with six points that fill the box evenly (Sobol).

    Where values come from outside, `ask` says where experiments are to be made and `tell` takes their results.

    Args:
        objective: a function of one point, float64 (1, d), that returns one number in any form (a float or an array
            with one element). Smaller is better. None if values come from outside.
        domain: the bounds of the box, a sequence of d pairs `(low, high)`, or GPyOpt's list of dicts.
        seed: governs the search, whatever else ran in the process: the same seed proposes the same points.
        lower_bound: a cheap function of points, float64 (n, d), that returns values, (n, 1), which are never above the
            objective, such as `nll_prior` for the article's objectives. Only the difference is modelled. Without it,
            the whole objective is. Where values are noisy, it is a bound of what they are without noise.
        noisy: whether repeating an experiment gives another value. The size of the noise is learned.
        spacing: for a search that is to find different results, how far apart they are to be, in units of the box's
            sides. Once the best value can hardly be improved, all proposals keep this distance. Without it, results
            are distinct at a distance of 1/80, and three quarters of the proposals refine the best one.
        journal: path of a CSV file in which each proposal and each result is written at once, made where there is
            none. If the file exists, the search continues from it; see `journal`. If the file records other settings,
            a warning names both.

    Returns:
        A `LatentOptimizer`.

    Raises:
        ValueError: the box is not d ≥ 1 pairs of finite numbers low < high, the seed is not an integer ≥ 0, the spacing
            is not a number between 0 and 1, the lower bound does not return such values, or the journal is damaged or
            has exact values below the bound.
        JournalInUseError: another process writes to the journal.
        OSError: the journal cannot be read or written.
    """
    return LatentOptimizer(objective, domain, seed, lower_bound=lower_bound, noisy=noisy, spacing=spacing,
                           journal=journal)


class LatentOptimizer:
    """A search, whose attributes have the names that GPyOpt gives them; made by `create_optimizer`.

    A search is the list of its events, and everything else follows from them. A proposal depends on the seed and on the
    experiments so far (evaluated, pending and failed) and on nothing else. So looking at a search does not change what
    it does next, and an interrupted search continues as if it had not been interrupted. Several threads may use one
    search.

    Attributes:
        objective, domain, seed, lower_bound, noisy: as given, the domain as float64 (d, 2).
        spacing: how far apart results are to be, in units of the box's sides.
        refinement_tolerance: the expected improvement, in standard deviations of the values, below which the search
            looks for different results only. 0 without a given spacing: it then always refines the best one too.
        num_starting_points: how many evaluations come before a model is fitted.
        num_threads: of BLAS and OpenMP, while a proposal is computed. One is fastest for matrices this small.
        error: the text of the exception that ended this search in `run_searches`; None if nothing did.
    """

    num_starting_points = 6
    num_threads = 1
    error: str | None = None

    def __init__(self, objective: Objective | None, domain: ArrayLike, seed: int = 0, *,
                 lower_bound: Callable[[Array], Array] | None = None, noisy: bool = False,
                 spacing: float | None = None, journal: os.PathLike[str] | str | None = None) -> None:
        if spacing is not None and not (isinstance(spacing, (int, float)) and 0 < spacing < 1):
            raise ValueError(f"spacing must be a number between 0 and 1, a share of the box's sides, got {spacing!r}.")
        self.objective = objective
        self.domain = check_domain(domain)
        self.seed = check_integer('seed', seed, at_least=0)
        self.lower_bound = lower_bound
        self.noisy = noisy
        self.spacing = distinct_distance if spacing is None else float(spacing)
        self.refinement_tolerance = 0.0 if spacing is None else 1e-3
        self._history = _History((), replay((), len(self.domain)))
        # An event that is being written to the journal.
        self._unsettled: Event | None = None
        # A value that could not be written to the journal yet, by the number of its experiment.
        self._evaluated: dict[int, float] = {}
        self._hyperparameters = Hyperparameters()
        self._lock = threading.RLock()
        self._journal: Journal | None = None
        self._bound(self.domain.T)  # A bound of another form is an error now, and not after some experiments.
        if journal is not None:
            self._open_journal(journal)

    def __repr__(self) -> str:
        experiments = self._experiments
        best = f', best {self.fx_opt:.6g}' if len(experiments.Y) else ''
        return (f'<{type(self).__name__} in {len(self.domain)} dimensions: {len(experiments.X)} evaluations{best}, '
                f'{len(experiments.pending)} pending, {len(experiments.failed)} failed>')

    @property
    def _experiments(self) -> Experiments:
        return self._history.experiments

    @property
    def events(self) -> tuple[Event, ...]:
        """Proposals and results in their order."""
        return self._history.events

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
        return [Experiment(number, t.copy()) for number, t in self._experiments.pending.items()]

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

    @property
    def has_journal(self) -> bool:
        """Whether each event is written to a journal."""
        return self._journal is not None

    def restore(self, events: Iterable[Event]) -> None:
        """Takes over the events of a search with the same settings, such as one that ran in another process.

        They are not written to a journal.
        """
        with self._lock:
            whole = *self._history.events, *(event._replace(t=read_only(event.t)) for event in events)
            self._history = _History(whole, replay(whole, len(self.domain)))

    def ask(self, q: int = 1) -> list[Experiment]:
        """Proposes `q` new experiments, which are then pending. Each keeps its distance from those that are already.

        Args:
            q: how many. After an interruption, ask only for those that are missing beside `pending`.

        Raises:
            ValueError: `q` is not a positive integer.
            OSError: the journal cannot be written. What was proposed before it failed is in `pending`.
        """
        q = check_integer('q', q, at_least=1)
        with self._alone():
            return [self._ask() for _ in range(q)]

    def tell(self, number: int, value: ArrayLike) -> None:
        """Takes the result of a pending experiment, in whatever order results come. Smaller is better.

        Args:
            number: that of the experiment.
            value: one finite number in any form; an experiment that has none is told with `tell_failed`.

        Raises:
            ValueError: there is no pending experiment of that number, or the value is not one finite number, or below
                the lower bound. The experiment is then still pending.
            OSError: the journal cannot be written. The experiment is then still pending, and can be told again.
        """
        with self._alone():
            t = self._pending_point(number)
            self._record(int(number), 'done', t, self._checked_value(t, value))

    def tell_failed(self, number: int, reason: object = '') -> None:
        """Records that a pending experiment failed: it gets no value, and the search avoids its surroundings.

        Args:
            number: that of the experiment.
            reason: written into the journal as text.

        Raises:
            ValueError: there is no pending experiment of that number.
            OSError: the journal cannot be written. The experiment is then still pending, and can be told again.
        """
        with self._alone():
            t = self._pending_point(number)
            self._record(int(number), 'failed', t, note=str(reason))

    def add_known(self, t: ArrayLike, values: ArrayLike) -> None:
        """Adds results that no proposal asked for, such as those of training images: a warm start.

        Args:
            t: points in the box, (n, d).
            values: their values, (n, 1). Smaller is better.

        Raises:
            ValueError: points or values have another shape or are not finite, a point is out of the box, or a value is
                below the lower bound. Nothing is added then.
            OSError: the journal cannot be written. Those before the failure are in `X` and `Y`.
        """
        points, y = check_points(t, len(self.domain)), plain(values)
        if y.shape != (len(points), 1) or y.dtype.kind not in 'iuf' or not np.isfinite(y).all():
            raise ValueError(f'values must be finite numbers with shape ({len(points)}, 1), one a point, got {y.dtype} '
                             f'with shape {y.shape}.')
        outside = ~((points >= self.domain[:, 0]) & (points <= self.domain[:, 1])).all(axis=1)
        if outside.any():
            raise ValueError(f'{outside.sum()} of the {len(points)} points are not within the bounds, the first is '
                             f'{points[outside][0]}. Leave them out, or search a larger box.')
        rows = points[:, np.newaxis]
        checked = [self._checked_value(row, value) for row, value in zip(rows, y, strict=True)]
        with self._alone():
            for row, value in zip(rows, checked, strict=True):
                self._record(self._experiments.last_number + 1, 'known', row, value)

    def close(self) -> None:
        """Leaves the journal to others, who may edit it or continue from it; the end of the process does so too."""
        if self._journal is not None:
            self._journal.close()

    def run_optimization(self, max_iter: int) -> None:
        """Evaluates the starting points, if that is still to do, and then `max_iter` proposals.

        Pending experiments, whose evaluation was interrupted, are the first of them.

        Args:
            max_iter: number of proposals to evaluate, 0 or more.

        Raises:
            ValueError: there is no objective, or it returned something other than one finite number. After this and
                after any error that the objective raises itself, all earlier evaluations are in `X` and `Y`, and the
                search can continue.
            Interrupted: a KeyboardInterrupt that says what is kept and how to continue.
        """
        max_iter = check_integer('max_iter', max_iter, at_least=0)
        missing = max(self.num_starting_points - len(self._experiments.X), 0)
        before = len(self._experiments.X)

        def rest() -> str:
            done = len(self._experiments.X)
            return f'run_optimization({before + missing + max_iter - max(done, self.num_starting_points)})'

        self._run(lambda: len(self._experiments.X) - before, missing + max_iter, rest)

    def run(self, num_experiments: int, failures: Exceptions = ()) -> None:
        """Evaluates the objective until `num_experiments` experiments have a result, those before included.

        Pending experiments, whose evaluation was interrupted, are the first of them. So the same call in a program
        that was stopped and started again, with a journal, goes on to the same number.

        Args:
            num_experiments: how many are to have a result, a value or a failure.
            failures: the exceptions of the objective that mean that an experiment has failed, see `tell_failed`. All
                others end the run.

        Raises:
            ValueError, Interrupted: see `run_optimization`.
        """
        num_experiments = check_integer('num_experiments', num_experiments, at_least=0)
        self._run(lambda: len(self._experiments.X) + len(self._experiments.failed), num_experiments,
                  lambda: f'run({num_experiments}, ...)' if failures else f'run({num_experiments})', failures)

    def _run(self, num_done: Callable[[], int], total: int, rest: Callable[[], str], failures: Exceptions = ()) -> None:
        def what_is_kept() -> str:
            journal = '' if self._journal is None else f' and in {self._journal.path}'
            return (f'The {len(self._experiments.X)} evaluations of this search are kept in X and Y{journal}. '
                    f'{rest()} continues it.')

        name = getattr(self.objective, '__name__', '')
        with interruptible(what_is_kept), \
                tqdm(total=total, initial=min(num_done(), total), desc=name if name.isidentifier() else 'search',
                  unit='evaluation', file=sys.stdout) as bar:
            while num_done() < total:
                self.step(failures)
                bar.update()
                if len(self._experiments.Y):
                    bar.set_postfix(best=f'{self._experiments.Y.min():.4g}', refresh=False)

    def step(self, failures: Exceptions = ()) -> None:
        """Evaluates one experiment: the oldest that is pending, or else a new proposal.

        Args:
            failures: as for `run`.

        Raises:
            ValueError: see `run_optimization`.
        """
        if not callable(self.objective):
            raise ValueError('This search has no objective that it could evaluate: it was created with '
                             f'{self.objective!r}. Use ask and tell, or create it with a function.')
        pending = self.pending
        experiment = pending[0] if pending else self.ask()[0]
        if experiment.number not in self._evaluated:
            try:
                value = self.objective(experiment.t.copy())
            except failures as error:
                return self.tell_failed(experiment.number, f'{type(error).__name__}: {error}')
            self._evaluated = {experiment.number: self._checked_value(experiment.t, value)}
        # If the journal cannot be written, the value is there when the search continues.
        with self._alone():
            if experiment.number in self._experiments.pending:
                self._record(experiment.number, 'done', experiment.t, self._evaluated[experiment.number])

    def suggest_next_locations(self) -> Array:
        """The point where the next evaluation would be made, float64 (1, d); `ask` proposes it."""
        experiments = self._experiments
        rng = self._random_state(experiments.num)
        if len(experiments.X) < self.num_starting_points:
            return self._starting_point(experiments, rng)
        unit = self._unit(experiments)
        model, acquisition = self._model_and_acquisition(experiments, unit)
        try:
            with limit_threads(self.num_threads):
                model.fit(experiments.X, experiments.Y / unit)
                # In floating point low + (high − low) can be above high.
                return np.clip(acquisition.propose(rng), *self.domain.T)
        except np.linalg.LinAlgError as error:
            logger.warning('No Gaussian process can be fitted to these %d evaluations (%s); the next point is a random '
                           'one.', len(experiments.X), error)
            low, high = self.domain.T
            return rng.uniform(low, high, (1, len(low)))

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
        points, unit = check_points(t, len(self.domain)), self._unit(experiments)
        model, _ = self._model_and_acquisition(experiments, unit)
        with limit_threads(self.num_threads):
            model.fit(experiments.X, experiments.Y / unit)
            mean, std = model.predict(points)
            ei = model.expected_improvement(points)
        return unit * mean, unit * std, unit * ei

    def recommend(self) -> Recommendation:
        """The evaluated point with the lowest posterior mean: what a noisy search has found, where `x_opt` is luck.

        Where values are exact, it is the point with the lowest value.

        Raises:
            ValueError: there are fewer evaluations than starting points.
        """
        points, values = self._experiments.X, self._experiments.Y
        mean, std, _ = self.posterior(points if len(points) else self.domain.mean(axis=1)[np.newaxis])
        if not self.noisy:
            mean, std = values, np.zeros_like(values)
        best = mean.argmin()
        return Recommendation(points[best].copy(), float(mean[best, 0]), float(std[best, 0]))

    def after(self, num_evaluations: int) -> 'LatentOptimizer':
        """The search as it was after its first evaluations: the same settings, and the events up to then.

        Its `posterior` is what this search believed then, and its next proposal the one that was made. The two share
        no experiments and no journal.

        Args:
            num_evaluations: how many, from 0 to all.

        Raises:
            ValueError: there are fewer evaluations.
        """
        num = check_integer('num_evaluations', num_evaluations, at_least=0)
        ends = [0, *(i for i, event in enumerate(self.events, start=1) if event.value is not None)]
        if num >= len(ends):
            raise ValueError(f'There are {len(ends) - 1} evaluations, fewer than {num}. Call run_optimization first.')
        earlier = LatentOptimizer(self.objective, self.domain, self.seed, lower_bound=self.lower_bound,
                                  noisy=self.noisy, spacing=self.spacing if self.refinement_tolerance else None)
        earlier.restore(self.events[:ends[num]])
        return earlier

    def stages(self, numbers: Iterable[int], points: int = 101) -> list[Stage]:
        """What the search knew after some of its evaluations, over a box of two dimensions.

        Args:
            numbers: of evaluations; each gives a stage.
            points: along each side of the grid on which posterior and expected improvement are computed.

        Raises:
            ValueError: the box has other than two dimensions, or a number is below that of the starting points or above
                that of all evaluations.
        """
        if len(self.domain) != 2:
            raise ValueError(f'Stages are drawn over a box of two dimensions, this one has {len(self.domain)}.')
        gx, _, t = create_grid(self.domain, points)
        stages = []
        for number in numbers:
            earlier = self.after(number)
            mean, std, ei = (values.reshape(gx.shape) for values in earlier.posterior(t))
            later = self.events[len(earlier.events):]
            proposed = later[0].t if later and later[0].status == 'proposed' else earlier.suggest_next_locations()
            stages.append(Stage(earlier.X, earlier.Y, mean, std, ei, proposed[0]))
        return stages

    def plot_stages(self, numbers: Iterable[int], title: str, unit: str = '') -> 'Figure':
        """Draws what the search knew after some of its evaluations: see `stages` and `figures.plot_stages`."""
        from latent_search import figures

        return figures.plot_stages(self.domain, self.stages(numbers, points=121), title, unit)

    def plot_trajectory(self, gx: Array, gy: Array, values: Array, title: str, unit: str = '') -> 'Figure':
        """Draws where a search in two dimensions went, over the contours of its objective, and the best value so far.

        Args:
            gx: first coordinates of a grid, (m, k).
            gy: second coordinates, (m, k).
            values: the objective at the grid's points, (m * k,).
            title: of the figure.
            unit: of the objective, such as 'nats'.

        Raises:
            ValueError: the box has other than two dimensions, there are no evaluations, or `values` are not the grid's.
        """
        from latent_search import figures

        return figures.plot_trajectory(gx, gy, values, self.X, self.Y, title, unit)

    def plot_experiments(self, title: str, expected: Callable[[Array], Array] | None = None) -> 'Figure':
        """Draws the value of each experiment in the order of results, and the best so far; failed ones at the top.

        Args:
            title: of the figure.
            expected: for a noisy search, a function of points (n, d) that returns values (n, 1) without noise, if there
                is one. The best so far is then also drawn without its noise.

        Raises:
            ValueError: there are no results.
        """
        from latent_search import figures

        results = [event for event in self.events if event.status != 'proposed']
        statuses = np.array([event.status for event in results])
        values = np.array([np.nan if event.value is None else event.value for event in results])
        experiments = replay(results, len(self.domain))
        without_noise = None
        if expected is not None and len(experiments.X):
            best = [experiments.Y[:n].argmin() for n in range(1, len(experiments.Y) + 1)]
            without_noise = expected(experiments.X[best])[:, 0]
        return figures.plot_experiments(statuses, values, title, without_noise)

    def plot_convergence(self) -> 'Figure':
        """Draws the distance between consecutive evaluations, and the best value so far, as GPyOpt does.

        Raises:
            ValueError: there are fewer than two evaluations.
        """
        from latent_search import figures

        return figures.plot_convergence(self.X, self.Y)

    def __getstate__(self) -> dict[str, Any]:
        if self._journal is not None:
            raise TypeError('A search with a journal cannot be pickled or copied, as its journal belongs to one '
                            'process. Create it there from the same file, after close().')
        return {name: value for name, value in self.__dict__.items() if name not in ('_lock', '_hyperparameters')}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A copy may go on with other evaluations, so it fits its own hyperparameters.
        self.__dict__.update(state, _lock=threading.RLock(), _hyperparameters=Hyperparameters())

    def _random_state(self, num_experiments: int) -> np.random.RandomState:
        return np.random.RandomState(np.random.SeedSequence((self.seed, num_experiments)).generate_state(4))

    def _ask(self) -> Experiment:
        number = self._experiments.last_number + 1
        t = self.suggest_next_locations()
        self._record(number, 'proposed', t)
        return Experiment(number, t.copy())

    def _pending_point(self, number: int) -> Array:
        pending = self._experiments.pending
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number not in pending:
            raise ValueError(f'There is no pending experiment {number!r}. The pending ones are '
                             f'{", ".join(map(str, pending)) or "none"}.')
        return pending[int(number)]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lets no other thread change the search, and ends what an interrupt has left unfinished."""
        with self._lock:
            self._settle()
            yield

    def _record(self, number: int, status: str, t: Array, value: float | None = None, note: str = '') -> None:
        """Writes an event to the journal and takes it into memory: both, or neither, whatever interrupts."""
        event = Event(number, status, read_only(t), value, note)
        if self._journal is None:
            return self._take(event)
        try:
            self._unsettled = event
            self._journal.append(event)
            self._take(event)
            self._unsettled = None
        except (OSError, ValueError):
            self._unsettled = None
            raise
        except BaseException:
            self._settle()
            raise

    def _take(self, event: Event) -> None:
        self._history = _History((*self._history.events, event), self._experiments.after(event))

    def _settle(self) -> None:
        event = self._unsettled
        if event is not None and self._journal is not None:
            taken = any((other.number, other.status) == event[:2] for other in self._history.events[-1:])
            if not taken and self._journal.settle(event):
                self._take(event)
            self._unsettled = None

    def _open_journal(self, path: os.PathLike[str] | str) -> None:
        from latent_search.journal import Journal

        spacing = f'spacing={self.spacing:.9g} ' if self.refinement_tolerance else ''
        settings = f'seed={self.seed} noisy={self.noisy} {spacing}lower_bound='
        if self.lower_bound is None:
            settings += 'None'
        else:  # A function has no name that could be relied on.
            settings += f'{self._bound(self.domain.mean(axis=1)[np.newaxis])[0, 0]:.9g} at the centre'
        journal = Journal(path, self.domain, settings)
        try:
            for event in journal.events:
                if event.value is not None and not event.value >= self._lowest_value(event.t):
                    raise ValueError(f'The journal {journal.path} has the value {event.value!r} for experiment '
                                     f'{event.number}, which is below the lower bound '
                                     f'{float(self._bound(event.t)[0, 0])!r}. Correct the bound, or leave it out.')
        except BaseException:
            journal.close()
            raise
        # Earlier versions could also search with GPyOpt, and named that in the settings.
        if journal.settings is not None and journal.settings.replace(' published=False', '') != settings:
            warnings.warn(f'The journal {journal.path} was made by a search with {journal.settings}; this one has '
                          f'{settings}. It continues with its own settings.', stacklevel=4)
        self._journal = journal
        self.restore(journal.events)

    def _bound(self, t: Array) -> Array:
        """The lower bound at points (n, d): (n, 1), −∞ where there is none."""
        if self.lower_bound is None:
            return np.full((len(t), 1), -np.inf)
        bound = plain(self.lower_bound(t.copy()))
        if bound.shape != (len(t), 1) or bound.dtype.kind not in 'iuf' or not np.isfinite(bound).all():
            raise ValueError(f'lower_bound must return finite numbers with shape (n, 1), one for each of n points. For '
                             f'points with shape {t.shape} it returned {bound.dtype} with shape {bound.shape}'
                             f'{"" if bound.shape != (len(t), 1) else " that are not all finite numbers"}.')
        return bound.astype('float64')

    def _lowest_value(self, t: Array) -> float:
        """The lowest value at a point (1, d) that does not contradict the bound, but for rounding errors."""
        if self.noisy:
            return -np.inf
        bound = self._bound(t)[0, 0]
        return bound - 1e-6 * max(1.0, abs(bound)) if np.isfinite(bound) else bound

    def _checked_value(self, t: Array, value: ArrayLike) -> float:
        kept = f'The {len(self._experiments.X)} evaluations before it are kept in X and Y.'
        y = plain(value)
        if y.size != 1 or y.dtype.kind not in 'iuf' or not np.isfinite(float(y.item())):
            raise ValueError(f'At {t} the value must be one finite number, got {value!r}. {kept} An experiment without '
                             'a value is told with tell_failed.')
        number = float(y.item())
        if not number >= self._lowest_value(t):
            raise ValueError(f"At {t} the lower bound must not be above the objective's {number:.6g}, got "
                             f'{self._bound(t)[0, 0]:.6g}. {kept} Lower the bound, or leave it out.')
        return number

    def _unit(self, experiments: Experiments) -> float:
        """What values are divided by before they are modelled, so that their squares neither overflow nor underflow."""
        largest = np.abs(experiments.Y).max(initial=0.0)
        return 1.0 if largest == 0 or 1e-100 <= largest <= 1e100 else float(2.0 ** np.floor(np.log2(largest)))

    def _starting_point(self, experiments: Experiments, rng: np.random.RandomState) -> Array:
        from scipy.stats import qmc

        if len(experiments.failed) and len(experiments.X):
            from latent_search.acquisition import starting_point_around_successes

            low, width = self.domain[:, 0], np.ptp(self.domain, axis=1)
            pending = np.vstack([np.empty((0, len(low))), *experiments.pending.values()])
            evaluated, failed, pending = ((t - low) / width for t in (experiments.X, experiments.failed, pending))
            u = starting_point_around_successes(evaluated, failed, pending, rng)
            return np.clip(low + width * u, *self.domain.T)[np.newaxis]
        # Sobol's sequence is even from the start only in powers of two.
        index = experiments.num
        sobol = qmc.Sobol(len(self.domain), rng=self.seed).random_base2(max(3, index.bit_length()))
        return qmc.scale(sobol[[index]], *self.domain.T)

    def _model_and_acquisition(self, experiments: Experiments,
                               unit: float) -> tuple['GaussianProcess', 'SpacedExpectedImprovement']:
        from latent_search.acquisition import SpacedExpectedImprovement
        from latent_search.gaussian_process import GaussianProcess, LogGaussianProcess, SquaredGaussianProcess

        pending = [t[0] for t in experiments.pending.values()]
        model: GaussianProcess
        if self.lower_bound is not None:
            # In floating point low + (high − low) can be above high, and the bound may not be known there.
            model = SquaredGaussianProcess(self.domain, lambda t: self._bound(np.clip(t, *self.domain.T)) / unit,
                                           self.noisy, pending, self._hyperparameters)
        else:
            model = (GaussianProcess if self.noisy else LogGaussianProcess)(
                self.domain, self.noisy, pending, self._hyperparameters)
        return model, SpacedExpectedImprovement(model, experiments.failed, spacing=self.spacing,
                                                refinement_tolerance=self.refinement_tolerance)
