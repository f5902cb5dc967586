"""The searches that are compared: ours, GPyOpt with the article's settings, and those of other libraries.

Each is a function `(objective, domain, seed, budget)` that returns points (budget, d) and values (budget,). The
objective takes a point, float64 (1, d), and returns its value, (1, 1); smaller is better. The domain is (d, 2).

All start alike and know the same, as far as a library lets itself be told:

- The first six points are those of our search with that seed. GPyOpt has its own start, random search and CMA-ES have
  none.
- Values are exact. For a Gaussian process of BoTorch or scikit-optimize this means noise of a fixed tiny variance, for
  Optuna a setting; SMAC and GPyOpt learn the noise.
- `ours`, `botorch_with_prior` and what is named like them know the term of the objective that depends on the point
  alone, all others do not.
"""

import math
import os
import warnings
from tempfile import TemporaryDirectory

import cma
import numpy as np
import optuna
import torch
from botorch.acquisition import GenericMCObjective, LogExpectedImprovement, qLogExpectedImprovement
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.generation import MaxPosteriorSampling
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from botorch.optim import optimize_acqf
from botorch.utils.transforms import normalize, unnormalize
from GPyOpt.methods import BayesianOptimization
from gpytorch.constraints import Interval
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.settings import max_cholesky_size
from skopt import gp_minimize
from torch.quasirandom import SobolEngine

import gpyopt_support
from digits.objectives import nll_prior
from latent_search import create_optimizer
from latent_search.threads import limit_threads

# One thread is fastest for matrices this small, and the benchmarks run two searches at a time.
torch.set_num_threads(1)
optuna.logging.set_verbosity(optuna.logging.ERROR)
# The libraries warn of their own internals at each step.
warnings.filterwarnings('ignore', module='skopt|sklearn|optuna|botorch|gpytorch|linear_operator')
warnings.filterwarnings('ignore', category=optuna.exceptions.ExperimentalWarning)


def starting_points(domain, seed):
    """The six points that our search starts with, (6, d)."""
    return np.vstack([experiment.t for experiment in create_optimizer(None, domain, seed).ask(6)])


# ---------------------------------------------------------------------------------------------------------------------
# Ours, and GPyOpt
# ---------------------------------------------------------------------------------------------------------------------


def evaluated(search, budget):
    """Evaluates experiments until there are `budget`: points (budget, d) and values (budget,)."""
    while len(search.X) < budget:
        search.step()
    return search.X, search.Y[:, 0]


def ours(objective, domain, seed, budget, lower_bound=nll_prior):
    return evaluated(create_optimizer(objective, domain, seed, lower_bound=lower_bound), budget)


def without_bound(objective, domain, seed, budget):
    return ours(objective, domain, seed, budget, lower_bound=None)


def ours_noisy(objective, domain, seed, budget, lower_bound=None):
    """Our search for noisy values; also returns the point that it recommends, (d,)."""
    search = create_optimizer(objective, domain, seed, lower_bound=lower_bound, noisy=True)
    points, values = evaluated(search, budget)
    return points, values, search.recommend().t


def ours_noisy_with_prior(objective, domain, seed, budget):
    return ours_noisy(objective, domain, seed, budget, lower_bound=nll_prior)


articles_settings = {'model_type': 'GP', 'acquisition_type': 'EI', 'acquisition_jitter': 0.01, 'exact_feval': False}


def as_gpyopt(domain):
    return [{'name': f't{i}', 'type': 'continuous', 'domain': tuple(bounds)}
            for i, bounds in enumerate(domain, start=1)]


def gpyopt(objective, domain, seed, budget, num_threads=1):
    """GPyOpt as the article calls it."""
    with gpyopt_support.settings(seed), limit_threads(num_threads):
        optimizer = BayesianOptimization(f=objective, domain=as_gpyopt(domain), initial_design_numdata=2,
                                         **articles_settings)
        gpyopt_support.run_optimization(optimizer, budget - 2)
    return optimizer.X, optimizer.Y[:, 0]


