"""Writes build/explore.html, a page to move over the latent spaces of the three VAEs, which needs no other file.

`make explore` runs this. The page holds the weights of the networks and decodes in the browser. Objectives are computed
here, on a grid, and so are their minima and the searches that the page replays.
"""

import base64
import json
from pathlib import Path

import matplotlib
import numpy as np

from digits.data import num_labels
from digits.objectives import create_decode_classify, create_nll, nll_all_targets, nll_prior, probability_floor
from latent_search import create_grid, create_optimizer, run_searches
from latent_search.files import replace_file
from networks.backend import layers
from vae_opt_util import MODELS, build_dir, label_accuracy, load_pretrained

VAES = {'vae-predictor-off': 'without predictor', 'vae-predictor-softmax': 'with classifier',
        'vae-predictor-linear': 'with regressor'}
page_path = build_dir / 'explore.html'
domain = ((-4.0, 4.0), (-4.0, 4.0))
highest_term = -np.log(probability_floor)

_folder = Path(__file__).resolve().parent


def as_base64(array):
    """Encodes the bytes of an array, little-endian: what JavaScript's typed arrays read."""
    return base64.b64encode(np.ascontiguousarray(array, array.dtype.newbyteorder('<')).tobytes()).decode()


def weights_of(network):
    """The weights of a network: for each layer that has some, in their order, its kernel and bias as base64 of float32.

    Kernels of transposed convolutions change from Keras's (3, 3, filters, channels) to (3, 3, channels, filters).
    """
    weights = []
    for layer in network.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            if isinstance(layer, layers.Conv2DTranspose):
                kernel = kernel.transpose(0, 1, 3, 2)
            weights.append([as_base64(kernel), as_base64(bias)])
    return weights


def quantised(terms):
    """The label's term of an objective, nats from 0 to `highest_term`, in 256 steps that are finest near 0: uint8."""
    return np.round(255 * np.sqrt(np.clip(terms / highest_term, 0, 1))).astype('uint8')


def refined_minima(reader, t_grid, nll, spacing):
    """The minima of the objective for all ten targets, on grids ten times and a hundred times as fine as the given one.

    Args:
        reader: a Keras model from points to label probabilities, see `nll_all_targets`.
        t_grid: the points of the given grid, (m, 2).
        nll: the objective there, (m, 10), nats.
        spacing: of the given grid.

    Returns:
        float64 (10, 3): a row for each target with t₁, t₂ and the value in nats.
    """
    targets = np.arange(num_labels)
    t, values = t_grid[nll.argmin(axis=0)], nll.min(axis=0)
    around = create_grid([(-1, 1)] * 2, 21)[2]
    for _ in range(2):
        near = np.clip(t[:, np.newaxis] + spacing * around, *domain[0])
        of_near = nll_all_targets(reader, near.reshape(-1, 2)).reshape(num_labels, -1, num_labels)
        of_near = of_near[targets, :, targets]
        t, values = near[targets, of_near.argmin(axis=1)], of_near.min(axis=1)
        spacing /= 10
    return np.c_[t, values]


def describe_objective(name, reader, points, max_iter):
    """Computes the page's data of an objective: the label's term on a grid, the minima, and a search for each target.

    Args:
        name: its name in the page.
        reader: a Keras model from points to label probabilities, see `nll_all_targets`.
        points: of the grid along each side.
        max_iter: proposals of each search after its starting points.

    Raises:
        RuntimeError: a search failed.
    """
    _, _, t_grid = create_grid(domain, points)
    nll = nll_all_targets(reader, t_grid)
    searches = run_searches(
        lambda target, seed: create_optimizer(create_nll(reader, target), domain, seed,
                                              lower_bound=nll_prior), range(num_labels), [0], max_iter)
    for (target, _), search in searches.items():
        if search.error is not None:
            raise RuntimeError(f'The search for {target} failed: {search.error}. The page was not written.')
    return {'name': name, 'terms': as_base64(quantised(nll - nll_prior(t_grid)).T),
            'minima': refined_minima(reader, t_grid, nll, 8 / (points - 1)).round(5).tolist(),
            'searches': [np.c_[search.X, search.Y].round(5).tolist() for search in searches.values()]}


def describe_vae(name, classifier, points, max_iter):
    """Computes the page's data of a VAE: its weights and its objectives."""
    vae = load_pretrained(name)
    decoder = vae.get_layer('decoder')
    predictor = vae.get_layer('predictor') if 'predictor' in vae.output else None
    readers = {'decode → classify': create_decode_classify(decoder, classifier)}
    if MODELS[name].score is label_accuracy:
        readers['predictor'] = predictor
    return {'name': VAES[name], 'decoder': weights_of(decoder), 'predictor': predictor and weights_of(predictor),
            'objectives': [describe_objective(source, reader, points, max_iter)
                           for source, reader in readers.items()]}


def compose(data):
    """Puts the page together from its parts in this folder and the data that it shows, a dict."""
    parts = {name: (_folder / name).read_text(encoding='utf-8')
             for name in ('page.html', 'style.css', 'networks.js', 'map.js', 'explorer.js')}
    return (parts['page.html'].replace('/* style */', parts['style.css'])
            .replace('/* scripts */', parts['networks.js'] + parts['map.js'] + parts['explorer.js'])
            .replace('/* data */', json.dumps(data)))


def write_page(path, points=121, max_iter=46):
    """Computes and writes the page.

    Args:
        path: of the page. Its folder is created.
        points: of the objectives' grid along each side.
        max_iter: proposals of each search after its starting points.
    """
    classifier = load_pretrained('classifier')
    vaes = []
    for i, name in enumerate(VAES, start=1):
        print(f'[{i}/{len(VAES)}] {name}: objectives and searches', flush=True)
        vaes.append(describe_vae(name, classifier, points, max_iter))
    colors = (255 * matplotlib.colormaps['viridis'](np.arange(256))[:, :3]).round().astype('uint8')
    lowest = nll_prior([[0, 0]]).item()
    data = {'vaes': vaes, 'classifier': weights_of(classifier), 'points': points, 'box': domain[0],
            'floor': probability_floor, 'highestTerm': highest_term, 'colors': colors.tobytes().hex(),
            'range': [lowest, nll_prior([[4, 4]]).item() + highest_term]}
    page = compose(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, page)


if __name__ == '__main__':
    write_page(page_path)
