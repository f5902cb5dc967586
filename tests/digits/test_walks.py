"""Paths through latent space: along a gradient, and straight from image to image."""

import numpy as np
import pytest

from digits.measures import encode
from digits.walks import create_value_with_gradient, gradient_paths, interpolate, walk_along_value
from networks.prediction import predict


def bowl(t):
    """Half the squared distance from the origin: the gradient points away from it, and the path is a ray."""
    return 0.5 * (t ** 2).sum(axis=1), t


def saddle(t):
    """The product of two coordinates, whose gradients are hyperbolas: t₁² − t₂² is the same along each."""
    return t[:, 0] * t[:, 1], t[:, ::-1]


def test_along_rays():
    paths = gradient_paths(bowl, [[0.6, 0.8], [-2.4, 1.8]], [0.125, 0.5, 2, 8])

    np.testing.assert_allclose(paths[0], np.outer([0.5, 1, 2, 4], [0.6, 0.8]), atol=2e-3)
    np.testing.assert_allclose(paths[1], np.outer([0.5, 1, 2, 4], [-0.8, 0.6]), atol=2e-3)


def test_along_a_hyperbola():
    points, = gradient_paths(saddle, [[2.0, 1.0]], [2, 10, 19], max_step=10)

    np.testing.assert_allclose(points[:, 0] * points[:, 1], [2, 10, 19], atol=1e-3)
    np.testing.assert_allclose(points[:, 0] ** 2 - points[:, 1] ** 2, 3, atol=0.15)


def test_path_ends_at_an_extremum():
    points, = gradient_paths(lambda t: (4 - bowl(t)[0], -t), [[1.0, 0.0]], [1, 2, 3, 4.5])

    np.testing.assert_array_equal(np.isfinite(points), np.repeat([[True], [True], [True], [False]], 2, axis=1))


def test_path_leads_nowhere_where_the_function_is_flat():
    paths = gradient_paths(lambda t: (np.ones(len(t)), np.zeros((len(t), 3))), np.zeros((2, 3)), [0, 2])

    assert paths.shape == (2, 2, 3) and np.isnan(paths).all()


def test_paths_of_what_does_not_fit():
    with pytest.raises(ValueError, match='values must be increasing'):
        gradient_paths(bowl, [[1.0, 0.0]], [2, 1])
    with pytest.raises(ValueError, match='Points must be finite'):
        gradient_paths(bowl, [[np.nan, 0.0]], [1, 2])


@pytest.mark.backends
def test_value_and_gradient_are_the_regressors(pretrained, rng):
    predictor = pretrained['vae-predictor-linear'].get_layer('predictor')
    value_with_gradient = create_value_with_gradient(predictor)

    t_all = rng.normal(size=(5, 2))
    for t, value, gradient in zip(t_all, *value_with_gradient(t_all), strict=True):
        around = t + 1e-3 * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
        values = predictor.predict_on_batch(around.astype('float32'))[:, 0]
        assert value == pytest.approx(values[0], abs=1e-5)
        np.testing.assert_allclose(gradient, [(values[1] - values[2]) / 2e-3, (values[3] - values[4]) / 2e-3],
                                   rtol=0.05, atol=0.02)


def test_labels_have_no_value(pretrained):
    with pytest.raises(ValueError, match=r'an output with shape \(n, 1\), got \(None, 10\)'):
        create_value_with_gradient(pretrained['vae-predictor-softmax'].get_layer('predictor'))


def test_walk_along_value(pretrained):
    """All values of digits and some beyond, which no path through the origin reaches."""
    model, judge = pretrained['vae-predictor-linear'], pretrained['judge']
    t = np.array([[0.0, 0.0], [50.0, 50.0]])

    walk = walk_along_value(model, judge, t, np.arange(0, 12, 1.5))

    np.testing.assert_array_equal(walk['values'], np.arange(0, 12, 1.5))
    points = walk['points'].astype('float32')
    np.testing.assert_allclose(predict(model.get_layer('predictor'), points, '')[:, 0], walk['values'], atol=2e-3)
    images = predict(model.get_layer('decoder'), points, '')
    np.testing.assert_allclose(walk['images'], images, atol=1e-5)
    np.testing.assert_array_equal(walk['read'], predict(judge, images, '').argmax(axis=1))
    np.testing.assert_allclose(walk['distance'], np.linalg.norm(points, axis=1), rtol=1e-5)


def test_interpolate(pretrained, digits):
    model, judge = pretrained['vae-predictor-softmax-10d'], pretrained['judge']
    x = digits.x_test[:2]
    first, last = encode(x, model)

    strip = interpolate(x, model, judge, num=5)

    np.testing.assert_allclose(strip['points'][[0, 2, 4]], [first, (first + last) / 2, last], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(strip['distance'], np.linalg.norm(last - first) * np.array([0, 0.25, 0.5, 0.75, 1]),
                               rtol=1e-5, atol=1e-6)
    images = predict(model.get_layer('decoder'), strip['points'].astype('float32'), '')
    probs = predict(judge, images, '')
    np.testing.assert_allclose(strip['images'], images, atol=1e-5)
    np.testing.assert_array_equal(strip['read'], probs.argmax(axis=1))
    np.testing.assert_allclose(strip['certainty'], probs.max(axis=1), atol=1e-5)


def test_interpolate_what_does_not_fit(pretrained, digits):
    model, judge = pretrained['vae-predictor-softmax'], pretrained['judge']
    with pytest.raises(ValueError, match='from one image to another, got 3 images'):
        interpolate(digits.x_test[:3], model, judge)
    with pytest.raises(ValueError, match='num must be an integer of at least 2'):
        interpolate(digits.x_test[:2], model, judge, num=1)
