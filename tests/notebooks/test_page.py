"""The page of a notebook: its links, alternative texts, formulas, players, and what it asks the network for."""

import base64
import io
import re
import shutil
from contextlib import suppress

import nbformat
import numpy as np
import pytest
from jupyter_client.kernelspec import get_kernel_spec
from jupyter_server.services.contents.filemanager import FileContentsManager
from notebook_helpers import NOTEBOOKS, ROOT, links, notebook_runner, read, requests
from PIL import Image


def page(tmp_path, *cells):
    return notebook_runner.write_page(nbformat.v4.new_notebook(cells=list(cells)), tmp_path / 'page.html').read_text()


@pytest.fixture(scope='module')
def player():
    """What `HTML(animation.to_jshtml())` displays, of three frames."""
    import matplotlib.pyplot as plt
    from matplotlib.animation import FuncAnimation

    figure, axis = plt.subplots(figsize=(4, 3))
    (line,) = axis.plot([0, 1], [0, 1])
    player = FuncAnimation(figure, lambda n: line.set_ydata([0, n]), frames=3).to_jshtml()
    return nbformat.v4.new_output('display_data', {'text/html': player})


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_committed_notebooks_lead_to_files(path, tmp_path):
    """Of a page in build/, as `make run` leaves it; pages of notebooks come from notebooks."""
    where = ROOT / 'build' / path.stem / 'test-of-links.html'
    try:
        found = links(notebook_runner.write_page(read(path), where).read_text(encoding='utf-8'))
    finally:
        with suppress(FileNotFoundError):
            where.unlink()

    inside = [link.partition('#')[0] for link in found if not link.startswith('https://')]
    assert inside
    for link in inside:
        target = (where.parent / link).resolve()
        if target.suffix == '.html':
            target = ROOT / 'notebooks' / f'{target.stem}.ipynb'
        assert target.exists(), link


def test_links(tmp_path):
    html = page(tmp_path, nbformat.v4.new_markdown_cell(
        '# Top\n[a](../README.md#install) [b](alternatives.ipynb) [c](https://example.org/x?y=1&z=2) [d](#Top)'))

    readme, alternatives, outside = links(html)
    assert readme.endswith('#install') and (tmp_path / readme.partition('#')[0]).resolve() == ROOT / 'README.md'
    assert (tmp_path / alternatives).resolve() == ROOT / 'build' / 'alternatives' / 'alternatives.html'
    assert outside == 'https://example.org/x?y=1&amp;z=2' and 'href="#Top"' in html


def test_alternative_texts(tmp_path):
    png = base64.b64encode(b'a picture').decode()
    html = page(tmp_path, nbformat.v4.new_code_cell(outputs=[
        nbformat.v4.new_output('display_data', {'image/png': png}, metadata={'image/png': {'alt': 'a < 1 & "b"'}})]))

    image, = re.findall('<img[^>]*>', html)
    assert re.search('<label class="figure"><input [^>]*type="checkbox"[^>]*>' + re.escape(image), html)
    assert re.search('alt=([\'"])(.*?)\\1', image)[2].replace('&lt;', '<').replace('&amp;', '&') == 'a < 1 & "b"'


def test_player_is_kept_and_asks_for_nothing(tmp_path, player):
    html = page(tmp_path, nbformat.v4.new_code_cell(outputs=[player]))

    assert requests(player.data['text/html']) != []  # A font.
    assert requests(html) == []
    assert 'Animation.prototype.next_frame' in html and html.count('] = "data:image/png;base64,') == 3
    assert html.count('<script') == player.data['text/html'].count('<script')
    assert '.fa-play::before { content: "▶' in html


def test_named_player_becomes_a_gif(tmp_path, player):
    notebook = nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_code_cell(metadata={'figure': 'a-search'}, outputs=[player])])

    notebook_runner.replace(notebook, tmp_path / 'a.ipynb', tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {'a.ipynb', 'a-search.gif'}
    gif = Image.open(tmp_path / 'a-search.gif')
    assert gif.n_frames == 3 and gif.info['duration'] == 400 and gif.info['loop'] == 0
    frames = []
    for n in range(3):
        gif.seek(n)
        frames.append(np.asarray(gif.convert('RGB')).astype(int))
    first, *_ = player.data['text/html'].split('base64,')[1].replace('\\\n', '').split('"')
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(first))).convert('RGB')).astype(int)
    assert np.abs(frames[0] - drawn).mean() < 2
    assert not (frames[0] == frames[1]).all() and not (frames[1] == frames[2]).all()


@pytest.mark.parametrize('tex, expected', [
    (r'\log p(t)', '<mi>log</mi><mspace width="0.167em"></mspace><mi>p</mi>'),
    (r'(d - 1) \log r', '<mspace width="0.167em"></mspace><mi>log</mi><mspace width="0.167em"></mspace><mi>r</mi>'),
    (r'-\log \mathcal{N}', '<mo>−</mo><mi>log</mi><mspace width="0.167em"></mspace><mi>𝒩</mi>'),
    (r'\log(1 + x)', '<mi>log</mi><mo stretchy="false">(</mo>')])
def test_spaces_of_log(tmp_path, tex, expected):
    html = page(tmp_path, nbformat.v4.new_markdown_cell(f'Here ${tex}$ is.'))

    assert expected in html.replace('\n', '')


def test_figures_have_an_alternative_text_in_the_output_of_a_notebook(tmp_path):
    """It is stored in the notebook where the figure is displayed, both at the end of a cell and by `display`."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (
        'import numpy as np\nfrom latent_search.figures import plot_convergence\n'
        'X, Y = np.zeros((3, 2)), np.ones((3, 1))',
        'plot_convergence(X, Y);', "print('x', end='\\r')", 'print(" " * 20, end="\\r")')])

    notebook_runner.execute(notebook, ROOT)

    (output,) = notebook.cells[1].outputs
    assert output.metadata['image/png']['alt'].startswith('Two curves over 3 evaluations')
    assert notebook.cells[2].outputs != [] and notebook.cells[3].outputs == []
    # JupyterLab writes the kernel's own name into the notebook.
    assert notebook.metadata.kernelspec.display_name == get_kernel_spec('python3').display_name
    nbformat.write(notebook, tmp_path / 'executed.ipynb')
    assert saved_by_jupyterlab(tmp_path, 'executed.ipynb') == (tmp_path / 'executed.ipynb').read_bytes()


def saved_by_jupyterlab(folder, name):
    """The bytes of a notebook after JupyterLab's server has read it and written it."""
    manager = FileContentsManager(root_dir=str(folder))
    manager.save(manager.get(name), name)
    return (folder / name).read_bytes()


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_notebooks_are_as_jupyterlab_saves_them(path, tmp_path):
    shutil.copy(path, tmp_path)

    assert saved_by_jupyterlab(tmp_path, path.name) == path.read_bytes()
