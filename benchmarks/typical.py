"""Compares objectives by the images that they lead to: the article's, and the one that wants typical points.

`make bench` runs this after the searches. For each of ten targets and 20 seeds, a search with 52 evaluations decodes
its ten best distinct points, and the judge reads the images. The Fréchet distance is that of the hundred images of one
seed from MNIST's test images, so all rows compare sets of the same size. It takes about ten minutes on two cores.
The tables are printed, written to benchmarks/results/, and from there into the pages.
"""

import argparse
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from landscapes import box, budget, in_ten, in_two, models
from tables import update_pages, write

from digits.data import load_data
from digits.measures import create_features, frechet_distance, mean_pixel_distance, median_and_spread
from digits.objectives import create_nll, nll_norm, nll_prior
from latent_search import create_optimizer, top
from networks.prediction import predict

header = ['ten best distinct', 'searches', 'read as the target by the judge', '… of the worst target',
          'distance of two images, pixels', 'Fréchet distance', 'distance from the origin']


class Way(NamedTuple):
    """How images are searched for: the latent space, the term of the point alone, and the spacing of the search."""

    space: str
    prior: object
    spacing: float | None


ways = {"two dimensions, the article's objective": Way(in_two, nll_prior, None),
        "ten dimensions, the article's objective": Way(in_ten, nll_prior, None),
        'ten dimensions, density of the norm': Way(in_ten, nll_norm, None),
        'ten dimensions, density of the norm, spacing 0.2': Way(in_ten, nll_norm, 0.2)}


def images_of(way, target, seed):
    """The images of the ten best distinct points of a search, (10, 28, 28, 1), and their distance from the origin."""
    decoder = models()[way.space]['decoder']
    search = create_optimizer(create_nll(models()[way.space]['reader'], target, way.prior), box(way.space), seed,
                              lower_bound=way.prior, spacing=way.spacing)
    while len(search.X) < budget:
        search.step()
    points = top(search)[0]
    return predict(decoder, points, ''), np.linalg.norm(points, axis=1).mean()


def measure(seeds, n_jobs):
    """A row for each way: what the judge reads, and how different and how real the images are.

    Args:
        seeds: of the searches.
        n_jobs: number of processes.
    """
    features = create_features(models()['judge'])
    real, _ = predict(features, load_data('mnist').x_test, '')
    rows = []
    for name, way in ways.items():
        found = Parallel(n_jobs=n_jobs)(delayed(images_of)(way, target, seed) for seed in seeds for target in range(10))
        assessed = [predict(features, images, '') for images, _ in found]
        targets = np.tile(range(10), len(seeds))
        right = [np.mean(probs.argmax(axis=1) == target)
                 for target, (_, probs) in zip(targets, assessed, strict=True)]
        of_seeds = [np.concatenate([of_images for of_images, _ in assessed[10 * i:10 * i + 10]])
                    for i in range(len(seeds))]
        rows.append([name, len(found), f'{np.mean(right):.1%}',
                     f'{min(np.mean(np.array(right)[targets == target]) for target in range(10)):.1%}',
                     median_and_spread([mean_pixel_distance(images) for images, _ in found], 2),
                     median_and_spread([frechet_distance(of_seed, real) for of_seed in of_seeds], 0),
                     f'{np.median([distance for _, distance in found]):.2f}'])
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=20)
    arguments = parser.parse_args()
    write('typical', header, measure(range(arguments.seeds), 2))
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too, instead of being sent to them with its models.
    import typical

    typical.main()
