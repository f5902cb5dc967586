"""Writes the tables of README.md, docs/, models/README.md and notebooks from the files that hold the measurements.

A page names the source of each of its tables in a comment:

    <!-- table: benchmarks/results/regret.csv
         columns: method; searches; regret, median
         rows: random; ours -->
    ... what this script writes ...
    <!-- end of table -->

A source is a CSV file; a notebook and the first column of one of the tables in its outputs, as in
`notebooks/alternatives.ipynb: method`; or one of the names in `SUMMARIES`. Without `columns` or `rows` the table has
all of them. Rows are named by their first cell.

`python benchmarks/tables.py` writes all tables, `--check` only says which pages differ. The benchmarks write their
results with `write`, and then call `update_pages`.
"""

import argparse
import csv
import io
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

from latent_search.files import replace_file

project_dir = Path(__file__).resolve().parent.parent
results_dir = project_dir / 'benchmarks' / 'results'

_marker = re.compile(r'(?P<start><!-- table: (?P<source>[^\n]+?)(?P<options>(?:\n[^\n]+?)*) -->\n)(?P<body>.*?)'
                     r'(?P<end><!-- end of table -->)', re.DOTALL)


class Table(NamedTuple):
    """A table of text: the names of its columns, and rows of as many cells."""

    header: list[str]
    rows: list[list[str]]

    def cell(self, row, column):
        """Returns the cell in the row whose first cell is `row`; raises ValueError where there is none."""
        return _select(self, columns=[column], rows=[row]).rows[0][0]


def fixed(value, decimals):
    """Formats a number with a fixed number of decimals; what rounds to zero has no sign."""
    return f'{round(float(value), decimals) + 0.0:.{decimals}f}'


def update_pages(root=project_dir):
    """Writes all tables into the pages, and returns the paths of the pages that changed.

    Raises:
        ValueError: a marker names no source, column or row that there is, or has no end. No page is changed.
        OSError: a source or page cannot be read or written.
    """
    changed = _differing_pages(Path(root))
    for path, text in changed.items():
        replace_file(path, text)
    return list(changed)


def check_pages(root=project_dir):
    """Returns the paths of the pages whose tables differ from their sources; raises what `update_pages` raises."""
    return list(_differing_pages(Path(root)))


def pages(root=project_dir):
    """Returns the paths of all pages that may hold tables."""
    root = Path(root)
    return [root / 'README.md', *sorted((root / 'docs').glob('*.md')), root / 'models' / 'README.md',
            *sorted((root / 'notebooks').glob('*.ipynb'))]


def markdown_of(path):
    """Returns the Markdown of a page; of a notebook that of its cells, one below the other."""
    text = Path(path).read_text(encoding='utf-8')
    if Path(path).suffix != '.ipynb':
        return text
    return '\n\n'.join(''.join(cell['source']) for cell in json.loads(text)['cells'] if cell['cell_type'] == 'markdown')


def without_tables(text):
    """Returns the text of a page without its generated tables."""
    return _marker.sub('', text)


def _differing_pages(root):
    written = {path: (path.read_text(encoding='utf-8'), _written(path, root)) for path in pages(root)}
    return {path: after for path, (before, after) in written.items() if after != before}


def _written(path, root):
    text = path.read_text(encoding='utf-8')
    if path.suffix != '.ipynb':
        return _with_tables(text, path, root)
    notebook, changed = json.loads(text), False
    for cell in notebook['cells']:
        if cell['cell_type'] == 'markdown':
            before = ''.join(cell['source'])
            after = _with_tables(before, path, root)
            cell['source'], changed = after.splitlines(keepends=True), changed or after != before
    # As nbformat writes it.
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + '\n' if changed else text


def _with_tables(text, path, root):
    if len(_marker.findall(text)) != text.count('<!-- table:') or text.count('<!-- end of table -->') != text.count(
            '<!-- table:'):
        raise ValueError(f'{path}: each `<!-- table: … -->` needs a `<!-- end of table -->` of its own.')

    def with_new_body(found):
        try:
            table = _table_of(found['source'], _options(found['options']), root, path)
        except ValueError as error:
            line = text[:found.start()].count('\n') + 1
            raise ValueError(f'{path}, line {line}: {error}') from error
        return f'{found["start"]}\n{_markdown(table)}\n\n{found["end"]}'

    return _marker.sub(with_new_body, text)


def _options(text):
    options = {}
    for line in text.split('\n')[1:]:
        key, colon, names = line.partition(':')
        if not colon or key.strip() not in ('columns', 'rows'):
            raise ValueError(f'a marker may have lines `columns: …` and `rows: …`, not {line.strip()!r}.')
        options[key.strip()] = [name.strip() for name in names.split(';')]
    return options


