"""What a reader meets: links to the other notebooks."""

import re

import pytest
from notebook_helpers import NOTEBOOKS, read


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_each_notebook_links_to_all_others(path):
    last = read(path).cells[-1].source

    assert set(re.findall(r'\]\((\w+\.ipynb)\)', last)) == {other.name for other in NOTEBOOKS} - {path.name}
