"""How Keras is started, each time in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A package in place of Keras: what is written to file descriptor 2 while it is imported, and how that ends.
FAKE = """
import os, sys, types

os.write(2, b'WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n'
            b'I0000 00:00:1700000000.000000 1 port.cc:153] oneDNN custom operations are on.\\n'
            b'E0000 00:00:1700000000.000000 1 cuda.cc:228] failed call to cuInit: INTERNAL\\n'
            b'To enable the following instructions: AVX2, in other operations, rebuild TensorFlow.\\nwords of C++\\n')
print('words of Python', file=sys.stderr, flush=True)
layers, ops = types.ModuleType('keras.layers'), types.SimpleNamespace(zeros=lambda shape: None)
layers.Conv2DTranspose, layers.Input = object, lambda shape: None
Model = type('Model', (), {'__init__': lambda *_: None})
saving = types.SimpleNamespace(register_keras_serializable=lambda package: lambda layer: layer)
"""


@pytest.fixture
def run(tmp_path):
    """Runs a script with a package in place of Keras."""
    def run(script, keras=FAKE):
        (tmp_path / 'keras').mkdir()
        (tmp_path / 'keras' / '__init__.py').write_text(keras)
        return subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, cwd=ROOT, timeout=120,
                              env=os.environ | {'PYTHONPATH': f'{tmp_path}{os.pathsep}{ROOT}'}, check=False)

    return run


def test_greetings_are_held_back_and_all_else_is_heard(run):
    done = run("import networks.backend, os; os.write(2, b'I0000 heard afterwards\\n')")

    assert (done.returncode, done.stderr) == (0, 'words of C++\nwords of Python\nI0000 heard afterwards\n')


def test_import_that_fails(run):
    done = run('import networks.backend', FAKE + "raise ImportError('no backend')")

    assert done.returncode == 1
    assert done.stderr.startswith('words of C++\nwords of Python\n') and 'ImportError: no backend' in done.stderr


@pytest.mark.parametrize('before', ['sys.stderr = None', 'os.close(2); sys.stderr = None'])
def test_starts_whatever_stderr_is(before, run):
    done = run(f'import os, sys; {before}; import networks.backend; print(1)',
               FAKE.replace('os.write(2', '(lambda *_: 0)(2').replace('print(', '(lambda *_, **__: 0)('))

    assert (done.returncode, done.stdout, done.stderr) == (0, '1\n', '')


def test_retracing_warnings_of_users_are_heard(run):
    done = run("""
import logging
import threading

from networks.backend import compiling_is_expected

logger = logging.getLogger('tensorflow')

def say(what):
    logger.warning('triggered tf.function retracing: %s', what)

say('theirs')
with compiling_is_expected():
    with compiling_is_expected():
        say('ours')
    say('ours after an inner block')
    try:
        with compiling_is_expected():
            raise KeyError
    except KeyError:
        say('ours after an error')
    logger.warning('another warning')
    thread = threading.Thread(target=say, args=['theirs in another thread'])
    thread.start()
    thread.join()
say('theirs afterwards')
""")

    assert [line.removeprefix('triggered tf.function retracing: ') for line in done.stderr.splitlines()[2:]] == [
        'theirs', 'another warning', 'theirs in another thread', 'theirs afterwards']


@pytest.mark.slow
def test_keras_starts_quietly():
    done = subprocess.run([sys.executable, '-c', 'import vae_opt_util, alternatives'], capture_output=True, text=True,
                          cwd=ROOT, timeout=120, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
