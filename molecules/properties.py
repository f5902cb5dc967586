"""Properties that RDKit computes from the structure alone, and which molecules are worth an experiment."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
from rdkit import Chem, RDConfig
from rdkit.Chem import QED, Crippen
from rdkit.rdBase import BlockLogs

from molecules.processes import map_molecules

# What the predictor learns.
NAMES = 'logP', 'QED', 'SA score'

# Heteroatoms in chains, which QM9 has and a chemist would hardly make.
_implausible = ('[#7,#8;!R]~[#7,#8]~[#7,#8]', '[#7,#8]~[#7,#8;!R]~[#7,#8]', '[#8]-[#8]', '[#9]-[#7,#8]',
                '[#6]=[#6;R]=[#6]', '[R]#[R]')


def properties_of(smiles):
    """The properties `NAMES` of one molecule: a tuple of floats without units.

    logP: Crippen's estimate of the octanol–water partition coefficient. QED: drug-likeness from 0 to 1. SA score:
    synthetic accessibility, from 1, easy, to 10.

        properties_of('CCO')    # (-0.0014, 0.4068, 1.9803)
    """
    with BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        return Crippen.MolLogP(molecule), QED.qed(molecule), _sascorer().calculateScore(molecule)


def properties(smiles):
    """The properties `NAMES` of molecules: float32 (n, 3)."""
    return np.array(map_molecules(properties_of, smiles, 'compute properties'), dtype='float32')


@cache
def _sascorer():
    """RDKit's contributed module for the SA score, which lies beside the package."""
    sys.path.append(str(Path(RDConfig.RDContribDir) / 'SA_Score'))
    try:
        import sascorer
    finally:
        sys.path.pop()
    return sascorer


@cache
def _patterns():
    return [Chem.MolFromSmarts(pattern) for pattern in _implausible]


def is_plausible(smiles, most_atoms=9):
    """Whether a molecule is of the kind that is searched for.

    It is one piece of at most nine atoms beside hydrogen, without charges and radicals, without chains of three
    nitrogen or oxygen atoms outside of rings, bonds O–O, F–N and F–O, and without triple bonds and cumulated double
    bonds in rings.

    Args:
        smiles: a SMILES string; '' is none.
        most_atoms: the highest number of atoms beside hydrogen.
    """
    with BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    return (molecule is not None and 0 < molecule.GetNumAtoms() <= most_atoms and '.' not in smiles
            and not any(atom.GetFormalCharge() or atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms())
            and not any(molecule.HasSubstructMatch(pattern) for pattern in _patterns()))
