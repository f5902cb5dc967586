"""Executes the code of docs/figures.md and draws the pictures that stand above it: one for each function that draws."""

import argparse
import io
import re
from pathlib import Path

import matplotlib
from PIL import Image

from latent_search.files import replace_file

docs_dir = Path(__file__).resolve().parent.parent / 'docs'


def examples(page):
    """Returns the blocks of code of the page: pairs of a function's name, or None, and code."""
    parts = re.split(r'^### (plot_\w+)$', page.read_text(encoding='utf-8'), flags=re.MULTILINE)
    named = [(None, parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    return [(name, re.search(r'^```python\n(.*?)^```', text, re.DOTALL | re.MULTILINE)[1]) for name, text in named]


def small(figure, width=1000):
    """Returns a figure as PNG of that width, with a palette."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format='png')
    image = Image.open(drawn).convert('RGB')
    picture = io.BytesIO()
    image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(picture, 'PNG', optimize=True)
    return picture.getvalue()


def draw(page, folder):
    """Executes the page's code from top to bottom and writes each picture to `folder`."""
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    names = {}
    for name, code in examples(page):
        exec(code, names)
        if name is not None:
            replace_file(folder / f'{name}.png', small(plt.gcf()))
            plt.close('all')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--folder', type=Path, default=docs_dir / 'figures', help='where the pictures go')
    arguments = parser.parse_args()
    matplotlib.use('agg')
    draw(docs_dir / 'figures.md', arguments.folder)


if __name__ == '__main__':
    main()
