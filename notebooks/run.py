"""Executes a notebook top to bottom, with its progress on the terminal, and writes a page and its figures.

`python notebooks/run.py notebooks/NAME.ipynb` writes the executed notebook, NAME.html, which needs no other file and no
network, and each figure as PNG into build/NAME/. `--set name=value` overrides a name that the notebook's cell tagged
`parameters` assigns. With `--in-place` the executed notebook also replaces the given one, and its named figures replace
those in docs/. A code cell names its figure in its metadata: `"figure": "ten-best"` becomes ten-best.png, or
ten-best.gif if it is a player, what `HTML(animation.to_jshtml())` displays.
"""

import argparse
import ast
import asyncio
import base64
import copy
import html
import io
import os
import re
import resource
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import joblib
import nbformat
from jupyter_client.kernelspec import get_kernel_spec
from latex2mathml.converter import convert
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter
from PIL import Image

from latent_search.files import replace_file, replace_files

notebooks_dir = Path(__file__).resolve().parent
project_dir = notebooks_dir.parent
build_dir = project_dir / 'build'
docs_dir = project_dir / 'docs'
frame_ms = 400  # How long a GIF shows each of its frames.

# Nbconvert's page, with what it lacks and without its own scripts, which fetch MathJax and others from the network.
_template = """
{%- extends 'lab/index.html.j2' -%}
{% block html_head_js %}{% endblock %}
{% block jupyter_widgets %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_css %}<style>
.jp-RenderedHTMLCommon table { display: block; overflow-x: auto; max-width: 100%; width: fit-content; }
.jp-RenderedHTMLCommon math { overflow-x: auto; max-width: 100%; }
.jp-RenderedHTMLCommon [mathvariant=bold] { font-weight: bold; }
.jp-OutputArea-output pre { white-space: pre; overflow-x: auto; }
.jp-Cell .highlight pre { white-space: pre; overflow-x: auto; }
.jp-RenderedHTMLCommon .highlight { margin-bottom: 1em; }
.jp-RenderedHTMLCommon .highlight pre { white-space: pre; }
.jp-OutputArea-output img { max-width: 100%; }
/* A tap on a figure shows it in full size, and another one as wide as the page. */
.figure { display: block; overflow-x: auto; cursor: zoom-in; }
.figure input { position: absolute; opacity: 0; }
.figure input:checked + img { max-width: none; cursor: zoom-out; }
.figure input:focus-visible + img { outline: 2px solid; }
/* Buttons of Matplotlib's player, whose font would be fetched. */
.anim-buttons i { font-style: normal; }
PLAYER
@media (max-width: 700px) {
  .jp-InputPrompt, .jp-OutputPrompt { display: none; }
  body.jp-Notebook { padding: 4px; }
  .jp-Cell { padding: 2px; }
}
@media print {  /* Paper does not scroll. */
  .jp-OutputArea-output img { max-height: 95vh; width: auto; }  /* Not cut in two. */
  .jp-InputPrompt, .jp-OutputPrompt, .anim-controls { display: none; }
  .jp-Cell, body.jp-Notebook { padding: 2px 0; }
  .jp-RenderedHTMLCommon math { overflow: visible; }
  .jp-Cell .highlight pre, .jp-OutputArea-output pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  .jp-Cell .highlight, .jp-OutputArea-output pre { font-size: 7.5pt; }
  .jp-RenderedHTMLCommon table { display: table; table-layout: auto; width: auto; font-size: 6.5pt; }
  .jp-RenderedHTMLCommon td, .jp-RenderedHTMLCommon th { padding: 2px 3px; white-space: normal; }
}
</style>{% endblock %}
{% block data_png scoped %}
<div class="jp-RenderedImage jp-OutputArea-output">
<label class="figure"><input type="checkbox" aria-label="full size"><img
     src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}"
     alt="{{ (output | get_metadata('alt', 'image/png') or '') | escape_html }}"></label>
</div>
{% endblock %}
""".replace('PLAYER', '\n'.join(f'.anim-buttons .fa-{name}::before {{ content: "{sign}\\FE0E"; }}' for name, sign in {
    'minus': '−', 'plus': '+', 'fast-backward': '⏮', 'step-backward': '⏪', 'play.fa-flip-horizontal': '▶',
    'pause': '⏸', 'play': '▶', 'step-forward': '⏩', 'fast-forward': '⏭'}.items()))


