"""Files of pretrained models, and manifest.json, which records how each was made and its sha256."""

import hashlib
import json
import os
import platform
import zipfile
from importlib import metadata
from pathlib import Path

from digits.backend import keras

_here = Path(__file__).resolve().parent
_checkout = _here.parent / 'models'
_installed = _here / 'models'

# A wheel has the models beside this file, a clone of the repository in a folder of its own.
models_dir = _installed if (_installed / 'manifest.json').exists() or not _checkout.is_dir() else _checkout


def save_pretrained(model, name, description, *, names, folder=models_dir):
    """Writes `model` to `<folder>/<name>.keras`, and its sha256 with `description` into the folder's manifest.json.

    Args:
        model: uncompiled, so that no optimizer state is saved.
        name: of the model.
        description: a dict that can be written as JSON: how, on what and with what result the model was made.
        names: of all models, in the order in which the manifest lists them.
        folder: where the models and their manifest are.

    Raises:
        ValueError: `name` is not one of `names`, or the manifest is damaged.
    """
    folder = Path(folder)
    path = folder / f'{check_model_name(name, names)}.keras'
    model.save(path)
    manifest = load_manifest(folder) if (folder / 'manifest.json').exists() else {}
    manifest[name] = {'file': path.name, 'sha256': hashlib.sha256(path.read_bytes()).hexdigest(), **description}
    manifest = {key: manifest[key] for key in names if key in manifest}
    write_text(folder / 'manifest.json', json.dumps(manifest, indent=1) + '\n')


def load_manifest(folder=models_dir):
    """Loads what manifest.json records of the pretrained models: a dict of dicts, one for each model.

    Raises:
        FileNotFoundError: there is no manifest.json in `folder`.
        ValueError: it is damaged.
    """
    path = Path(folder) / 'manifest.json'
    if not path.exists():
        raise FileNotFoundError(f'There is no {path}, which records the pretrained models. In a clone, restore it with '
                                '`git checkout` or train the models with `make train`. If you installed a wheel, '
                                'install it again. Notebooks run without them: set use_pretrained = False.')
    remedy = 'Restore it with `git checkout`, or install the package again.'
    manifest = read_json(path, remedy)
    if not isinstance(manifest, dict) or not all(isinstance(entry, dict) and isinstance(entry.get('sha256'), str)
                                                 for entry in manifest.values()):
        raise ValueError(f'{path} is damaged (it must hold an object with an object for each model, each with its '
                         f'sha256). {remedy}')
    return manifest


def load_pretrained(name, *, names, folder=models_dir):
    """Loads a pretrained model, checked against the sha256 in manifest.json, without executing code from its file.

    The classes of its layers have to be registered with Keras before; importing `vae_opt_util` does that.

    Args:
        name: of the model.
        names: of all models.
        folder: where the models and their manifest are.

    Returns:
        An uncompiled Keras model.

    Raises:
        ValueError: there is no model of that name, or its file is damaged.
        FileNotFoundError: the model's file or the manifest does not exist.
    """
    recorded = load_manifest(folder).get(check_model_name(name, names))
    path = Path(folder) / f'{name}.keras'
    if recorded is None or not path.exists():
        raise FileNotFoundError(f'The pretrained model {name!r} is not in {folder}. In a clone, restore it with '
                                '`git checkout` or train it with `make train`. If you installed a wheel, install it '
                                'again. Notebooks run without it: set use_pretrained = False.')
    if hashlib.sha256(path.read_bytes()).hexdigest() != recorded['sha256']:
        raise ValueError(f'{path} is not the file recorded in manifest.json: its sha256 differs. Restore it with '
                         '`git checkout`, train it with `make train`, or install the package again.')
    _check_no_code(path)
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def _check_no_code(path):
    """Raises ValueError if a model's file holds code: Keras runs it if the process has enabled that anywhere."""
    def parts(config):
        if isinstance(config, dict):
            yield config
        for part in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
            yield from parts(part)

    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read('config.json'))
    for part in parts(config):
        if part.get('class_name') in ('Lambda', '__lambda__'):
            raise ValueError(f'{path} holds code, in a Lambda layer, which is never loaded. Restore it with '
                             '`git checkout`, or install the package again.')


def check_model_name(name, names):
    """Returns `name` if it is one of `names`.

    Raises:
        ValueError: it is not.
    """
    if name not in names:
        raise ValueError(f'There is no model named {name!r}. The models are {", ".join(map(repr, names))}.')
    return name


def versions(*packages):
    """The versions of Python and of installed packages: a dict of strings."""
    return {'python': platform.python_version(), **{package: metadata.version(package) for package in packages}}


def read_json(path, remedy):
    """Reads a JSON file.

    Raises:
        ValueError: the file is damaged. The message ends with `remedy`.
    """
    try:
        return json.loads(path.read_text())
    except ValueError as error:  # Not JSON, or not even text.
        raise ValueError(f'{path} is damaged ({error}). {remedy}') from error


def write_text(path, text):
    """Writes a text file in one step: whoever reads it sees the old text or the new one, never a part."""
    unfinished = path.with_name(path.name + '.unfinished')
    unfinished.write_text(text)
    os.replace(unfinished, path)
