"""The page of a notebook: its links, alternative texts, formulas, players, and what it asks the network for."""

import base64
import io
import re
import shutil

import nbformat
import numpy as np
import pytest
from jupyter_client.kernelspec import get_kernel_spec
from jupyter_server.services.contents.filemanager import FileContentsManager
from notebook_helpers import MAIN, NOTEBOOKS, ROOT, links, notebook_runner, requests
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


def test_links_of_committed_notebooks_lead_to_pages(tmp_path, monkeypatch):
    """From page to page, as `make run` leaves them: none leads to Markdown or Python, which browsers do not show."""
    monkeypatch.setattr(notebook_runner, 'build_dir', tmp_path)
    notebook_runner.write_linked_pages(MAIN)

    pages = {page: page.read_text(encoding='utf-8') for page in tmp_path.rglob('*.html')}
    assert {f'{path.stem}.html' for path in NOTEBOOKS} < {page.name for page in pages}
    for page, html in pages.items():
        for link in links(html) + re.findall(r'<img[^>]*\ssrc="(?!data:)([^"]*)"', html):
            if not link.startswith('https://'):
                file, _, anchor = link.partition('#')
                target = page.parent / file
                assert target.exists() and target.suffix not in ('.ipynb', '.md', '.py'), (page, link)
                assert not anchor or f'id="{anchor}"' in target.read_text(encoding='utf-8'), (page, link)


def test_links(tmp_path):
    html = page(tmp_path, nbformat.v4.new_markdown_cell(
        '# Top\n[a](../README.md#install) [b](alternatives.ipynb) [c](https://example.org/x?y=1&z=2) [d](#Top)\n'
        '[e](../vae_opt_util.py) [f](https://example.org/README.md) [g](nowhere.md)'))

    readme, alternatives, outside, helper, other, nowhere = links(html)
    build = ROOT / 'build'
    assert readme.endswith('#install')
    assert (tmp_path / readme.partition('#')[0]).resolve() == build / 'pages' / 'README.md.html'
    assert (tmp_path / alternatives).resolve() == build / 'alternatives' / 'alternatives.html'
    assert (tmp_path / helper).resolve() == build / 'pages' / 'vae_opt_util.py.html'
    assert outside == 'https://example.org/x?y=1&amp;z=2' and other == 'https://example.org/README.md'
    assert 'href="#top"' in html and (tmp_path / nowhere).resolve() == ROOT / 'notebooks' / 'nowhere.md'


@pytest.mark.parametrize('text, title', [
    ('# A *search* with `tell` & more', 'A search with tell &amp; more'), ('No heading', 'page')])
def test_title_is_that_of_the_notebook(tmp_path, text, title):
    assert f'<title>{title}</title>' in page(tmp_path, nbformat.v4.new_markdown_cell(text))


def test_python_file_is_shown_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(notebook_runner, 'project_dir', tmp_path)
    monkeypatch.setattr(notebook_runner, 'build_dir', tmp_path / 'build')
    (tmp_path / 'README.md').write_text('# Read me\n[a](a.py) [b](#read-me)')
    (tmp_path / 'a.py').write_text("cost = '$5$ < $6$'\n")

    notebook_runner.write_linked_pages(tmp_path / 'README.md')

    shown = (tmp_path / 'build' / 'pages' / 'a.py.html').read_text()
    text = re.sub('<[^>]*>', '', shown)
    assert "cost = '$5$ &lt; $6$'" in text.replace('&#39;', "'") and '<title>a.py</title>' in shown
    assert 'href="a.py.html"' in (tmp_path / 'build' / 'pages' / 'README.md.html').read_text()


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

    measured = notebook.metadata.measured
    assert 0 < measured.seconds < 300 and measured.cores >= 1 and 0.05 <= measured.gigabytes < 20
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
