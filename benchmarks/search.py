"""Compares searches for digits: random, GPyOpt as published, ours, BoTorch, Optuna, scikit-optimize.

`make bench` installs what is compared into an environment of its own and runs this. Everything searches the article's
second objective, with 52 evaluations, for the same targets and seeds, on the pretrained models; it needs no MNIST.
The tables that README quotes are printed and written to benchmarks/results/, which is also where the notebook's figure
of regret against evaluations comes from. Times are measured first, one search at a time; then two processes run the
searches that regret is measured on.
"""

import argparse
import csv
import os
import sys
import time
import warnings

import numpy as np
from joblib import Parallel, delayed
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

import vae_opt_util
from vae_opt_util import benchmark_results_dir as results_dir
from vae_opt_util import (
    checkpoints_dir,
    create_decode_classify,
    create_grid,
    create_nll,
    create_optimizer,
    distinct_distance,
    load_pretrained,
    mean_pixel_distance,
    nll_all_targets,
    nll_prior,
    predict,
    top,
)

domain = np.array([(-4.0, 4.0)] * 2)
budget = 52
checkpoints_dir = checkpoints_dir.parent / 'bench'


def ours(objective, seed, budget, lower_bound=nll_prior, published=False):
    search = create_optimizer(objective, domain, seed, lower_bound, published)
    while len(search.X) < budget:
        search._step()
    return search.X, search.Y[:, 0]


def as_published(objective, seed, budget):
    return ours(objective, seed, budget, published=True)


def as_published_all_threads(objective, seed, budget):
    """GPyOpt as it comes, with a BLAS thread for each core; `create_optimizer` gives it one, which is faster."""
    vae_opt_util.threadpool_limits = lambda _, user_api: threadpool_limits(os.cpu_count(), user_api)
    try:
        return as_published(objective, seed, budget)
    finally:
        vae_opt_util.threadpool_limits = threadpool_limits


def without_bound(objective, seed, budget):
    return ours(objective, seed, budget, lower_bound=None)


def on_fresh_seeds(objective, seed, budget):
    """Seeds that took no part when the settings of our search were chosen; those from 0 to 39 and 100 to 119 did."""
    return ours(objective, 1000 + seed, budget)


def uniform(objective, seed, budget):
    x = np.random.default_rng(seed).uniform(*domain.T, (budget, 2))
    return x, np.array([objective(row[np.newaxis])[0, 0] for row in x])


def botorch(objective, seed, budget):
    import torch
    from botorch.acquisition import LogExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Normalize, Standardize
    from botorch.optim import optimize_acqf
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.manual_seed(seed)
    bounds = torch.tensor(domain.T)
    x = torch.tensor(np.random.default_rng(seed).uniform(*domain.T, (6, 2)))
    y = torch.tensor([objective(row.numpy()[np.newaxis])[0, 0] for row in x]).unsqueeze(-1)
    while len(x) < budget:
        model = SingleTaskGP(x, -y, input_transform=Normalize(2, bounds=bounds), outcome_transform=Standardize(1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        new, _ = optimize_acqf(LogExpectedImprovement(model, (-y).max()), bounds, q=1, num_restarts=10, raw_samples=512)
        x = torch.cat((x, new))
        y = torch.cat((y, torch.tensor(objective(new.numpy()))))
    return x.numpy(), y[:, 0].numpy()


def optuna_gp(objective, seed, budget):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=seed, deterministic_objective=True))
    study.optimize(lambda trial: float(objective(np.array(
        [[trial.suggest_float(f't{i}', *bounds) for i, bounds in enumerate(domain)]]))[0, 0]), n_trials=budget)
    return (np.array([[trial.params['t0'], trial.params['t1']] for trial in study.trials]),
            np.array([trial.value for trial in study.trials]))


def scikit_optimize(objective, seed, budget):
    from skopt import gp_minimize

    result = gp_minimize(lambda x: float(objective(np.array([x]))[0, 0]), [tuple(bounds) for bounds in domain],
                         n_calls=budget, random_state=seed, acq_func='EI')
    return np.array(result.x_iters), np.array(result.func_vals)


methods = {'random': uniform, 'GPyOpt as published': as_published, 'ours': ours, 'ours, no lower bound': without_bound,
           'BoTorch LogEI': botorch, 'Optuna GP': optuna_gp, 'scikit-optimize EI': scikit_optimize}
