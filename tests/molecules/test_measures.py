"""Measures of joint models and of codes."""

import numpy as np
import pytest

from molecules.joint_model import load_pretrained, qm9_dir
from molecules.latent_space import LatentSpace
from molecules.measures import evaluate, measures_table, r2, r2_by_line, r2_by_neighbors, sample_molecules
from molecules.properties import is_plausible, properties, standardized
from molecules.vocabulary import QM9
from networks.pretrained import load_manifest


@pytest.fixture(scope='module')
def pretrained():
    return load_pretrained('vae-predictor-linear')


def test_pretrained_model_reaches_what_its_manifest_says(pretrained):
    """On molecules that it invents itself, which are easier to reconstruct than those of the test set."""
    smiles = sample_molecules(LatentSpace(pretrained, QM9), 300, np.random.default_rng(1))
    rows = np.array([QM9.encode(text) for text in smiles])

    found = evaluate(pretrained, rows, standardized(properties(smiles)), QM9, set(smiles), num_samples=1000)

    recorded = load_manifest(qm9_dir)['vae-predictor-linear']['test_metrics']
    assert found.keys() == recorded.keys()
    assert found['reconstructed'] == 1.0
    assert found['allowed'] == pytest.approx(recorded['allowed'], abs=0.03)
    assert found['unique'] > 0.98 and found['new'] > 0.9
    assert min(found[f'R² {name}'] for name in ('logP', 'QED', 'SA score')) > 0.8


def test_samples_are_different_and_plausible(pretrained):
    space = LatentSpace(pretrained, QM9)
    smiles = sample_molecules(space, 150, np.random.default_rng(0))

    assert len(set(smiles)) == 150 and all(is_plausible(text) for text in smiles)
    assert smiles == sample_molecules(space, 150, np.random.default_rng(0)) == space.decode(space.encode(smiles))


def test_more_molecules_than_there_are():
    class OfFew:
        latent_dim = 2

        def new_molecules(self, t, known):
            return [text for text in ('C', 'CC', 'CO') if text not in known], None

    with pytest.raises(ValueError, match='3 are new molecules. Ask for fewer than 50'):
        sample_molecules(OfFew(), 50, np.random.default_rng(0))


def test_r2_of_what_codes_explain(rng):
    t = rng.normal(size=(500, 3))
    line, noise = t @ [1.0, -2.0, 0.5], rng.normal(size=500)

    assert r2(np.c_[line, noise], np.c_[line, np.zeros(500)]) == pytest.approx([1, 0], abs=0.01)
    assert r2_by_line(t, line) > 0.999 and r2_by_line(t, noise) < 0.05
    assert r2_by_line(t, t[:, 0] ** 2) < 0.1 < 0.6 < r2_by_neighbors(t, t[:, 0] ** 2)


def test_table_of_models_with_and_without_predictor():
    shares = {'reconstructed': 0.5, 'allowed': 0.25, 'unique': 1.0, 'new': 0.125}
    header, rows = measures_table({'off': shares, 'on': shares | {
        'R² logP': 0.9, 'R² QED': 0.8, 'R² SA score': 0.7, 'R² rings': 0.6}})

    assert header[-3:] == ['R² logP', 'R² QED', 'R² SA score']
    assert rows == [['off', '50.0%', '25.0%', '100.0%', '12.5%', '—', '—', '—'],
                    ['on', '50.0%', '25.0%', '100.0%', '12.5%', '0.90', '0.80', '0.70']]
