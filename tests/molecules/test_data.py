"""Files of molecules, what is left out of them, and the parts of those that are trained on."""

import gzip
import os

import numpy as np
import pytest

from molecules.data import encode_molecules, read_smiles, split
from molecules.processes import map_molecules
from molecules.vocabulary import QM9

CSV = 'smiles,index\nCCO,1\nCC#N,2\n'


@pytest.fixture(autouse=True)
def no_file_is_named(monkeypatch):
    monkeypatch.delenv('MOLECULES', raising=False)


@pytest.mark.parametrize('content', [
    CSV.encode(), gzip.compress(CSV.encode()), CSV.encode('utf-8-sig'), gzip.compress(CSV.encode('utf-8-sig')),
    CSV.replace('\n', '\r\n').encode(), CSV.encode().rstrip(), CSV.replace('\n', '\n\n').encode(),
    b'smiles\nCCO\nCC#N\n', b'"smiles","name"\n"CCO","alcohol, of wine"\n CC#N ,\n'],
    ids=['plain', 'gzip', 'BOM', 'gzip and BOM', 'CRLF', 'no last end of line', 'empty lines', 'one column', 'quotes'])
def test_files_that_can_be_read(content, tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(content)

    assert read_smiles(path) == read_smiles(str(path)) == ['CCO', 'CC#N']


def test_row_that_ends_early_has_no_molecule(tmp_path):
    (tmp_path / 'file').write_text('index,smiles\n1\n2,C\n')

    assert read_smiles(tmp_path / 'file') == ['', 'C']


@pytest.mark.parametrize('content, message', [
    (b'', "its first line is ''"), (b'smiles\n', "its first line is 'smiles'"),
    (b'index,SMILES\n1,CCO\n', "a column `smiles`; its first line is 'index,SMILES'"),
    (bytes(range(256)), 'cannot be read as a CSV file, compressed by gzip or not'),
    (b'\x89PNG\r\n\x1a\n' + bytes(100), 'cannot be read as a CSV file'),
    (b'\x1f\x8b' + bytes(range(256)), 'cannot be read as a CSV file'),
    (gzip.compress(CSV.encode() * 100)[:60], 'cannot be read as a CSV file'),
    (gzip.compress(CSV.encode())[:10] + bytes([255] * 50), 'cannot be read as a CSV file'),
    (gzip.compress(bytes(range(256))), 'cannot be read as a CSV file'),
    (b'smiles\n' + b'C' * 200_000, 'cannot be read as a CSV file')],
    ids=['empty', 'header only', 'no column', 'bytes', 'PNG', 'damaged gzip', 'half a gzip',
         'gzip of nothing', 'bytes in gzip', 'huge'])
def test_files_that_cannot_be_read(content, message, tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(content)

    with pytest.raises(ValueError, match=message) as raised:
        read_smiles(path)
    assert str(path) in str(raised.value)


def test_missing_file(tmp_path):
    for path in (tmp_path / 'none.csv', tmp_path):
        with pytest.raises(FileNotFoundError, match=f'There is no file {path}. Give the path of a CSV file'):
            read_smiles(path)
    with pytest.raises(ValueError, match='MOLECULES must be the path of a file'):
        read_smiles(7)


def test_environment_names_the_file(tmp_path, monkeypatch):
    (tmp_path / 'a.csv').write_text('smiles\nC\n')
    (tmp_path / 'b.csv').write_text('smiles\nN\n')

    assert read_smiles() is None
    monkeypatch.setenv('MOLECULES', '')
    assert read_smiles() is None
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('MOLECULES', '~/a.csv')
    assert read_smiles() == ['C'] and read_smiles(tmp_path / 'b.csv') == ['N']
    monkeypatch.setenv('MOLECULES', str(tmp_path / 'none.csv'))
    with pytest.raises(FileNotFoundError, match='none.csv'):
        read_smiles()


def test_what_is_left_out_is_counted():
    texts = ['CCO', 'nope', 'OCC', 'C[C@H](O)N', 'C[C@@H](O)N', 'C' * 30, 'C.C', 'CCS', '', 'F/C=C/F', 'FC=CF', 'C1',
             'CC']

    molecules = encode_molecules(texts, QM9)

    assert molecules.smiles == ['CCO', 'CC(N)O', 'FC=CF', 'CC']
    assert molecules.left_out == {'cannot be parsed as SMILES': 3, 'is there twice': 3, 'has more than 21 tokens': 1,
                                  'has other tokens': 2}
    np.testing.assert_array_equal(molecules.rows, [QM9.encode(smiles) for smiles in molecules.smiles])


@pytest.mark.parametrize('texts', [[], ['nope', 'CCS']])
def test_no_molecule_is_left(texts):
    with pytest.raises(ValueError, match=f'None of the {len(texts)} molecules can be used'):
        encode_molecules(texts, QM9)


def where(smiles):
    return smiles, os.getpid()


def test_several_processes_find_what_one_finds(rng):
    """More than two thousand molecules are enough for several processes."""
    texts = [*QM9.decode(rng.integers(0, len(QM9.tokens) + 1, (2100, QM9.length))), 'nope', 'CCO', 'OCC', 'nope']

    found, processes = zip(*map_molecules(where, texts, 'find'), strict=True)
    assert list(found) == texts and os.getpid() not in processes
    assert {process for _, process in map_molecules(where, texts[:1000], 'find')} == {os.getpid()}

    molecules = encode_molecules(texts, QM9)
    parts = [encode_molecules(texts[start:start + 263], QM9) for start in range(0, len(texts), 263)]
    assert molecules.smiles == list(dict.fromkeys(smiles for part in parts for smiles in part.smiles))
    np.testing.assert_array_equal(molecules.rows, [QM9.encode(smiles) for smiles in molecules.smiles])
    assert len(molecules.smiles) + sum(molecules.left_out.values()) == len(texts)


def test_parts_depend_on_the_molecule_alone(textbook, rng):
    smiles = [f'C{i}' for i in range(5000)] + textbook
    parts, order = split(smiles), rng.permutation(len(smiles))

    assert {name: round(part.mean(), 2) for name, part in parts.items()} == {
        'train': 0.92, 'validation': 0.04, 'test': 0.04}
    np.testing.assert_array_equal(sum(part.astype(int) for part in parts.values()), 1)
    shuffled = split([smiles[i] for i in order])
    for name, part in parts.items():
        assert part.dtype == bool and [split([text])[name].item() for text in smiles[:300]] == part[:300].tolist()
        np.testing.assert_array_equal(shuffled[name], part[order])


def test_parts_stay_as_they_were():
    """The pretrained models were trained on one of them."""
    parts = split(['CCO', 'CCC#N', 'C' * 11 + '#N'])

    assert {name: part.tolist() for name, part in parts.items()} == {
        'train': [True, False, False], 'validation': [False, True, False], 'test': [False, False, True]}


def test_molecules_of_the_file_that_the_environment_names(monkeypatch):
    """QM9's vocabulary can write nearly all of them."""
    monkeypatch.undo()
    if not os.environ.get('MOLECULES'):
        pytest.skip('needs QM9: set MOLECULES to the path of a CSV file of its molecules')

    some = read_smiles()[::100]
    molecules = encode_molecules(some, QM9)

    assert len(molecules.smiles) > 0.9 * len(some) and QM9.decode(molecules.rows) == molecules.smiles
