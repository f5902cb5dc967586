"""Experiments on molecules: GFN2-xTB (DOI 10.1021/acs.jctc.8b01176), a quantum-chemical method, by `tblite`.

The geometry is a conformer of RDKit, relaxed by the MMFF94 force field. Each takes some 10 ms and depends on the
molecule alone. For about two in a hundred molecules there is no conformer, so the experiment fails.

    dipole('CC#N')              # 3.9, debye
    hydration_energy('CCO')     # -4.1, kcal/mol
"""

from functools import lru_cache, partial

import numpy as np
from rdkit import Chem
from rdkit.Chem import AllChem
from rdkit.rdBase import BlockLogs
from tblite.exceptions import TBLiteRuntimeError
from tblite.interface import Calculator

from latent_search.threads import limit_threads
from molecules.processes import map_molecules
from molecules.vocabulary import NoMoleculeError, canonical

bohr = 0.529177210903  # angstrom
debye = 0.393430270    # atomic units
electronvolt, kcal_per_mol = 1 / 27.211386, 1 / 627.509474  # hartree

# In electronvolts. A gap as small as this means that the computation, not the molecule, is wrong.
_smallest_gap = 1.0


class ExperimentError(RuntimeError):
    """An experiment has no result."""


def conformer(smiles):
    """Atomic numbers, int (n,), and positions in ångström, float64 (n, 3), of a conformer with hydrogen atoms.

    Raises:
        ExperimentError: RDKit finds none, the force field does not know the molecule, or it has charges or unpaired
            electrons.
    """
    try:
        # The conformer depends on the order of the atoms.
        molecule = Chem.MolFromSmiles(canonical(smiles))
    except NoMoleculeError as error:
        raise ExperimentError(str(error)) from error
    if any(atom.GetFormalCharge() or atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms()):
        raise ExperimentError(f'{smiles} has charges or unpaired electrons, which these experiments do not handle.')
    with BlockLogs():
        molecule = Chem.AddHs(molecule)
        if (AllChem.EmbedMolecule(molecule, randomSeed=1) < 0
                or AllChem.MMFFOptimizeMolecule(molecule, maxIters=1000) < 0):
            raise ExperimentError(f'{smiles} has no conformer.')
    return np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()]), molecule.GetConformer().GetPositions()


def _single_points(smiles, *solvents):
    """Results of tblite for a molecule, in a vacuum and then in each solvent: dicts of arrays in atomic units."""
    numbers, positions = conformer(smiles)
    results = []
    for solvent in (None, *solvents):
        try:
            with limit_threads(1):  # For matrices this small several threads only wait.
                calculator = Calculator('GFN2-xTB', numbers, positions / bohr)
                calculator.set('verbosity', 0)
                if solvent:
                    calculator.add('alpb-solvation', solvent)
                found = calculator.singlepoint().dict()
        except (TBLiteRuntimeError, RuntimeError) as error:
            raise ExperimentError(f'The computation for {smiles} fails: {error}') from error
        if _gap(found) < _smallest_gap * electronvolt:
            raise ExperimentError(f'The computation for {smiles} cannot be trusted: its gap is below '
                                  f'{_smallest_gap} eV.')
        results.append(found)
    return results


def _gap(found):
    energies, occupations = found['orbital-energies'], found['orbital-occupations']
    return energies[occupations < 1].min() - energies[occupations >= 1].max()


@lru_cache(maxsize=10_000)
def _gap_and_dipole(smiles):
    """Electronvolts and debye. They come from one computation, which is not repeated for the other."""
    found, = _single_points(smiles)
    return float(_gap(found) / electronvolt), float(np.linalg.norm(found['dipole']) / debye)


def dipole(smiles):
    """The dipole moment of a molecule in a vacuum: debye.

    Raises:
        ExperimentError: it has no conformer, or the computation fails.
    """
    return _gap_and_dipole(smiles)[1]


def gap(smiles):
    """The energy from the highest occupied to the lowest unoccupied orbital of a molecule in a vacuum: eV.

    Raises:
        ExperimentError: it has no conformer, or the computation fails.
    """
    return _gap_and_dipole(smiles)[0]


def hydration_energy(smiles):
    """The free energy of a molecule in water minus its energy in a vacuum, by the ALPB model of water: kcal/mol.

    Raises:
        ExperimentError: it has no conformer, or the computation fails.
    """
    vacuum, water = _single_points(smiles, 'water')
    return float((water['energy'] - vacuum['energy']) / kcal_per_mol)


def measure_all(experiment, smiles, description):
    """Makes an experiment with each of many molecules: float64 (n,), NaN where it fails.

    Args:
        experiment: a function of a SMILES string, such as `dipole`.
        smiles: a list of n SMILES strings.
        description: what the progress bar says.
    """
    return np.array(map_molecules(partial(_value_or_nan, experiment), smiles, description))


def _value_or_nan(experiment, smiles):
    try:
        return experiment(smiles)
    except ExperimentError:
        return np.nan
