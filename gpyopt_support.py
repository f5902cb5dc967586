"""Workarounds for faults of GPyOpt, which is archived.

    import gpyopt_support
    from GPyOpt.methods import BayesianOptimization

    with gpyopt_support.settings(seed=0):
        optimizer = BayesianOptimization(f=objective, domain=bounds)
        gpyopt_support.run_optimization(optimizer, max_iter=50)
        gpyopt_support.plot_acquisition(optimizer, 'The search after 52 evaluations')
"""

import io
import sys
import warnings
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from tqdm import tqdm

from latent_search.figures import describe, styled
from latent_search.interrupts import interruptible
from latent_search.threads import limit_threads

# Importing GPyOpt adds filters that silence the user's own warnings, and GPy replaces the function that formats them.
# Where packages were installed without being compiled, Python warns of the syntax of their source.
_formatwarning = warnings.formatwarning
with warnings.catch_warnings():
    warnings.simplefilter('ignore', SyntaxWarning)
    import GPyOpt.methods  # noqa: F401
warnings.formatwarning = _formatwarning

# GPy prints a line where a fit is interrupted.
sys.modules['GPy.core.gp'].print = lambda *_: None


@contextmanager
def settings(seed):
    """Creates, runs and draws a search of GPyOpt in this block: the same seed then gives the same search.

    GPyOpt has no seed argument and draws from NumPy's global random state, in `plot_acquisition` too, which fits the
    model again. The state is put back after the block.
    """
    # With a thread for each core, the threads spend their time waiting for each other: the matrices are small.
    # GPy's fits have starts that overflow, which it discards.
    with limit_threads(1), np.errstate(all='ignore'):
        before = np.random.get_state()
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)


def run_optimization(optimizer, max_iter):
    """Calls `optimizer.run_optimization(max_iter)`, and shows its progress and the best value so far.

    GPyOpt itself ends a search silently if two consecutive points coincide, as in a corner. Here the search continues.

    Raises:
        RuntimeError: no Gaussian process could be fitted. GPyOpt itself ends the search silently there, too.
        Interrupted: a KeyboardInterrupt that says what is kept and how to continue.
    """
    total = len(optimizer.Y) + max_iter
    evaluate_objective = optimizer.evaluate_objective

    def evaluate_and_show():
        evaluate_objective()
        bar.set_postfix(best=f'{optimizer.Y.min():.4g}', refresh=False)
        bar.update()

    def what_is_kept():
        return (f'The {len(optimizer.Y)} evaluations of this search are kept in optimizer.X and .Y. '
                f'run_optimization(optimizer, {total - len(optimizer.Y)}) continues it.')

    optimizer.evaluate_objective = evaluate_and_show
    with interruptible(what_is_kept), tqdm(total=max_iter, desc='search', unit='evaluation', file=sys.stdout) as bar:
        try:
            optimizer.run_optimization(max_iter, eps=-1)  # No distance is below −1.
        except AttributeError as error:
            # GPyOpt catches np.linalg.linalg.LinAlgError, a name that NumPy 2.4 no longer has: whatever ends a fit, an
            # interrupt too, becomes this error.
            if error.name != 'linalg':
                raise
            if not isinstance(error.__context__, np.linalg.LinAlgError):
                raise error.__context__ from None
        finally:
            del optimizer.evaluate_objective
            # GPyOpt adds a point before it has its value.
            optimizer.X = optimizer.X[:len(optimizer.Y)]
    if len(optimizer.Y) < total:
        raise RuntimeError(f'GPyOpt ended this search after {len(optimizer.Y)} of {total} evaluations, as no Gaussian '
                           'process can be fitted to them; they are kept in optimizer.X and .Y, and a search with '
                           'another seed may go on longer.')


@styled
def plot_acquisition(optimizer, title):
    """Calls `optimizer.plot_acquisition()`, and returns its figure with a title and an alternative text.

    GPyOpt shows the figure at once and returns nothing, unless it saves it, so it saves it here.
    """
    optimizer.plot_acquisition(io.BytesIO())
    figure = plt.gcf()
    figure.set_size_inches(10, 3.4)
    for axis in figure.axes:
        axis.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    figure.suptitle(title)
    return describe(figure, f'{title}. Three maps of the box: posterior mean and posterior standard deviation with the '
                    'evaluations as dots, and the acquisition function with the next proposal.')
