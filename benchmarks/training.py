"""Compares the article's recipe with ours: each of the article's VAEs, trained with both and three seeds.

`make bench-training` runs this. It takes two hours on two cores, less with `--jobs 12` on a GPU. Trainings that an
interrupted run has finished, in build/checkpoints, are read back. The table is printed, written to
benchmarks/results/article_recipe.csv, and from there into the pages.
"""

import argparse

from joblib import Parallel, delayed
from tables import update_pages, write

from digits.data import load_data
from digits.measures import encode, knn_label_accuracy, median_and_spread
from vae_opt_util import ARTICLE_RECIPE, MODELS, checkpoints_dir, evaluate, train

seeds = 0, 1, 2
vaes = 'vae-predictor-off', 'vae-predictor-softmax', 'vae-predictor-linear'


def measure(name, recipe, seed, precision):
    """Trains a VAE: a dict of its figures on the test images."""
    data = load_data('mnist')
    model, _ = train(name, data, recipe=recipe, seed=seed, precision=precision, checkpoint_dir=checkpoints_dir)
    return evaluate(model, data.x_test, data.y_test, MODELS[name].score) | {
        'neighbours': knn_label_accuracy(encode(data.x_test, model), data.y_test)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--precision', default='auto', help='of the trainings: auto, float32 or mixed_bfloat16')
    parser.add_argument('--jobs', type=int, default=1, help='trainings at once')
    arguments = parser.parse_args()
    trainings = [(name, label, recipe) for name in vaes
                 for label, recipe in (("article's", ARTICLE_RECIPE), ('ours', MODELS[name].recipe))]
    found = iter(Parallel(n_jobs=arguments.jobs)(
        delayed(measure)(name, recipe, seed, arguments.precision) for name, _, recipe in trainings for seed in seeds))
    rows = []
    for name, label, _ in trainings:
        of_seeds = [next(found) for _ in seeds]

        def spread(key, scale, decimals, of_seeds=of_seeds):
            return median_and_spread([scale * figures[key] for figures in of_seeds], decimals)

        predictions = (f'{spread("accuracy", 100, 2)}%' if 'accuracy' in of_seeds[0] else
                       f'RMSE {spread("rmse", 1, 2)}' if 'rmse' in of_seeds[0] else '')
        rows.append([name, label, spread('neg_elbo', 1, 2), predictions, spread('neighbours', 100, 1)])
    write('article_recipe', ['VAE', 'recipe', '−ELBO', 'predictions', '10-nearest-neighbour accuracy, %'], rows)
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too.
    import training

    training.main()
