"""Each function that draws has a small picture and an example in docs/figures.md, and gives its figure a text."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / 'docs' / 'figures.md'
sys.path.insert(0, str(ROOT / 'benchmarks'))
import gallery  # noqa: E402

FUNCTIONS = {node.name: node
             for path in (*ROOT.glob('latent_search/*.py'), *ROOT.glob('digits/*.py'), ROOT / 'comparison.py',
                          ROOT / 'molecules' / 'figures.py')
             for node in ast.parse(path.read_text(encoding='utf-8')).body
             if isinstance(node, ast.FunctionDef) and node.name.startswith('plot_')}


def test_all_functions_are_on_the_page():
    assert [name for name, _ in gallery.examples(PAGE)][0] is None
    assert {name for name, _ in gallery.examples(PAGE)[1:]} == set(FUNCTIONS)
    assert re.findall(r'^!\[(\w+)\]\(figures/\1\.png\)$', PAGE.read_text(encoding='utf-8'), re.MULTILINE) == [
        name for name, _ in gallery.examples(PAGE)[1:]]
    assert {path.name for path in (ROOT / 'docs' / 'figures').iterdir()} == {f'{name}.png' for name in FUNCTIONS}


@pytest.mark.parametrize('name', FUNCTIONS)
def test_function(name):
    code = dict(gallery.examples(PAGE))[name]

    assert f'{name}(' in code and f'docs/figures.md#{name}' in ast.get_docstring(FUNCTIONS[name])
    assert (ROOT / 'docs' / 'figures' / f'{name}.png').stat().st_size < 160_000
    assert 'describe(' in ast.unparse(FUNCTIONS[name])
    assert [decorator.id for decorator in FUNCTIONS[name].decorator_list] == ['styled']


@pytest.mark.slow
def test_code_of_the_page_draws_its_pictures(tmp_path):
    pytest.importorskip('rdkit', reason='needs RDKit: pip install -e ".[molecules]"')
    gallery.draw(PAGE, tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {f'{name}.png' for name in FUNCTIONS}
