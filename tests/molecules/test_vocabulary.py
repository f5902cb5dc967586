"""Molecules as rows of tokens, and back."""

import numpy as np
import pytest

from molecules.vocabulary import QM9, NoMoleculeError, Vocabulary, canonical, vocabulary_of


def test_textbook_molecules_come_back(textbook):
    rows = np.array([QM9.encode(smiles) for smiles in textbook])

    assert rows.shape == (len(textbook), 22) and rows.dtype == 'int32'
    assert QM9.decode(rows) == textbook
    assert len({tuple(row) for row in rows}) == len(textbook)


def test_tokens_of_a_row():
    vocabulary = Vocabulary(('[=O]', '[C]', '[N]'), 5)

    np.testing.assert_array_equal(vocabulary.encode('NC=O'), [3, 2, 1, 0, 0])
    assert vocabulary.decode(np.array([[3, 2, 1, 0, 0], [2, 0, 3, 3, 3], [2, 2, 2, 2, 3], [0, 2, 2, 2, 2]])) == [
        'NC=O', 'C', 'CCCCN', '']


def test_any_row_is_a_molecule_or_none(rng):
    decoded = QM9.decode(rng.integers(0, len(QM9.tokens) + 1, (200, QM9.length)))

    assert len(set(decoded)) > 100
    assert all(canonical(smiles) == smiles for smiles in decoded if smiles)


def test_vocabulary_of_molecules(textbook):
    vocabulary = vocabulary_of(textbook)

    assert vocabulary.tokens == tuple(sorted(vocabulary.tokens)) and set(vocabulary.tokens) < set(QM9.tokens)
    rows = np.array([vocabulary.encode(smiles) for smiles in textbook])
    assert vocabulary.decode(rows) == textbook
    # Each token is used, and the longest molecule leaves room for the end alone.
    assert set(rows.ravel()) == set(range(len(vocabulary.tokens) + 1))
    assert np.count_nonzero(rows, axis=1).max() == vocabulary.length - 1


def test_vocabulary_of_what_can_be_read():
    assert vocabulary_of(['OCC', 'nope', 'C.N', '*C', '']) == Vocabulary(('[C]', '[N]', '[O]'), 4)
    for none in ([], ['nope', '*C']):
        with pytest.raises(ValueError, match='No molecule can be read. Give SMILES strings'):
            vocabulary_of(none)


@pytest.mark.parametrize('smiles, expected', [
    ('OCC', 'CCO'), ('C(O)C', 'CCO'), ('C1=CC=CC=C1', 'c1ccccc1'), ('[CH3][CH2][OH]', 'CCO'),
    ('C[C@H](O)N', 'CC(N)O'), ('C[C@@H](O)N', 'CC(N)O'), ('F/C=C/F', 'FC=CF'), ('F/C=C\\F', 'FC=CF')])
def test_canonical(smiles, expected):
    assert canonical(smiles) == expected


@pytest.mark.parametrize('text', ['', ' ', 'nope', 'C1', 'C(', 'CXC', 'C(C)(C)(C)(C)C', None, 3, float('nan')])
def test_text_that_is_no_molecule(text, capfd):
    with pytest.raises(NoMoleculeError) as raised:
        canonical(text)

    assert str(raised.value) == f'{text!r} cannot be parsed as SMILES.'
    assert raised.value.kind == 'cannot be parsed as SMILES'
    assert capfd.readouterr().err == ''


@pytest.mark.parametrize('smiles, kind', [
    ('CCS', 'has other tokens'), ('CCBr', 'has other tokens'), ('C[NH3+]', 'has other tokens'),
    ('C.C', 'has other tokens'), ('[CH3]', 'has other tokens'), ('*C', 'cannot be written as SELFIES'),
    ('C' * 22, 'has more than 21 tokens'), ('C' * 300, 'has more than 21 tokens')])
def test_molecules_that_cannot_be_written(smiles, kind):
    with pytest.raises(NoMoleculeError) as raised:
        QM9.encode(canonical(smiles))

    assert raised.value.kind == kind and smiles in str(raised.value)


def test_the_longest_molecule():
    row = QM9.encode('C' * 21)

    assert np.count_nonzero(row) == 21 and row[-1] == 0 and QM9.decode(row[np.newaxis]) == ['C' * 21]


def test_only_canonical_smiles_are_encoded():
    with pytest.raises(NoMoleculeError, match="'OCC' is another molecule after SELFIES"):
        QM9.encode('OCC')