def override_parameters(notebook, overrides):
    """Inserts a cell that assigns `overrides` (a dict of values) after the notebook's cell tagged `parameters`.

    Raises:
        ValueError: not exactly one cell has that tag, it does not assign a name that is to be overridden, or it assigns
            a number or True or False to it and the new value is a text.
    """
    tagged = [index for index, cell in enumerate(notebook.cells) if 'parameters' in cell.metadata.get('tags', [])]
    if len(tagged) != 1:
        raise ValueError(f'The notebook must have one cell tagged `parameters`, it has {len(tagged)}.')
    assigned = {statement.targets[0].id: ast.literal_eval(statement.value)
                for statement in ast.parse(notebook.cells[tagged[0]].source).body}
    unknown = sorted(set(overrides) - set(assigned))
    if unknown:
        raise ValueError(f'The cell tagged `parameters` does not assign {", ".join(unknown)}. It assigns '
                         f'{", ".join(sorted(assigned))}.')
    for name, value in overrides.items():
        if isinstance(value, str) and isinstance(assigned[name], (bool, int, float)):
            raise ValueError(f'{name} must be a value such as {assigned[name]!r}, got {value!r}.')
    if overrides:
        source = '\n'.join(f'{name} = {value!r}' for name, value in overrides.items())
        notebook.cells.insert(tagged[0] + 1, nbformat.v4.new_code_cell(source))


class _TerminalClient(NotebookClient):
    """Executes a notebook and repeats the output of its cells on the terminal, each under its heading.

    Ctrl-C interrupts the cell that runs, as the Stop button of JupyterLab does, and a second one ends the kernel.
    """

    def interrupt_kernel_on_ctrl_c(self, **_):
        signals = iter((self.km.interrupt_kernel, lambda: self.km.shutdown_kernel(now=True)))
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError):  # Not on Windows.
            loop.add_signal_handler(signal.SIGINT, lambda: asyncio.ensure_future(next(signals)()))

    def output(self, outs, msg, display_id, cell_index):
        if msg['msg_type'] == 'stream':
            sys.stdout.write(msg['content']['text'])
            sys.stdout.flush()
        return super().output(outs, msg, display_id, cell_index)


def execute(notebook, folder):
    """Executes a notebook in place, with `folder` as its working directory.

    Its metadata then record, as `measured`, the seconds, the cores, and the gigabytes of the largest process.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the message holds the cell and its traceback.
    """
    headings = _headings(notebook)

    def announce(cell, cell_index):
        if cell.cell_type == 'code':
            print(f'\r[{cell_index + 1}/{len(notebook.cells)}] {headings[cell_index]}', flush=True)

    # The kernel warns at each start that others on this machine might listen to it.
    client = _TerminalClient(notebook, timeout=None, kernel_name='python3', coalesce_streams=True,
                             store_widget_state=False, on_cell_start=announce,
                             extra_arguments=['--IPKernelApp.log_level=ERROR'],
                             resources={'metadata': {'path': str(folder)}})
    client.on_notebook_start = client.interrupt_kernel_on_ctrl_c
    started = time.perf_counter()
    client.execute()
    bytes_of_unit = 1 if sys.platform == 'darwin' else 1024
    notebook.metadata.measured = {
        'seconds': round(time.perf_counter() - started), 'cores': joblib.cpu_count(),
        'gigabytes': round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * bytes_of_unit / 1e9, 1)}
    for cell in notebook.cells:
        cell.metadata.pop('execution', None)  # Times of execution, which differ from run to run.
        for output in cell.get('outputs', []):
            if 'image/png' in output.get('data', {}):  # Widgets need this kernel; their picture remains.
                output.data.pop('application/vnd.jupyter.widget-view+json', None)
        if 'outputs' in cell:  # A progress bar that has cleared itself leaves blanks.
            cell.outputs = [output for output in cell.outputs
                            if output.output_type != 'stream' or output.text.strip()]
    # What JupyterLab writes when it saves the notebook.
    kernel = get_kernel_spec('python3')
    notebook.metadata.kernelspec = {'display_name': kernel.display_name, 'language': kernel.language, 'name': 'python3'}


def _headings(notebook):
    """The heading above each cell, or in it."""
    headings = ['']
    for cell in notebook.cells:
        found = cell.cell_type == 'markdown' and re.search(r'^#+ (.+)', cell.source, re.MULTILINE)
        headings.append(found[1] if found else headings[-1])
    return headings[1:]


