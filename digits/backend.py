"""Keras, started quietly, and what differs between its backends: random seeds, precision, gradients.

Take `keras`, `layers` and `ops` from here, so that Keras is started only once and in this way.
"""

import logging
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np

logger = logging.getLogger(__name__)

# The program of the process that `quiet_start` puts between this process and stderr. It ends where its input ends.
_FILTER = """
import sys

chatter = b'I0000', b'WARNING: All log messages before absl', b'To enable the following instructions'
for line in sys.stdin.buffer:
    if not line.startswith(chatter) and b'failed call to cuInit' not in line:
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
"""

_quiet_start_lock = threading.RLock()


@contextmanager
def quiet_start():
    """Filters the lines that TensorFlow's C++ code writes to stderr while it loads; all other lines pass.

    TensorFlow 2.19 and later ignore TF_CPP_MIN_LOG_LEVEL for these lines (tensorflow issue 100442), so they are
    filtered at file descriptor 2. Another process does that: it outlives a crash of this one, and passes on its last
    words. Where file descriptor 2 is closed, or no process can be started, nothing is filtered.
    """
    with _quiet_start_lock:
        try:
            stderr = os.dup(2)
        except OSError:
            yield
            return
        # In a session of its own, the process is not interrupted by Ctrl-C before it has passed on everything.
        command = [sys.executable or 'python', '-I', '-S', '-c', _FILTER]
        try:
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
        except OSError:
            os.close(stderr)
            yield
            return
        os.dup2(child.stdin.fileno(), 2)
        child.stdin.close()
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            try:
                child.wait(timeout=5)
            except subprocess.TimeoutExpired:  # A process that was started meanwhile still writes to the pipe.
                pass


# TensorFlow and JAX take all memory of a GPU unless told otherwise, and several searches at once share one.
os.environ.setdefault('TF_FORCE_GPU_ALLOW_GROWTH', 'true')
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
# TensorFlow's own default is oneDNN only on CPUs with AVX-512; its convolutions are faster on those without it, too.
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')

with quiet_start():
    import keras
    from keras import layers, ops

    ops.zeros(())  # Starts the backend's devices, which is when it reports a missing GPU.

# Each of our models is compiled once or twice, for one batch size or any. TensorFlow counts them together and warns.
logging.getLogger('tensorflow').addFilter(lambda record: 'triggered tf.function retracing' not in record.getMessage())

__all__ = ['Conv2DTranspose', 'check_precision', 'keras', 'layers', 'native_precision', 'ops', 'quiet_start',
           'set_random_seed', 'value_and_gradient']


def set_random_seed(seed):
    """Sets the global random seeds of Python, NumPy and Keras.

    Keras also seeds TensorFlow, whatever the backend, and loads it here where it is installed.
    """
    if 'tensorflow' in sys.modules:
        keras.utils.set_random_seed(seed)
        return
    with quiet_start():
        keras.utils.set_random_seed(seed)


# ---------------------------------------------------------------------------------------------------------------------
# Precision
# ---------------------------------------------------------------------------------------------------------------------


def native_precision():
    """'mixed_bfloat16' where this machine computes with it natively, 'float32' elsewhere.

    Native are CPUs with AMX or AVX512-BF16 and NVIDIA GPUs from Ampere (compute capability 8.0) on. JAX uses neither of
    CPUs, and adds up the gradients of biases in bfloat16 on them, which loses most of their value.
    """
    native = {'tensorflow': _tensorflow_bfloat16, 'jax': _jax_bfloat16, 'torch': _torch_bfloat16}
    return 'mixed_bfloat16' if native[keras.backend.backend()]() else 'float32'


def check_precision(precision):
    """Returns the precision of a training: 'float32' or 'mixed_bfloat16', for 'auto' that of `native_precision`.

    On a machine that does not compute natively in bfloat16, it warns of that precision: TensorFlow then adds up the
    gradients of biases in bfloat16, as JAX does.

    Raises:
        ValueError: `precision` is none of the three.
    """
    if precision not in ('auto', 'float32', 'mixed_bfloat16'):
        raise ValueError(f"precision must be 'auto', 'float32' or 'mixed_bfloat16', got {precision!r}.")
    native = native_precision()
    if precision == 'mixed_bfloat16' and native == 'float32':
        logger.warning("This machine does not compute natively in bfloat16. Training is slower than in float32, and "
                       "the gradients of biases lose most of their value. Use precision='auto'.")
    return native if precision == 'auto' else precision


# A decoder can be unpickled only where its layers are registered. In another process an objective imports this module,
# but not `vae_opt_util`, where the other layers are. Files of models name all of them by that package.
@keras.saving.register_keras_serializable(package='vae_opt_util')
class Conv2DTranspose(layers.Conv2DTranspose):
    """Keras's layer with a bias gradient that is right in bfloat16.

    TensorFlow's gradient of `bias_add`, which `ops.add(x, bias)` becomes, adds up in bfloat16 on CPUs: of 50,000
    summands of 0.01 it makes 32. With the arguments swapped it is a sum like any other, in float32. `Conv2D` has a
    gradient of its own, which is right.
    """

    def call(self, inputs):
        return self.activation(ops.add(self.bias, ops.conv_transpose(inputs, self.kernel, self.strides, self.padding)))


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