others = ('BoTorch LogEI', 'Optuna GP', 'scikit-optimize EI')
fresh = 'ours, seeds from 1000'
shared = 'ours, all ten probabilities'


def ours_shared(label_probs, seed, budget):
    """Searches for ten targets in turn, each of which sees the evaluations of all.

    Each evaluation gives the probabilities of all labels, and so the objectives of all targets. A search is given the
    300 of the evaluations that are lowest for it, so that its Gaussian process stays small.

    Returns:
        Points (10 * budget, 2) and the objectives of all targets there, (10 * budget, 10).
    """
    searches = [create_optimizer(None, domain, 10 * seed + target, nll_prior) for target in range(10)]
    points, values = np.empty((0, 2)), np.empty((0, 10))
    for step in range(10 * budget):
        search, target = searches[step % 10], step % 10
        if step // 10 >= 1:
            lowest = np.argsort(values[:, target], kind='stable')[:300]
            search.X, search.Y = points[lowest], values[lowest, target:target + 1]
        x = search.suggest_next_locations() if step >= 10 else search._starting_point()
        points, values = np.vstack((points, x)), np.vstack((values, nll_all_targets(label_probs, x)))
    return points, values


def global_minima(label_probs):
    """The minimum for each target on a grid of 0.02, refined by a local optimizer: values (10,)."""
    _, _, t = create_grid(domain, points=401)
    nll = nll_all_targets(label_probs, t)
    return np.array([minimize(lambda x, target=target: nll_all_targets(label_probs, x[np.newaxis])[0, target],
                              t[nll[:, target].argmin()], method='Nelder-Mead', bounds=domain,
                              options={'xatol': 1e-6, 'fatol': 1e-9}).fun for target in range(10)])


def measure_judge():
    """How many of all points near the minimum the judge reads as the target, on a grid of 0.02: a search's limit."""
    _, _, t = create_grid(domain, points=401)
    nll = nll_all_targets(models()['label_probs'], t)
    rows = []
    for target in range(10):
        above = nll[:, target] - nll[:, target].min()
        near = above < 0.1
        images = predict(models()['decoder'], t[near].astype('float32'), '')
        read = predict(models()['judge'], images, '').argmax(axis=1)
        rows.append([target, *(f'{(read[above[near] < nats] == target).mean():.0%}' for nats in (0.01, 0.03, 0.1))])
    mean = [f'{np.mean([int(row[i][:-1]) for row in rows]):.1f}%' for i in (1, 2, 3)]
    write('judge', ['points of the grid, target', 'within 0.01 nats of the minimum', 'within 0.03', 'within 0.1'],
          [*rows, ['mean', *mean]])


_models = {}


def models():
    """The pretrained models, loaded once in each process, with progress bars off."""
    if not _models:
        # The libraries that are compared warn of their own internals at each step.
        warnings.filterwarnings('ignore', module='skopt|sklearn|optuna|botorch|gpytorch|linear_operator')
        bar = vae_opt_util.tqdm
        vae_opt_util.tqdm = lambda *args, **kwargs: bar(*args, **{**kwargs, 'disable': True})
        decoder = load_pretrained('vae-predictor-softmax').get_layer('decoder')
        classifier = load_pretrained('classifier')
        _models.update(decoder=decoder, classifier=classifier, judge=load_pretrained('judge'),
                       label_probs=create_decode_classify(decoder, classifier))
    return _models


def objective_for(target):
    return create_nll(models()['decoder'], models()['classifier'], target)


class Evaluations:
    """What `top` needs to know of a search."""

    def __init__(self, points, values):
        self.domain, self.X, self.Y = domain, points, values[:, np.newaxis]


def assess(points, values, target):
    """Best values so far, and of the ten best and the ten best distinct: judge's share, mean pairwise distance."""
    shares = []
    for distance in (0, distinct_distance):
        best, best_values = top(Evaluations(points, values), 10, distance)
        images = predict(models()['decoder'], best.astype('float32'), '')
        read = predict(models()['judge'], images, '').argmax(axis=1)
        shares += [(read == target).mean(), mean_pixel_distance(images), best_values[-1, 0] - best_values[0, 0]]
    return np.minimum.accumulate(values), shares


