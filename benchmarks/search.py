"""Compares searches for digits: random, GPyOpt as published, ours, BoTorch, Optuna, scikit-optimize.

`make bench` installs what is compared into an environment of its own and runs this, with TQDM_DISABLE=1 for no progress
bars. Everything searches the article's
second objective, with 52 evaluations, for the same targets and seeds, on the pretrained models. MNIST's training images
are needed for warm starts and for the box in ten dimensions.
The tables are printed, written to benchmarks/results/, and from there into the pages; the notebook's figure of regret
against evaluations comes from there, too. Times are measured first, one search at a time; then two processes run the
searches that regret is measured on.
"""

import argparse
import os
import sys
import time
import warnings
from functools import cache
from types import SimpleNamespace

import numpy as np
from joblib import Parallel, delayed
from scipy.optimize import minimize
from tables import fixed, update_pages, with_those_of_before, write, write_file
from threadpoolctl import threadpool_limits

from latent_search import create_grid, create_optimizer, distinct_distance, top
from latent_search.gpyopt_engine import import_gpyopt, propose_as_published
from latent_search.threads import limit_threads
from mnist_vae.data import choose_per_label, load_data
from mnist_vae.measures import encode, latent_bounds, mean_pixel_distance, predict
from vae_opt_util import (
    checkpoints_dir,
    create_decode_classify,
    create_nll,
    create_nll_with_gradient,
    load_pretrained,
    nll_all_targets,
    nll_minima,
    nll_of_probs,
    nll_prior,
)

domain = np.array([(-4.0, 4.0)] * 2)
budget = 52
in_two, in_ten = 'vae-predictor-softmax', 'vae-predictor-softmax-10d'
checkpoints_dir = checkpoints_dir.parent / 'bench'


def evaluated(search, budget):
    """Evaluates experiments until there are `budget`: points (budget, d) and values (budget,)."""
    while len(search.X) < budget:
        search.step()
    return search.X, search.Y[:, 0]


def ours(objective, domain, seed, budget, lower_bound=nll_prior):
    return evaluated(create_optimizer(objective, domain, seed, lower_bound=lower_bound), budget)


def as_published(objective, domain, seed, budget, num_threads=1):
    search = create_optimizer(objective, domain, seed, published=True)
    search.num_threads = num_threads
    return evaluated(search, budget)


def as_published_all_threads(objective, domain, seed, budget):
    """GPyOpt as it comes, with a BLAS thread for each core; `create_optimizer` gives it one, which is faster."""
    return as_published(objective, domain, seed, budget, num_threads=os.cpu_count())


def without_bound(objective, domain, seed, budget):
    return ours(objective, domain, seed, budget, lower_bound=None)


def on_fresh_seeds(objective, domain, seed, budget):
    """Seeds that took no part when the settings of our search were chosen; those from 0 to 39 and 100 to 119 did."""
    return ours(objective, domain, 1000 + seed, budget)


def in_batches(objective, domain, seed, budget, q=4):
    """Four experiments at a time: the next four are proposed when all results are there."""
    search = create_optimizer(None, domain, seed, lower_bound=nll_prior)
    while len(search.X) < budget:
        for experiment in search.ask(q):
            search.tell(experiment.number, objective(experiment.t))
    return search.X, search.Y[:, 0]


def with_workers(objective, domain, seed, budget, q=4):
    """Four workers: whichever is ready gets the next proposal, while those of the others are pending."""
    search, rng = create_optimizer(None, domain, seed, lower_bound=nll_prior), np.random.default_rng(seed)
    while len(search.X) < budget:
        search.ask(q - len(search.pending))
        experiment = search.pending[rng.integers(q)]
        search.tell(experiment.number, objective(experiment.t))
    return search.X, search.Y[:, 0]


