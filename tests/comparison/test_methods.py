"""Runs of methods, repeated searches, and their tables and figure."""

import numpy as np
import pytest

from comparison import (
    REQUIREMENTS,
    Run,
    images_of_searches,
    methods_table,
    minima_table,
    plot_trade_off,
    run_methods,
    training_seconds,
)
from networks.backend import keras, layers


def run(label, num=2, seconds=0.25, value=None):
    return Run(np.full((num, 28, 28, 1), label / 10), 10 + label, value, seconds)


def test_runs_of_methods(capsys):
    def method(label, seed):
        return np.full((2, 28, 28, 1), label / 10, dtype='float32'), 7 + seed, None if seed else -1.5

    runs = run_methods({'a': method, 'b': lambda label, seed: method(9 - label, seed)}, num_runs=2)

    assert list(runs) == ['a', 'b'] and [len(of_run) for of_run in runs['a']] == [10, 10]
    assert runs['a'][1][4].images[0, 0, 0, 0] == runs['b'][0][5].images[0, 0, 0, 0] == np.float32(0.4)
    assert [(of_run[3].evaluations, of_run[3].value) for of_run in runs['b']] == [(7, -1.5), (8, None)]
    assert all(run.seconds >= 0 for of_run in runs['a'] for run in of_run)
    assert '40/40' in capsys.readouterr().out
    with pytest.raises(ValueError, match='num_runs must be an integer of at least 1'):
        run_methods({'a': method}, 0)


def test_images_of_searches():
    t = layers.Input((2,))
    decoder = keras.Model(t, layers.Reshape((1, 2))(layers.Rescaling(2.0)(t)))

    def search(seed):
        return np.array([[seed, 1.0], [seed, 2.0]]), np.array([[7.0], [seed / 10], [9.0]])

    images, evaluations, lowest = images_of_searches(search, range(3, 6), decoder)

    np.testing.assert_allclose(images[:, 0], [[6, 2], [6, 4], [8, 2], [8, 4], [10, 2], [10, 4]])
    assert evaluations == 9 and lowest == 0.3


def test_training_seconds():
    assert training_seconds([{'seconds': 9.0}, {'seconds': 2.0}, {'seconds': 3.0}]) == 9.0


@pytest.fixture
def runs():
    return {name: [[run(label) for label in range(10)] for _ in range(3)] for name in REQUIREMENTS}


def test_methods_table(runs):
    def of_run(correct):
        return {'correct': correct, 'distance': 5.123, 'coverage': 0.5, 'frechet': 678.94}

    assessed = {name: [of_run(share) for share in (0.4, 0.5, 0.45)] for name in runs}
    assessed['gradient search, predictor'] = [{**of_run(1.0), 'distance': np.nan, 'frechet': np.nan}] * 3
    assessed['real images'] = [of_run(1.0)]
    seconds = {'vae-predictor-softmax': 600, 'classifier': 50.4, 'vae-conditional': 7, 'vae-predictor-off': 100,
               'latent-constraints': 20}

    header, rows = methods_table(runs, assessed, seconds, 60_000, 20, 0.99)
    rows = {name: dict(zip(header[1:], cells, strict=True)) for name, *cells in rows}

    assert list(rows) == list(assessed)
    assert rows['Bayesian optimization'] == {
        'read as wanted, %': '45.0 (40.0–50.0)', 'distance': '5.12 (5.12–5.12)', 'coverage, %': '50.0 (50.0–50.0)',
        'Fréchet distance': '678.9 (678.9–678.9)', 'images a digit': 2, 'training, s': '650', 'labels': '60,000',
        'evaluations an image': '7.2', 'ms an image': '125.0', 'gradient?': 'no',
        "labels at the VAE's training?": 'help', 'outside experiment?': 'yes'}
    assert list(rows['real images'].values())[4:] == [20, *['–'] * 7]
    assert rows['gradient search, predictor']['distance'] == rows['gradient search, predictor'][
        'Fréchet distance'] == '–'
    assert [name for name, row in rows.items() if row['outside experiment?'] == 'yes'] == [
        'random search', 'Bayesian optimization']
    assert {name: row['training, s'] for name, row in rows.items() if row["labels at the VAE's training?"] == 'no'} == {
        'latent constraints, actor': '120', 'latent constraints, gradient steps': '120'}


def test_minima_table():
    values = np.arange(30).reshape(3, 10) / 100
    runs = {'a search': [[run(label, value=values[i, label]) for label in range(10)] for i in range(3)],
            'no search': [[run(label) for label in range(10)] for _ in range(3)]}

    header, rows = minima_table(runs, {'a search': np.full(10, 0.05)})

    assert header[:4] == ['search', 'evaluations a run', 'median', 'highest'] and header[13] == 'median, 9'
    # Evaluations are 10 to 19, halves are rounded to even.
    assert rows == [['a search', '14', '0.0950', '0.2400', *(f'{0.05 + label / 100:.4f}' for label in range(10))]]


def test_plot_trade_off():
    correct = {'a': [0.9, 1.0, 0.95], 'b': [0.5, 0.5, 0.5]}

    figure = plot_trade_off(correct, {'a': [1.0, 3.0, 2.0], 'b': [np.nan] * 3}, 'trade-off')

    without, plane = figure.axes
    np.testing.assert_allclose(plane.containers[0][0].get_xydata(), [[2, 0.95]])
    np.testing.assert_allclose(without.containers[0][0].get_xydata(), [[0, 0.5]])
    assert len(plane.containers) == len(without.containers) == 1
    assert without.get_visible() and list(without.get_xticks()) == [] and 'no distance' in without.get_xlabel()
    assert not plot_trade_off({'a': correct['a']}, {'a': [1.0, 3.0, 2.0]}, '').axes[0].get_visible()
