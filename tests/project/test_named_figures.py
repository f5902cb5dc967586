"""Figures of notebooks have names, and those in docs/ are the committed notebooks' figures."""

import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / 'notebooks'))
import run as notebook_runner  # noqa: E402

# Drawn by benchmarks/growth.py.
NOT_OF_NOTEBOOKS = {'growth.png'}


def figure(content):
    return nbformat.v4.new_output('display_data', {'image/png': base64.b64encode(content).decode()})


def code(name, *contents):
    return nbformat.v4.new_code_cell('', metadata={} if name is None else {'figure': name},
                                     outputs=[figure(content) for content in contents])


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell('# First heading'), *cells])


def test_figures_of_the_pages_are_those_of_the_committed_notebooks():
    named = {}
    for path in (ROOT / 'notebooks').glob('*.ipynb'):
        for name, png in notebook_runner.named_figures(nbformat.read(path, as_version=4)).items():
            assert name not in named, f'two notebooks have a figure {name}'
            named[name] = png

    assert set(named) | NOT_OF_NOTEBOOKS == {path.name for suffix in ('png', 'gif')
                                             for path in (ROOT / 'docs').glob(f'*.{suffix}')}
    for name, png in named.items():
        assert png == (ROOT / 'docs' / name).read_bytes(), name
        assert len(png) < 2e6, name


def test_named_figures_are_exported_under_their_names(tmp_path):
    _, figures = notebook_runner.export(notebook(code(None, b'1', b'2'), code('the-best', b'3'), code(None, b'4')),
                                        tmp_path, 'made-up')

    assert [path.name for path in figures] == ['01-first-heading.png', '02-first-heading.png', 'the-best.png',
                                               '04-first-heading.png']
    assert [path.read_bytes() for path in figures] == [b'1', b'2', b'3', b'4']


def test_a_page_may_lack_a_named_figure(tmp_path):
    """Images of a user's own may have no labels to draw; the figures of docs/ must be there."""
    _, figures = notebook_runner.export(notebook(code('the-best'), code(None, b'1')), tmp_path, 'made-up')

    assert [path.name for path in figures] == ['01-first-heading.png']


def test_replaced_notebook_replaces_its_figures(tmp_path):
    docs = tmp_path / 'docs'
    docs.mkdir()
    (docs / 'the-best.png').write_bytes(b'old')
    (docs / 'other.png').write_bytes(b'other')
    made_up = notebook(code(None, b'1'), code('the-best', b'2'))

    notebook_runner.replace(made_up, tmp_path / 'made-up.ipynb', docs)

    assert nbformat.read(tmp_path / 'made-up.ipynb', as_version=4) == made_up
    assert {path.name: path.read_bytes() for path in docs.iterdir()} == {'the-best.png': b'2', 'other.png': b'other'}


@pytest.mark.parametrize('files', [1, 2, 3])
def test_full_disk_leaves_the_notebook_and_its_figures(files, tmp_path, monkeypatch):
    """There is space for some of the files."""
    earlier = notebook(code('the-best', b'1'), code('the-worst', b'2'))
    (tmp_path / 'docs').mkdir()
    notebook_runner.replace(earlier, tmp_path / 'made-up.ipynb', tmp_path / 'docs')
    notebook_runner.export(earlier, tmp_path / 'build', 'made-up')
    before = {path: path.read_bytes() for path in tmp_path.rglob('*.*')}
    fsync, calls = os.fsync, []

    def fail(file):
        calls.append(file)
        if len(calls) == files:
            raise OSError('No space left')
        fsync(file)

    monkeypatch.setattr(os, 'fsync', fail)
    with pytest.raises(OSError, match='No space left'):
        notebook_runner.replace(notebook(code('the-best', b'3'), code('the-worst', b'4')), tmp_path / 'made-up.ipynb',
                                tmp_path / 'docs')
    assert {path: path.read_bytes() for path in tmp_path.rglob('*.*')} == before
    calls.clear()
    with pytest.raises(OSError, match='No space left'):
        notebook_runner.export(notebook(code('new', b'5'), code('newer', b'6')), tmp_path / 'build', 'made-up')
    assert [(tmp_path / 'build' / f'the-{name}.png').read_bytes() for name in ('best', 'worst')] == [b'1', b'2']
    monkeypatch.undo()
    notebook_runner.export(notebook(code('new', b'5')), tmp_path / 'build', 'made-up')
    assert [path.name for path in (tmp_path / 'build').glob('*.png')] == ['new.png']


@pytest.mark.parametrize('cells, message', [
    ([code('best', b'1'), code('best', b'2')], "Two cells name their figure 'best'"),
    ([code('best')], 'must draw one figure, it has 0'),
    ([code('best', b'1', b'2')], 'must draw one figure, it has 2'),
    ([code('../best', b'1')], "lower-case letters, digits and hyphens, got '../best'"),
])
def test_wrong_name(tmp_path, cells, message):
    with pytest.raises(ValueError, match=message):
        notebook_runner.replace(notebook(*cells), tmp_path / 'made-up.ipynb', tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_command_in_place(tmp_path):
    for folder in ('notebooks', 'docs'):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / 'notebooks' / 'run.py', tmp_path / 'notebooks')
    png = base64.b64encode(b'a picture').decode()
    source = f"from IPython.display import display\ndisplay({{'image/png': '{png}'}}, raw=True)"
    made_up = notebook(nbformat.v4.new_code_cell('x = 1', metadata={'tags': ['parameters']}),
                       nbformat.v4.new_code_cell(source, metadata={'figure': 'a-picture'}))
    nbformat.write(made_up, tmp_path / 'notebooks' / 'made-up.ipynb')
    command = [sys.executable, tmp_path / 'notebooks' / 'run.py', tmp_path / 'notebooks' / 'made-up.ipynb']

    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / 'build' / 'made-up' / 'a-picture.png').read_bytes() == b'a picture'
    assert not list((tmp_path / 'docs').iterdir())

    subprocess.run([*command, '--in-place'], check=True, capture_output=True)
    assert (tmp_path / 'docs' / 'a-picture.png').read_bytes() == b'a picture'