def local_penalization(objective, domain, seed, budget, q=4):
    """GPyOpt's own batches, with its settings as published.

    They fail with SciPy 1.17, whose minimum is a number and no longer an array (`res.fun[0][0]`); patched here.
    """
    def with_an_array(*args, **kwargs):
        found = minimize(*args, **kwargs)
        found.fun = np.reshape(found.fun, (1, 1))
        return found

    import_gpyopt().core.evaluators.batch_local_penalization.scipy = SimpleNamespace(
        optimize=SimpleNamespace(minimize=with_an_array))
    x = np.random.default_rng(seed).uniform(*domain.T, (q, len(domain)))
    y = np.array([objective(row[np.newaxis])[0] for row in x])
    while len(x) < budget:
        state = np.random.SeedSequence((seed, len(x))).generate_state(4)
        with limit_threads(1):
            new = propose_as_published(domain, x, y, state, evaluator_type='local_penalization', batch_size=q)
        x, y = np.vstack((x, new)), np.vstack((y, [objective(row[np.newaxis])[0] for row in new]))
    return x, y[:, 0]


def warm(objective, domain, seed, budget, per_label, target, encodings):
    """Starts with encoded training images, drawn anew for each seed, and what the classifier reads in them."""
    search = create_optimizer(None, domain, seed, lower_bound=nll_prior)
    inside = ((encodings['t'] >= domain[:, 0]) & (encodings['t'] <= domain[:, 1])).all(axis=1)
    t, y, probs = (encodings[key][inside] for key in ('t', 'y', 'probs'))
    chosen = choose_per_label(y, per_label, seed)
    search.add_known(t[chosen], nll_of_probs(probs[chosen], t[chosen])[:, [target]])
    num_known = len(search.X)
    while len(search.X) < num_known + budget:
        experiment, = search.ask()
        search.tell(experiment.number, objective(experiment.t))
    return search.X[num_known:], search.Y[num_known:, 0]


def uniform(objective, domain, seed, budget):
    x = np.random.default_rng(seed).uniform(*domain.T, (budget, len(domain)))
    return x, np.array([objective(row[np.newaxis])[0, 0] for row in x])


def botorch(objective, domain, seed, budget):
    import torch
    from botorch.acquisition import LogExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Normalize, Standardize
    from botorch.optim import optimize_acqf
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.manual_seed(seed)
    bounds = torch.tensor(domain.T)
    x = torch.tensor(np.random.default_rng(seed).uniform(*domain.T, (6, len(domain))))
    y = torch.tensor([objective(row.numpy()[np.newaxis])[0, 0] for row in x]).unsqueeze(-1)
    while len(x) < budget:
        model = SingleTaskGP(x, -y, input_transform=Normalize(len(domain), bounds=bounds),
                             outcome_transform=Standardize(1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        new, _ = optimize_acqf(LogExpectedImprovement(model, (-y).max()), bounds, q=1, num_restarts=10, raw_samples=512)
        x = torch.cat((x, new))
        y = torch.cat((y, torch.tensor(objective(new.numpy()))))
    return x.numpy(), y[:, 0].numpy()


def optuna_gp(objective, domain, seed, budget):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=seed, deterministic_objective=True))
    study.optimize(lambda trial: float(objective(np.array(
        [[trial.suggest_float(f't{i}', *bounds) for i, bounds in enumerate(domain)]]))[0, 0]), n_trials=budget)
    return (np.array([[trial.params[f't{i}'] for i in range(len(domain))] for trial in study.trials]),
            np.array([trial.value for trial in study.trials]))


def scikit_optimize(objective, domain, seed, budget):
    from skopt import gp_minimize

    result = gp_minimize(lambda x: float(objective(np.array([x]))[0, 0]), [tuple(bounds) for bounds in domain],
                         n_calls=budget, random_state=seed, acq_func='EI')
    return np.array(result.x_iters), np.array(result.func_vals)


methods = {'random': uniform, 'GPyOpt as published': as_published, 'ours': ours, 'ours, no lower bound': without_bound,
           'BoTorch LogEI': botorch, 'Optuna GP': optuna_gp, 'scikit-optimize EI': scikit_optimize}
