"""Measures the article's search with the pretrained models: cost of an evaluation, and results over targets and seeds.

`python benchmarks/article.py --seeds 5` prints the tables that README quotes. It needs no MNIST.
"""

import argparse
import os
import sys
import time

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import vae_opt_util
from vae_opt_util import (
    create_decode_classify,
    create_grid,
    create_nll,
    create_optimizer,
    load_pretrained,
    nll_all_targets,
    predict,
    top,
)

domain = [(-4.0, 4.0)] * 2


def median_ms(call, repeats):
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1000 * np.median(times)


def measure_evaluation(decoder, classifier):
    """Compares an evaluation of the objective with a bare call of the compiled graph and with two `predict` calls."""
    import tensorflow as tf

    t = np.zeros((1, 2), dtype='float32')
    model = create_decode_classify(decoder, classifier)
    graph = tf.function(lambda t: model(t, training=False), input_signature=[tf.TensorSpec((None, 2), tf.float32)])
    nll = create_nll(decoder, classifier, 4)
    calls = {'bare compiled graph': (lambda: graph(t).numpy(), 300),
             'create_nll': (lambda: nll(t), 300),
             'two predict calls': (lambda: classifier.predict(decoder.predict(t, verbose=0), verbose=0), 20)}
    for call, _ in calls.values():
        call()
    times = {name: median_ms(call, repeats) for name, (call, repeats) in calls.items()}
    print('\n| one evaluation | ms | ratio |\n|---|---|---|')
    for name, ms in times.items():
        print(f"| {name} | {ms:.2f} | {ms / times['bare compiled graph']:.2f} |")


def measure_threads(objective):
    """Compares a search with one BLAS thread, which `create_optimizer` sets, with one that has a thread a core."""
    times = {}
    for limit in (1, os.cpu_count()):
        vae_opt_util.threadpool_limits = lambda _, user_api, limit=limit: threadpool_limits(limit, user_api)
        started = time.perf_counter()
        create_optimizer(objective, domain, seed=0).run_optimization(50)
        times[limit] = time.perf_counter() - started
    vae_opt_util.threadpool_limits = threadpool_limits
    print('\n| BLAS threads | seconds a search |\n|---|---|')
    for limit, seconds in times.items():
        print(f'| {limit} | {seconds:.1f} |')


def global_minima(label_probs):
    """The minimum for each target on a grid of 0.02, refined by a local optimizer: points (10, 2), values (10,)."""
    _, _, t = create_grid(domain, points=401)
    nll = nll_all_targets(label_probs, t)
    refined = [minimize(lambda x, target=target: nll_all_targets(label_probs, x[np.newaxis])[0, target],
                        t[nll[:, target].argmin()], method='Nelder-Mead', bounds=domain) for target in range(10)]
    return np.array([result.x for result in refined]), np.array([result.fun for result in refined])


def spread(values, digits=2):
    return f'{np.median(values):.{digits}f} ({np.min(values):.{digits}f}–{np.max(values):.{digits}f})'


def measure_searches(decoder, classifier, judge, seeds):
    minimum_points, minima = global_minima(create_decode_classify(decoder, classifier))
    regrets, shares, seconds = [], [], []
    print(f'\nMedian (smallest–largest) over {seeds} seeds, nats:\n')
    print('| target | minimum | best | tenth best | tenth best − best | evaluations within 1 of the minimum | '
          'judge reads the ten best as the target |')
    print('|---|---|---|---|---|---|---|')
    for target in range(10):
        best, tenth, near, share = [], [], [], []
        for seed in range(seeds):
            optimizer = create_optimizer(create_nll(decoder, classifier, target), domain, seed=seed)
            started = time.perf_counter()
            optimizer.run_optimization(50)
            seconds.append(time.perf_counter() - started)
            points, values = top(optimizer)
            read = predict(judge, predict(decoder, points.astype('float32'), ''), '').argmax(axis=1)
            best.append(values[0, 0])
            tenth.append(values[-1, 0])
            near.append(100 * (np.linalg.norm(optimizer.X - minimum_points[target], axis=1) < 1).mean())
            share.append((read == target).mean())
        regrets += list(np.array(best) - minima[target])
        shares += share
        print(f'| {target} | {minima[target]:.2f} | {spread(best)} | {spread(tenth)} | '
              f'{spread(np.subtract(tenth, best))} | {spread(near, 0)}% | {np.mean(share):.0%} |', flush=True)
    print(f'\n{len(regrets)} searches of 52 evaluations: regret median {np.median(regrets):.3f}, 90th percentile '
          f'{np.quantile(regrets, 0.9):.3f}, worst {np.max(regrets):.3f} nats; the judge reads {np.mean(shares):.1%} '
          f'of the ten best as their target; {spread(seconds, 1)} seconds a search.')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=5)
    arguments = parser.parse_args()

    model, classifier, judge = (load_pretrained(name) for name in ('vae-predictor-softmax', 'classifier', 'judge'))
    decoder = model.get_layer('decoder')
    vae_opt_util.tqdm = lambda *args, **kwargs: tqdm(*args, **{**kwargs, 'file': sys.stderr, 'leave': False})
    measure_evaluation(decoder, classifier)
    measure_threads(create_nll(decoder, classifier, 4))
    measure_searches(decoder, classifier, judge, arguments.seeds)


if __name__ == '__main__':
    main()
