"""Bayesian optimization of any experiment: the smallest value of a function in a box, in few evaluations.

    from latent_search import create_optimizer

    search = create_optimizer(lambda t: ((t - 1) ** 2).sum(axis=1, keepdims=True), [(-4, 4)] * 2)
    search.run_optimization(max_iter=20)
    print(search.Y.min(), 'at', search.X[search.Y.argmin()])

It uses neither images nor networks. The first figure imports Matplotlib.
"""

from latent_search.events import Event, Experiment, Recommendation
from latent_search.gradients import GradientSearch, search_with_gradients
from latent_search.hindsight import Slice, Stage, search_after, slices_of, stages_of
from latent_search.interrupts import Interrupted, interruptible
from latent_search.locked_file import JournalInUseError
from latent_search.points import create_grid, distinct_distance, sample_around, spaced_best, top
from latent_search.search import LatentOptimizer, create_optimizer
from latent_search.sweeps import run_searches

__all__ = ['Event', 'Experiment', 'GradientSearch', 'Interrupted', 'JournalInUseError', 'LatentOptimizer',
           'Recommendation', 'Slice', 'Stage', 'create_grid', 'create_optimizer', 'distinct_distance', 'interruptible',
           'run_searches', 'sample_around', 'search_after', 'search_with_gradients', 'slices_of', 'spaced_best',
           'stages_of', 'top']
