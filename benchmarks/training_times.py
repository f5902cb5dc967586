"""Measures how long training the models of digits takes: an epoch of each, times the epochs of its recipe.

`make bench-training` runs this. It takes a few minutes on two cores. The table is written to
benchmarks/results/training_times.csv, and from there into the pages.
"""

from tables import update_pages, write

from alternatives import train_conditional_vae
from digits.data import load_data
from networks.pretrained import load_manifest
from vae_opt_util import MODELS, VAE_RECIPE, train


def main():
    data = load_data('mnist')
    rows = []
    for name in [*MODELS, 'vae-conditional']:
        recipe = MODELS[name].recipe if name in MODELS else VAE_RECIPE
        once = recipe._replace(epochs=1)
        _, history = train(name, data, recipe=once) if name in MODELS else train_conditional_vae(data, recipe=once)
        rows.append([name, recipe.epochs, round(recipe.epochs * history[0]['seconds'])])
    # This model was trained on two cores.
    rows.append(['latent-constraints', *(load_manifest()['latent-constraints'][key] for key in ('epochs', 'seconds'))])
    write('training_times', ['model', 'epochs', 'seconds'], rows)
    update_pages()


if __name__ == '__main__':
    main()
