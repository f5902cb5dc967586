"""Trains the pretrained models on MNIST and writes them with their manifest into this folder.

In bfloat16 where that is native, in float32 elsewhere. It goes on where an interrupted run stopped.
`python models/train.py classifier judge` trains only those.
"""

import argparse
import time

from alternatives import evaluate_latent_constraints, train_latent_constraints
from vae_opt_util import (
    PRETRAINED,
    RECIPES,
    checkpoints_dir,
    evaluate,
    evaluate_classifier,
    keras,
    load_data,
    load_pretrained,
    native_precision,
    save_pretrained,
    train,
    versions,
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('names', nargs='*', default=list(PRETRAINED), help='models to train (default: all)')
    parser.add_argument('--seed', type=int, default=0)
    arguments = parser.parse_args()

    backend = keras.backend.backend()
    data = load_data('mnist')
    for name in arguments.names:
        if name == 'latent-constraints':
            batch_size = 500
            vae = load_pretrained('vae-predictor-off')
            model, history = train_latent_constraints(vae, data, batch_size=batch_size, seed=arguments.seed)
            metrics = evaluate_latent_constraints(model, vae, data.x_test, data.y_test)
        else:
            batch_size = RECIPES[name].batch_size
            model, history = train(name, data, seed=arguments.seed, checkpoint_dir=checkpoints_dir)
            measure = evaluate if name.startswith('vae') else evaluate_classifier
            metrics = measure(model, data.x_test, data.y_test)
        metrics = {key: round(value, 4) for key, value in metrics.items()}
        save_pretrained(model, name, {
            'trained': time.strftime('%Y-%m-%d'),
            'data': f'{data.name}, {len(data.x_train):,} training images',
            'seed': arguments.seed,
            'epochs': len(history),
            'batch_size': batch_size,
            'precision': 'float32' if name == 'latent-constraints' else native_precision(),
            'seconds': round(sum(epoch['seconds'] for epoch in history)),
            'backend': backend,
            'versions': versions('keras', backend, 'numpy'),
            'test_metrics': metrics,
            'history': [{key: round(value, 4) for key, value in epoch.items()} for epoch in history],
        })
        print(f'{name}: {metrics} on the {len(data.x_test):,} test images', flush=True)


if __name__ == '__main__':
    main()