def gpyopt_all_threads(objective, domain, seed, budget):
    """GPyOpt as it comes, with a BLAS thread for each core; one is faster."""
    return gpyopt(objective, domain, seed, budget, num_threads=os.cpu_count())


# ---------------------------------------------------------------------------------------------------------------------
# Without a model, and other libraries
# ---------------------------------------------------------------------------------------------------------------------


def uniform(objective, domain, seed, budget):
    x = np.random.default_rng(seed).uniform(*domain.T, (budget, len(domain)))
    return x, np.array([objective(row[np.newaxis])[0, 0] for row in x])


def cma_es(objective, domain, seed, budget):
    """Covariance-matrix adaptation from the centre, with a first standard deviation of 0.3 of the box's sides."""
    low, high = domain.T
    search = cma.CMAEvolutionStrategy((low + high) / 2, 0.3, {
        'CMA_stds': high - low, 'bounds': [low, high], 'seed': seed + 1, 'verbose': -9})  # 0 stands for the clock.
    points, values = [], []
    while len(values) < budget:  # Where it has converged, it only repeats itself.
        asked = search.ask()
        of_asked = [objective(point[np.newaxis])[0, 0] for point in asked[:budget - len(values)]]
        points += asked[:len(of_asked)]
        values += of_asked
        if len(of_asked) == len(asked):
            search.tell(asked, of_asked)
    return np.array(points), np.array(values)


def optuna_gp(objective, domain, seed, budget):
    """Optuna's Gaussian process, which models as soon as the six starting points are evaluated."""
    names = [f't{i}' for i in range(len(domain))]
    start = starting_points(domain, seed)
    study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=seed, deterministic_objective=True,
                                                                  n_startup_trials=len(start)))
    for point in start:
        study.enqueue_trial(dict(zip(names, map(float, point), strict=True)))
    study.optimize(lambda trial: float(objective(np.array(
        [[trial.suggest_float(name, *bounds) for name, bounds in zip(names, domain, strict=True)]]))[0, 0]), budget)
    return (np.array([[trial.params[name] for name in names] for trial in study.trials]),
            np.array([trial.value for trial in study.trials]))


def scikit_optimize(objective, domain, seed, budget):
    result = gp_minimize(lambda x: float(objective(np.array([x]))[0, 0]), [tuple(bounds) for bounds in domain],
                         n_calls=budget, random_state=seed, acq_func='EI', noise=1e-10,
                         x0=starting_points(domain, seed).tolist(), n_initial_points=0)
    return np.array(result.x_iters), np.array(result.func_vals)


def smac(objective, domain, seed, budget):
    """SMAC's Gaussian process, which learns the noise: told that values are exact, SMAC only does not repeat them.

    It keeps points in units of the box's sides, so the starting points are ours to the 13th digit.
    """
    # They are heavy, and only this search needs them.
    from ConfigSpace import Configuration, ConfigurationSpace
    from smac import BlackBoxFacade, Scenario

    names = [f't{i}' for i in range(len(domain))]
    space = ConfigurationSpace(dict(zip(names, map(tuple, domain.tolist()), strict=True)), seed=seed)
    start = [Configuration(space, dict(zip(names, point, strict=True)))
             for point in starting_points(domain, seed).tolist()]
    points, values = [], []

    def value(configuration, seed):
        points.append([configuration[name] for name in names])
        values.append(float(objective(np.array(points[-1:]))[0, 0]))
        return values[-1]

    with TemporaryDirectory() as folder:
        scenario = Scenario(space, deterministic=True, n_trials=budget, seed=seed, output_directory=folder)
        design = BlackBoxFacade.get_initial_design(scenario, n_configs=0, additional_configs=start)
        BlackBoxFacade(scenario, value, initial_design=design, logging_level=False).optimize()
    return np.array(points), np.array(values)


# ---------------------------------------------------------------------------------------------------------------------
# BoTorch
# ---------------------------------------------------------------------------------------------------------------------


def botorch(objective, domain, seed, budget):
    """BoTorch's default Gaussian process and its LogEI."""
    def propose(x, y):
        return maximised(LogExpectedImprovement(fitted(x, -y, domain), (-y).max()), domain)

    return from_starting_points(propose, objective, domain, seed, budget)


