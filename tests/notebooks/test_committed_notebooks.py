"""The notebooks as they are committed: executed once, from top to bottom, with their defaults, on MNIST."""

import re

import numpy as np
import pytest
from notebook_helpers import (
    MAIN,
    NOTEBOOKS,
    NUM_FIGURES,
    code_cells,
    figures,
    outputs,
    parameters,
    printed,
    read,
    tables,
)


def source(notebook):
    return '\n'.join(cell.source for cell in code_cells(notebook))


def test_every_notebook_is_tested():
    assert {path.stem for path in NOTEBOOKS} == set(NUM_FIGURES)


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_one_clean_run(path):
    notebook = read(path)

    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert not [output for output in outputs(notebook) if output.output_type == 'error']
    assert printed(notebook, 'stderr') == ''
    assert len(figures(notebook)) == NUM_FIGURES[path.stem]
    assert not re.search(r'/(home|root|work|tmp|Users)/', path.read_text(encoding='utf-8'))


@pytest.mark.parametrize('path', [path for path in NOTEBOOKS if path.stem != 'molecules'], ids=lambda path: path.stem)
def test_run_on_mnist_with_the_pretrained_models(path):
    notebook = read(path)

    assert 'MNIST' in str(outputs(notebook)) and 'NOT MNIST' not in str(outputs(notebook))
    assert parameters(notebook)['dataset'] == 'auto'
    assert parameters(notebook).get('use_pretrained', True)


def test_molecules_are_those_of_qm9():
    notebook = read(MAIN.with_stem('molecules'))

    assert '131,954 of 132,040 molecules' in printed(notebook, 'stdout')
    assert parameters(notebook)['use_pretrained'] and parameters(notebook)['molecules_file'] is None


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_warnings_are_shown_as_normal_output(path):
    assert "logging.basicConfig(stream=sys.stdout, format='%(message)s')" in source(read(path))


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    text = '\n'.join(cell.source for cell in read(path).cells if cell.cell_type == 'markdown')

    for link in re.findall(r'\]\(([^)]+)\)', text):
        assert link.startswith('https://') or (path.parent / link).exists(), link


def test_interrupted_search_continues():
    """What the notebook shows before and after its interruption: at most one line of the journal was lost."""
    before, after = (np.array([int(cell) for cell in row[1:]])
                     for row in next(rows for header, *rows in tables(read(MAIN.with_stem('external_results')))
                                     if header[-1] == 'pending'))

    assert before[0] >= 30 and (before - after).sum() in (0, 1)
    assert np.abs(before - after).max() <= 1
