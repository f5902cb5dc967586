"""Keras, started quietly, and the differences between its backends: random seeds, precision, gradients.

Take `keras`, `layers` and `ops` from here, so that Keras is started only once and in this way.
"""

import copyreg
import logging
import os
import re
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from networks.requirements import check_requirements

check_requirements()

# Lines that TensorFlow's C++ code writes to stderr while it starts, although nothing is wrong. TensorFlow 2.18 begins
# some of them with a date.
_greeting = re.compile(rb'I0000|[-\d]+ [:.\d]+: I |WARNING: All log messages before absl|'
                       rb'To enable the following instructions|.*(failed call to cuInit|Unable to register cu|'
                       rb'oneDNN supports DT_INT32 only)')


@contextmanager
def without_greetings():
    """Holds back the output to stderr, and afterwards passes on all lines except TensorFlow's greetings.

    TensorFlow 2.19 and later ignore TF_CPP_MIN_LOG_LEVEL for these lines (tensorflow issue 100442). They are written to
    file descriptor 2 and not to `sys.stderr`.
    """
    try:
        stderr, held = os.dup(2), tempfile.TemporaryFile()
    except OSError:  # It is closed, so that there is nothing to hold back, or the disk is full.
        yield
        return
    with held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            os.write(2, b''.join(line for line in held if not _greeting.match(line)))


# TensorFlow and JAX take all memory of a GPU unless told otherwise, and several searches at once share one.
os.environ.setdefault('TF_FORCE_GPU_ALLOW_GROWTH', 'true')
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
# TensorFlow's own default is oneDNN only on CPUs with AVX-512; its convolutions are faster on those without it, too.
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')

with without_greetings():
    import keras
    from keras import layers, ops

    ops.zeros(())  # Starts the backend's devices, which is when it reports a missing GPU.

# Each of our models is compiled for a batch size or two. TensorFlow counts the compilations of all models together.
_calling = threading.local()
logging.getLogger('tensorflow').addFilter(
    lambda record: not (getattr(_calling, 'ours', False) and 'triggered tf.function retracing' in record.getMessage()))


@contextmanager
def compiling_is_expected():
    """In this block, of this thread, TensorFlow does not warn that models are compiled often."""
    outer = getattr(_calling, 'ours', False)
    _calling.ours = True
    try:
        yield
    finally:
        _calling.ours = outer


__all__ = ['Conv2DTranspose', 'compiling_is_expected', 'computing_in', 'keras', 'layers', 'native_precision', 'ops',
           'set_random_seed', 'value_and_gradient',
           'without_greetings']


def set_random_seed(seed):
    """Sets the global random seeds of Python, NumPy and Keras.

    Keras also seeds TensorFlow, whatever the backend, and loads it here where it is installed.
    """
    if 'tensorflow' in sys.modules:
        keras.utils.set_random_seed(seed)
        return
    with without_greetings():
        keras.utils.set_random_seed(seed)


# ---------------------------------------------------------------------------------------------------------------------
# Precision
# ---------------------------------------------------------------------------------------------------------------------


def native_precision():
    """'mixed_bfloat16' where this machine supports it natively, 'float32' elsewhere.

    CPUs with AMX or AVX512-BF16 support it, and NVIDIA GPUs from Ampere (compute capability 8.0) on. On CPUs, JAX uses
    neither, and adds up the gradients of biases in bfloat16, which loses most of their value.
    """
    native = {'tensorflow': _tensorflow_bfloat16, 'jax': _jax_bfloat16, 'torch': _torch_bfloat16}
    return 'mixed_bfloat16' if native[keras.backend.backend()]() else 'float32'