def botorch_with_prior(objective, domain, seed, budget):
    """What `ours` knows, by BoTorch's own means: f = prior + g² / 2, of which only g is modelled, as in `ours`."""
    def propose(x, y):
        return maximised(qLogExpectedImprovement(fitted(x, root_above_prior(x, y), domain), best_f=(-y).max(),
                                                 objective=GenericMCObjective(improved)), domain)

    return from_starting_points(propose, objective, domain, seed, budget)


def botorch_noisy(objective, domain, seed, budget):
    """BoTorch for noisy values, whose size it infers; also returns the point that it recommends, (d,).

    That is the evaluated point with the best posterior mean, as `recommend` of our search.
    """
    def propose(x, y):
        return maximised(qLogNoisyExpectedImprovement(fitted(x, -y, domain, exact=False), x), domain)

    points, values = from_starting_points(propose, objective, domain, seed, budget)
    x, y = torch.tensor(points), torch.tensor(values).unsqueeze(-1)
    mean = fitted(x, -y, domain, exact=False).posterior(x).mean
    return points, values, points[mean.argmax()]


def botorch_noisy_with_prior(objective, domain, seed, budget):
    """As `botorch_noisy`, of g in f = prior + g² / 2: the noise that is inferred is that of g, as in ours."""
    def model_of(x, y):
        return fitted(x, root_above_prior(x, y), domain, exact=False)

    def propose(x, y):
        return maximised(qLogNoisyExpectedImprovement(model_of(x, y), x, objective=GenericMCObjective(improved)),
                         domain)

    points, values = from_starting_points(propose, objective, domain, seed, budget)
    x, y = torch.tensor(points), torch.tensor(values).unsqueeze(-1)
    g = model_of(x, y).posterior(x)
    mean = prior_of(x).unsqueeze(-1) + (g.mean ** 2 + g.variance) / 2
    return points, values, points[mean.argmin()]


def root_above_prior(x, y):
    """The root g of values y = prior + g² / 2, (n, 1), at points x, (n, d).

    Noise takes values below the prior, and so does the objective's floor under probabilities, by 1e-8.
    """
    return (2 * (y - prior_of(x).unsqueeze(-1)).clamp(min=0)).sqrt()


def improved(samples, X):  # noqa: N803 (BoTorch's name)
    """What is maximised, for samples of g, (…, n, 1), at points, (…, n, d): (…, n)."""
    return -(prior_of(X) + samples[..., 0] ** 2 / 2)


def from_starting_points(propose, objective, domain, seed, budget):
    """Evaluates our six starting points and then what `propose` returns, (1, d), for points (n, d), values (n, 1)."""
    torch.manual_seed(seed)
    x = starting_points(domain, seed)[:budget]
    y = np.vstack([objective(row[np.newaxis]) for row in x])
    while len(x) < budget:
        new = np.clip(propose(torch.tensor(x), torch.tensor(y)).numpy(), *domain.T)
        x, y = np.vstack((x, new)), np.vstack((y, objective(new)))
    return x, y[:, 0]


def fitted(x, y, domain, exact=True, kernel=None):
    """A Gaussian process of values (n, 1) at points (n, d), with BoTorch's own kernel unless another is given.

    Of exact values the noise has a variance of 1e-6 of theirs, BoTorch's recommendation; otherwise it is inferred.
    """
    # `Standardize` divides this by the variance of the values.
    noise = 1e-6 * y.var().expand_as(y) if exact else None
    model = SingleTaskGP(x, y, noise, covar_module=kernel, outcome_transform=Standardize(1),
                         input_transform=Normalize(len(domain), bounds=torch.tensor(domain.T)))
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model


def maximised(acquisition, domain):
    """The point, (1, d), where an acquisition function is highest."""
    point, _ = optimize_acqf(acquisition, torch.tensor(domain.T), q=1, num_restarts=10, raw_samples=512)
    return point