warm_starts = {'ours, warm start, 2 images a label': 2, 'ours, warm start, 10 images a label': 10}
batches = {'ours, batches of 4': in_batches, 'ours, 4 workers': with_workers,
           'GPyOpt as published, batches of 4': local_penalization}
others = ('BoTorch LogEI', 'Optuna GP', 'scikit-optimize EI')
slowest = 'GPyOpt as published, batches of 4'
fresh = 'ours, seeds from 1000'
shared = 'ours, all ten probabilities'


def ours_shared(label_probs, seed, budget):
    """Searches for ten targets in turn, each of which sees the evaluations of all.

    Each evaluation gives the probabilities of all labels, and so the objectives of all targets. A search is given the
    300 of the evaluations that are lowest for it, so that its Gaussian process stays small.

    Returns:
        Points (10 * budget, 2) and the objectives of all targets there, (10 * budget, 10).
    """
    points, values = np.empty((0, 2)), np.empty((0, 10))
    for step in range(10 * budget):
        target = step % 10
        search = create_optimizer(None, domain, 10 * seed + target, lower_bound=nll_prior)
        if step >= 10:
            lowest = np.argsort(values[:, target], kind='stable')[:300]
            search.add_known(points[lowest], values[lowest, target:target + 1])
        x = search.suggest_next_locations()
        points, values = np.vstack((points, x)), np.vstack((values, nll_all_targets(label_probs, x)))
    return points, values


def global_minima(label_probs):
    """The minimum for each target, from a grid of 0.02: values (10,)."""
    return nll_minima(label_probs, create_grid(domain, points=401)[2])


def measure_judge():
    """How many of all points near the minimum the judge reads as the target, on a grid of 0.02: a search's limit."""
    _, _, t = create_grid(domain, points=401)
    nll = nll_all_targets(models()[in_two]['label_probs'], t)
    rows = []
    for target in range(10):
        above = nll[:, target] - nll[:, target].min()
        near = above < 0.1
        images = predict(models()[in_two]['decoder'], t[near].astype('float32'), '')
        read = predict(models()['judge'], images, '').argmax(axis=1)
        rows.append([target, *(f'{(read[above[near] < nats] == target).mean():.0%}' for nats in (0.01, 0.03, 0.1))])
    mean = [f'{np.mean([int(row[i][:-1]) for row in rows]):.1f}%' for i in (1, 2, 3)]
    write('judge', ['points of the grid, target', 'within 0.01 nats of the minimum', 'within 0.03', 'within 0.1'],
          [*rows, ['mean', *mean]])


_models = {}


def models():
    """The pretrained models, loaded once in each process."""
    if not _models:
        # The libraries that are compared warn of their own internals at each step.
        warnings.filterwarnings('ignore', module='skopt|sklearn|optuna|botorch|gpytorch|linear_operator')
        classifier = load_pretrained('classifier')
        _models.update(classifier=classifier, judge=load_pretrained('judge'))
        for name in (in_two, in_ten):
            decoder = load_pretrained(name).get_layer('decoder')
            _models[name] = {'decoder': decoder, 'label_probs': create_decode_classify(decoder, classifier)}
    return _models


def objective_for(target, space=in_two):
    return create_nll(models()[space]['decoder'], models()['classifier'], target)


@cache
def encodings(space):
    """MNIST's training images in a latent space: points `t`, labels `y`, and `probs`, what the classifier reads."""
    path = checkpoints_dir / f'encodings-{space}.npz'
    if not path.exists():
        data = load_data('mnist')
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, t=encode(data.x_train, load_pretrained(space)), y=data.y_train,
                 probs=predict(models()['classifier'], data.x_train, ''))
    with np.load(path) as npz:
        return dict(npz)


@cache
def box(space):
    return domain if space == in_two else latent_bounds(encodings(space)['t'])


class Evaluations:
    """What `top` needs to know of a search."""

    spacing = distinct_distance

    def __init__(self, points, values, space):
        self.domain, self.X, self.Y = box(space), points, values[:, np.newaxis]