def run_one(method, target, seed):
    if method == shared:
        points, values = ours_shared(models()['label_probs'], seed, budget)
        # A search's own evaluations are those of its turns; the ten best are of all that were made.
        return [assess(points, values[:, t], t) for t in range(10)]
    with threadpool_limits(1):
        if method.startswith('BoTorch'):
            import torch

            torch.set_num_threads(1)
        search = on_fresh_seeds if method == fresh else methods[method]
        points, values = search(objective_for(target), seed, budget)
    return [assess(points, values, target)]


def median_ms(call, repeats):
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1000 * np.median(times)


def write(name, header, rows):
    """Prints rows as a Markdown table, and writes them as CSV."""
    print(f'\n{name}\n\n| ' + ' | '.join(header) + ' |\n|' + '---|' * len(header))
    for row in rows:
        print('| ' + ' | '.join(map(str, row)) + ' |')
    sys.stdout.flush()
    results_dir.mkdir(exist_ok=True)
    with open(results_dir / f'{name}.csv', 'w', newline='') as file:
        csv.writer(file, lineterminator='\n').writerows([header, *rows])


def measure_evaluation():
    """Compares an evaluation of the objective with a bare call of the compiled graph and with two `predict` calls."""
    import tensorflow as tf

    t = np.zeros((1, 2), dtype='float32')
    model, decoder, classifier = (models()[name] for name in ('label_probs', 'decoder', 'classifier'))
    graph = tf.function(lambda t: model(t, training=False), input_signature=[tf.TensorSpec((None, 2), tf.float32)])
    nll = objective_for(4)
    calls = {'bare compiled graph': (lambda: graph(t).numpy(), 300),
             'create_nll': (lambda: nll(t), 300),
             'two predict calls': (lambda: classifier.predict(decoder.predict(t, verbose=0), verbose=0), 20)}
    for call, _ in calls.values():
        call()
    times = {name: median_ms(call, repeats) for name, (call, repeats) in calls.items()}
    write('evaluation', ['one evaluation', 'ms', 'ratio'],
          [[name, f'{ms:.2f}', f"{ms / times['bare compiled graph']:.2f}"] for name, ms in times.items()])


def measure_times(repeats=3):
    """Seconds a search, the methods in turn, on targets 4, 2 and 7; the first search of each is not counted."""
    timed = {'GPyOpt as published, its BLAS threads': as_published_all_threads, **methods}
    seconds = {name: [] for name in timed}
    for repeat in range(-1, repeats):
        for name, search in timed.items():
            objective = objective_for((4, 2, 7)[max(repeat, 0) % 3])
            if repeat < 0:
                search(objective, 0, 12)
                continue
            started = time.perf_counter()
            search(objective, repeat, budget)
            seconds[name].append(time.perf_counter() - started)
    evaluations = np.median(seconds['random'])
    fastest = np.median(seconds['ours'])
    write('times', ['search of 52 evaluations', 'seconds', 'its own part of each evaluation, ms', 'ours is faster by'],
          [[name, f'{np.median(s):.2f} ({min(s):.2f}–{max(s):.2f})',
            f'{1000 * (np.median(s) - evaluations) / budget:.0f}',
            '' if name in ('random', 'ours') else f'{np.median(s) / fastest:.1f} ×'] for name, s in seconds.items()])


def run_seed(method, seed, n_jobs, resume):
    """Ten searches: best values so far, (10, evaluations), and what `assess` says of the best ones, (10, 6)."""
    path = checkpoints_dir / f'{method}-{seed}.npz'
    if not (resume and path.exists()):
        if method == shared:
            results = run_one(method, None, seed)
        else:
            results = sum(Parallel(n_jobs=n_jobs)(delayed(run_one)(method, target, seed) for target in range(10)), [])
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, running=[running for running, _ in results], of_best=[of_best for _, of_best in results])
    with np.load(path) as npz:
        return npz['running'], npz['of_best']


