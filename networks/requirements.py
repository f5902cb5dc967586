"""Whether the installed packages are new enough, checked before Keras is imported, which old packages would break."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

_checked = 'keras', 'tensorflow', 'numpy', 'scipy'


def lower_bounds():
    """The lower bounds that this project states: a dict from names of packages to versions, both as text."""
    try:
        requirements = metadata.requires('vae-opt-util') or []
    except metadata.PackageNotFoundError:
        project = tomllib.loads((Path(__file__).parents[1] / 'pyproject.toml').read_text(encoding='utf-8'))['project']
        requirements = project['dependencies'] + project['optional-dependencies']['vae']
    return dict(re.findall(r'^([\w-]+)[^;\n]*?>=([\d.]+)', '\n'.join(requirements), re.MULTILINE))


def check_requirements():
    """Compares the installed versions of Keras, TensorFlow, NumPy and SciPy with their lower bounds.

    A package that is not installed passes: Keras runs without TensorFlow, and imports report what is missing.

    Raises:
        ImportError: an installed version is older than its bound.
    """
    bounds, installed = lower_bounds(), {}
    for name in _checked:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    old = [name for name in installed if _numbers(installed[name]) < _numbers(bounds.get(name, '0'))]
    if old:
        found = ', '.join(f'{name} {installed[name]}' for name in old)
        needed = ' '.join(f'"{name}>={bounds[name]}"' for name in old)
        raise ImportError(f'Installed is {found}, which is too old for this project: run pip install {needed}')


def _numbers(version):
    """The release of a version, such as (3, 8) for 3.8.0rc1; trailing zeros do not count."""
    numbers = [int(number) for number in re.match(r'[\d.]*\d', version)[0].split('.')]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers
