"""Where classifier and judge disagree in two dimensions: because of the objective, the decoder, or the classifier?

Five other readers look at what searches with the article's second objective find: two classifiers and three judges,
trained with other seeds (the first judge is the pretrained one). Then three ways to search are compared by these
judges: the article's objective, the mean probability of three classifiers in the place of one, and ten times the weight
on the label. Ten targets × 20 seeds with 52 evaluations each. It takes about ten minutes on two cores, after
`benchmarks/training.py`, which trains the readers.
The tables are printed, written to benchmarks/results/, and from there into the pages.
"""

import argparse
from functools import cache

import numpy as np
from joblib import Parallel, delayed
from landscapes import budget, domain, in_two, models
from tables import update_pages, write

from digits.backend import keras, layers
from digits.data import load_data, num_labels
from digits.measures import predict
from latent_search import create_grid, create_optimizer, top
from vae_opt_util import (
    checkpoints_dir,
    create_nll,
    nll_all_targets,
    nll_of_probs,
    nll_prior,
    train,
)


def decoder():
    return models()[in_two]['decoder']


@cache
def readers():
    """Classifiers and judges: the pretrained ones, which have seed 0, and those with seeds 1 and 2."""
    data = load_data('mnist')
    return {name: [models()[name], *(train(name, data, seed=seed, checkpoint_dir=checkpoints_dir)[0]
                                            for seed in (1, 2))] for name in ('classifier', 'judge')}


@cache
def mean_of_classifiers():
    """The mean probability of three classifiers, which need names of their own to be parts of one model."""
    image = layers.Input(shape=decoder().output.shape[1:])
    parts = [keras.Model(model.input, model.output, name=f'classifier_{seed}')
             for seed, model in enumerate(readers()['classifier'])]
    return keras.Model(image, layers.average([part(image) for part in parts]), name='mean')


def prior_of_tenth(t):
    """A tenth of the prior's term: the same minimum as ten times the weight on the label."""
    return nll_prior(t) / 10


# The classifier of the objective, and its term of the point alone.
ways = {"the article's objective": (lambda: readers()['classifier'][0], nll_prior),
        'mean probability of three classifiers': (mean_of_classifiers, nll_prior),
        'ten times the weight on the label': (lambda: readers()['classifier'][0], prior_of_tenth)}


def best_images(way, target, seed):
    """The images of the ten best distinct points of a search, (10, 28, 28, 1)."""
    create_classifier, prior = ways[way]
    search = create_optimizer(create_nll(decoder(), create_classifier(), target, prior), domain, seed,
                              lower_bound=prior)
    while len(search.X) < budget:
        search.step()
    return predict(decoder(), top(search)[0].astype('float32'), '')


def read(name, images):
    """What each of three readers makes of images: probabilities (3, n, 10)."""
    return np.array([predict(model, images, '') for model in readers()[name]])


def percent(values):
    return f'{np.mean(values):.1%}'


def measure_minima():
    """How the minimum of each target is read, on a grid of 0.02."""
    t = create_grid(domain, points=401)[2]
    lowest = t[nll_all_targets(models()[in_two]['label_probs'], t).argmin(axis=0)]
    images = predict(decoder(), lowest.astype('float32'), '')
    classifiers, judges = (read(name, images) for name in ('classifier', 'judge'))
    rows = []
    of_label = nll_of_probs(classifiers[0], lowest) - nll_prior(lowest)
    for target in range(num_labels):
        instead = judges[:, target].mean(axis=0)
        instead[target] = 0
        rows.append([target, f'{of_label[target, target]:.3f}', f'{classifiers[0, target, target]:.3f}',
                     *(f'{probs:.3f}' for probs in classifiers[1:, target, target]),
                     *(f'{probs:.3f}' for probs in judges[:, target, target]), int(instead.argmax())])
    write('minima_readings', ['minimum of the objective for', 'label term, nats', 'its classifier',
                              'classifier, seed 1', 'classifier, seed 2', 'judge', 'judge, seed 1', 'judge, seed 2',
                              'what the judges read most beside it'], rows)


def measure_ways(seeds):
    rows = []
    for way in ways:
        found = Parallel(n_jobs=2)(delayed(best_images)(way, target, seed)
                                   for target in range(num_labels) for seed in seeds)
        images = [np.concatenate(found[target * len(seeds):(target + 1) * len(seeds)]) for target in range(num_labels)]
        right = {name: np.array([(read(name, of_target).argmax(axis=2) == target).mean(axis=1)
                                 for target, of_target in enumerate(images)]) for name in ('classifier', 'judge')}
        for target in range(num_labels):
            rows.append([f'{way}: {target}', percent(right['classifier'][target, 0]),
                         percent(right['classifier'][target, 1:]), percent(right['judge'][target, 0]),
                         percent(right['judge'][target, 1:])])
        rows.append([f'{way}: mean', percent(right['classifier'][:, 0]), percent(right['classifier'][:, 1:]),
                     percent(right['judge'][:, 0]), percent(right['judge'][:, 1:])])
    write('readings', ['ten best distinct: target', 'read right by the classifier, seed 0',
                       'by classifiers, seeds 1 and 2', 'by the judge', 'by judges, seeds 1 and 2'], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=20)
    arguments = parser.parse_args()
    measure_minima()
    measure_ways(range(arguments.seeds))
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too, instead of being sent to them with its models.
    import readings

    readings.main()
