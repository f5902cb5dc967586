"""Paths through latent space, and what is decoded along them."""

import numpy as np

from latent_search.points import check_integer, check_points
from mnist_vae.backend import value_and_gradient
from mnist_vae.data import check_images
from mnist_vae.measures import encode, predict


def create_value_with_gradient(predictor):
    """Creates the value that a regressor predicts, together with its gradient, through Keras's backend.

    Args:
        predictor: a Keras model from points (n, latent_dim) to values (n, 1); see `create_predictor_linear`.

    Returns:
        A function of one point, (latent_dim,), that returns its predicted value, a float in units of a digit, and the
        gradient, float64 (latent_dim,).

    Raises:
        ValueError: the predictor predicts something else.
    """
    if predictor.output.shape[1:] != (1,):
        raise ValueError(f'A predictor of values has an output with shape (n, 1), got {predictor.output.shape}. Take '
                         "that of 'vae-predictor-linear'.")
    with_gradient = value_and_gradient(lambda t: predictor(t, training=False)[:, 0])

    def value_with_gradient(t):
        (value,), (gradient,) = with_gradient(np.asarray(t, dtype='float32')[np.newaxis])
        return float(value), gradient.astype('float64')

    return value_with_gradient


def gradient_path(value_with_gradient, start, values, max_step=0.1, max_steps=200):
    """Walks along the gradient of a function, up and down from one point, to the points where it has certain values.

    Each step goes along the gradient, Δt = Δv ∇v / |∇v|², where Δv is what is still missing, but at most 0.05. Steps
    have a fixed length at most, and there is no solver of differential equations: the gradient of a ReLU network jumps,
    and a solver that adapts its steps to it would hardly move.

    Args:
        value_with_gradient: a function of one point (d,) that returns its value and gradient; see
            `create_value_with_gradient`.
        start: the point (d,) that the path goes through.
        values: the values, (n,), increasing.
        max_step: the longest step, in units of the space.
        max_steps: how many steps from one of the values to the next there are at most.

    Returns:
        The values that were reached to within 0.001, (m,), and their points, float64 (m, d). They are fewer where
        the gradient leads no further, as at an extremum.

    Raises:
        ValueError: `values` are not increasing numbers, or `start` is not a point of finite numbers.
    """
    start = check_points(np.asarray(start)[np.newaxis])[0]
    values = check_points(np.reshape(values, (-1, 1)))[:, 0]
    if (np.diff(values) <= 0).any():
        raise ValueError(f'values must be increasing, got {values}.')
    at_start = value_with_gradient(start)[0]
    reached = {}
    for onwards in (values[values >= at_start], values[values < at_start][::-1]):
        t = start
        for value in onwards:
            t = _walk_to(value, t, value_with_gradient, max_step, max_steps)
            if t is None:
                break
            reached[value] = t
    ordered = sorted(reached)
    return np.array(ordered), np.array([reached[value] for value in ordered]).reshape(-1, len(start))


def _walk_to(value, t, value_with_gradient, max_step, max_steps):
    for _ in range(max_steps):
        current, gradient = value_with_gradient(t)
        if abs(value - current) < 1e-3:
            return t
        steepness = np.linalg.norm(gradient)
        if steepness == 0:
            return None
        length = np.clip(value - current, -0.05, 0.05) / steepness
        t = t + np.clip(length, -max_step, max_step) * gradient / steepness
    return None


def walk_along_value(model, judge, t, values):
    """Decodes the path along the gradient of a regressor's value that goes through the origin, the prior's mode.

    Args:
        model: a joint model with a regressor as predictor.
        judge: a classifier that reads the images.
        t: encoded images, (n, latent_dim), for the distances.
        values: the values to walk to, increasing, (n,).

    Returns:
        A dict of arrays with an element for each value that was reached, see `gradient_path`: `values`; `points`,
        (m, latent_dim); `images`, (m, 28, 28, 1); `read`, the labels that the judge reads; `distance`, that of each
        point to the nearest encoded image.
    """
    from sklearn.neighbors import NearestNeighbors

    predictor = model.get_layer('predictor')
    values, points = gradient_path(create_value_with_gradient(predictor), np.zeros(predictor.input.shape[1]), values)
    images = predict(model.get_layer('decoder'), points.astype('float32'), 'decode')
    return {'values': values, 'points': points, 'images': images,
            'read': predict(judge, images, 'judge').argmax(axis=1),
            'distance': NearestNeighbors(n_neighbors=1).fit(t).kneighbors(points)[0][:, 0]}


def interpolate(x, model, judge, num=9):
    """Decodes points on the straight line between two encoded images, at equal distances.

    Args:
        x: the two images, (2, 28, 28, 1).
        model: a joint model, not conditional.
        judge: a classifier that reads the images.
        num: how many points there are, both ends included.

    Returns:
        A dict of arrays with an element for each point: `points`, (num, latent_dim); `distance` from the first point
        in latent space; `images`, (num, 28, 28, 1); `read`, the labels that the judge reads; and `certainty`, their
        probabilities.

    Raises:
        ValueError: these are not two images, or `num` is not an integer of at least 2.
    """
    if len(check_images(x)) != 2:
        raise ValueError(f'interpolate goes from one image to another, got {len(x)} images.')
    first, last = encode(x, model).astype('float64')
    points = first + np.linspace(0, 1, check_integer('num', num, at_least=2))[:, np.newaxis] * (last - first)
    images = predict(model.get_layer('decoder'), points.astype('float32'), 'decode')
    probs = predict(judge, images, 'judge')
    return {'points': points, 'distance': np.linalg.norm(points - first, axis=1), 'images': images,
            'read': probs.argmax(axis=1), 'certainty': probs.max(axis=1)}
