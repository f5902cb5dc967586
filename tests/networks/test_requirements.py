"""Whether installed packages that are too old are named before Keras is imported."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from networks.requirements import check_requirements, lower_bounds

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(monkeypatch):
    """Makes packages look as if they were installed: a dict from names to versions, and the project's requirements."""
    def install(versions, requirements=('numpy>=2.0', 'scipy>=1.15', 'tensorflow>=2.18; extra == "vae"',
                                        'keras>=3.8; extra == "vae"', 'setuptools<81,>=70; extra == "vae"')):
        def version(name):
            if name not in versions:
                raise metadata.PackageNotFoundError(name)
            return versions[name]

        def requires(name):
            if requirements is None:
                raise metadata.PackageNotFoundError(name)
            return list(requirements)

        monkeypatch.setattr(metadata, 'version', version)
        monkeypatch.setattr(metadata, 'requires', requires)

    return install


@pytest.mark.parametrize('versions', [
    {'keras': '3.8.0', 'tensorflow': '2.18.0', 'numpy': '2.0.0', 'scipy': '1.15.0'},
    {'keras': '3.15.1', 'tensorflow': '2.21.0rc1', 'numpy': '2.4.6', 'scipy': '2'}, {'keras': '3.8'}])
def test_new_enough(versions, installed):
    installed(versions)

    check_requirements()


def test_too_old(installed):
    installed({'keras': '3.7.9', 'tensorflow': '2.9.0', 'numpy': '2.0.1', 'scipy': '1.15'})

    with pytest.raises(ImportError) as raised:
        check_requirements()
    assert str(raised.value) == ('Installed is keras 3.7.9, tensorflow 2.9.0, which is too old for this project: run '
                                 'pip install "keras>=3.8" "tensorflow>=2.18"')


@pytest.mark.parametrize('requirements', [None, ('numpy>=2.0', 'setuptools<81,>=70; extra == "vae"')])
def test_bounds_are_those_of_the_metadata_or_else_of_the_sources(requirements, installed):
    installed({}, requirements)

    bounds = lower_bounds()
    assert bounds['numpy'] == '2.0' and bounds['setuptools'] == '70'
    assert ('keras' in bounds) == (requirements is None)


def test_stated_bounds_are_those_of_the_oldest_set(installed):
    installed({}, None)
    oldest = dict(line.split()[0].lower().split('==')
                  for line in (ROOT / 'constraints-oldest.txt').read_text().splitlines() if '==' in line)
    required = {line.split('>=')[0].lower(): line.split()[0].split('>=')[1].split(',')[0]
                for line in (ROOT / 'requirements.txt').read_text().splitlines() if '>=' in line}

    assert len(required) == 21
    for name, bound in (*required.items(), *((name.lower(), bound) for name, bound in lower_bounds().items())):
        assert re.sub(r'(\.0)+$', '', oldest[name]) == re.sub(r'(\.0)+$', '', bound), name


def test_is_found_before_keras_is_imported():
    script = ("from importlib import metadata\nmetadata.version = lambda name: '1.0'\nimport sys\n"
              "try:\n    import networks.backend\nexcept ImportError as error:\n    print(error)\n"
              "assert 'keras' not in sys.modules")

    done = subprocess.run([sys.executable, '-c', script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.stdout.startswith('Installed is keras 1.0, tensorflow 1.0, '), done.stderr
