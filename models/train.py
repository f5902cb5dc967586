"""Trains the pretrained models on MNIST and writes their weights with their manifest into this folder.

It continues where an interrupted run stopped. `python models/train.py classifier judge` trains only those.
"""

import argparse

from alternatives import (
    evaluate_conditional_vae,
    evaluate_latent_constraints,
    train_conditional_vae,
    train_latent_constraints,
)
from digits.data import load_data
from networks.backend import native_precision
from networks.prediction import predict
from networks.pretrained import load_manifest, save_trained
from vae_opt_util import MODELS, checkpoints_dir, evaluate, load_pretrained, train

NAMES = [*MODELS, 'vae-conditional', 'latent-constraints']


def train_and_measure(name, data, seed):
    """A trained model, its learning curve, and its figures on the test images."""
    test_set = data.x_test, data.y_test
    if name == 'latent-constraints':
        vae = load_pretrained('vae-predictor-off')
        model, history = train_latent_constraints(vae, data, seed=seed)
        return model, history, evaluate_latent_constraints(model, vae, *test_set)
    if name == 'vae-conditional':
        model, history = train_conditional_vae(data, seed=seed, checkpoint_dir=checkpoints_dir)
        return model, history, evaluate_conditional_vae(model, *test_set)
    model, history = train(name, data, seed=seed, checkpoint_dir=checkpoints_dir)
    if name.startswith('vae'):
        return model, history, evaluate(model, *test_set, MODELS[name].score)
    return model, history, MODELS[name].score(predict(model, data.x_test, name), data.y_test)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('names', nargs='*', default=NAMES, help='models to train (default: all)')
    parser.add_argument('--seed', type=int, default=0)
    arguments = parser.parse_args()

    data = load_data('mnist')
    for name in arguments.names:
        model, history, metrics = train_and_measure(name, data, arguments.seed)
        save_trained(model, name, history, metrics, seed=arguments.seed,
                     data=f'{data.name}, {len(data.x_train):,} training images',
                     precision='float32' if name == 'latent-constraints' else native_precision())
        print(f'{name}: {load_manifest()[name]["test_metrics"]} on test data', flush=True)


if __name__ == '__main__':
    main()
