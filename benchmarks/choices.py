"""Compares recipes on the validation split: the last twelfth of the training images, on which nothing is trained here.

`python benchmarks/choices.py` trains a VAE, the classifier and the judge with each candidate; `python
benchmarks/choices.py judge` only those named, and keeps the other rows. Seeds are not those of the pretrained models.
The VAE has the classifier as predictor; all VAEs share its recipe. `latent-constraints` chooses the weight of how far
the actor moves a point, and the number of gradient steps, in the latent space of the pretrained VAE, by the Fréchet
distance of what is generated from the validation images. Test images are not read. Trainings that an interrupted run
has finished, in build/checkpoints, are read back.
"""

import argparse

import numpy as np
from joblib import Parallel, delayed
from tables import update_pages, with_those_of_before, write

from alternatives import constrain, constrain_with_gradients, sample_prior, train_latent_constraints
from digits.data import load_data, num_labels
from digits.measures import assess_generated, create_features, median_and_spread, predict
from vae_opt_util import ARTICLE_RECIPE, RECIPES, VAE_RECIPE, checkpoints_dir, load_pretrained, train

seeds = 100, 101, 102
# Of the images that latent constraints generate with each seed, the judge is to read this share as wanted.
required_share = 0.97
# In which candidates differ.
recipe_fields = 'epochs', 'learning_rate', 'learning_rate_decay', 'warm_up_steps', 'ema_momentum'

# For each model: by what its recipe is chosen, and candidates.
candidates = {
    'vae-predictor-softmax': ('−ELBO', {
        "article's": ARTICLE_RECIPE,
        'decay': ARTICLE_RECIPE._replace(learning_rate_decay=0.85, warm_up_steps=100),
        'averages': VAE_RECIPE,
        'averages, rate 0.001': VAE_RECIPE._replace(learning_rate=0.001),
        'averages, rate 0.003': VAE_RECIPE._replace(learning_rate=0.003),
        'averages, momentum 0.999': VAE_RECIPE._replace(ema_momentum=0.999)}),
    # The objective asks it for probabilities.
    'classifier': ('cross-entropy', {
        'decay, 5 epochs': ARTICLE_RECIPE._replace(epochs=5, learning_rate_decay=0.8, warm_up_steps=100),
        'decay, 8 epochs': ARTICLE_RECIPE._replace(epochs=8, learning_rate_decay=0.7, warm_up_steps=100),
        'averages, 5 epochs': VAE_RECIPE._replace(epochs=5),
        'averages, 8 epochs': VAE_RECIPE._replace(epochs=8)}),
    # It only reads labels.
    'judge': ('accuracy', {
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


def compare_recipes(names, num_seeds, precision, n_jobs):
    """Trains each model with its candidates: what they reach on the validation images."""
    jobs = [(name, candidate, recipe) for name in names for candidate, recipe in candidates[name][1].items()]
    found = iter(Parallel(n_jobs=n_jobs)(delayed(last_epoch)(name, recipe, seed, precision)
                                         for name, _, recipe in jobs for seed in seeds[:num_seeds]))
    decimals = {'−ELBO': 2, 'cross-entropy': 4, 'accuracy': 2}
    rows = []
    for name, candidate, recipe in jobs:
        of_seeds = [next(found) for _ in range(num_seeds)]
        rows.append([name, candidate, *(recipe._asdict()[field] for field in recipe_fields), num_seeds,
                     *(median_and_spread([of_seed[key] for of_seed in of_seeds], places) if key in of_seeds[0] else ''
                       for key, places in decimals.items()),
                     f'by {candidates[name][0]}' if recipe == RECIPES[name] else ''])
    if rows:
        write('choices', ['model', 'candidate', *(field.replace('_', ' ') for field in recipe_fields), 'seeds',
                          '−ELBO', 'cross-entropy', 'accuracy, %', 'chosen'], with_those_of_before('choices', rows))


def choose_constraints(num=100, weights=(0.03, 0.1, 0.3, 1.0), steps=(10, 30, 100)):
    """Weights of the actor first, then numbers of gradient steps with the chosen weight; `num` images a label."""
    data = load_data('mnist').validation_split()
    vae, judge = load_pretrained('vae-predictor-off'), load_pretrained('judge')
    real, _ = predict(create_features(judge), data.x_test, '')
    constraints = {(weight, seed): train_latent_constraints(vae, data, move_weight=weight, seed=seed)[0]
                   for weight in weights for seed in seeds}

    def assess(move):
        """What is generated from points of the prior, moved for each label by `move(points, label, seed)`."""
        of_seeds = []
        for seed in seeds:
            points = [move(sample_prior(4 * num, 2, seed * num_labels + label), label, seed)[:num]
                      for label in range(num_labels)]
            images = [predict(vae.get_layer('decoder'), t.astype('float32'), '') for t in points]
            of_seeds.append(assess_generated(images, judge, real, data.y_test, num))
        return {key: [of_seed[key] for of_seed in of_seeds] for key in ('correct', 'distance', 'frechet')}

    def rows(name, found):
        right = [setting for setting in found if min(found[setting]['correct']) >= required_share]
        chosen = min(right or found, key=lambda setting: np.median(found[setting]['frechet']))
        return chosen, [[name, setting, *(median_and_spread([scale * value for value in of[key]], decimals)
                                          for key, scale, decimals in (('correct', 100, 1), ('distance', 1, 2),
                                                                       ('frechet', 1, 1))),
                         'yes' if setting == chosen else ''] for setting, of in found.items()]

    weight, of_weights = rows('actor, weight of the move', {weight: assess(
        lambda t, label, seed, weight=weight: constrain(constraints[weight, seed], t, label)) for weight in weights})
    _, of_steps = rows('gradient steps', {max_iter: assess(
        lambda t, label, seed, max_iter=max_iter: constrain_with_gradients(
            constraints[weight, seed], t, label, num, max_iter=max_iter, move_weight=weight)[0]) for max_iter in steps})
    write('choices_constraints', ['latent constraints', 'setting', 'read as wanted, %', 'distance', 'Fréchet distance',
                                  'chosen'], of_weights + of_steps)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('names', nargs='*', default=[*candidates, 'latent-constraints'], help='default: all')
    parser.add_argument('--seeds', type=int, default=1, choices=range(1, len(seeds) + 1), help='of the trainings')
    parser.add_argument('--precision', default='auto')
    parser.add_argument('--jobs', type=int, default=1, help='trainings at once')
    arguments = parser.parse_args()
    if 'latent-constraints' in arguments.names:
        choose_constraints()
    compare_recipes([name for name in arguments.names if name in candidates], arguments.seeds, arguments.precision,
                    arguments.jobs)
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too.
    import choices

    choices.main()
