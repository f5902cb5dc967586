"""Other backends than the one that the tests run with, each in a process of its own."""

import importlib.util
import json
import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

pytestmark = pytest.mark.slow

# Compiling takes longer than what is computed.
XLA_FLAGS = '--xla_backend_optimization_level=0'

OUTPUTS = """
import sys

import numpy as np

from alternatives import load_conditional_vae, load_latent_constraints
from networks.backend import keras
from networks.prediction import predict
from vae_opt_util import MODELS, load_pretrained

rng = np.random.default_rng(0)
outputs = {}
models = {name: load_pretrained(name) for name in MODELS} | {
    'vae-conditional': load_conditional_vae(), 'latent-constraints': load_latent_constraints()}
for name, model in models.items():
    parts = [model.get_layer('encoder'), model.get_layer('decoder')] if name.startswith('vae') else [model]
    for part in parts:
        inputs = [rng.random((20, *tensor.shape[1:]), dtype='float32') for tensor in part.inputs]
        results = predict(part, inputs if len(inputs) > 1 else inputs[0], name)
        for index, result in enumerate(results if isinstance(results, list) else [results]):
            outputs[f'{name}, {part.name}, {index}'] = result
np.savez(sys.argv[1], backend=keras.backend.backend(), **outputs)
"""

CURVE = """
import json

from networks.backend import keras
from digits.data import Data, load_data
from vae_opt_util import MODELS, train

digits = load_data('digits')
digits = Data('few digits', digits.x_train[:256], digits.y_train[:256], digits.x_test[:64], digits.y_test[:64])
for distribution in None, keras.distribution.DataParallel():
    keras.distribution.set_distribution(distribution)
    model, history = train('classifier', digits, recipe=MODELS['classifier'].recipe._replace(epochs=2, batch_size=32))
    devices = max(len(variable.value.sharding.device_set) for variable in model.variables)
    print(json.dumps({'devices': devices, 'history': history}))
"""


def run(backend, script, *arguments, **environment):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f'needs {backend}: make test-backends installs it')
    done = subprocess.run([sys.executable, '-c', script, *arguments], capture_output=True, text=True, check=False,
                          env=os.environ | {'XLA_FLAGS': XLA_FLAGS} | environment | {'KERAS_BACKEND': backend})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def outputs_of(tmp_path_factory):
    @cache
    def outputs(backend):
        path = tmp_path_factory.mktemp(backend) / 'outputs.npz'
        run(backend, OUTPUTS, path)
        with np.load(path) as arrays:
            return dict(arrays)

    return outputs


@pytest.mark.parametrize('backend', ['jax', 'torch'])
def test_pretrained_models_give_the_same_outputs(backend, outputs_of):
    outputs, tensorflow_outputs = outputs_of(backend), outputs_of('tensorflow')

    assert outputs.pop('backend') == backend
    assert outputs.keys() == tensorflow_outputs.keys() - {'backend'} and len(outputs) == 20
    for name, output in outputs.items():
        assert output.std() > 0.01
        np.testing.assert_allclose(output, tensorflow_outputs[name], rtol=0, atol=1e-4, err_msg=name)


def test_data_parallel_training_has_the_curve_of_one_device():
    printed = run('jax', CURVE, XLA_FLAGS=f'{XLA_FLAGS} --xla_force_host_platform_device_count=2')
    one, two = (json.loads(line) for line in printed.splitlines() if line.startswith('{'))

    assert (one['devices'], two['devices']) == (1, 2)
    for alone, parallel in zip(one['history'], two['history'], strict=True):
        assert {key: parallel[key] for key in parallel if key != 'seconds'} == pytest.approx(
            {key: alone[key] for key in alone if key != 'seconds'}, rel=0.01)
