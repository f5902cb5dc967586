"""Compares searches for digits in 20 and 200 dimensions, in latent spaces like that of BoTorch's tutorial on VAEs.

`make bench` runs this after the others. The VAE is that of PyTorch's example, which the tutorial uses: fully connected,
with one hidden layer in each half, and with 20 latent dimensions, or 200. Each is trained on MNIST once, and kept in
build/bench with the searches that an interrupted run has finished. The objective is the article's second one, with the
pretrained classifier. Regret is measured from the lowest of many local minima. Ten targets times seeds, 80 evaluations
a search. The table is printed, written to benchmarks/results/many_dimensions.csv, and from there into the pages.
"""

import argparse
import math
import sys
import time
from functools import cache

import numpy as np
from assess import spread_of
from joblib import Parallel, delayed
from kept import bench_dir, kept, models_version, search_name
from landscapes import local_minima
from peers import botorch, cma_es, ours, turbo, uniform, without_bound
from tables import update_pages, with_those_of_before, write
from threadpoolctl import threadpool_limits

from digits.data import image_shape, load_data
from digits.measures import encode, latent_bounds
from digits.objectives import create_decode_classify, create_nll
from networks.backend import keras, layers, set_random_seed
from networks.pretrained import load_weights, save_weights
from vae_opt_util import computed_in_model, create_joint_model, create_sampler, load_pretrained

budget = 80
slow = {'TuRBO': turbo, 'BoTorch LogEI': botorch}
methods = {'ours': ours, 'random': uniform, 'ours, no lower bound': without_bound, 'CMA-ES': cma_es, **slow}


def create_vae(latent_dim):
    """Creates the VAE: 784 pixels, 400 units, `latent_dim` dimensions, 400 units, 784 pixels."""
    set_random_seed(0)
    image = layers.Input(shape=image_shape, name='image')
    x = layers.Dense(400, activation='relu', name='hidden')(layers.Flatten()(image))
    moments = [layers.Dense(latent_dim, name=name)(x) for name in ('t_mean', 't_log_var')]
    encoder = keras.Model(image, moments, name='encoder')

    t = layers.Input(shape=(latent_dim,), name='t')
    x = layers.Dense(400, activation='relu', name='hidden')(t)
    x = layers.Reshape(image_shape)(layers.Dense(math.prod(image_shape), activation='sigmoid', name='pixels')(x))
    return create_joint_model(encoder, keras.Model(t, x, name='decoder'), create_sampler(seed=0))


def trained_vae(latent_dim):
    """The VAE, trained if that is still to do."""
    folder, vae = bench_dir / f'vae-{latent_dim}d', create_vae(latent_dim)
    if folder.exists():
        load_weights(vae, 'vae', folder)
        return vae
    x = load_data('mnist').x_train
    vae.compile(optimizer=keras.optimizers.Adam(), loss={'vae': computed_in_model})
    vae.fit(x, {'vae': x}, batch_size=128, epochs=10, verbose=2)
    folder.mkdir(parents=True)
    save_weights(vae, 'vae', {}, folder)
    return vae


@cache
def encodings(latent_dim):
    """MNIST's training images in the VAE's latent space: points `t`, (60000, latent_dim), and labels `y`."""
    def encoded():
        data = load_data('mnist')
        return {'t': encode(data.x_train, trained_vae(latent_dim)), 'y': data.y_train}

    return kept(f'encodings-{latent_dim}d', encoded)


@cache
def models(latent_dim):
    """Decoder and classifier as one model, loaded once in each process."""
    return create_decode_classify(trained_vae(latent_dim).get_layer('decoder'), load_pretrained('classifier'))


def run_one(method, target, seed, latent_dim):
    """The best value of a search, and its seconds of computing."""
    objective, domain = create_nll(models(latent_dim), target), latent_bounds(encodings(latent_dim)['t'])
    objective(domain.mean(axis=1)[np.newaxis])  # compiles
    started = time.process_time()
    with threadpool_limits(1):
        _, values = methods[method](objective, domain, seed, budget)
    return values.min(), time.process_time() - started


def run_seed(method, seed, latent_dim, n_jobs):
    """Ten searches: `best`, (10,), and `seconds`, (10,)."""
    def run():
        found = Parallel(n_jobs=n_jobs)(delayed(run_one)(method, target, seed, latent_dim) for target in range(10))
        return dict(zip(('best', 'seconds'), np.transpose(found), strict=True))

    return kept(search_name(f'{latent_dim}d', method, seed), run)


def minima_of(latent_dim):
    """The lowest of many local minima for each target, (10,)."""
    images = encodings(latent_dim)
    return kept(f'minima-{latent_dim}d-{models_version()}', lambda: {'minima': local_minima(
        models(latent_dim), images, latent_bounds(images['t']))})['minima']


def measure(seeds, dimensions, n_jobs):
    """Ten targets × seeds in each number of dimensions; `seeds` is a dict from names of methods to how many seeds."""
    rows = []
    for latent_dim in dimensions:
        minima = minima_of(latent_dim)  # Trains the VAE, too, before several processes ask for it.
        for name, num_seeds in seeds.items():
            found = []
            for seed in range(num_seeds):
                found.append(run_seed(name, seed, latent_dim, n_jobs))
                print(f'... {latent_dim} dimensions, {name}, seed {seed}, {time.strftime("%X")}', file=sys.stderr,
                      flush=True)
            regrets = np.concatenate([of_seed['best'] - minima for of_seed in found])
            seconds = np.median([of_seed['seconds'] for of_seed in found])
            rows.append([f'{name}, {latent_dim} dimensions', *spread_of(regrets), f'{seconds:.1f}'])
    write('many_dimensions', ['method', 'searches', 'regret, median', 'regret, 90th percentile', 'regret, worst',
                              'seconds of CPU'], with_those_of_before('many_dimensions', rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--dimensions', type=int, nargs='+', default=[20, 200])
    parser.add_argument('--seeds', type=int, default=10)
    parser.add_argument('--seeds-of-slow', type=int, default=1, help='of ' + ' and '.join(slow) + '; 0 for none')
    parser.add_argument('--methods', nargs='+', default=list(methods), choices=methods)
    arguments = parser.parse_args()
    seeds = {name: arguments.seeds_of_slow if name in slow else arguments.seeds for name in arguments.methods}
    measure({name: num for name, num in seeds.items() if num}, arguments.dimensions, n_jobs=2)
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too, instead of being sent to them with its models.
    import many_dimensions

    many_dimensions.main()
