"""Molecules as rows of tokens: from SMILES to SELFIES (arXiv 1905.13741) and back, by RDKit and `selfies`.

Each row of SELFIES tokens is a molecule, so any output of a decoder can be drawn. Stereochemistry is left out: two
molecules that differ only in it are the same.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import selfies
from rdkit import Chem
from rdkit.rdBase import BlockLogs


class NoMoleculeError(ValueError):
    """A text is not a molecule, or a vocabulary cannot write it.

    Attributes:
        kind: why, in a few words that are the same for all molecules of that kind.
    """

    def __init__(self, kind, text):
        super().__init__(f'{text!r} {kind}.')
        self.kind = kind


def canonical(smiles):
    """RDKit's canonical SMILES of a molecule, without stereochemistry and isotopes.

        canonical('C(O)C')    # 'CCO'

    Raises:
        NoMoleculeError: the text is no SMILES string of a molecule.
    """
    with BlockLogs():
        molecule = Chem.MolFromSmiles(smiles) if isinstance(smiles, str) else None
    if molecule is None or not molecule.GetNumAtoms():
        raise NoMoleculeError('cannot be parsed as SMILES', smiles)
    for atom in molecule.GetAtoms():
        atom.SetIsotope(0)
    return Chem.MolToSmiles(Chem.RemoveHs(molecule), isomericSmiles=False)


class Vocabulary(NamedTuple):
    """The tokens that molecules are written with, and how many there may be.

    Rows of tokens are int32, (n, length). A token is its index in `tokens` plus 1; 0 marks the end and fills the rest.

    Attributes:
        tokens: SELFIES tokens, such as '[C]' and '[=O]'.
        length: of a row: one more than the tokens of the longest molecule.
    """

    tokens: tuple[str, ...]
    length: int

    def encode(self, smiles):
        """The row of tokens, int32 (length,), of a canonical SMILES string.

        Raises:
            NoMoleculeError: it is too long, has other tokens, or is not the same molecule when it is decoded.
        """
        try:
            tokens = list(selfies.split_selfies(selfies.encoder(smiles)))
        except selfies.EncoderError as error:
            raise NoMoleculeError('cannot be written as SELFIES', smiles) from error
        if not set(tokens) <= set(self.tokens):
            raise NoMoleculeError('has other tokens', smiles)
        if len(tokens) >= self.length:
            raise NoMoleculeError(f'has more than {self.length - 1} tokens', smiles)
        row = np.zeros(self.length, dtype='int32')
        row[:len(tokens)] = [self.tokens.index(token) + 1 for token in tokens]
        if self.decode(row[np.newaxis])[0] != smiles:
            raise NoMoleculeError('is another molecule after SELFIES', smiles)
        return row

    def decode(self, rows):
        """The canonical SMILES strings, a list, of rows of tokens (n, length); '' where a row is no molecule."""
        return [_decode(''.join(self.tokens[token - 1] for token in row[:_end(row)])) for row in rows]


def vocabulary_of(smiles: Iterable[str]):
    """The vocabulary of all molecules among SMILES strings; those that cannot be read do not count.

    Raises:
        ValueError: none can be read.
    """
    rows = []
    for text in smiles:
        try:
            rows.append(list(selfies.split_selfies(selfies.encoder(canonical(text)))))
        except (NoMoleculeError, selfies.EncoderError):
            continue
    if not rows:
        raise ValueError('No molecule can be read. Give SMILES strings, such as CCO.')
    return Vocabulary(tuple(sorted({token for row in rows for token in row} - {'.'})), max(map(len, rows)) + 1)


def _end(row):
    return int(np.argmin(row)) if not row.all() else len(row)


def _decode(text):
    try:
        return canonical(selfies.decoder(text))
    except (NoMoleculeError, selfies.DecoderError):
        return ''


# Of QM9: molecules of up to nine atoms of C, N, O and F, and hydrogen.
QM9 = Vocabulary(('[#Branch1]', '[#Branch2]', '[#C]', '[#N]', '[=Branch1]', '[=Branch2]', '[=C]', '[=N]', '[=O]',
                  '[=Ring1]', '[Branch1]', '[Branch2]', '[C]', '[F]', '[N]', '[NH1]', '[O]', '[Ring1]', '[Ring2]'), 22)