def measure_searches(seeds, n_jobs, resume):
    """Runs ten targets × seeds with each method.

    Args:
        seeds: a dict from names of methods to their number of seeds.
        n_jobs: number of processes.
        resume: whether to keep what an interrupted run has finished.
    """
    minima = global_minima(models()['label_probs'])
    results = {name: [] for name in seeds}
    for seed in range(max(seeds.values())):
        for name in (name for name in seeds if seed < seeds[name]):
            results[name].append(run_seed(name, seed, n_jobs, resume))
            print(f'... {name}, seed {seed}, {time.strftime("%X")}', file=sys.stderr, flush=True)

    rows, curves = [], []
    for name, of_seeds in results.items():
        regrets = np.concatenate([running - minima[:, np.newaxis] for running, _ in of_seeds])
        of_best = np.concatenate([of_best for _, of_best in of_seeds])
        targets, last = np.tile(range(10), seeds[name]), regrets[:, -1]
        rows.append([name, len(last), f'{np.median(last):.4f}', f'{np.quantile(last, 0.9):.4f}', f'{last.max():.3f}',
                     *(f'{share:.1%}' for share in of_best[:, [0, 3]].mean(axis=0)),
                     *(f'{value:.2f}' for value in np.median(of_best[:, [1, 4]], axis=0))])
        if name in methods:
            curves += [[name, n, *(f'{q:.5f}' for q in np.quantile(regrets[:, n - 1], (0.25, 0.5, 0.75)))]
                       for n in range(1, budget + 1)]
        if name == 'ours':
            write('targets', ['target', 'minimum', 'regret, median', '… largest', 'judge, ten best', '… ten distinct',
                              'pixel distance, ten best', '… ten distinct', 'tenth distinct − best'],
                  [[t, f'{minima[t]:.2f}', f'{np.median(last[of]):.4f}', f'{last[of].max():.4f}',
                    *(f'{value:.1%}' for value in of_best[of][:, [0, 3]].mean(axis=0)),
                    *(f'{value:.2f}' for value in np.median(of_best[of][:, [1, 4, 5]], axis=0))]
                   for t in range(10) for of in [targets == t]])
    write('regret', ['method', 'searches', 'regret, median', '90th percentile', 'worst', 'judge, ten best',
                     '… ten distinct', 'pixel distance, ten best', '… ten distinct'], rows)
    results_dir.mkdir(exist_ok=True)
    with open(results_dir / 'curves.csv', 'w', newline='') as file:
        csv.writer(file, lineterminator='\n').writerows([['method', 'evaluations', 'lower quartile', 'median',
                                                          'upper quartile'], *curves])


def measure_growth(limits, targets=(4, 9)):
    """Time and regret at 50, 100, 200 and 500 evaluations, one search at a time."""
    minima = global_minima(models()['label_probs'])
    rows = []
    for name, limit in limits.items():
        runs = []
        for target in targets:
            objective, stamps = objective_for(target), []

            def timed(t, objective=objective, stamps=stamps):
                stamps.append(time.perf_counter())
                return objective(t)

            started = time.perf_counter()
            with threadpool_limits(1):
                _, values = methods[name](timed, 0, limit)
            runs.append((np.array([*stamps[1:], time.perf_counter()]) - started, values - minima[target]))
        for n in (50, 100, 200, 500):
            if n <= limit:
                rows.append([name, n, f'{np.median([times[n - 1] for times, _ in runs]):.1f}',
                             f'{1000 * np.median([(t[n - 1] - t[n - 11]) / 10 for t, _ in runs]):.0f}',
                             f'{np.median([regret[:n].min() for _, regret in runs]):.5f}'])
    write('growth', ['search', 'evaluations', 'seconds', 'ms an evaluation, last ten', 'regret'], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=20)
    parser.add_argument('--parts', nargs='+', default=['times', 'growth', 'judge', 'searches'])
    parser.add_argument('--seeds-of-others', type=int, default=5,
                        help='of what takes longer: the other libraries, and all ten probabilities')
    parser.add_argument('--resume', action='store_true', help='keep searches that an interrupted run has finished')
    arguments = parser.parse_args()

    if 'times' in arguments.parts:
        measure_evaluation()
        measure_times()
    if 'growth' in arguments.parts:
        measure_growth({'ours': 500, 'GPyOpt as published': 200})
    if 'judge' in arguments.parts:
        measure_judge()
    if 'searches' in arguments.parts:
        measure_searches({name: arguments.seeds_of_others if name in (*others, shared) else arguments.seeds
                          for name in (*methods, fresh, shared)}, n_jobs=2, resume=arguments.resume)


if __name__ == '__main__':
    main()
