"""Files of pretrained weights, and manifest.json, which records how each model was trained and the sha256 of its file.

A file holds arrays only, so that nothing in it is ever executed, and any version of Keras can use them.
"""

import hashlib
import io
import json
import os
import platform
import re
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from latent_search.files import replace_files
from networks.backend import keras
from networks.files import check_path, read_arrays

_here = Path(__file__).resolve().parent
_checkout = _here.parent / 'models'
_installed = _here / 'models'

# A wheel has the weights beside this file, a clone of the repository in a folder of its own.
models_dir = _installed if (_installed / 'manifest.json').exists() or not _checkout.is_dir() else _checkout

_remedy = 'Restore it with `git checkout`, train the model with `make train`, or install the package again.'


def save_weights(model, name, description, folder=models_dir):
    """Writes a model's weights to `<folder>/<name>.npz`, and their sha256 with `description` into manifest.json.

    Args:
        model: of layers and of models of layers.
        name: of the model: letters, digits, hyphens, underscores and dots.
        description: a dict that can be written as JSON: how, on what and with what result the model was trained.
        folder: where the weights and their manifest are.

    Raises:
        ValueError: the manifest is damaged, or the name cannot be a file name.
        OSError: a file cannot be written; then both are as they were before.
    """
    if not _is_name(name):
        raise ValueError('The name of a model is that of its file: letters, digits, hyphens, underscores and dots. Got '
                         f'{name!r}.')
    folder, content = check_path('folder', folder), io.BytesIO()
    np.savez_compressed(content, **{key: np.asarray(keras.ops.convert_to_numpy(variable))
                                    for key, variable in _variables(model)})
    manifest = load_manifest(folder) if (folder / 'manifest.json').exists() else {}
    manifest[name] = {'sha256': hashlib.sha256(content.getvalue()).hexdigest(), **description}
    replace_files({folder / f'{name}.npz': content.getvalue(),
                   folder / 'manifest.json': json.dumps(manifest, indent=1) + '\n'})


def save_trained(model, name, history, metrics, *, data, seed, precision, folder=models_dir):
    """Writes the weights of a newly trained model, with its training, data and results.

    Args:
        model, name: see `save_weights`.
        history: its learning curve, as `fit` returns it.
        metrics: a dict of floats, measured on test data.
        data: what it was trained on, in words.
        seed: of the training.
        precision: of its convolutions.
        folder: see `save_weights`.
    """
    backend = keras.backend.backend()
    metrics = {key: round(value, 4) for key, value in metrics.items()}
    save_weights(model, name, {
        'trained': time.strftime('%Y-%m-%d'),
        'data': data,
        'seed': seed,
        'epochs': len(history),
        'precision': precision,
        'seconds': round(sum(epoch['seconds'] for epoch in history)),
        'backend': backend,
        'versions': versions('keras', backend, 'numpy'),
        'test_metrics': metrics,
        'history': [{key: round(value, 4) for key, value in epoch.items()} for epoch in history],
    }, folder)


def _is_name(name):
    return isinstance(name, str) and re.fullmatch(r'\w[\w.-]*', name) is not None


def load_weights(model, name, folder=models_dir):
    """Loads pretrained weights into a model that was built, after checking them against the sha256 in manifest.json.

    Args:
        model: of the same architecture as the saved model.
        name: of the pretrained model.
        folder: where the weights and their manifest are.

    Returns:
        The learning curve of their training: a list with a dict for each epoch.

    Raises:
        ValueError: there are no weights of that name, the file or the manifest is damaged, or the model has other
            layers or shapes. The model is then unchanged.
        FileNotFoundError: the file or the manifest does not exist.
    """
    manifest, path = load_manifest(folder), check_path('folder', folder) / f'{name}.npz'
    if not isinstance(name, str) or name not in manifest:
        raise ValueError(f'There are no pretrained weights named {name!r}. There are {", ".join(map(repr, manifest))}.')
    if not os.path.isfile(path):
        raise FileNotFoundError(f'There is no {path}, which holds pretrained weights. {_remedy} Notebooks run without '
                                'them: set use_pretrained = False.')
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({error}). {_remedy}') from error
    if hashlib.sha256(content).hexdigest() != manifest[name]['sha256']:
        raise ValueError(f'{path} is not the file recorded in manifest.json: its sha256 differs. {_remedy}')
    try:
        arrays = read_arrays(io.BytesIO(content))
    except ValueError as error:
        raise ValueError(f'{path} is damaged ({error}). {_remedy}') from error
    variables = dict(_variables(model))
    shapes, wanted = ({key: tuple(array.shape) for key, array in of.items()} for of in (arrays, variables))
    different = sorted(key for key in shapes | wanted if shapes.get(key) != wanted.get(key))
    if different:
        key = different[0]
        raise ValueError(f'The weights {name!r} do not fit this model: {key} has shape {shapes.get(key, "none")} in '
                         f'the file and {wanted.get(key, "none")} in the model. Build the model as it was when it was '
                         'trained, or train this one: set use_pretrained = False.')
    if any(array.dtype.kind != 'f' for array in arrays.values()):
        raise ValueError(f'{path} is damaged (it must hold arrays of floating-point numbers only). {_remedy}')
    for key, variable in variables.items():
        variable.assign(arrays[key])
    return manifest[name].get('history', [])


def _variables(model, prefix=''):
    """The weights of a model, each with the names of its model, layer and itself, such as 'encoder/dense/kernel'."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _variables(layer, f'{prefix}{layer.name}/')
        else:
            yield from ((f'{prefix}{layer.name}/{variable.name}', variable) for variable in layer.weights)


def load_manifest(folder=models_dir):
    """Loads what manifest.json records of the pretrained models: a dict of dicts, one for each model.

    Raises:
        FileNotFoundError: there is no manifest.json in `folder`.
        ValueError: it is damaged.
    """
    path = check_path('folder', folder) / 'manifest.json'
    if not os.path.isfile(path):
        raise FileNotFoundError(f'There is no {path}, which records the pretrained models. {_remedy} Notebooks run '
                                'without them: set use_pretrained = False.')
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:  # Not JSON, or not even text.
        raise ValueError(f'{path} is damaged ({error}). {_remedy}') from error
    if not isinstance(manifest, dict) or not all(
            _is_name(name) and isinstance(entry, dict) and isinstance(entry.get('sha256'), str)
            and isinstance(entry.get('history', []), list) for name, entry in manifest.items()):
        raise ValueError(f'{path} is damaged (it must hold an object with an object for each model, each with its '
                         f'sha256 and its history). {_remedy}')
    return manifest


def versions(*packages):
    """The versions of Python and of installed packages: a dict of strings."""
    return {'python': platform.python_version(), **{package: metadata.version(package) for package in packages}}