def prior_of(t):
    """`nll_prior` for PyTorch, which needs its gradient: points (…, 1, d), or (n, d), to (…, 1) or (n,), nats."""
    return (t.square().sum(dim=-1) + t.shape[-1] * math.log(2 * math.pi)) / 2


# ---------------------------------------------------------------------------------------------------------------------
# TuRBO
# ---------------------------------------------------------------------------------------------------------------------


class TrustRegion:
    """TuRBO's trust region, with the constants of BoTorch's tutorial for proposals that come one by one.

    Attributes:
        length: its side, before the length scales stretch it, in units of the box's sides.
        converged: whether it has become so small that the search starts anew elsewhere.
    """

    longest, shortest, successes_to_grow = 1.6, 0.5 ** 7, 10

    def __init__(self, best, dimensions):
        self.length, self.best, self.converged = 0.8, best, False
        self.successes = self.failures = 0
        self.failures_to_shrink = max(4, dimensions)

    def update(self, value):
        """Takes the next value of a maximisation."""
        if value > self.best + 1e-3 * abs(self.best):
            self.successes, self.failures = self.successes + 1, 0
        else:
            self.successes, self.failures = 0, self.failures + 1
        if self.successes == self.successes_to_grow:
            self.length, self.successes = min(2 * self.length, self.longest), 0
        elif self.failures == self.failures_to_shrink:
            self.length, self.failures = self.length / 2, 0
        self.best = max(self.best, value)
        self.converged = self.length < self.shortest


def turbo(objective, domain, seed, budget):
    """TuRBO-1 as BoTorch's tutorial builds it: Thompson sampling in a trust region around the best point.

    Where the region has converged, the search starts anew with six points of a scrambled Sobol sequence and forgets
    what it knew, as in the article on TuRBO, arXiv 1910.01739.
    """
    torch.manual_seed(seed)
    bounds, d = torch.tensor(domain.T), len(domain)
    start = starting_points(domain, seed)
    x, y = np.empty((0, d)), np.empty((0, 1))
    while len(x) < budget:
        first = len(x)
        for point in start[:budget - first]:
            x, y = np.vstack((x, point)), np.vstack((y, objective(point[np.newaxis])))
        region = TrustRegion(-y[first:].min(), d)
        while len(x) < budget and not region.converged:
            new = thompson_sample(torch.tensor(x[first:]), -torch.tensor(y[first:]), domain, region.length).numpy()
            x, y = np.vstack((x, new)), np.vstack((y, objective(new)))
            region.update(-y[-1, 0])
        start = unnormalize(SobolEngine(d, scramble=True).draw(6, dtype=torch.double), bounds).numpy()
    return x, y[:, 0]


def thompson_sample(x, y, domain, length):
    """The highest of the candidates in the trust region, (1, d), in a sample of the model of values y (n, 1)."""
    d, bounds = len(domain), torch.tensor(domain.T)
    matern = MaternKernel(nu=2.5, ard_num_dims=d, lengthscale_constraint=Interval(0.005, 4))
    with max_cholesky_size(float('inf')):
        model = fitted(x, y, domain, kernel=ScaleKernel(matern))
        center = normalize(x[y.argmax()], bounds)
        scales = matern.lengthscale.detach().squeeze(0)
        half = length / 2 * scales / scales.log().mean().exp()
        low, high = (center - half).clamp(0, 1), (center + half).clamp(0, 1)
        num = min(5000, max(2000, 200 * d))
        candidates = low + (high - low) * SobolEngine(d, scramble=True).draw(num, dtype=torch.double)
        # In many dimensions only about 20 coordinates of a candidate differ from the best point, and at least one.
        moved = torch.rand(num, d) <= min(20 / d, 1)
        unmoved = torch.where(~moved.any(dim=1))[0]
        moved[unmoved, torch.randint(d, (len(unmoved),))] = True
        candidates = torch.where(moved, candidates, center)
        with torch.no_grad():
            new = MaxPosteriorSampling(model, replacement=False)(unnormalize(candidates, bounds), num_samples=1)
    return new.clamp(bounds[0], bounds[1])