def named_figures(notebook, may_lack=False):
    """Returns the figures of an executed notebook that its cells name: a dict from names of files to their bytes.

    With `may_lack`, a cell with a name may have drawn nothing, as on data for which there is nothing to draw.

    Raises:
        ValueError: two cells have one name, a name cannot be a file name, or a cell with a name has not one figure.
    """
    figures = {}
    for cell in notebook.cells:
        name = cell.metadata.get('figure')
        if name is None:
            continue
        if not re.fullmatch('[a-z0-9-]+', str(name)):
            raise ValueError(f'The name of a figure has lower-case letters, digits and hyphens, got {name!r}.')
        if name in {Path(other).stem for other in figures}:
            raise ValueError(f'Two cells name their figure {name!r}. Give each figure a name of its own.')
        found = [(f'{name}.png', png) for png in _pngs(cell)] + [(f'{name}.gif', gif) for gif in _gifs(cell)]
        if len(found) != 1 and not (may_lack and not found):
            raise ValueError(f'The cell that names its figure {name!r} must draw one figure, it has {len(found)}.')
        figures |= found
    return figures


def replace(notebook, path, docs=docs_dir):
    """Writes an executed notebook to `path`, and its named figures as PNG or GIF into the folder `docs`.

    If the disk is full, all of them are as they were before.
    """
    figures = named_figures(notebook)
    replace_files({path: _text(notebook), **{docs / name: content for name, content in figures.items()}})


def _text(notebook):
    text = io.StringIO()
    nbformat.write(notebook, text)
    return text.getvalue()


def _pngs(cell):
    return [base64.b64decode(output.data['image/png']) for output in cell.get('outputs', [])
            if 'image/png' in output.get('data', {})]


def _gifs(cell):
    """The players among a cell's outputs as GIF, made of the PNG files of their frames."""
    gifs = []
    for output in cell.get('outputs', []):
        player = output.get('data', {}).get('text/html', '')
        # Matplotlib breaks the lines of a frame by backslashes.
        frames = re.findall(r'frames\[\d+\] = "data:image/png;base64,([^"]+)"', player)
        if frames:
            images = [Image.open(io.BytesIO(base64.b64decode(frame.replace('\\\n', '')))).convert('RGB')
                      .quantize(256, dither=Image.Dither.NONE) for frame in frames]
            gif = io.BytesIO()
            images[0].save(gif, 'GIF', save_all=True, append_images=images[1:], duration=frame_ms, loop=0)
            gifs.append(gif.getvalue())
    return gifs


def export(notebook, folder, name, source=notebooks_dir):
    """Writes an executed notebook into `folder` as notebook, as a page that stands alone, and its figures as PNG.

    A figure's file has the name that its cell gives it, or else its number and the heading above it. `source` is the
    folder from which the notebook's links start.

    Returns:
        The path of the page and the paths of the figures.

    Raises:
        ValueError: see `named_figures`.
    """
    named_figures(notebook, may_lack=True)
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / f'{name}.ipynb', _text(notebook))

    figures = []
    for cell, heading in zip(notebook.cells, _headings(notebook), strict=True):
        heading = re.sub(r'\W+', '-', heading.lower()).strip('-')
        for png in _pngs(cell):
            figures.append(folder / f"{cell.metadata.get('figure') or f'{len(figures) + 1:02}-{heading}'}.png")
            replace_file(figures[-1], png)
    page = write_page(notebook, folder / f'{name}.html', source)
    for path in {*folder.glob('*.png')} - {*figures}:
        path.unlink()
    return page, figures


def write_page(notebook, path, source=notebooks_dir):
    """Writes a notebook as a page that needs no network and no file but those that it links to, and returns its path.

    A link to a file, which starts from the folder `source`, becomes one that starts from the page. A link to a
    notebook, a Markdown file or a Python file becomes one to its page in build/.
    """
    page = copy.deepcopy(notebook)
    title = re.sub('[*`]', '', _headings(page)[0]) or path.stem
    for cell in page.cells:
        if cell.cell_type == 'markdown':
            cell.source = _formulas_as_mathml(cell.source)
    text, _ = HTMLExporter(raw_template=_template).from_notebook_node(page, {'metadata': {'name': title}})
    # Matplotlib's player asks for a font from the network.
    text = re.sub(r'<link[^>]*\shref="https?:[^>]*>', '', text)
    text = re.sub(r'(<(?:a\b[^>]*\shref|img\b[^>]*\ssrc)=")(?!data:)([^"]+)"',
                  lambda found: f'{found[1]}{html.escape(_link(html.unescape(found[2]), source, path))}"', text)
    # Links name the heading `Install` as GitHub does: #install.
    text = re.sub(r'<h\d id="[^"]*"', lambda found: found[0].lower(), text)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text)
    return path


def write_linked_pages(path):
    """Writes the pages of a file and of all that its links lead to, where they are missing or older than the files."""
    waiting, found = [path], {path}
    while waiting:
        path = waiting.pop()
        notebook, page = as_notebook(path), page_of(path)
        if not page.exists() or page.stat().st_mtime < path.stat().st_mtime:
            write_page(notebook, page, path.parent)
        links = [link for cell in notebook.cells if cell.cell_type == 'markdown'
                 for link in re.findall(r'\]\(([^)#\s]+)', cell.source)]
        linked = {target for link in links if _has_page(target := (path.parent / link).resolve())} - found
        waiting += linked
        found |= linked