def assess(points, values, target, space=in_two):
    """Best values so far, and of the ten best and the ten best distinct: judge's share, mean pairwise distance."""
    shares = []
    for distance in (0, distinct_distance):
        best, best_values = top(Evaluations(points, values, space), 10, distance)
        images = predict(models()[space]['decoder'], best.astype('float32'), '')
        read = predict(models()['judge'], images, '').argmax(axis=1)
        shares += [(read == target).mean(), mean_pixel_distance(images), best_values[-1, 0] - best_values[0, 0]]
    return np.minimum.accumulate(values), shares


def run_one(method, target, seed, space=in_two):
    if method == shared:
        points, values = ours_shared(models()[space]['label_probs'], seed, budget)
        # A search's own evaluations are those of its turns; the ten best are of all that were made.
        return [assess(points, values[:, t], t) for t in range(10)]
    with threadpool_limits(1):
        if method.startswith('BoTorch'):
            import torch

            torch.set_num_threads(1)
        problem = objective_for(target, space), box(space), seed, budget
        if method in warm_starts:
            points, values = warm(*problem, warm_starts[method], target, encodings(space))
        else:
            points, values = (on_fresh_seeds if method == fresh else {**methods, **batches}[method])(*problem)
    return [assess(points, values, target, space)]


def median_ms(call, repeats):
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1000 * np.median(times)


def measure_evaluation():
    """Compares an evaluation of the objective with a bare call of the compiled graph and with two `predict` calls."""
    import tensorflow as tf

    t = np.zeros((1, 2), dtype='float32')
    model, decoder, classifier = *(models()[in_two][key] for key in ('label_probs', 'decoder')), models()['classifier']
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
                search(objective, domain, 0, 12)
                continue
            started = time.perf_counter()
            search(objective, domain, repeat, budget)
            seconds[name].append(time.perf_counter() - started)
    evaluations = np.median(seconds['random'])
    fastest = np.median(seconds['ours'])
    write('times', ['search of 52 evaluations', 'seconds', 'its own part of each evaluation, ms', 'ours is faster by'],
          [[name, f'{np.median(s):.2f} ({min(s):.2f}–{max(s):.2f})',
            f'{1000 * (np.median(s) - evaluations) / budget:.0f}',
            '' if name in ('random', 'ours') else f'{np.median(s) / fastest:.1f} ×'] for name, s in seconds.items()])


def run_seed(method, seed, n_jobs, resume, space=in_two):
    """Ten searches: best values so far, (10, evaluations), and what `assess` says of the best ones, (10, 6)."""
    path = checkpoints_dir / f"{method}-{seed}{'' if space == in_two else '-10d'}.npz"
    if not (resume and path.exists()):
        if method == shared:
            results = run_one(method, None, seed)
        else:
            results = sum(Parallel(n_jobs=n_jobs)(delayed(run_one)(method, target, seed, space)
                                                  for target in range(10)), [])
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, running=[running for running, _ in results], of_best=[of_best for _, of_best in results])
    with np.load(path) as npz:
        return npz['running'], npz['of_best']


def run_seeds(seeds, n_jobs, resume, space=in_two):
    """A dict from names of methods to what `run_seed` returns for each of their seeds."""
    results = {name: [] for name in seeds}
    for name in seeds:
        for seed in range(seeds[name]):
            results[name].append(run_seed(name, seed, n_jobs, resume, space))
            print(f'... {name}, seed {seed}, {time.strftime("%X")}', file=sys.stderr, flush=True)
    return results


def regrets_of(of_seeds, minima):
    """Regret after each evaluation, (searches, evaluations), and what `assess` says of the best, (searches, 6)."""
    return (np.concatenate([running - minima[:, np.newaxis] for running, _ in of_seeds]),
            np.concatenate([of_best for _, of_best in of_seeds]))


of_best_header = ['judge: ten best', 'judge: ten best distinct', 'pixel distance: ten best',
                  'pixel distance: ten best distinct']
