"""Experiments: dipoles, gaps and hydration energies by GFN2-xTB."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from molecules import experiments
from molecules.experiments import ExperimentError, conformer, dipole, gap, hydration_energy

ROOT = Path(__file__).parents[2]


def test_conformer():
    numbers, positions = conformer('O')

    assert sorted(numbers) == [1, 1, 8] and positions.shape == (3, 3)
    oxygen, one, other = positions[np.argsort(-numbers)]
    assert np.linalg.norm([one - oxygen, other - oxygen], axis=1) == pytest.approx([0.97, 0.97], abs=0.02)


@pytest.mark.parametrize('smiles', ['O=C=O', 'c1ccccc1', 'C', 'C#C', 'N#CC#N'])
def test_symmetric_molecules_have_no_dipole(smiles):
    assert 0 <= dipole(smiles) < 0.01


@pytest.mark.parametrize('smiles, expected', [('O', 2.29), ('CC#N', 3.87), ('C=O', 2.49), ('NC=O', 4.36)])
def test_known_dipoles(smiles, expected):
    """What GFN2-xTB finds; measured are 1.85, 3.92, 2.33 and 3.73 debye."""
    assert dipole(smiles) == pytest.approx(expected, abs=0.1)


def test_gaps():
    """Saturated molecules have larger ones."""
    assert gap('C') == pytest.approx(16.9, abs=0.5)
    assert 3 < gap('C=O') < gap('c1ccccc1') < gap('CCO') < gap('C')


def test_water_likes_what_is_polar():
    urea, ethanol, methane = map(hydration_energy, ('NC(N)=O', 'CCO', 'C'))

    assert urea < ethanol - 3 < ethanol < -2 < 0 < methane < 2


@pytest.mark.parametrize('experiment', [dipole, gap, hydration_energy])
def test_experiments_are_repeatable_to_the_last_bit(experiment):
    first = experiment('NCC(=O)O')
    experiment('CCO')

    again = experiment('OC(=O)CN')  # Written otherwise, so that it is computed again.
    assert again == first and isinstance(first, float) and np.isfinite(first)


def test_gap_and_dipole_come_from_one_computation(monkeypatch):
    computed = []
    monkeypatch.setattr(experiments, 'conformer', lambda smiles: computed.append(smiles) or conformer(smiles))

    for experiment in (gap, dipole, gap):
        experiment('CCCCCCN')
    assert computed == ['CCCCCCN']


def test_another_process_finds_the_same():
    script = "from molecules.experiments import dipole; print(repr(dipole('NCC(=O)O')))"

    done = subprocess.run([sys.executable, '-c', script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == (f'{dipole("NCC(=O)O")!r}\n', '')


@pytest.mark.parametrize('smiles', ['C1CC2CC1=C2', 'C1#CC1'])
@pytest.mark.parametrize('experiment', [dipole, gap, hydration_energy])
def test_molecule_without_conformer(experiment, smiles, capfd):
    with pytest.raises(ExperimentError, match=f'^{smiles} has no conformer'):
        experiment(smiles)
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('text', ['nope', 'C1', 'C(C)(C)(C)(C)C'])
def test_text_that_is_no_molecule(text, capfd):
    with pytest.raises(ExperimentError) as raised:
        dipole(text)
    assert str(raised.value) == f'{text!r} cannot be parsed as SMILES.' and capfd.readouterr() == ('', '')


@pytest.mark.parametrize('smiles', ['[NH4+]', 'C[O-]', '[CH3]', '[Na+].[Cl-]'])
def test_ions_and_radicals(smiles):
    with pytest.raises(ExperimentError, match='has charges or unpaired electrons'):
        dipole(smiles)


def test_value_does_not_depend_on_how_the_molecule_is_written():
    assert dipole('NCCO') == dipole('OCCN')


def test_computation_that_cannot_be_trusted():
    """Two double bonds inside a tetrahedron of carbon atoms."""
    with pytest.raises(ExperimentError, match='cannot be trusted: its gap is below 1.0 eV'):
        dipole('C12=C3C1=C23')
