"""Chooses recipes on the validation split: the last twelfth of the training images, on which nothing is trained here.

`python benchmarks/choices.py` trains a VAE, the classifier and the judge with each candidate and some seeds, which are
not those of the pretrained models; `python benchmarks/choices.py judge` only those named, and keeps the other rows. The
VAE has the classifier as predictor; all VAEs share what is chosen for it. Test images are not read. Trainings that an
interrupted run has finished, in build/checkpoints, are read back.
"""

import argparse

from joblib import Parallel, delayed
from tables import fixed, update_pages, with_those_of_before, write

from mnist_vae.data import load_data
from mnist_vae.measures import median_and_spread
from vae_opt_util import ARTICLE_RECIPE, VAE_RECIPE, checkpoints_dir, train

seeds = 100, 101, 102

# For each model: by what it is chosen, whether that is to be high, and recipes.
candidates = {
    'vae-predictor-softmax': ('−ELBO', False, {
        "article's": ARTICLE_RECIPE,
        'decay': ARTICLE_RECIPE._replace(learning_rate_decay=0.85, warm_up_steps=100),
        'averages': VAE_RECIPE,
        'averages, rate 0.001': VAE_RECIPE._replace(learning_rate=0.001),
        'averages, rate 0.003': VAE_RECIPE._replace(learning_rate=0.003),
        'averages, momentum 0.999': VAE_RECIPE._replace(ema_momentum=0.999)}),
    # The objective asks it for probabilities.
    'classifier': ('cross-entropy', False, {
        'decay, 5 epochs': ARTICLE_RECIPE._replace(epochs=5, learning_rate_decay=0.8, warm_up_steps=100),
        'decay, 8 epochs': ARTICLE_RECIPE._replace(epochs=8, learning_rate_decay=0.7, warm_up_steps=100),
        'averages, 5 epochs': VAE_RECIPE._replace(epochs=5),
        'averages, 8 epochs': VAE_RECIPE._replace(epochs=8)}),
    # It only reads labels.
    'judge': ('accuracy', True, {
        'decay 0.7, 12 epochs': ARTICLE_RECIPE._replace(epochs=12, learning_rate_decay=0.7),
        'decay 0.8, 18 epochs': ARTICLE_RECIPE._replace(epochs=18, learning_rate_decay=0.8),
        'decay 0.85, 24 epochs': ARTICLE_RECIPE._replace(epochs=24, learning_rate_decay=0.85),
        'averages, 12 epochs': VAE_RECIPE._replace(epochs=12),
        'averages, 24 epochs': VAE_RECIPE._replace(epochs=24)})}


def last_epoch(name, recipe, seed, precision):
    """What a training reaches on the validation images."""
    data = load_data('mnist').validation_split()
    _, history = train(name, data, recipe=recipe, seed=seed, precision=precision, checkpoint_dir=checkpoints_dir)
    reached = {'accuracy': 100 * history[-1]['val_accuracy']}
    if 'val_loss' in history[-1]:
        return reached | {'cross-entropy': history[-1]['val_loss']}
    return reached | {'−ELBO': history[-1]['val_reconstruction'] + history[-1]['val_kl']}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('names', nargs='*', default=list(candidates), help='models (default: all)')
    parser.add_argument('--precision', default='auto')
    parser.add_argument('--jobs', type=int, default=1, help='trainings at once')
    arguments = parser.parse_args()
    jobs = {(name, candidate): recipe for name in arguments.names for candidate, recipe in candidates[name][2].items()}
    found = iter(Parallel(n_jobs=arguments.jobs)(
        delayed(last_epoch)(name, recipe, seed, arguments.precision)
        for (name, _), recipe in jobs.items() for seed in seeds))
    reached = {job: [next(found) for _ in seeds] for job in jobs}
    rows = []
    for name in arguments.names:
        measure, high, recipes = candidates[name]
        means = {candidate: sum(of_seed[measure] for of_seed in reached[name, candidate]) for candidate in recipes}
        chosen = (max if high else min)(means, key=means.get)
        for candidate, recipe in recipes.items():
            of_seeds = reached[name, candidate]
            decimals = {'−ELBO': 2, 'cross-entropy': 4}
            rows.append([name, candidate, recipe.epochs, recipe.learning_rate, recipe.learning_rate_decay,
                         recipe.warm_up_steps, recipe.ema_momentum,
                         *(median_and_spread([of_seed[key] for of_seed in of_seeds], places)
                           if key in of_seeds[0] else '' for key, places in decimals.items()),
                         median_and_spread([of_seed['accuracy'] for of_seed in of_seeds], 2),
                         fixed(means[candidate] / len(seeds), decimals.get(measure, 3)),
                         f'by {measure}' if candidate == chosen else ''])
    write('choices', ['model', 'candidate', 'epochs', 'learning rate', 'decay', 'warm-up steps', 'momentum',
                      '−ELBO', 'cross-entropy', 'accuracy, %', 'mean of what is chosen by', 'chosen'],
          with_those_of_before('choices', rows))
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too.
    import choices

    choices.main()