summary_header = ['searches', 'regret, median', 'regret, 90th percentile', 'regret, worst',
                  'evaluations to 0.1 nats, median', 'evaluations to 0.1 nats, 90th percentile', *of_best_header]


def summary(regrets, of_best):
    last = regrets[:, -1]
    # A search that does not come so near counts as one evaluation more than it had.
    needed = (np.c_[regrets, np.zeros(len(regrets))] < 0.1).argmax(axis=1) + 1
    # Searches that share their evaluations have made ten times as many.
    needed = ['', ''] if regrets.shape[1] > budget else [
        f'{n:.0f}' if n <= budget else f'> {budget}' for n in np.quantile(needed, (0.5, 0.9), method='higher')]
    return [len(last), fixed(np.median(last), 4), fixed(np.quantile(last, 0.9), 4), fixed(last.max(), 3), *needed,
            *(f'{share:.1%}' for share in of_best[:, [0, 3]].mean(axis=0)),
            *(f'{value:.2f}' for value in np.median(of_best[:, [1, 4]], axis=0))]


def measure_searches(seeds, n_jobs, resume):
    """Runs ten targets × seeds with each method.

    Args:
        seeds: a dict from names of methods to their number of seeds.
        n_jobs: number of processes.
        resume: whether to keep what an interrupted run has finished.
    """
    minima = global_minima(models()[in_two]['label_probs'])
    results = run_seeds(seeds, n_jobs, resume)
    rows, curves = [], []
    for name, of_seeds in results.items():
        regrets, of_best = regrets_of(of_seeds, minima)
        targets, last = np.tile(range(10), seeds[name]), regrets[:, -1]
        rows.append([name, *summary(regrets, of_best)])
        if name in methods:
            curves += curve(name, regrets)
        if name == 'ours':
            write('targets', ['target', 'minimum', 'regret, median', 'regret, largest', *of_best_header,
                              'tenth distinct − best'],
                  [[t, f'{minima[t]:.2f}', fixed(np.median(last[of]), 4), fixed(last[of].max(), 4),
                    *(f'{value:.1%}' for value in of_best[of][:, [0, 3]].mean(axis=0)),
                    *(f'{value:.2f}' for value in np.median(of_best[of][:, [1, 4, 5]], axis=0))]
                   for t in range(10) for of in [targets == t]])
    write('regret', ['method', *summary_header], with_those_of_before('regret', rows))
    write_curves('curves', with_those_of_before('curves', curves))


def curve(name, regrets):
    return [[name, n, *(fixed(q, 5) for q in np.quantile(regrets[:, n - 1], (0.25, 0.5, 0.75)))]
            for n in range(1, budget + 1)]


def write_curves(name, curves):
    write_file(name, [['method', 'evaluations', 'lower quartile', 'median', 'upper quartile'], *curves])


def measure_published(targets=(4, 3, 2, 5, 9)):
    """Records a search with the article's settings for each target that the article shows, with seed 0."""
    rows = [['target', 't1', 't2', 'value']]
    for target in targets:
        points, values = as_published(objective_for(target), domain, 0, budget)
        rows += [[target, *(f'{number:.6f}' for number in (*point, value))]
                 for point, value in zip(points, values, strict=True)]
    write_file('published_searches', rows)


