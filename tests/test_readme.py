"""What the README says to type does what it says, and what it links to is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize('page', ['README.md', 'models/README.md'])
def test_links(page):
    text = (ROOT / page).read_text(encoding='utf-8')

    links = re.findall(r'\]\(([^)\s]+)\)', text) + re.findall(r'<img[^>]*\ssrc="([^"]+)"', text)

    relative = [link.split('#')[0] for link in links if not re.match(r'[a-z]+:|#', link)]
    assert len(relative) >= 2
    assert [link for link in relative if not ((ROOT / page).parent / link).exists()] == []
