"""Chooses the recipe of the VAEs on the validation split: the last twelfth of the training images, never trained on.

`python benchmarks/choices.py` trains the VAE with a classifier once with each candidate; `python benchmarks/choices.py
averages` only with those named, and keeps the rows of the others. It goes on where an interrupted run stopped. The test
images are not read.
"""

import argparse

from search import with_those_of_before, write
from tables import fixed, update_pages

from mnist_vae.data import load_data
from mnist_vae.training import Recipe
from vae_opt_util import FAST_RECIPE, RECIPES, checkpoints_dir, evaluate, train

vae = 'vae-predictor-softmax'
averages = FAST_RECIPE._replace(epochs=15)
candidates = {
    "article's": Recipe(epochs=15),
    'decay': RECIPES[vae],
    'averages': averages,
    'averages, rate 0.001': averages._replace(learning_rate=0.001),
    'averages, rate 0.003': averages._replace(learning_rate=0.003),
    'averages, momentum 0.999': averages._replace(ema_momentum=0.999),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('names', nargs='*', default=list(candidates), help='candidates (default: all)')
    arguments = parser.parse_args()
    data = load_data('mnist').validation_split()
    for name in arguments.names:
        recipe = candidates[name]
        model, _ = train(vae, data, recipe=recipe, checkpoint_dir=checkpoints_dir)
        metrics = evaluate(model, data.x_test, data.y_test)
        row = [name, recipe.learning_rate, recipe.learning_rate_decay, recipe.warm_up_steps, recipe.ema_momentum,
               fixed(metrics['neg_elbo'], 2), fixed(metrics['kl'], 2), f'{metrics["accuracy"]:.2%}']
        write('choices', ['candidate', 'learning rate', 'decay', 'warm-up steps', 'momentum', '−ELBO', 'KL',
                          'accuracy'], with_those_of_before('choices', [row]))
    update_pages()


if __name__ == '__main__':
    main()
