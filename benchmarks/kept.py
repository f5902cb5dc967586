"""Results that are kept in build/bench, so that an interrupted benchmark goes on where it was.

The name of a result holds hashes of what it depends on: of the pretrained models' manifest, and for our searches of
their code. What an earlier version has found is not read back.
"""

import hashlib
import io
from functools import cache
from pathlib import Path

import numpy as np

import latent_search
from latent_search.files import replace_file
from networks.pretrained import models_dir
from vae_opt_util import build_dir

bench_dir = build_dir / 'bench'


@cache
def search_version():
    """A hash of the code of our search; what it looks like does not matter."""
    files = sorted(Path(latent_search.__file__).parent.glob('*.py'))
    return hash_of([path for path in files if path.name != 'figures.py'])


@cache
def models_version():
    """A hash of the pretrained models' manifest, which holds hashes of their files."""
    return hash_of([models_dir / 'manifest.json'])


def hash_of(paths):
    """A hash of the content of files, 12 hexadecimal digits."""
    return hashlib.sha256(b''.join(path.read_bytes() for path in paths)).hexdigest()[:12]


def search_name(part, method, seed):
    """The name of the searches of a method for one seed; `part` says what for."""
    of_code = f'-{search_version()}' if method.startswith('ours') else ''
    return f'{part}-{method}-{seed}-{models_version()}{of_code}'


def kept(name, compute):
    """A dict of arrays: read back, or else what `compute` returns, which is then kept under that name."""
    path = bench_dir / f'{name}.npz'
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.savez(content, **compute())
        replace_file(path, content.getvalue())
    with np.load(path) as npz:
        return dict(npz)