def _table_of(source, options, root, page):
    if source in SUMMARIES:
        return _select(SUMMARIES[source](root, page), **options)
    if source.endswith('.csv'):
        return _select(read_csv(root / source), **options)
    if re.search(r'\.ipynb: ', source):
        notebook, first_column = source.split(': ', 1)
        return _select(read_notebook_table(root / notebook, first_column), **options)
    raise ValueError(f'{source!r} is no source. It must be a CSV file, `NOTEBOOK.ipynb: FIRST COLUMN`, or one of '
                     f'{", ".join(SUMMARIES)}.')


def _select(table, columns=None, rows=None):
    indices = [_index(table.header, name, 'column') for name in columns] if columns else range(len(table.header))
    first_cells = [row[0] for row in table.rows]
    chosen = [table.rows[_index(first_cells, name, 'row')] for name in rows] if rows else table.rows
    return Table([table.header[i] for i in indices], [[row[i] for i in indices] for row in chosen])


def _index(names, name, kind):
    if names.count(name) != 1:
        raise ValueError(f'the source has {names.count(name)} {kind}s named {name!r}. Its {kind}s are '
                         f'{"; ".join(names)}.')
    return names.index(name)


def _markdown(table):
    lines = [table.header, ['---'] * len(table.header), *table.rows]
    return '\n'.join('| ' + ' | '.join(cell.replace('|', r'\|') for cell in line) + ' |' for line in lines)


# ---------------------------------------------------------------------------------------------------------------------
# Measurements
# ---------------------------------------------------------------------------------------------------------------------


def write(name, header, rows):
    """Prints the rows of a measurement as a Markdown table, and writes them to benchmarks/results/NAME.csv."""
    print(f'\n{name}\n\n| ' + ' | '.join(header) + ' |\n|' + '---|' * len(header))
    for row in rows:
        print('| ' + ' | '.join(map(str, row)) + ' |')
    sys.stdout.flush()
    write_file(name, [header, *rows])


def write_file(name, rows):
    """Writes rows, the first of which is the header, to benchmarks/results/NAME.csv."""
    results_dir.mkdir(exist_ok=True)
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    replace_file(results_dir / f'{name}.csv', text.getvalue())


def with_those_of_before(name, rows):
    """Rows in the order of the file NAME.csv, in which those of other methods stay as they were measured before."""
    path = results_dir / f'{name}.csv'
    before = read_csv(path).rows if path.exists() else []
    new = {}
    for row in rows:
        new.setdefault(row[0], []).append(row)
    merged = []
    for row in before:
        merged += new.pop(row[0], []) if row[0] in new else [row] * (row[0] not in {done[0] for done in rows})
    return merged + sum(new.values(), [])


# ---------------------------------------------------------------------------------------------------------------------
# Sources
# ---------------------------------------------------------------------------------------------------------------------


def read_csv(path):
    """Reads a CSV file with a header as a `Table`."""
    with open(path, newline='', encoding='utf-8') as file:
        header, *rows = csv.reader(file)
    return Table(header, rows)


def read_notebook_table(path, first_column):
    """Reads the table in the outputs of a notebook whose first column has the given name.

    Raises:
        ValueError: no table or more than one has it.
    """
    notebook = json.loads(Path(path).read_text(encoding='utf-8'))
    found, others = [], []
    for cell in notebook['cells']:
        for output in cell.get('outputs', []):
            markdown = ''.join(output.get('data', {}).get('text/markdown', ''))
            if markdown.startswith('|'):
                # A bar within a cell stands behind a backslash.
                header, _, *rows = ([cell.strip().replace(r'\|', '|') for cell in re.split(r'(?<!\\)\|', line)[1:-1]]
                                    for line in markdown.strip().splitlines())
                (found if header[0] == first_column else others).append(Table(header, rows))
    if len(found) != 1:
        raise ValueError(f'{Path(path).name} has {len(found)} tables whose first column is {first_column!r}. Other '
                         f'tables begin with {"; ".join(table.header[0] for table in others)}.')
    return found[0]


def read_manifest(root):
    """Reads what models/manifest.json records of the pretrained models: a dict of dicts, one a model."""
    return json.loads((root / 'models' / 'manifest.json').read_text(encoding='utf-8'))


# ---------------------------------------------------------------------------------------------------------------------
# Tables that sum up several files
# ---------------------------------------------------------------------------------------------------------------------