def local_minima(space, num_starts=60):
    """The lowest of many local minima for each target: values (10,).

    L-BFGS with the models' gradients, from the best and from random ones among encoded images of the target and points
    halfway between them and the origin.
    """
    label_probs, images = models()[space]['label_probs'], encodings(space)
    lowest = []
    for target in range(10):
        rng = np.random.default_rng(target)
        of_target = rng.permutation(images['t'][images['y'] == target].astype('float64'))[:3000]
        starts = np.vstack((of_target, of_target / 2))
        order = np.argsort(nll_all_targets(label_probs, starts)[:, target])
        chosen = np.r_[order[:num_starts // 2], rng.choice(len(starts), num_starts - num_starts // 2, replace=False)]
        objective = create_nll_with_gradient(label_probs, target)
        found = [minimize(objective, start, jac=True, method='L-BFGS-B', bounds=box(space)).fun
                 for start in starts[chosen]]
        lowest.append(min(found))
        print(f'... minimum for {target}: {lowest[-1]:.4f}, found by {np.mean(np.array(found) < lowest[-1] + 1e-3):.0%}'
              f' of {num_starts} starts within 0.001', file=sys.stderr, flush=True)
    return np.array(lowest)


def measure_ten(seeds, n_jobs, resume):
    """Searches in ten dimensions."""
    path = checkpoints_dir / 'minima-10d.npy'
    if not (resume and path.exists()):
        np.save(path, local_minima(in_ten))
    minima = np.load(path)
    rows, curves = [], []
    for name, of_seeds in run_seeds(seeds, n_jobs, resume, in_ten).items():
        regrets, of_best = regrets_of(of_seeds, minima)
        curves += curve(name, regrets)
        rows.append([name, *summary(regrets, of_best)])
    write_curves('curves_ten_dimensions', with_those_of_before('curves_ten_dimensions', curves))
    write('ten_dimensions', ['ten dimensions, method', *summary_header],
          with_those_of_before('ten_dimensions', rows))


def measure_growth(limits, targets=(4, 9)):
    """Time and regret at 50, 100, 200 and 500 evaluations, one search at a time."""
    minima = global_minima(models()[in_two]['label_probs'])
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
                _, values = methods[name](timed, domain, 0, limit)
            runs.append((np.array([*stamps[1:], time.perf_counter()]) - started, values - minima[target]))
        for n in (50, 100, 200, 500):
            if n <= limit:
                rows.append([name, n, f'{np.median([times[n - 1] for times, _ in runs]):.1f}',
                             f'{1000 * np.median([(t[n - 1] - t[n - 11]) / 10 for t, _ in runs]):.0f}',
                             fixed(np.median([regret[:n].min() for _, regret in runs]), 5)])
    write('growth', ['search', 'evaluations', 'seconds', 'ms an evaluation, last ten', 'regret'], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=20)
    parser.add_argument('--parts', nargs='+', default=['times', 'growth', 'judge', 'published', 'searches', 'ten'])
    parser.add_argument('--methods', nargs='+', help='of the searches (default: all); rows of others stay as they are')
    parser.add_argument('--seeds-of-others', type=int, default=5,
                        help='of what takes longer: the other libraries, and all ten probabilities')
    parser.add_argument('--seeds-of-slowest', type=int, default=2,
                        help='of what takes a minute a search: batches of GPyOpt; GPyOpt and BoTorch in ten dimensions')
    parser.add_argument('--resume', action='store_true', help='keep searches that an interrupted run has finished')
    arguments = parser.parse_args()

    if 'times' in arguments.parts:
        measure_evaluation()
        measure_times()
    if 'growth' in arguments.parts:
        measure_growth({'ours': 500, 'GPyOpt as published': 200})
    if 'judge' in arguments.parts:
        measure_judge()
    if 'published' in arguments.parts:
        measure_published()
    if 'searches' in arguments.parts:
        seeds = {name: arguments.seeds_of_others if name in (*others, shared) else arguments.seeds
                 for name in (*methods, fresh, shared, *warm_starts, *batches)} | {slowest: arguments.seeds_of_slowest}
        measure_searches({name: seeds[name] for name in arguments.methods or seeds}, n_jobs=2, resume=arguments.resume)
    if 'ten' in arguments.parts:
        slow = {'GPyOpt as published': arguments.seeds_of_slowest, 'BoTorch LogEI': arguments.seeds_of_slowest}
        seeds = dict.fromkeys(('random', 'ours', 'ours, no lower bound', *warm_starts), arguments.seeds) | slow
        measure_ten({name: seeds[name] for name in arguments.methods or seeds}, n_jobs=2, resume=arguments.resume)
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too, instead of being sent to them with its models.
    import search

    search.main()
