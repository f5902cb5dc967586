import time

import keras
import numpy as np
import pytest
from keras import layers

from vae_opt_util import (
    choose_per_label,
    create_model,
    encode,
    knn_label_accuracy,
    label_regions,
    latent_bounds,
    linear_value_r2,
    predict,
)

pytestmark = pytest.mark.backends


@pytest.fixture
def clusters(rng):
    """Ten well separated clusters in a row, one a label, in the order of the labels."""
    y = np.repeat(np.arange(10), 30)
    return np.c_[y, np.zeros(300)] + 0.05 * rng.standard_normal((300, 2)), y


def test_knn_label_accuracy(clusters, rng):
    t, y = clusters

    assert knn_label_accuracy(t, y) == 1
    assert knn_label_accuracy(t, rng.permutation(y)) < 0.25


def test_linear_value_r2(clusters, rng):
    t, y = clusters

    assert linear_value_r2(t, y) > 0.99
    assert linear_value_r2(t, rng.permutation(y)) < 0.05


def test_label_regions(clusters):
    t, y = clusters

    labels, distance = label_regions(np.array([[3.0, 0.0], [7.2, 1.0], [9.0, 5.0]]), t, y)

    np.testing.assert_array_equal(labels, [3, 7, 9])
    assert distance[0] < 0.1 and 0.8 < distance[1] < 1.1 and 4.8 < distance[2] < 5.1


def test_encode_is_the_mean(rng):
    x = rng.random((3, 28, 28, 1), dtype='float32')
    model = create_model('vae-predictor-off', latent_dim=4)

    np.testing.assert_allclose(encode(x, model), model.get_layer('encoder').predict_on_batch(x)[0], rtol=1e-5)
    with pytest.raises(ValueError, match='Images must be float32'):
        encode(x[0], model)


def test_predict_puts_batches_together(rng):
    x = layers.Input((2,))
    one = keras.Model(x, layers.Rescaling(2.0)(x))
    two = keras.Model(x, [layers.Rescaling(2.0)(x), layers.Rescaling(3.0)(x)])
    values = rng.random((11, 2), dtype='float32')

    np.testing.assert_allclose(predict(one, values, 'double', batch_size=4), 2 * values)
    np.testing.assert_allclose(predict(two, values, 'both', batch_size=2)[1], 3 * values)


def test_predict_nothing():
    x = layers.Input((2,))
    with pytest.raises(ValueError, match=r'nothing to decode: got an array with shape \(0, 2\)'):
        predict(keras.Model(x, layers.Rescaling(2.0)(x)), np.empty((0, 2)), 'decode')


def test_predict_shows_a_bar_where_it_takes_long(rng, capsys, monkeypatch):
    x = layers.Input((2,))
    model = keras.Model(x, layers.Rescaling(2.0)(x))
    values = rng.random((6, 2), dtype='float32')

    predict(model, values, 'short', batch_size=1)
    assert capsys.readouterr().out == ''
    monkeypatch.setattr(keras.Model, 'predict_on_batch', lambda _, x: time.sleep(0.4) or x)
    predict(model, values, 'long', batch_size=1)
    assert 'long' in capsys.readouterr().out


def test_latent_bounds(rng):
    t = rng.normal(size=(5000, 3)) * [1, 5, 0.1] + [0, 20, -3]

    bounds = latent_bounds(t)

    assert bounds.shape == (3, 2)
    for column, of_column in zip(t.T, bounds, strict=True):
        np.testing.assert_allclose(of_column, np.percentile(column, [0.1, 99.9]))
        assert ((column < of_column[0]).sum(), (column > of_column[1]).sum()) == (5, 5)
    for bad in (np.zeros((0, 2)), np.zeros(4), [[0.0, np.nan]]):
        with pytest.raises(ValueError, match='Points must be'):
            latent_bounds(bad)


def test_choose_per_label(digits):
    chosen, same, other = (choose_per_label(digits.y_train, 7, seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(digits.y_train[chosen], np.repeat(np.arange(10), 7))
    assert len(set(chosen)) == 70
    np.testing.assert_array_equal(chosen, same)
    assert set(chosen) != set(other)


def test_choose_all_of_a_label_and_no_more():
    y = np.append(np.tile(np.arange(10), 3), [0, 1, 2, 3, 4, 5, 6, 8, 9])

    assert set(np.flatnonzero(y == 7)) == set(choose_per_label(y, 3)[21:24])
    with pytest.raises(ValueError, match='3 images of label 7, fewer than 4'):
        choose_per_label(y, 4)
    with pytest.raises(ValueError, match='0 images of label 9'):
        choose_per_label(np.arange(9), 1)
    with pytest.raises(ValueError, match='num must be an integer of at least 1'):
        choose_per_label(y, 0)
    for bad in (y + 1, y - 1, y / 2, y[:, np.newaxis]):
        with pytest.raises(ValueError, match='Labels must'):
            choose_per_label(bad, 1)
