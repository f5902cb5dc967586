import os

import matplotlib
import numpy as np
import pytest

import vae_opt_util
from vae_opt_util import Data, load_data

matplotlib.use('agg')


@pytest.fixture(scope='session')
def mnist():
    """MNIST, where the environment says that it is there; the tests never download it."""
    if not os.environ.get('MNIST_NPZ'):
        pytest.skip('needs MNIST: set MNIST_NPZ to the path of an mnist.npz')
    return load_data('mnist')


@pytest.fixture(scope='session')
def digits():
    return load_data('digits')


@pytest.fixture(scope='session')
def few_digits(digits):
    return Data('few digits', digits.x_train[:256], digits.y_train[:256], digits.x_test[:64], digits.y_test[:64])


@pytest.fixture(scope='session')
def pretrained():
    """The pretrained models, each loaded once."""
    return {name: vae_opt_util.load_pretrained(name) for name in vae_opt_util.PRETRAINED}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    matplotlib.pyplot.close('all')