def _results(root, page):
    """The results of README.md, beside what the article, its settings, or another library reach."""
    figures = read_manifest(root)['vae-predictor-off']['test_metrics']
    main_notebook = 'notebooks/variational_autoencoder_opt.ipynb'
    neighbours = read_notebook_table(root / main_notebook, 'latent space')
    regret, times = (read_csv(root / 'benchmarks' / 'results' / f'{name}.csv') for name in ('regret', 'times'))
    gpyopt, with_prior, ours, without_prior = (
        "GPyOpt, article's settings", 'BoTorch with the prior', 'ours', 'ours, no lower bound')
    bbob = read_csv(root / 'benchmarks' / 'results' / 'bbob.csv')

    def wins_against(method):
        shares = sorted(float(bbob.cell(f'{method}, {dimensions} dimensions, 60 evaluations', 'ours wins').rstrip('%'))
                        for dimensions in (2, 5, 10, 20))
        return f'{shares[0]:.1f}% to {shares[-1]:.1f}%'

    def read_by_neighbours(space):
        return neighbours.cell(space, 'label read from nearest neighbours')

    def distance(method):
        return (f"median {regret.cell(method, 'regret, median')}, worst of {regret.cell(method, 'searches')} "
                f"{regret.cell(method, 'regret, worst')}")

    def read_right(method):
        return regret.cell(method, 'judge: ten best distinct')

    def source(name, path):
        depth = len(page.relative_to(root).parts) - 1
        return f'[{name}]({"../" * depth}{path})'

    searches = source('all searches', 'docs/search.md')
    return Table(['result', 'elsewhere', 'here', 'source'], [
        ['−ELBO of the VAE without predictor (nats)', '149.2 (article)', fixed(figures['neg_elbo'], 1),
         source('model card', 'models/README.md')],
        ['10-nearest-neighbour accuracy in latent space: without predictor → with classifier', 'a figure (article)',
         f"{read_by_neighbours('without predictor')} → {read_by_neighbours('with classifier')}",
         source('main notebook', main_notebook)],
        ['regret where only values are known: best value found − minimum (nats)', f'{distance(gpyopt)} ¹',
         distance(without_prior), searches],
        ['regret where the prior is known', f'{distance(with_prior)} ²', distance(ours), searches],
        ['seconds of a search where the prior is known: median (fastest–slowest)',
         f"{times.cell(with_prior, 'seconds')} ²", times.cell(ours, 'seconds'), searches],
        ['seconds of a search where only values are known', f"{times.cell(gpyopt, 'seconds')} ¹",
         times.cell(without_prior, 'seconds'), searches],
        ['ten best distinct images of a search that the judge reads as the wanted digit',
         f'{read_right(gpyopt)} ¹', read_right(ours), searches],
        ['searches of 24 other functions, 2 to 20 dimensions, that find a lower value than random search; BoTorch; '
         'scikit-optimize',
         '', '; '.join(map(wins_against, ('random', 'BoTorch LogEI', 'scikit-optimize EI'))),
         source('any function', 'docs/search.md#any-function')],
    ])


_model_descriptions = {
    'vae-predictor-off': 'VAE without predictor',
    'vae-predictor-softmax': 'VAE with classifier as predictor',
    'vae-predictor-linear': 'VAE with regressor as predictor',
    'vae-predictor-softmax-10d': 'VAE with classifier as predictor, ten latent dimensions',
    'vae-conditional': 'conditional VAE: encoder and decoder are given the label',
    'classifier': 'the classifier of the objective',
    'judge': 'a second classifier, for checks only',
    'latent-constraints': 'critics and actor in the latent space of `vae-predictor-off`',
}

_metric_names = {'rmse': 'RMSE', 'moved': 'moved to the label'}


def _models(root, page):
    """The pretrained models, what they reach on the test images, and how long they were trained."""
    rows = []
    for name, model in read_manifest(root).items():
        figures = dict(model['test_metrics'])
        losses = [fixed(figures.pop(key), 2) if key in figures else ''
                  for key in ('neg_elbo', 'reconstruction', 'kl')]
        others = ', '.join(f'{_metric_names.get(key, key)} ' + (fixed(value, 2) if key == 'rmse' else
                                                                fixed(100 * value, 2) + '%')
                           for key, value in figures.items())
        rows.append([f'`{name}`', _model_descriptions.get(name, ''), *losses, others, str(model['epochs']),
                     f"{model['seconds']:,}"])
    return Table(['model', 'what it is', '−ELBO', 'reconstruction', 'KL', 'predictions', 'epochs', 'seconds'], rows)


# What a marker can name in place of a file: functions of the project's folder and of the page.
SUMMARIES = {'results': _results, 'models': _models}


def main():
    parser = argparse.ArgumentParser(description='Writes the tables of all pages and notebooks.')
    parser.add_argument('--check', action='store_true', help='change nothing; fail if a table differs from its source')
    arguments = parser.parse_args()
    if not arguments.check:
        for path in update_pages():
            print(f'Written: {path.relative_to(project_dir)}')
    elif differing := check_pages():
        names = ', '.join(str(path.relative_to(project_dir)) for path in differing)
        sys.exit(f'Tables differ from their sources in {names}. Run `make docs`.')


if __name__ == '__main__':
    main()
