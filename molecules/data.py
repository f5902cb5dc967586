"""Files of molecules: a column of SMILES strings, which become rows of tokens."""

import csv
import gzip
import io
import os
import zlib
from collections import Counter
from typing import NamedTuple

import numpy as np

from molecules.processes import map_molecules
from molecules.vocabulary import NoMoleculeError, canonical
from networks.files import check_path


class Molecules(NamedTuple):
    """Molecules, each once.

    Attributes:
        smiles: canonical SMILES strings, a list of n.
        rows: their tokens, int32 (n, length).
        left_out: a dict from reasons to the number of molecules left out.
    """

    smiles: list[str]
    rows: np.ndarray
    left_out: dict[str, int]


def read_smiles(path=None):
    """Reads the column `smiles` of a CSV file, compressed by gzip or not.

    Args:
        path: of the file; without it the environment variable `MOLECULES` names one.

    Returns:
        A list of texts, or None if no file is named.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is no CSV file with a column `smiles`, or has no rows.
    """
    path = os.environ.get('MOLECULES') if path is None else path
    if not path:
        return None
    path = check_path('MOLECULES', path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no file {path}. Give the path of a CSV file with a column `smiles`.')
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content[:2] == b'\x1f\x8b' else content).decode('utf-8-sig')
        rows = list(csv.DictReader(io.StringIO(text)))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f'{path} cannot be read as a CSV file, compressed by gzip or not ({error}).') from error
    if not rows or 'smiles' not in rows[0]:
        raise ValueError(f'{path} must be a CSV file with rows and a column `smiles`; its first line is '
                         f'{text[:80].partition(chr(10))[0]!r}.')
    return [(row['smiles'] or '').strip() for row in rows]


def encode_molecules(smiles, vocabulary):
    """Writes molecules as rows of tokens; molecules that have none are left out and counted.

    Args:
        smiles: a list of SMILES strings.
        vocabulary: a `Vocabulary`.

    Returns:
        `Molecules`, each once, in their order.

    Raises:
        ValueError: no molecule is left.
    """
    found, left_out = {}, Counter()
    for text, row, why in map_molecules(_Encoded(vocabulary), smiles, 'read molecules'):
        why = why or ('is there twice' if text in found else '')
        if why:
            left_out[why] += 1
        else:
            found[text] = row
    if not found:
        raise ValueError(f'None of the {len(smiles)} molecules can be used: {dict(left_out)}.')
    return Molecules(list(found), np.array(list(found.values())), dict(left_out))


class _Encoded(NamedTuple):
    """Maps SMILES to the canonical SMILES, the row of tokens, and '' or else why there is none."""

    vocabulary: object

    def __call__(self, smiles):
        try:
            text = canonical(smiles)
            return text, self.vocabulary.encode(text), ''
        except NoMoleculeError as error:
            return smiles, None, error.kind


def split(smiles):
    """Divides molecules into training, validation (for choices) and test (for the last measurement).

    The part depends on the molecule alone, not on the order: 92%, 4% and 4% of all.

    Args:
        smiles: canonical SMILES strings, a list of n.

    Returns:
        A dict of arrays of bool, (n,), with the keys 'train', 'validation' and 'test'.
    """
    place = np.array([zlib.crc32(text.encode()) for text in smiles]) / 2 ** 32
    return {'train': place >= 0.08, 'validation': (place >= 0.04) & (place < 0.08), 'test': place < 0.04}
