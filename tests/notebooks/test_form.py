"""What a reader meets: short cells, short passages, links to the other notebooks."""

import re

import pytest
from notebook_helpers import NOTEBOOKS, code_cells, read

LONGEST_CELL, LONGEST_PASSAGE = 14, 200


def passages(notebook):
    """Passages of prose: what stands between headings, code cells and tables."""
    passage = []
    for cell in notebook.cells:
        text = '\n# code\n' if cell.cell_type == 'code' else cell.source
        for line in re.sub(r'<!-- table:.*?<!-- end of table -->', '# table', text, flags=re.DOTALL).splitlines():
            if line.startswith('#'):
                yield ' '.join(passage)
                passage = []
            else:
                passage.append(line)
    yield ' '.join(passage)


def is_preparation(cell):
    return 'parameters' in cell.metadata.get('tags', []) or cell.source.startswith('import ')


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_short(path):
    cells = [cell.source for cell in code_cells(read(path)) if not is_preparation(cell)]

    assert len(cells) > 8
    assert [source for source in cells if source.count('\n') >= LONGEST_CELL] == []


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_passages_are_short(path):
    found = list(passages(read(path)))

    assert len(found) > 10
    assert [passage for passage in found if len(passage.split()) > LONGEST_PASSAGE] == []


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_each_notebook_links_to_all_others(path):
    last = read(path).cells[-1].source

    assert set(re.findall(r'\]\((\w+\.ipynb)\)', last)) == {other.name for other in NOTEBOOKS} - {path.name}
