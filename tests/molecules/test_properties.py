"""Properties against RDKit's own functions, and which molecules are plausible."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem, RDConfig
from rdkit.Chem import QED, Crippen, Descriptors, Lipinski

from molecules.properties import NAMES, is_plausible, properties, properties_of, standardized


def sascorer():
    """RDKit's module, loaded without our help."""
    specification = importlib.util.spec_from_file_location(
        'sascorer_of_the_test', Path(RDConfig.RDContribDir) / 'SA_Score' / 'sascorer.py')
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_properties_are_those_of_rdkit(textbook):
    functions = {'logP': Crippen.MolLogP, 'QED': QED.qed, 'SA score': sascorer().calculateScore,
                 'polar surface': Descriptors.TPSA, 'H-bond donors': Lipinski.NumHDonors,
                 'H-bond acceptors': Lipinski.NumHAcceptors, 'atoms': Lipinski.HeavyAtomCount,
                 'rings': Lipinski.RingCount, 'aromatic rings': Lipinski.NumAromaticRings,
                 'sp3 carbon': Lipinski.FractionCSP3, 'refractivity': Crippen.MolMR}
    path = list(sys.path)

    found = properties(textbook)

    assert found.shape == (len(textbook), len(NAMES)) and found.dtype == 'float32' and sys.path == path
    molecules = [Chem.MolFromSmiles(smiles) for smiles in textbook]
    for name, column in zip(NAMES, found.T, strict=True):
        np.testing.assert_allclose(column, [functions[name](molecule) for molecule in molecules], rtol=1e-6, atol=1e-7)


def test_known_properties():
    """Of ethanol and benzene; logP is Crippen's sum of contributions, for benzene six of 0.1581 + 0.1230."""
    np.testing.assert_allclose(properties_of('CCO')[:3], (-0.0014, 0.4068, 1.9803), atol=6e-5)
    np.testing.assert_allclose(properties_of('c1ccccc1')[:3], (6 * (0.1581 + 0.1230), 0.4426, 1.0), atol=6e-5)


def test_standardized_properties(textbook):
    values = properties(textbook)
    standard = standardized(values)

    assert standard.shape == values.shape and standard.dtype == 'float32'
    # A straight line for each property, which rises, and brings small molecules into the range of a predictor.
    mean, slope = values.mean(axis=0), np.ptp(standard, axis=0) / np.ptp(values, axis=0)
    np.testing.assert_allclose(standard - standardized(mean), slope * (values - mean), atol=1e-4)
    assert abs(standard).max() < 20


PLAUSIBLE = {
    'furazan': 'c1cnon1', '1,2,3-triazole': 'c1cn[nH]n1', 'tetrazole': 'c1nnn[nH]1', 'hydrazine': 'NN',
    'hydroxylamine': 'NO', 'urea': 'NC(N)=O', 'acetonitrile': 'CC#N', 'benzene': 'c1ccccc1', 'methane': 'C',
    'a hydrazone': 'CC=NN', 'an azo compound': 'CN=NC', 'an oxime': 'CC=NO', 'carbon tetrafluoride': 'FC(F)(F)F',
    'allene': 'C=C=C', 'carbon dioxide': 'O=C=O', 'an acetal': 'COCOC', 'norbornane': 'C1CC2CCC1C2',
    'nine atoms': 'CCCCCCCCC', 'a lactone': 'O=C1CCO1'}
IMPLAUSIBLE = {
    'triazene': 'NN=N', 'methyltriazene': 'CN=NNC', 'a nitroso amine': 'CN(C)N=O', 'a nitrite': 'CON=O',
    'chain of oxygen, nitrogen and oxygen': 'ONO', 'N-aminotriazole': 'Nn1ccnn1', 'a peroxide': 'COOC',
    'peroxide in a ring': 'C1COOC1', 'hydrogen peroxide': 'OO', 'N-F': 'CN(C)F', 'O-F': 'COF',
    'allene in a ring': 'C1=C=CCCC1', 'alkyne in a ring': 'C1#CCCCCC1', 'ammonium': '[NH4+]',
    'zwitterion': '[NH3+]CC(=O)[O-]', 'nitromethane': 'C[N+](=O)[O-]', 'isonitrile': 'C[N+]#[C-]', 'methyl': '[CH3]',
    'oxygen and nitrogen in a ring of three': 'O1ON1', 'three nitrogen atoms in a ring of three': 'N1N=N1',
    'a pentazole': 'Cn1nnnn1',
    'cumulated bonds with nitrogen in a ring': 'N1=C=NCC1', 'helium': '[He]', 'hydrogen': '[H][H]',
    'oxygen radical': 'C[O]', 'carbene': '[CH2]', 'two pieces': 'CC.O', 'ten atoms': 'CCCCCCCCCC', 'none': '',
    'nonsense': 'nope', 'half a ring': 'C1CC'}


@pytest.mark.parametrize('name', PLAUSIBLE)
def test_plausible(name):
    assert is_plausible(PLAUSIBLE[name]) is True


@pytest.mark.parametrize('name', IMPLAUSIBLE)
def test_implausible(name, capfd):
    assert is_plausible(IMPLAUSIBLE[name]) is False
    assert capfd.readouterr().err == ''


def test_number_of_atoms():
    assert is_plausible('CCO', 3) and not is_plausible('CCO', 2)
    assert is_plausible('CCCCCCCCCC', most_atoms=10)
