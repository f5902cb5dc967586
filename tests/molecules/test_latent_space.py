"""Molecules as points of a latent space: of a model that has learned some by heart, and of a made-up one."""

import numpy as np
import pytest

from molecules.latent_space import LatentSpace, points_around, widest
from molecules.properties import is_plausible
from molecules.vocabulary import QM9, NoMoleculeError


@pytest.fixture(scope='module')
def space(trained, short_vocabulary):
    return LatentSpace(trained, short_vocabulary)


def test_what_was_learned_comes_back(space, short):
    t = space.encode(short)

    assert t.shape == (len(short), space.latent_dim) and t.dtype == 'float64' and space.latent_dim == 16
    assert np.mean([smiles == again for smiles, again in zip(short, space.decode(t), strict=True)]) > 0.7
    np.testing.assert_array_equal(space.domain, [[-widest, widest]] * 16)
    np.testing.assert_allclose(space.encode_rows(np.array([space.vocabulary.encode(short[0])])), t[:1], rtol=1e-5,
                               atol=1e-6)


def test_molecules_that_cannot_be_encoded(space):
    with pytest.raises(NoMoleculeError, match='CCCCCCCC'):
        space.encode(['C', 'CCCCCCCC'])


def test_new_molecules_of_a_trained_model(space, short, rng):
    t, known = points_around(space.encode(short), 600, rng), short[:5]

    smiles, codes = space.new_molecules(t, known)

    assert len(smiles) > 5 and set(smiles) <= set(space.decode(t)) and len(set(smiles)) == len(smiles)
    assert not set(smiles) & set(known) and all(map(is_plausible, smiles))
    np.testing.assert_allclose(space.encode(smiles), codes, rtol=1e-5, atol=1e-6)
    assert space.decode(codes) == smiles


@pytest.fixture
def made_up(trained, monkeypatch):
    """A latent space of one dimension that is decoded to what is nearest in a list, and a function that reads codes."""
    places = {'CCO': 0, 'CCN': 1, '': 2, 'OO': 3, 'CCS': 4, 'C' * 9 + 'O': 5, 'CCF': 6, 'CO': -6}
    codes = places | {'CCF': 0}  # Its code is decoded to another.
    space = LatentSpace(trained, QM9)
    monkeypatch.setattr(space, 'decode', lambda t: [
        min(places, key=lambda smiles: abs(places[smiles] - 0.5 * point)) for point in t[:, 0]])
    monkeypatch.setattr(space, 'encode_rows', lambda rows: np.array(
        [[2.0 * codes[smiles]] for smiles in QM9.decode(rows)]))
    return space


def at(*places):
    return 2.0 * np.array(places)[:, np.newaxis]


def test_new_molecules_are_given_once_and_in_their_order(made_up):
    smiles, codes = made_up.new_molecules(at(1.2, 0.1, 0.9, 1, -0.3, 2))

    assert smiles == ['CCN', 'CCO']
    np.testing.assert_array_equal(codes, at(1, 0))


def test_what_is_no_new_molecule(made_up):
    """Known, none, implausible, a token that the vocabulary lacks, too many atoms, not decoded to itself, far out."""
    smiles, codes = made_up.new_molecules(at(1, 2, 3, 4, 5, 6, -6, 0), known=['CCN', 'nope'])

    assert smiles == ['CCO']
    np.testing.assert_array_equal(codes, at(0))


def test_no_new_molecules(made_up):
    for smiles, codes in (made_up.new_molecules(at(1, 2, 3), {'CCN'}), made_up.new_molecules(at(6))):
        assert smiles == [] and codes.shape == (0, 1)


def test_other_rule_of_what_is_allowed(made_up):
    made_up.is_allowed = lambda smiles: 'N' not in smiles and smiles != ''

    assert made_up.new_molecules(at(0, 1, 2))[0] == ['CCO']
    assert LatentSpace(made_up.model, QM9, str.isupper).is_allowed is str.isupper


def test_points_around(rng):
    centers = np.array([[0.0] * 50, [1000.0] * 50, [-1000.0] * 50])

    points = points_around(centers, 900, rng)

    assert points.shape == (900, 50) and points.dtype == 'float64'
    nearest = abs(points[:, np.newaxis] - centers).mean(axis=2).argmin(axis=1)
    assert (np.bincount(nearest, minlength=3) > 200).all()
    # The logarithms of standard deviations are uniform.
    radii = np.sqrt(((points - centers[nearest]) ** 2).mean(axis=1))
    assert 0.06 < radii.min() < 0.12 and 0.8 < radii.max() < 1.5
    np.testing.assert_allclose(np.quantile(radii, (0.25, 0.5, 0.75)), 10.0 ** np.array([-0.75, -0.5, -0.25]), rtol=0.15)


def test_radii_of_points(rng):
    points = points_around(np.zeros((1, 4)), 5000, rng, radii=(0.5, 0.5))

    np.testing.assert_allclose(points.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(points.std(axis=0), 0.5, rtol=0.05)


def test_points_depend_on_the_generator():
    first, again, other = (points_around(np.eye(3), 10, np.random.default_rng(seed)) for seed in (0, 0, 1))

    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
