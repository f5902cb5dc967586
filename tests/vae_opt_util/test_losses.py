import numpy as np
import pytest

from networks.backend import keras
from vae_opt_util import kl_divergence, reconstruction_loss

pytestmark = pytest.mark.backends


def test_reconstruction_loss_is_summed_over_pixels(rng):
    x = rng.random((3, 28, 28, 1), dtype='float32')
    x_decoded = rng.uniform(0.01, 0.99, (3, 28, 28, 1)).astype('float32')

    loss = keras.ops.convert_to_numpy(reconstruction_loss(x, x_decoded))

    expected = -(x * np.log(x_decoded) + (1 - x) * np.log(1 - x_decoded)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_reconstruction_loss_of_certainty():
    black = np.zeros((1, 28, 28, 1), dtype='float32')

    assert keras.ops.convert_to_numpy(reconstruction_loss(black, black))[0] < 1e-3
    half = keras.ops.convert_to_numpy(reconstruction_loss(black, black + 0.5))[0]
    np.testing.assert_allclose(half, 784 * np.log(2), rtol=1e-5)  # A float32 sum of 784 terms.


def test_kl_divergence_is_summed_over_latent_dimensions(rng):
    t_mean, t_log_var = rng.normal(size=(2, 5, 7)).astype('float32')

    kl = keras.ops.convert_to_numpy(kl_divergence(t_mean, t_log_var))

    expected = 0.5 * (np.exp(t_log_var) + t_mean ** 2 - 1 - t_log_var).sum(axis=1)
    np.testing.assert_allclose(kl, expected, rtol=1e-5)
    assert kl.shape == (5,)


def test_kl_divergence_known_values():
    t_mean = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]], dtype='float32')
    t_log_var = np.array([[0.0, 0.0], [0.0, 0.0], [np.log(4), 0.0]], dtype='float32')

    kl = keras.ops.convert_to_numpy(kl_divergence(t_mean, t_log_var))

    np.testing.assert_allclose(kl, [0, 0.5, 0.5 * (4 - 1 - np.log(4))], atol=1e-6)


def test_kl_divergence_is_that_of_samples(rng):
    """Against a Monte Carlo estimate of E[log q(t) − log p(t)], which shares no formula with the closed form."""
    mean, log_var = np.array([[0.7, -0.3]]), np.array([[-1.0, 0.5]])
    t = mean + np.exp(0.5 * log_var) * rng.standard_normal((400_000, 2))
    log_q = -0.5 * (((t - mean) ** 2 / np.exp(log_var)) + log_var + np.log(2 * np.pi)).sum(axis=1)
    log_p = -0.5 * (t ** 2 + np.log(2 * np.pi)).sum(axis=1)

    kl = keras.ops.convert_to_numpy(kl_divergence(mean, log_var))[0]

    np.testing.assert_allclose(kl, (log_q - log_p).mean(), rtol=0.01)
