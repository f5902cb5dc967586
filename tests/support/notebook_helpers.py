"""What tests of notebooks share: the notebooks, their runner, and what is in their outputs."""

import ast
import base64
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / 'notebooks').glob('*.ipynb'))
MAIN = ROOT / 'notebooks' / 'variational_autoencoder_opt.ipynb'

# How many figures each notebook has.
NUM_FIGURES = {'variational_autoencoder_opt': 15, 'alternatives': 3, 'external_results': 5, 'higher_dimensions': 5,
               'latent_spaces': 5, 'molecules': 7}

sys.path.insert(0, str(ROOT / 'notebooks'))
import run as notebook_runner  # noqa: E402


def read(path):
    return nbformat.read(path, as_version=4)


def begin(name, until):
    """A notebook up to the heading `until`."""
    notebook = read(MAIN.with_stem(name))
    end, = (i for i, cell in enumerate(notebook.cells)
            if cell.cell_type == 'markdown' and until in cell.source.splitlines())
    del notebook.cells[end:]
    return notebook


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == 'code']


def parameters(notebook):
    """The names and values that the cell tagged `parameters` assigns."""
    cell, = (cell for cell in notebook.cells if 'parameters' in cell.metadata.get('tags', []))
    return {statement.targets[0].id: ast.literal_eval(statement.value) for statement in ast.parse(cell.source).body}


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def figures(notebook):
    return [output for output in outputs(notebook) if 'image/png' in output.get('data', {})]


def printed(notebook, stream):
    """What the cells of an executed notebook wrote to `stream`, 'stdout' or 'stderr'."""
    return ''.join(output.text for output in outputs(notebook) if output.get('name') == stream)


def tables(notebook):
    """The tables that a notebook displays: lists of rows, which are lists of cells. The first row is the header."""
    shown = [output.metadata['text/markdown'] for output in outputs(notebook)
             if 'text/markdown' in output.get('metadata', {})]
    return [[of.header, *of.rows] for of in shown]


def statements(notebook):
    """The rows of the main notebook's last table: what the article says, what was measured, whether it holds."""
    header, *rows = tables(notebook)[-1]
    assert header == ['the article', 'here', 'borne out']
    return rows


def use_few_images(notebook, num):
    """Lets a notebook go on with the first images of its data."""
    loads, = (i for i, cell in enumerate(notebook.cells) if 'data = load_data(' in cell.source)
    parts = ', '.join(f'{part}=data.{part}[:{num}]' for part in ('x_train', 'y_train', 'x_test', 'y_test'))
    notebook.cells.insert(loads + 1, nbformat.v4.new_code_cell(f'data = data._replace({parts})'))


def run_main_notebook(parameters, folder, tmp_path, until=None):
    """Executes the main notebook with few images and small budgets in `folder`, checks what it leaves, and returns it.

    With `until`, it ends before the cell that begins with that heading.
    """
    notebook = read(MAIN) if until is None else begin(MAIN.stem, until)
    use_few_images(notebook, 200)
    notebook_runner.override_parameters(notebook, {
        'epochs': 1, 'batch_size': 100, 'max_iter': 2, 'checkpoint_dir': str(tmp_path / 'checkpoints'), **parameters})
    notebook_runner.execute(notebook, folder)

    assert printed(notebook, 'stderr') == ''
    if until is None:
        assert len(figures(notebook)) == NUM_FIGURES[MAIN.stem]
        assert len(statements(notebook)) == 12
    assert (tmp_path / 'checkpoints').exists() != parameters['use_pretrained']
    return notebook


def check_page(notebook, folder):
    """Writes an executed notebook as a page and PNG files to `folder`, and checks that the page needs no other file."""
    page, pngs = notebook_runner.export(notebook, folder, 'main')

    for png, output in zip(pngs, figures(notebook), strict=True):
        assert png.read_bytes() == base64.b64decode(output.data['image/png'])
    html = page.read_text(encoding='utf-8')
    images = re.findall('<img[^>]*>', html)  # A player's image has no source before its script runs.
    assert sum('src="data:image/png' in image for image in images) == len(pngs)
    assert all(re.search('alt=(["\'])(?!No description).{20,}\\1', image) for image in images)
    assert '<math' in html and r'\log' not in html
    assert requests(html) == []


def requests(html):
    """The addresses that a page asks for when it is opened."""
    return (re.findall(r'<(?:script|img|iframe|source|video)\b[^>]*\ssrc="(?!data:)([^"]*)"', html)
            + re.findall(r'<link\b[^>]*\shref="([^"]*)"', html)
            + re.findall(r'@import[^;]*|url\(["\']?https?:[^)]*', html)
            + re.findall(r'\bimport\b[^;\n]*["\']https?:[^;\n]*', html))


def links(html):
    """Where the links of a page lead, without those to places in the page itself."""
    return [link for link in re.findall(r'<a\b[^>]*\shref="([^"]*)"', html) if not link.startswith('#')]
