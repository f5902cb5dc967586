"""A wheel built from the tracked files, in a fresh environment: the search without Keras, and the pretrained models."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

SEARCH = """
import sys
from latent_search import create_optimizer, figures

search = create_optimizer(lambda t: (t ** 2).sum(axis=1, keepdims=True), [(-4, 4)] * 2, journal='journal.csv')
search.run_optimization(3)
assert len(search.X) == 9 and 'keras' not in sys.modules
figures.plot_experiments(search.events, 'nine').savefig('nine.png')
"""

LOAD = """
import alternatives
import comparison
import networks.pretrained
from vae_opt_util import MODELS, load_pretrained

assert 'site-packages' in str(networks.pretrained.models_dir)
assert comparison.load_regret_curves() and 'site-packages' in str(comparison.results_dir)
for model in (*map(load_pretrained, MODELS), alternatives.load_conditional_vae(),
              alternatives.load_latent_constraints()):
    assert model.count_params() > 1000
"""


def run(*command, folder):
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(python):
    """The command of these tests' pip, for another environment."""
    return sys.executable, '-m', 'pip', '--python', python


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The build leaves files beside the sources, so it gets a copy of what is tracked."""
    folder = tmp_path_factory.mktemp('source')
    archive = subprocess.run(['git', 'archive', 'HEAD'], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter='data')
    run(sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation', '--wheel-dir', folder,
        '.', folder=folder)
    path, = folder.glob('*.whl')
    return path


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory):
    """An empty folder, and the Python of an environment with the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp('environment')
    venv.create(folder / 'venv')
    python = folder / 'venv' / 'bin' / 'python'
    run(*pip(python), 'install', '--quiet', '--disable-pip-version-check', '--no-compile', wheel,
        '-c', ROOT / 'constraints.txt', folder=folder)
    (folder / 'empty').mkdir()
    return folder / 'empty', python


def test_wheel_has_the_models_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()

    assert {path.relative_to(ROOT / 'models').as_posix() for path in (ROOT / 'models').rglob('*.npz')} == {
        name.removeprefix('networks/models/') for name in names if name.endswith('.npz')}
    assert {'networks/models/manifest.json', 'networks/models/qm9/manifest.json', 'latent_search/py.typed',
            'molecules/vocabulary.py'} <= set(names)
    assert not [name for name in names if 'test' in name.split('/')[0]]


def test_search_alone(installed):
    folder, python = installed

    run(python, '-I', '-c', SEARCH, folder=folder)

    packages = run(*pip(python), 'list', '--format', 'freeze', folder=folder).lower()
    assert 'scipy' in packages
    assert not [package for package in ('gpy', 'gpyopt', 'keras', 'tensorflow', 'jupyter')
                if f'\n{package}==' in packages]


def test_pretrained_models_from_an_empty_folder(installed):
    """Keras comes from the environment of these tests; a folder named in a .pth file brings no editable installs."""
    folder, python = installed
    site_packages = next((python.parents[1] / 'lib').glob('python*')) / 'site-packages'
    (site_packages / 'keras_of_the_tests.pth').write_text(sysconfig.get_path('purelib') + '\n')

    run(python, '-I', '-c', LOAD, folder=folder)
