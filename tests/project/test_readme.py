"""What the pages say to type does what they say, and what they link to exists."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ['README.md', 'CONTRIBUTING.md', 'benchmarks/README.md', 'models/README.md',
         *(f'docs/{path.name}' for path in ROOT.glob('docs/*.md'))]


def read(page):
    return (ROOT / page).read_text(encoding='utf-8')


def run(code, folder):
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    environment = {**os.environ, 'TQDM_DISABLE': '1', 'PYTHONPATH': path}
    return subprocess.run([sys.executable, '-c', code], cwd=folder, env=environment, capture_output=True, text=True,
                          check=True).stdout


def test_first_experiment(tmp_path):
    section = read('README.md').split('\n## Your own experiment\n')[1].split('\n## ')[0]
    code = re.search(r'^```python\n(.*?)^```', section, re.DOTALL | re.MULTILINE)[1]
    assert set(re.findall(r'^(?:from|import) (\w+)', code, re.MULTILINE)) == {'latent_search'}
    code += "import sys; print({'keras', 'tensorflow', 'vae_opt_util', 'digits'} & set(sys.modules))\n"

    said = run(code, tmp_path)
    journal = (tmp_path / 'experiments.csv').read_bytes()

    minimum, x, y = re.search(r'(\S+) at \[+\s*(\S+)\s+(\S+?)\s*\]+\nset\(\)\n$', said).groups()
    assert 0 <= float(minimum) < 0.05
    assert float(minimum) == pytest.approx((float(x) - 1) ** 2 + (float(y) - 2) ** 2, abs=1e-3)
    assert journal.count(b'done') + journal.count(b'failed') == 30 and journal.count(b'failed') >= 1
    assert run(code, tmp_path) == said
    assert (tmp_path / 'experiments.csv').read_bytes() == journal


def test_examples_of_experiments(tmp_path):
    """All in one program, but for that which needs a cluster."""
    examples = re.findall(r'^```python\n(.*?)^```', read('docs/experiments.md'), re.DOTALL | re.MULTILINE)
    examples = [example for example in examples if 'distributed' not in example]
    says = {'top(': 'print(len(search.X), values.shape, values.min() < 0.05)',
            'tell_failed(3': 'print(search.Y.item(), len(search.failed), [number for number, _ in search.pending])',
            'feasible=': 'print((search.X.sum(axis=1) <= 1).all())',
            'prediction=': 'print(search.fx_opt < 0.01)',
            'candidates=library': 'print(len(np.unique(search.X, axis=0)), search.fx_opt < 0.1)',
            'monotonic': 'print(search.fx_opt < 1e-3)',
            'yield_of': 'print(-search.fx_opt > 2.99)',
            'learning_rate': 'print(search.fx_opt < 1e-3)',
            'repeats': 'print(14 <= repeats <= 16)',
            'integers': 'print(sorted(search.X[:, 0]) == sorted(set(search.X[:, 0])), search.fx_opt)',
            'Parallel': 'print(len(search.X))', 'run_searches(': 'print(len(searches), searches[2, 1].error)'}
    code = '\n'.join(example + said for example in examples
                     for said in ([say for part, say in says.items() if part in example] or [''])[:1])

    said = run(code, tmp_path).splitlines()

    assert len(examples) == len(says) + 2
    answers = [line.rpartition('\r')[2] for line in said if re.match(r'(True|False|\d)', line.rpartition('\r')[2])]
    assert answers == ['26 (5, 1) True', '1.5 1 [1, 4]', 'True', 'True', '20 True', 'True', 'True', 'True', 'True 0.0',
                       'True', '12', '6 None']


def test_examples_of_molecules(tmp_path):
    pytest.importorskip('rdkit', reason='needs RDKit: pip install -e ".[molecules]"')
    examples = re.findall(r'^```python\n(.*?)^```', read('docs/molecules.md'), re.DOTALL | re.MULTILINE)

    said = run('\n'.join(examples) + 'print(len(search.X), -search.fx_opt > 80)', tmp_path)

    assert len(examples) == 3 and said.splitlines()[-1] == '18 True'


def anchors(page):
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r'^#+ (.+)$', read(page), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.mark.parametrize('page', PAGES)
def test_links(page):
    text = re.sub(r'```.*?```', '', read(page), flags=re.DOTALL)

    links = re.findall(r'\]\(([^)\s]+)\)', text) + re.findall(r'<img[^>]*\ssrc="([^"]+)"', text)

    for link in links:
        if not re.match(r'[a-z]+:', link):
            path, _, anchor = link.partition('#')
            target = (ROOT / page).parent / path if path else ROOT / page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.relative_to(ROOT)), link
    assert links or page == 'CONTRIBUTING.md'


def test_readme_links_to_every_page_and_notebook():
    text = read('README.md')

    for path in [*PAGES[1:], *(f'notebooks/{path.name}' for path in ROOT.glob('notebooks/*.ipynb'))]:
        assert f']({path})' in text, path


def test_make_has_the_targets_that_the_pages_name():
    targets = set(re.findall(r'^([a-z-]+):', read('Makefile'), re.MULTILINE))

    for page in PAGES:
        named = set(re.findall(r'(?:`|^)make ([a-z-]+)', read(page), re.MULTILINE))
        assert named <= targets, page