def as_notebook(path):
    """Reads a notebook; or makes one of a Markdown file or a Python file, which it shows."""
    text = path.read_text(encoding='utf-8')
    if path.suffix == '.ipynb':
        return nbformat.reads(text, as_version=4)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)] if path.suffix == '.md' else [
        nbformat.v4.new_markdown_cell(f'# {path.name}'), nbformat.v4.new_code_cell(text)])


def page_of(path):
    """The path of the page of a notebook, or of a Markdown file or a Python file of the project."""
    if path.suffix == '.ipynb':
        return build_dir / path.stem / f'{path.stem}.html'
    return build_dir / 'pages' / path.relative_to(project_dir).with_name(f'{path.name}.html')


def _has_page(path):
    return path.suffix in ('.ipynb', '.md', '.py') and path.is_relative_to(project_dir) and path.exists()


def _link(link, source, path):
    if link.startswith('#'):
        return link.lower()
    if re.match('[a-z]+:', link):
        return link
    target, hash_sign, anchor = link.partition('#')
    target = (source / target).resolve()
    if _has_page(target):
        target = page_of(target)
    return Path(os.path.relpath(target, path.parent.resolve())).as_posix() + hash_sign + anchor


def _formulas_as_mathml(markdown):
    """Writes TeX formulas as MathML, which browsers draw themselves; MathJax would be fetched from the network."""
    markdown = re.sub(r'\$\$(.+?)\$\$', lambda found: _mathml(found[1].strip(), display='block'), markdown,
                      flags=re.DOTALL)
    return re.sub(r'\$([^$\n]+)\$', lambda found: _mathml(found[1]), markdown)


def _mathml(tex, display='inline'):
    # TeX has a thin space between log and a letter, and before log.
    tex = re.sub(r'(?<=[\w)}]) *(?=\\log\b)', r'\\,', tex)
    return convert(re.sub(r'\\log\b(?! *[(\[]|\s*\\left)', r'\\log\\,', tex), display=display)


def as_parameter(item):
    """Splits `name=value` into name and value: a Python literal, or else the text itself.

    Raises:
        ValueError: there is no `=`.
    """
    name, equals, value = item.partition('=')
    if not equals:
        raise ValueError(f'--set takes NAME=VALUE, such as --set seed=1, got {item!r}.')
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def check_writable(folders):
    """Creates `folders` where they are missing, and ends the program with a sentence if one cannot be written to."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            sys.exit(f'Nothing was executed, as {folder} cannot be written to: {error.strerror}.')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('notebook', type=Path)
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE', help='override a parameter')
    parser.add_argument('--in-place', action='store_true',
                        help='also replace the notebook by the executed one, and its named figures in docs/')
    arguments = parser.parse_args()

    for name in ('MNIST_NPZ', 'MOLECULES'):  # A relative path starts here, and not where the notebook runs.
        if os.environ.get(name):
            os.environ[name] = str(Path(os.environ[name]).expanduser().resolve())
    started, path = time.perf_counter(), arguments.notebook.resolve()
    if not path.is_file():
        sys.exit(f'There is no notebook {arguments.notebook}.')
    try:
        notebook = nbformat.read(path, as_version=4)
        override_parameters(notebook, dict(map(as_parameter, arguments.set)))
        check_writable([page_of(path).parent, *([path.parent, docs_dir] if arguments.in_place else [])])
        execute(notebook, path.parent)
        page, figures = export(notebook, page_of(path).parent, path.stem, path.parent)
        write_linked_pages(path)
        if arguments.in_place:
            replace(notebook, path)
    except CellExecutionError as error:
        interrupted = error.ename in ('KeyboardInterrupt', 'Interrupted')
        sys.exit(f'\nInterrupted, and no page was written. {error.evalue}' if interrupted else
                 f'\n{error}\nThis cell failed, and no page was written.')
    except DeadKernelError:
        sys.exit('\nThe kernel ended before the notebook did, and no page was written.')
    except ValueError as error:
        sys.exit(f'\n{error}')
    except OSError as error:
        sys.exit(f'\nThe notebook or its page was not written: {error}.')
    print(f'\nExecuted in {time.perf_counter() - started:.0f} seconds.\nPage to look at: {page}\n'
          f'{len(figures)} figures as PNG: {page.parent}')


if __name__ == '__main__':
    main()
