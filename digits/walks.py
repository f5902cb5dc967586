"""Paths through latent space, and the images decoded along them."""

import numpy as np

from digits.data import check_images
from digits.measures import encode
from latent_search.points import check_integer, check_points, create_grid
from networks.backend import value_and_gradient
from networks.prediction import predict


def create_value_with_gradient(predictor):
    """Creates the value that a regressor predicts, together with its gradient, through Keras's backend.

    Args:
        predictor: a Keras model from points (n, latent_dim) to values (n, 1); see `create_predictor_linear`.

    Returns:
        A function of points, (n, latent_dim), that returns their predicted values, float64 (n,), in units of a digit,
        and the gradients, float64 (n, latent_dim).

    Raises:
        ValueError: the predictor predicts something else.
    """
    if predictor.output.shape[1:] != (1,):
        raise ValueError(f'A predictor of values has an output with shape (n, 1), got {predictor.output.shape}. Take '
                         "that of 'vae-predictor-linear'.")
    with_gradient = value_and_gradient(lambda t: predictor(t, training=False)[:, 0])
    return lambda t: tuple(part.astype('float64') for part in with_gradient(np.asarray(t, dtype='float32')))


def gradient_paths(value_with_gradient, starts, values, max_step=0.1, max_steps=200):
    """Walks along the gradient of a function, up and down from points, to where it has certain values.

    Each step goes along the gradient, Δt = Δv ∇v / |∇v|², where Δv is the remaining difference, but at most 0.05. Steps
    have a fixed length at most, and there is no solver of differential equations: the gradient of a ReLU network jumps,
    and a solver that adapts its steps to it would hardly move.

    Args:
        value_with_gradient: a function of points (n, d) that returns their values and gradients; see
            `create_value_with_gradient`.
        starts: a point of each path, (n, d).
        values: the values to walk to, increasing, (m,).
        max_step: the longest step, in units of the space.
        max_steps: how many steps from one of the values to the next there are at most.

    Returns:
        For each path the points that have the values to within 0.001, float64 (n, m, d). They are NaN where the
        gradient leads no further, as beyond an extremum.

    Raises:
        ValueError: `values` are not increasing numbers, or `starts` are not points of finite numbers.
    """
    starts = check_points(starts)
    values = check_points(np.reshape(values, (-1, 1)))[:, 0]
    if (np.diff(values) <= 0).any():
        raise ValueError(f'values must be increasing, got {values}.')
    paths = np.full((len(starts), len(values), starts.shape[1]), np.nan)
    above = values >= value_with_gradient(starts)[0][:, np.newaxis]
    for ahead, order in ((above, range(len(values))), (~above, reversed(range(len(values))))):
        t, on_the_way = starts, np.ones(len(starts), dtype=bool)
        for i in order:
            t, arrived = _walk_to(values[i], t, on_the_way & ahead[:, i], value_with_gradient, max_step, max_steps)
            on_the_way &= arrived | ~ahead[:, i]
            paths[arrived, i] = t[arrived]
    return paths


def _walk_to(value, t, walking, value_with_gradient, max_step, max_steps):
    """Moves those points of t (n, d) that are walking, and tells which of these have arrived."""
    arrived = np.zeros(len(t), dtype=bool)
    for _ in range(max_steps if walking.any() else 0):
        current, gradient = value_with_gradient(t)
        arrived = walking & (abs(value - current) < 1e-3)
        steepness = np.linalg.norm(gradient, axis=1)
        moving = walking & ~arrived & (steepness > 0)
        if not moving.any():
            break
        steepness = np.where(moving, steepness, 1)
        length = np.clip(np.clip(value - current, -0.05, 0.05) / steepness, -max_step, max_step)
        t = t + np.where(moving, length / steepness, 0)[:, np.newaxis] * gradient
    return t, arrived


def walk_along_value(model, judge, t, values):
    """Decodes a path along the gradient of a regressor's value: the one that reaches most of the values.

    Paths go through the points of a grid over the middle of latent space, −2 to 2. Of those that reach the same number
    of values it takes the one whose point is nearest to the origin, the prior's mode.

    Args:
        model: a joint model with a regressor as predictor, in two dimensions.
        judge: a classifier that reads the images.
        t: encoded images, (n, 2), for the distances.
        values: the values to walk to, increasing, (m,).

    Returns:
        A dict of arrays with an element for each value that was reached, see `gradient_paths`: `values`; `points`,
        (k, 2); `images`, (k, 28, 28, 1); `read`, the labels that the judge reads; `distance`, from each point to the
        nearest encoded image.
    """
    from sklearn.neighbors import NearestNeighbors

    _, _, starts = create_grid([(-2.0, 2.0)] * 2, points=11)
    starts = starts[np.argsort(np.linalg.norm(starts, axis=1), kind='stable')]
    paths = gradient_paths(create_value_with_gradient(model.get_layer('predictor')), starts, values)
    reached = np.isfinite(paths).all(axis=2)
    longest = reached.sum(axis=1).argmax()
    points = paths[longest, reached[longest]]
    images = predict(model.get_layer('decoder'), points, 'decode')
    return {'values': np.asarray(values)[reached[longest]], 'points': points, 'images': images,
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
    images = predict(model.get_layer('decoder'), points, 'decode')
    probs = predict(judge, images, 'judge')
    return {'points': points, 'distance': np.linalg.norm(points - first, axis=1), 'images': images,
            'read': probs.argmax(axis=1), 'certainty': probs.max(axis=1)}
