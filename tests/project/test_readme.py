"""What the README says to type does what it says, and what it links to is there."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]


def test_first_experiment(tmp_path):
    section = (ROOT / 'README.md').read_text(encoding='utf-8').split('\n## Your own experiment\n')[1].split('\n## ')[0]
    code = re.search(r'^```python\n(.*?)^```', section, re.DOTALL | re.MULTILINE)[1]
    assert 1 <= len(code.strip().splitlines()) <= 10

    def run():
        path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
        done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, env={**os.environ, 'PYTHONPATH': path},
                              capture_output=True, text=True, check=True)
        return done.stdout, (tmp_path / 'experiments.csv').read_bytes()

    said, journal = run()
    minimum, x, y = re.fullmatch(r'(\S+) at \[+\s*(\S+)\s+(\S+?)\s*\]+\n', said).groups()
    assert 0 <= float(minimum) < 0.05
    assert float(minimum) == pytest.approx((float(x) - 1) ** 2 + (float(y) - 2) ** 2, abs=1e-3)
    assert journal.count(b'done') == 20
    assert run() == (said, journal)


def table_rows(markdown, first_header):
    """The cells of a Markdown table, a dict a row, from the name of a column to the cell."""
    lines = markdown[markdown.index(f'| {first_header} |'):].split('\n\n')[0].splitlines()
    header, _, *rows = ([cell.strip() for cell in line.strip().strip('|').split('|')] for line in lines)
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_table_of_alternatives_is_the_notebooks():
    notebook = nbformat.read(ROOT / 'notebooks' / 'alternatives.ipynb', as_version=4)
    markdown = [output.data['text/markdown'] for cell in notebook.cells if cell.cell_type == 'code'
                for output in cell.outputs if 'text/markdown' in output.get('data', {})]
    section = (ROOT / 'README.md').read_text(encoding='utf-8').split('\n## Alternatives\n')[1].split('\n## ')[0]

    measured, quoted = table_rows(markdown[0], 'method'), table_rows(section, 'method')

    assert [row['method'] for row in quoted] == [row['method'] for row in measured] and len(quoted) == 8
    assert len(quoted[0]) >= 7
    for of_readme, of_notebook in zip(quoted, measured, strict=True):
        assert of_readme == {column: of_notebook[column] for column in of_readme}
    correct = {row['method']: float(row['read as wanted, %'].split()[0]) for row in measured}
    assert min(share for method, share in correct.items() if method.startswith(('conditional', 'latent'))) >= 97


@pytest.mark.parametrize('page', ['README.md', 'models/README.md'])
def test_links(page):
    text = (ROOT / page).read_text(encoding='utf-8')

    links = re.findall(r'\]\(([^)\s]+)\)', text) + re.findall(r'<img[^>]*\ssrc="([^"]+)"', text)

    relative = [link.split('#')[0] for link in links if not re.match(r'[a-z]+:|#', link)]
    assert len(relative) >= 2
    assert [link for link in relative if not ((ROOT / page).parent / link).exists()] == []


@pytest.mark.parametrize('name, page', [('training_seconds', 'README.md'), ('training_curves', 'README.md'),
                                        ('training_step', 'models/README.md'),
                                        ('training_figures', 'models/README.md')])
def test_tables_of_trainings_are_the_benchmarks(name, page):
    with open(ROOT / 'benchmarks' / 'results' / f'{name}.csv', newline='', encoding='utf-8') as file:
        header, *rows = csv.reader(file)
    text = (ROOT / page).read_text(encoding='utf-8')

    assert len(rows) >= 4
    assert '\n'.join(f'| {" | ".join(row)} |' for row in rows) in text
    assert f'| {" | ".join(header)} |' in text
