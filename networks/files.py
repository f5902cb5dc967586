"""Paths that a user names, and files of arrays."""

import io
import zipfile
from pathlib import Path

import numpy as np


def check_path(name, path):
    """Returns a path as a `Path`, in which `~` at the beginning is the home folder.

    Raises:
        ValueError: it is not a path, or there is no such home folder. The message calls it `name`.
    """
    try:
        expanded = Path(path).expanduser()
        if '\0' not in str(expanded):
            return expanded
    except (TypeError, RuntimeError):  # The latter where `~` names a user who is not known.
        pass
    raise ValueError(f'{name} must be the path of a file or folder, as text or `Path`, got {path!r}.')


def read_arrays(file, names=None):
    """Reads arrays of an npz archive, without executing any of its content.

    Args:
        file: its path, or a file that is open for reading bytes.
        names: of the arrays; all without it.

    Returns:
        A dict of arrays.

    Raises:
        ValueError: the archive is damaged, lacks an array, or cannot be read. The message does not name it.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if names is None:
                names = [name.removesuffix('.npy') for name in archive.namelist()]
            return {name: np.lib.format.read_array(io.BytesIO(archive.read(f'{name}.npy')), allow_pickle=False)
                    for name in names}
    except Exception as error:  # Of damaged bytes, zipfile, what decompresses, and NumPy raise nearly all kinds.
        raise ValueError(str(error) or type(error).__name__) from error
