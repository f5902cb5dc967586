"""How Keras is started, each time in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHATTER = ('WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n'
           'I0000 00:00:1700000000.000000 1 port.cc:153] oneDNN custom operations are on.\n'
           'E0000 00:00:1700000000.000000 1 cuda.cc:228] failed call to cuInit: INTERNAL\n'
           'To enable the following instructions: AVX2, in other operations, rebuild TensorFlow.\n')

# A package in place of Keras: what is written to file descriptor 2 while it is imported, and how that ends.
FAKE = """
import os, sys

os.write(2, {chatter!r}.encode() + b'words of C++\\n')
print('words of Python', file=sys.stderr)
os.write(2, b'I0000 more chatter\\nwithout an end of line')
{end}
"""

# Keras for those tests that look at the process around it.
STAND_IN = """
import sys, types

layers, ops = types.ModuleType('keras.layers'), types.SimpleNamespace(zeros=lambda shape: None)
layers.Conv2DTranspose = object
saving = types.SimpleNamespace(register_keras_serializable=lambda package: lambda layer: layer)
"""

PROBE = """
import os, sys, warnings
from pathlib import Path

import numpy  # digits.backend needs it.

def state():
    files = {name: os.readlink(f'/proc/self/fd/{name}') for name in os.listdir('/proc/self/fd')
             if os.path.exists(f'/proc/self/fd/{name}')}
    return files, dict(os.environ), list(warnings.filters), list(Path(os.environ['TMPDIR']).parent.iterdir())

for name in 'TF_ENABLE_ONEDNN_OPTS', 'TF_FORCE_GPU_ALLOW_GROWTH', 'XLA_PYTHON_CLIENT_PREALLOCATE':
    os.environ.pop(name, None)
files, environment, *others = state()
import digits.backend

with digits.backend.quiet_start():
    os.write(2, b'I0000 chatter\\nheard\\n')
files_after, environment_after, *others_after = state()
assert files_after == files, (files, files_after)
assert others_after == others, (others, others_after)
assert environment_after == environment | {'TF_ENABLE_ONEDNN_OPTS': '1', 'TF_FORCE_GPU_ALLOW_GROWTH': 'true',
                                           'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'}
try:
    os.waitpid(-1, os.WNOHANG)
    raise AssertionError('a process is left')
except ChildProcessError:
    pass
os.write(2, b'I0000 no longer filtered\\n')
"""


def run(script, environment=None):
    return subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, cwd=ROOT,
                          env=os.environ | (environment or {}), timeout=120, check=False)


@pytest.fixture
def fake_keras(tmp_path):
    """Puts a package in place of Keras and returns the environment for it, which names no temporary folder."""
    def create(source):
        (tmp_path / 'packages' / 'keras').mkdir(parents=True)
        (tmp_path / 'packages' / 'keras' / '__init__.py').write_text(source)
        return {'PYTHONPATH': f'{tmp_path / "packages"}{os.pathsep}{ROOT}', 'TMPDIR': str(tmp_path / 'nowhere')}

    return create


@pytest.mark.parametrize('end, status', [
    ('os.abort()', -6), ('import ctypes; ctypes.string_at(0)', -11), ('os.kill(os.getpid(), 9)', -9),
    ('os._exit(3)', 3), ("raise ImportError('no backend')", 1)])
def test_what_a_failing_import_writes_is_heard(end, status, fake_keras):
    done = run('import digits.backend', environment=fake_keras(FAKE.format(chatter=CHATTER, end=end)))

    assert done.returncode == status
    words, without_end, traceback = done.stderr.partition('without an end of line')
    assert (words, without_end) == ('words of C++\nwords of Python\n', 'without an end of line')
    assert ('ImportError: no backend' in traceback) == (status == 1)


def test_start_up_leaves_the_process_as_it_was(fake_keras):
    done = run(PROBE, environment=fake_keras(STAND_IN))

    assert (done.returncode, done.stderr) == (0, 'heard\nI0000 no longer filtered\n')


@pytest.mark.parametrize('before', ['sys.stderr = None', 'os.close(2)', 'os.close(2); sys.stderr = None',
                                    'os.close(0); os.close(2)', "sys.executable = ''"])
def test_starts_whatever_stderr_is(before, fake_keras):
    done = run(f'import os, sys; {before}; import digits.backend; print(1)', environment=fake_keras(STAND_IN))

    assert (done.returncode, done.stdout, done.stderr) == (0, '1\n', '')


@pytest.mark.slow
def test_keras_starts_quietly():
    done = run('import vae_opt_util, alternatives')

    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


@pytest.mark.slow
def test_keras_starts_without_stderr_and_temporary_folder(tmp_path):
    command = f'{sys.executable} -c "import sys, vae_opt_util; assert sys.stderr is None; print(1)" 2>&-'

    done = subprocess.run(['sh', '-c', command], stdout=subprocess.PIPE, text=True, cwd=ROOT, timeout=120, check=False,
                          env=os.environ | {'TMPDIR': str(tmp_path / 'nowhere')})

    assert (done.returncode, done.stdout) == (0, '1\n')
