"""Properties that RDKit computes from the structure alone, and which molecules are worth an experiment."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
from rdkit import Chem, RDConfig
from rdkit.Chem import QED, Crippen, rdMolDescriptors
from rdkit.rdBase import BlockLogs

from molecules.processes import map_molecules

# What the predictor learns.
NAMES = ('logP', 'QED', 'SA score', 'polar surface', 'H-bond donors', 'H-bond acceptors', 'atoms', 'rings',
         'aromatic rings', 'sp3 carbon', 'refractivity')

# Means and standard deviations of QM9's molecules.
_means = np.array([0.34, 0.466, 4.24, 36.6, 0.82, 2.19, 8.8, 1.76, 0.18, 0.69, 32.1])
_deviations = np.array([0.94, 0.074, 0.94, 20.8, 0.84, 1.03, 0.51, 1.23, 0.40, 0.28, 3.5])

# Heteroatoms in chains and in rings of little else, and strained rings: a chemist would hardly make them.
_implausible = ('[#7,#8;!R]~[#7,#8]~[#7,#8]', '[#7,#8]~[#7,#8;!R]~[#7,#8]', '[#8]~[#8]', '[#9]-[#7,#8]',
                '[#7,#8]1~[#7,#8]~[#7,#8]1', '[#7,#8]~[#7,#8]~[#7,#8]~[#7,#8]~[#7,#8]',
                '[#6,#7;R]=[#6;R]=[#6,#7;R]', '[R]#[R]')
_elements = {'C', 'N', 'O', 'F'}


def properties_of(smiles):
    """The properties `NAMES` of one molecule: a tuple of floats.

    logP is Crippen's estimate of the octanol–water partition coefficient, QED drug-likeness from 0 to 1, the SA score
    synthetic accessibility from 1, easy, to 10. The polar surface is in Å², the molar refractivity Crippen's. Atoms do
    not include hydrogen, and `sp3 carbon` is a share of the carbon atoms. The others are counts.

        properties_of('CCO')[:3]    # (-0.0014, 0.4068, 1.9803)
    """
    with BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        return (Crippen.MolLogP(molecule), QED.qed(molecule), _sascorer().calculateScore(molecule),
                rdMolDescriptors.CalcTPSA(molecule), rdMolDescriptors.CalcNumHBD(molecule),
                rdMolDescriptors.CalcNumHBA(molecule), molecule.GetNumAtoms(), rdMolDescriptors.CalcNumRings(molecule),
                rdMolDescriptors.CalcNumAromaticRings(molecule), rdMolDescriptors.CalcFractionCSP3(molecule),
                Crippen.MolMR(molecule))


def properties(smiles):
    """The properties `NAMES` of molecules: float32 (n, k)."""
    return np.array(map_molecules(properties_of, smiles, 'compute properties'), dtype='float32')


def standardized(values):
    """Properties (n, k) minus their means in QM9, in units of their standard deviations there: float32 (n, k)."""
    return ((values - _means) / _deviations).astype('float32')


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
    """Whether a molecule is plausible, which is the condition of all searches.

    It is one piece of at most nine atoms of C, N, O and F, and hydrogen, without charges and radicals. It has no chains
    of three nitrogen or oxygen atoms outside rings, of five in them, or in a ring of three, no bonds O–O, F–N and
    F–O, and no triple bonds and cumulated double bonds in rings.

    Args:
        smiles: a SMILES string; '' is none.
        most_atoms: the highest number of atoms, hydrogen excluded.
    """
    with BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    return (molecule is not None and 0 < molecule.GetNumAtoms() <= most_atoms and '.' not in smiles
            and {atom.GetSymbol() for atom in molecule.GetAtoms()} <= _elements
            and not any(atom.GetFormalCharge() or atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms())
            and not any(molecule.HasSubstructMatch(pattern) for pattern in _patterns()))
