import logging
import time

import numpy as np
import pytest

from digits.measures import (
    assess_around,
    encode,
    knn_label_accuracy,
    label_regions,
    latent_bounds,
    linear_value_r2,
    mean_pixel_distance,
    predict,
    widest_radius,
)
from latent_search.points import sample_around
from networks.backend import keras, layers
from vae_opt_util import create_model

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
    for model in keras.Model(x, layers.Rescaling(2.0)(x)), np.square:
        with pytest.raises(ValueError, match=r'nothing to decode: got an array with shape \(0, 2\)'):
            predict(model, np.empty((0, 2)), 'decode')


def test_predict_shows_a_bar_where_it_takes_long(rng, capsys, monkeypatch):
    x = layers.Input((2,))
    model = keras.Model(x, layers.Rescaling(2.0)(x))
    values = rng.random((6, 2), dtype='float32')

    predict(model, values, 'short', batch_size=1)
    assert capsys.readouterr().out == ''
    monkeypatch.setattr(keras.Model, 'predict_on_batch', lambda _, x: time.sleep(0.25) or x)
    predict(model, values, 'long', batch_size=1)
    assert 'long' in capsys.readouterr().out


@pytest.mark.skipif(keras.backend.backend() != 'tensorflow', reason='TensorFlow traces functions')
def test_only_the_users_own_functions_are_said_to_be_traced_often():
    """TensorFlow counts traces of one function, and Keras's `predict_on_batch` is one function for all models."""
    import tensorflow as tf

    def warnings_of(call):
        said = []
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())
        logging.getLogger('tensorflow').addHandler(handler)
        for number in range(12):
            call(number)
        logging.getLogger('tensorflow').removeHandler(handler)
        return [message for message in said if 'triggered tf.function retracing' in message]

    def call_a_model_of_its_own(number):
        x = layers.Input((2,))
        predict(keras.Model(x, layers.Rescaling(number)(x)), np.zeros((1, 2)), 'call')

    assert warnings_of(call_a_model_of_its_own) == []
    assert len(warnings_of(tf.function(lambda number: tf.zeros(()) + number))) > 0


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


def test_assess_around(pretrained):
    decoder, judge = pretrained['vae-predictor-softmax'].get_layer('decoder'), pretrained['judge']
    points = np.array([[0.0, 0.0], [1.0, -1.0]])

    assessed = assess_around(points, 3, decoder, judge, radii=[0.1, 3.0], num=12, seed=5)

    assert assessed['images'].shape == (2, 12, 28, 28, 1) and assessed['read'].shape == (2, 12)
    np.testing.assert_array_equal(assessed['radii'], [0.1, 3.0])
    for i, radius in enumerate([0.1, 3.0]):
        images = decoder.predict_on_batch(sample_around(points, radius, 12, 5).astype('float32'))
        np.testing.assert_allclose(assessed['images'][i], images, atol=1e-5)
        np.testing.assert_array_equal(assessed['read'][i], judge.predict_on_batch(images).argmax(axis=1))
        assert assessed['share'][i] == list(assessed['read'][i]).count(3) / 12
        assert assessed['diversity'][i] == pytest.approx(mean_pixel_distance(images), rel=1e-4)
    assert len(set(assessed['read'][1])) > 1 and assessed['diversity'][1] > assessed['diversity'][0]


@pytest.mark.parametrize('share, agreement, expected', [
    ([1, 0.97, 0.9, 0.96], 0.95, 1), ([1, 0.97, 0.9, 0.96], 0.9, 3), ([1, 0.95, 0.94], 0.95, 1), ([1, 1, 1], 0.95, 2),
    ([1], 0.95, 0), ([0.97, 0.9], 0.95, 0), ([0.9, 1, 1], 0.95, None)])
def test_widest_radius(share, agreement, expected):
    assert widest_radius({'radii': np.arange(1, len(share) + 1), 'share': np.array(share)}, agreement) == expected
