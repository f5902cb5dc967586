"""What the pages say to type does what they say, and what they link to exists."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


def own_examples():
    """The programs of docs/your-own.md by the name of the file that each writes."""
    blocks = re.findall(r'^```python\n(.*?)^```', read('docs/your-own.md'), re.DOTALL | re.MULTILINE)
    return {re.findall(r"'([\w-]+\.(?:npz|png))'", block)[-1] if "'" in block else 'decoder': block for block in blocks}


@pytest.fixture
def drawn(rng):
    """Images of strokes, bytes (n, 28, 28), and the slant of each, (n,)."""
    slant, (y, x) = rng.uniform(-1, 1, 240), np.mgrid[:28, :28] - 13.5
    return (255 * np.exp(-((x + 0.8 * slant[:, None, None] * y) / 2) ** 2) * (abs(y) < 9)).astype('uint8'), slant


# Keras's Fashion-MNIST, in its format; the labels are ten ranges of the slant.
FASHION = """
import numpy as np
from keras.datasets import fashion_mnist
drawn = np.load('drawn.npz')
x, y = drawn['x'], drawn['y'].argsort().argsort() * 10 // 240
fashion_mnist.load_data = lambda: ((x[:160], y[:160].astype('uint8')), (x[160:], y[160:].astype('uint8')))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_own_images(drawn, tmp_path):
    x, slant = drawn
    np.savez(tmp_path / 'drawn.npz', x=x, y=slant)
    examples = own_examples()

    run(FASHION + examples['fashion.npz'], tmp_path)
    said = run(examples['best.png'] + "print(len(search.X), best['images'].shape, best['read'].shape)", tmp_path)

    assert said.splitlines()[-1] == '50 (10, 28, 28, 1) (10,)' and (tmp_path / 'best.png').exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_own_pictures_and_numbers(drawn, tmp_path):
    (tmp_path / 'pictures').mkdir()
    lines = ['file,number']
    for i, (image, slant) in enumerate(zip(*drawn, strict=True)):
        Image.fromarray(image).resize((40, 40)).save(tmp_path / 'pictures' / f'{i}.png')
        lines.append(f'{i}.png,{1000 + 50 * slant}')
    (tmp_path / 'numbers.csv').write_text('\n'.join(lines))
    examples = own_examples()

    run(examples['pictures.npz'], tmp_path)
    enough = examples['pictures-1.png'].replace('epochs=100', 'epochs=35')
    assert enough != examples['pictures-1.png']
    said = run(enough + "print(abs(best['property'] - 1).min() < 0.2)", tmp_path)

    assert said.splitlines()[-1] == 'True' and (tmp_path / 'pictures-1.png').exists()


def test_own_property(tmp_path):
    said = run(own_examples()['slant.png'] + "print(abs(best['property'][0] - 0.5) < 0.05, search.fx_opt < 4)\n"
               'stroke = np.eye(28)[None, ::-1, :, None]  # It rises to the right, a pixel for each.\n'
               'print(slant(np.concatenate([stroke, stroke[:, ::-1]])).round(6))', tmp_path)

    assert said.splitlines()[-2:] == ['True True', '[ 1. -1.]'] and (tmp_path / 'slant.png').exists()


NUMPY_DECODER = """
import numpy as np
def decode(t):
    s = np.linspace(0, 1, 40)[:, None]
    weights = np.hstack([(1 - s) ** 3, 3 * s * (1 - s) ** 2, 3 * s ** 2 * (1 - s), s ** 3])
    points = weights @ (13.5 + 4 * t.reshape(-1, 1, 4, 2))
    pixels = np.stack(np.mgrid[:28, :28], axis=-1).reshape(1, 784, 1, 2)
    distance = np.linalg.norm(pixels - points, axis=3).min(axis=2)
    return np.exp(-distance ** 2 / 2).reshape(-1, 28, 28, 1)
"""


@pytest.mark.parametrize('library', ['numpy', 'torch'])
def test_own_decoder_without_keras(library, tmp_path):
    pytest.importorskip(library)
    examples = own_examples()
    decoder = examples['decoder'] if library == 'torch' else NUMPY_DECODER

    said = run(decoder + examples['curves.png']
               + "print(decode(np.zeros((3, 8))).shape, best['property'][0].round(2))\n"
               "import sys; print({'keras', 'tensorflow'} & set(sys.modules))", tmp_path)

    assert said.splitlines()[-2:] == ['(3, 28, 28, 1) 0.07', 'set()'] and (tmp_path / 'curves.png').exists()


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
