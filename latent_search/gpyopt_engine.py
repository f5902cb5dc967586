"""GPyOpt runs the searches. This is the only file that imports it, when a proposal first needs it.

GPyOpt is archived, so what it needs from its caller is done here:

- Importing it calls `warnings.filterwarnings('ignore')`, which would silence the user's own warnings from then on, and
  GPy replaces the function that formats them. Both are put back.
- Where packages were installed without being compiled, Python warns of its syntax when it is first imported. It does
  not here.
- Its own search draws from NumPy's global random state and has no seed argument. The state is set from the search's
  seed and put back afterwards, under a lock. What ran before in the process makes no difference.
- Its own search runs into infinities in hyperparameter restarts, which it discards. NumPy does not warn of them there.
- GPy prints a line where a fit is interrupted. It does not here.
- Its own loop (`run_optimization`) is not used. It ends early and in silence where two proposals nearly coincide, where
  a fit fails (or with an AttributeError, as it names an exception that NumPy 2.4 no longer has), and where its
  `model_update_interval` is above 1.
"""

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latent_search.acquisition import Acquisition
from latent_search.gaussian_process import GaussianProcess
from latent_search.points import Array
from latent_search.threads import find_libraries_again

# NumPy's global random state belongs to the whole process, and so do the warning filters during the import.
_process_lock = threading.RLock()


@cache
def import_gpyopt() -> ModuleType:
    """Imports GPyOpt without its side effects on the process."""
    with _process_lock:
        formatwarning = warnings.formatwarning
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', SyntaxWarning)
            import GPyOpt
            import GPyOpt.methods
        warnings.formatwarning = formatwarning
        sys.modules['GPy.core.gp'].print = lambda *_: None  # type: ignore[attr-defined]
        find_libraries_again()  # GPy computes kernels in OpenMP's threads.
    return GPyOpt


@cache
def _adapters() -> tuple[type, type, type]:
    """Our boxes, models and acquisitions at GPyOpt's extension points.

    They are subclasses of its `Design_space`, `BOModel` and `AcquisitionBase`.
    """
    gpyopt = import_gpyopt()

    class Box(gpyopt.Design_space):  # type: ignore[name-defined]
        def unzip_inputs(self, X: Array) -> Array:  # noqa: N803
            return X  # Continuous variables are modelled as they are; GPyOpt copies each number to find that.

    class Model(gpyopt.models.base.BOModel):  # type: ignore[name-defined]
        analytical_gradient_prediction = True

        def __init__(self, model: GaussianProcess) -> None:
            self.model = model

        def updateModel(self, X_all: Array, Y_all: Array, X_new: Any, Y_new: Any) -> None:  # noqa: N802, N803
            self.model.fit(X_all, Y_all)

        def predict(self, X: Array) -> tuple[Array, Array]:  # noqa: N803
            return self.model.predict(X)

        def get_fmin(self) -> float:
            return self.model.incumbent()

        def get_model_parameters(self) -> Array:
            return self.model.length_scales[np.newaxis]

    class AcquisitionFunction(gpyopt.acquisitions.base.AcquisitionBase):  # type: ignore[name-defined]
        def __init__(self, model: Model, space: Any, acquisition: Acquisition, rng: np.random.RandomState) -> None:
            super().__init__(model, space, gpyopt.optimization.AcquisitionOptimizer(space))  # Required, and not used.
            self.acquisition, self.rng = acquisition, rng

        def optimize(self, duplicate_manager: Any = None) -> tuple[Array, Array]:
            t, value = self.acquisition.propose(self.rng)
            return t, np.array([[-value]])

    return Box, Model, AcquisitionFunction


def propose(model: GaussianProcess, acquisition: Acquisition, domain: Array, X: Array, Y: Array,  # noqa: N803
            rng: np.random.RandomState) -> Array:
    """Has GPyOpt fit the model to all evaluations and propose the next point, (1, d).

    Args:
        model: is fitted here.
        acquisition: chooses the point by that model.
        domain: the bounds of the box, (d, 2).
        X: the evaluated points, (n, d).
        Y: their values, (n, 1).
        rng: what the acquisition draws from.

    Raises:
        np.linalg.LinAlgError: no model can be fitted.
    """
    gpyopt = import_gpyopt()
    box, model_adapter, acquisition_adapter = _adapters()
    space = box(_as_gpyopt(domain))
    fitted = model_adapter(model)
    function = acquisition_adapter(fitted, space, acquisition, rng)
    optimizer = gpyopt.methods.ModularBayesianOptimization(
        fitted, space, None, function, gpyopt.core.evaluators.Sequential(function), X, Y, normalize_Y=False)
    # In floating point low + (high − low) can be above high.
    return np.clip(optimizer.suggest_next_locations(), *domain.T)


def propose_as_published(domain: Array, X: Array, Y: Array, state: NDArray[np.uint32], **settings: Any) -> Array:  # noqa: N803
    """Has GPyOpt propose the next points with the article's settings: (1, d).

    These are its own Gaussian process with one length scale and learned noise, and expected improvement with jitter
    0.01.

    Args:
        domain: the bounds of the box, (d, 2).
        X: the evaluated points, (n, d).
        Y: their values, (n, 1).
        state: seeds NumPy's global random state, as `np.random.seed` takes it.
        settings: further arguments of GPyOpt's `BayesianOptimization`, such as those of its batches.

    Raises:
        np.linalg.LinAlgError: no model can be fitted.
    """
    with _as_gpyopt_needs_it(state):
        return np.clip(published_optimizer(domain, X, Y, **settings).suggest_next_locations(), *domain.T)


def posterior_as_published(domain: Array, X: Array, Y: Array, state: NDArray[np.uint32],  # noqa: N803
                           t: Array) -> tuple[Array, Array, Array]:
    """Fits GPyOpt's own model as published: mean, standard deviation and expected improvement at points, each (n, 1).

    They are in the units of the objective. For the arguments see `propose_as_published`; `t` are the points, (n, d).
    """
    with _as_gpyopt_needs_it(state):
        optimizer = published_optimizer(domain, X, Y)
        optimizer._update_model(optimizer.normalization_type)
        # GPyOpt models (Y − mean) / std, or Y − mean where all values are equal.
        scale = Y.std() or 1.0
        mean, std = optimizer.model.predict(t, with_noise=False)
        ei = -optimizer.acquisition.acquisition_function(t)
    return Y.mean() + scale * mean, scale * std, scale * ei


def published_optimizer(domain: Array, X: Array, Y: Array, **settings: Any) -> Any:  # noqa: N803
    """GPyOpt's optimizer with the article's settings, which knows the evaluations so far.

    For the arguments see `propose_as_published`. In the article, GPyOpt draws two starting points and calls the
    objective itself; here the search does both.
    """
    return import_gpyopt().methods.BayesianOptimization(
        f=None, domain=_as_gpyopt(domain), X=X, Y=Y, model_type='GP', acquisition_type='EI', acquisition_jitter=0.01,
        exact_feval=False, **settings)


def _as_gpyopt(domain: Array) -> list[dict[str, Any]]:
    return [{'name': f't{i}', 'type': 'continuous', 'domain': tuple(bounds)}
            for i, bounds in enumerate(domain, start=1)]


@contextmanager
def _as_gpyopt_needs_it(state: NDArray[np.uint32]) -> Iterator[None]:
    import_gpyopt()
    with _process_lock:
        before = np.random.get_state()
        try:
            np.random.seed(state)
            with np.errstate(all='ignore'):
                yield
        finally:
            np.random.set_state(before)