@contextmanager
def computing_in(precision, model):
    """Lets the convolutions of a model, which take most of its time, compute in a precision, and then in float32 again.

    Weights and all other layers are float32 throughout.

    Args:
        precision: 'float32' or 'mixed_bfloat16'.
        model: a Keras model of layers and of models of layers. Compile it inside, so that nothing is kept that was
            compiled in another precision.
    """
    parts = [model, *(layer for layer in model.layers if isinstance(layer, keras.Model))]

    def compute_in(precision):
        for part in parts:
            part.train_function = part.test_function = part.predict_function = None
            for layer in part.layers:
                if isinstance(layer, (layers.Conv2D, layers.Conv2DTranspose)):
                    layer.dtype_policy = precision

    compute_in(precision)
    try:
        yield
    finally:
        compute_in('float32')


@keras.saving.register_keras_serializable(package='digits')
class Conv2DTranspose(layers.Conv2DTranspose):
    """Keras's layer with a bias gradient that is correct in bfloat16.

    TensorFlow's gradient of `bias_add`, which `ops.add(x, bias)` becomes, adds up in bfloat16 on CPUs: of 50,000
    summands of 0.01 it makes 32. With the arguments swapped it is a sum like any other, in float32. `Conv2D` has a
    gradient of its own, which is correct.
    """

    def call(self, inputs):
        return self.activation(ops.add(self.bias, ops.conv_transpose(inputs, self.kernel, self.strides, self.padding)))


def unpickled(restore, arguments):
    """Restores a model in a process that has imported this module, and so knows its layer."""
    return restore(*arguments)


# So that models can be sent to other processes. Keras looks for layers only in modules that are imported already.
_input = layers.Input(shape=(1,))
copyreg.pickle(type(keras.Model(_input, _input)), lambda model: (unpickled, model.__reduce__()))


def _cpu_bfloat16():
    cpuinfo = Path('/proc/cpuinfo')
    return cpuinfo.exists() and not {'amx_bf16', 'avx512_bf16'}.isdisjoint(cpuinfo.read_text().split())


def _tensorflow_bfloat16():
    import tensorflow as tf

    gpus = tf.config.list_physical_devices('GPU')
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get('compute_capability', (0, 0)) >= (8, 0)
    return _cpu_bfloat16()


def _jax_bfloat16():
    import jax

    capability = getattr(jax.devices()[0], 'compute_capability', '')  # Only that of NVIDIA's GPUs is a number.
    return capability[:1].isdigit() and float(capability) >= 8


def _torch_bfloat16():
    import torch

    return torch.cuda.is_bf16_supported(including_emulation=False) if torch.cuda.is_available() else _cpu_bfloat16()


# ---------------------------------------------------------------------------------------------------------------------
# Gradients
# ---------------------------------------------------------------------------------------------------------------------


def value_and_gradient(function):
    """Turns a function into one that also returns its gradient, compiled where the backend compiles.

    Args:
        function: a function of float32 tensors. The first has shape (n, d); the result has shape (n,), and each value
            depends on one row of the first tensor only.

    Returns:
        A function of arrays that returns the values, (n,), and their gradients with respect to the first array,
        (n, d), both as float32 arrays.
    """
    of_backend = {'tensorflow': _with_tensorflow, 'jax': _with_jax, 'torch': _with_torch}
    return of_backend[keras.backend.backend()](function)


def _with_tensorflow(function):
    import tensorflow as tf

    @tf.function
    def compiled(t, *others):
        with tf.GradientTape() as tape:
            tape.watch(t)
            values = function(t, *others)
        return values, tape.gradient(values, t)

    return lambda *arrays: [tensor.numpy() for tensor in compiled(*map(tf.convert_to_tensor, arrays))]


def _with_jax(function):
    import jax

    @jax.jit
    def compiled(t, *others):
        values, pullback = jax.vjp(lambda t: function(t, *others), t)
        return values, *pullback(jax.numpy.ones_like(values))

    return lambda *arrays: [np.asarray(array) for array in compiled(*arrays)]


def _with_torch(function):
    import torch

    def differentiated(t, *others):
        t, *others = map(ops.convert_to_tensor, (t, *others))
        values = function(t.requires_grad_(), *others)
        gradient, = torch.autograd.grad(values.sum(), t)
        return ops.convert_to_numpy(values), ops.convert_to_numpy(gradient)

    return differentiated
