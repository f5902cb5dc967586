import os
import sys

import numpy as np
import pytest

# Keras, which takes seconds, is loaded in the fixtures that need it only.


def pytest_configure(config):
    # Keras asks for a list where a model with one input has been saved and loaded.
    config.addinivalue_line('filterwarnings', 'ignore:The structure of `inputs` does:UserWarning:'
                                              'keras.src.models.functional')
    # Keras's variables with NumPy 2.
    for module in ('tensorflow.core', 'common.variables', 'jax.core', 'torch.core'):
        config.addinivalue_line('filterwarnings', "ignore:__array__ implementation doesn't accept a copy keyword:"
                                                  f'DeprecationWarning:keras.src.backend.{module}')


def pytest_collection_modifyitems(items):
    """The longest files come first, so that no process is left alone with one of them."""
    items.sort(key=lambda item: item.path.parent.name != 'notebooks')


@pytest.fixture(scope='session')
def mnist():
    """MNIST, if the environment names a file; the tests never download it."""
    if not os.environ.get('MNIST_NPZ'):
        pytest.skip('needs MNIST: set MNIST_NPZ to the path of an mnist.npz')
    from digits.data import load_data

    return load_data('mnist')


@pytest.fixture(scope='session')
def digits():
    from digits.data import load_data

    return load_data('digits')


@pytest.fixture(scope='session')
def few_digits(digits):
    from digits.data import Data

    return Data('few digits', digits.x_train[:256], digits.y_train[:256], digits.x_test[:64], digits.y_test[:64])


@pytest.fixture(scope='session')
def pretrained():
    """The pretrained models, each loaded once."""
    import alternatives
    from vae_opt_util import MODELS, load_pretrained

    return {name: load_pretrained(name) for name in MODELS} | {
        'vae-conditional': alternatives.load_conditional_vae(),
        'latent-constraints': alternatives.load_latent_constraints()}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope='session', autouse=True)
def draw_into_memory():
    import matplotlib

    matplotlib.use('agg')


@pytest.fixture(autouse=True)
def close_figures():
    yield
    if 'matplotlib.pyplot' in sys.modules:
        sys.modules['matplotlib.pyplot'].close('all')


@pytest.fixture(scope='session')
def chromium():
    """The Chromium that is installed, driven by Playwright."""
    playwright = pytest.importorskip('playwright.sync_api', reason='needs Playwright: call `make test-browser`')
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=os.environ.get('CHROMIUM') or '/usr/bin/chromium')
        yield browser
        browser.close()
