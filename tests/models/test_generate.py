"""`models/generate.py`, which `make images` calls: images of a digit, as files."""

import csv
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digits.data import one_hot
from digits.objectives import create_decode_classify, create_nll
from networks.prediction import predict

ROOT = Path(__file__).parents[2]

sys.path.insert(0, str(ROOT / 'models'))
import generate  # noqa: E402


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read(folder):
    """The images, uint8 (n, 28, 28), and the columns of their table, with the points as `t`."""
    with open(folder / 'images.csv', newline='', encoding='utf-8') as file:
        table = list(csv.DictReader(file))
    columns = {name: np.array([float(row[name]) for row in table]) for name in table[0] if name != 'file'}
    columns['t'] = np.c_[columns.pop('t_1'), columns.pop('t_2')]
    return np.array([np.asarray(Image.open(folder / row['file'])) for row in table]), columns


def check_images(saved, decoded, columns, digit, pretrained):
    """Whether files show what was decoded, and the table has what both networks read in it."""
    np.testing.assert_allclose(saved / 255, decoded[..., 0], atol=0.5 / 255 + 1e-5)
    np.testing.assert_array_equal(columns['label'], digit)
    for name in ('classifier', 'judge'):
        np.testing.assert_allclose(columns[f'{name}_probability'], predict(pretrained[name], decoded, name)[:, digit],
                                   atol=1e-4)
    assert (columns['judge_probability'] > 0.5).mean() >= 0.8


@pytest.mark.slow
def test_images_by_search(pretrained, tmp_path, capsys):
    generate.main(['7', '--folder', str(tmp_path / 'sevens')])

    said = capsys.readouterr().out
    assert '52/52' in said and 'best=2.' in said
    assert said.endswith(f'To look at: {tmp_path}/sevens/all.png\nPoints, values and probabilities: '
                         f'{tmp_path}/sevens/images.csv\n')
    saved, columns = read(tmp_path / 'sevens')
    assert saved.shape == (10, 28, 28)
    decoder, t = pretrained['vae-predictor-softmax'].get_layer('decoder'), columns['t']
    check_images(saved, predict(decoder, t, 'decode'), columns, 7, pretrained)
    np.testing.assert_allclose(columns['objective_nats'], create_nll(
        create_decode_classify(decoder, pretrained['classifier']), 7)(t)[:, 0], atol=1e-4)
    assert (np.diff(columns['objective_nats']) >= 0).all() and columns['objective_nats'][0] < 3
    assert np.linalg.norm(t[:, np.newaxis] - t, axis=2)[~np.eye(10, dtype=bool)].min() >= 0.1

    before = contents(tmp_path / 'sevens')
    generate.main(['7', '--folder', str(tmp_path / 'sevens')])
    assert contents(tmp_path / 'sevens') == before
    with pytest.raises(SystemExit, match='distinct points, and 53 images were asked for. Nothing was written. Ask for'):
        generate.main(['7', '--num', '53', '--folder', str(tmp_path / 'sevens')])
    assert contents(tmp_path / 'sevens') == before
    (tmp_path / 'sevens' / 'notes.txt').write_text('mine')
    with pytest.raises(SystemExit, match='sevens holds notes.txt, which save_images did not write'):
        generate.main(['7', '--by', 'conditional', '--folder', str(tmp_path / 'sevens')])


def test_images_by_conditional_vae(pretrained, tmp_path, capsys):
    command = ['3', '--by', 'conditional', '--num', '12', '--seed', '4', '--folder']
    generate.main([*command, str(tmp_path / 'threes')])

    saved, columns = read(tmp_path / 'threes')
    assert saved.shape == (12, 28, 28) and 'objective_nats' not in columns
    decoder = pretrained['vae-conditional'].get_layer('decoder')
    decoded = predict(decoder, [columns['t'].astype('float32'), one_hot(np.full(12, 3))], 'decode')
    check_images(saved, decoded, columns, 3, pretrained)
    right = (predict(pretrained['judge'], decoded, 'judge').argmax(axis=1) == 3).sum()
    assert f'12 images. The judge, an independent classifier, reads {right} of them as a 3.' in capsys.readouterr().out

    before = contents(tmp_path / 'threes')
    generate.main([*command, str(tmp_path / 'again')])
    assert contents(tmp_path / 'again') == before


@pytest.mark.parametrize('command, message', [
    ('', 'required: digit'), ('10', 'argument digit: invalid choice: 10 .choose from 0, 1, 2'),
    ('seven', "argument digit: invalid int value: 'seven'"),
    ('7 --by magic', "argument --by: invalid choice: 'magic' .choose from '?search'?, '?conditional'?"),
    ('7 --num 0', 'num must be an integer of at least 1, got 0'),
    ('7 --seed -1', 'seed must be an integer of at least 0, got -1')])
def test_mistakes_in_the_command(command, message, capsys):
    with pytest.raises(SystemExit):
        generate.main(command.split())

    usage, error = capsys.readouterr().err.split('error: ')
    assert 'make images DIGIT=7' in usage
    assert re.search(message, error)
