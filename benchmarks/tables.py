"""Writes the tables of README.md, docs/, benchmarks/, models/ and notebooks from the files with the measurements.

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

from digits.tables import Table, table
from latent_search.files import replace_file

project_dir = Path(__file__).resolve().parent.parent
results_dir = project_dir / 'benchmarks' / 'results'

_marker = re.compile(r'(?P<start><!-- table: (?P<source>[^\n]+?)(?P<options>(?:\n[^\n]+?)*) -->\n)(?P<body>.*?)'
                     r'(?P<end><!-- end of table -->)', re.DOTALL)


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
    return [root / 'README.md', *sorted((root / 'docs').glob('*.md')), root / 'benchmarks' / 'README.md',
            root / 'models' / 'README.md', *sorted((root / 'notebooks').glob('*.ipynb'))]


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
            written = _table_of(found['source'], _options(found['options']), root)
        except ValueError as error:
            line = text[:found.start()].count('\n') + 1
            raise ValueError(f'{path}, line {line}: {error}') from error
        return f'{found["start"]}\n{written}\n\n{found["end"]}'

    return _marker.sub(with_new_body, text)


def _options(text):
    options = {}
    for line in text.split('\n')[1:]:
        key, colon, names = line.partition(':')
        if not colon or key.strip() not in ('columns', 'rows'):
            raise ValueError(f'a marker may have lines `columns: …` and `rows: …`, not {line.strip()!r}.')
        options[key.strip()] = [name.strip() for name in names.split(';')]
    return options


def _table_of(source, options, root):
    if source in SUMMARIES:
        return _select(SUMMARIES[source](root), **options)
    if source.endswith('.csv'):
        return _select(read_csv(root / source), **options)
    if re.search(r'\.ipynb: ', source):
        notebook, first_column = source.split(': ', 1)
        return _select(read_notebook_table(root / notebook, first_column), **options)
    raise ValueError(f'{source!r} is no source. It must be a CSV file, `NOTEBOOK.ipynb: FIRST COLUMN`, or one of '
                     f'{", ".join(SUMMARIES)}.')


def _select(whole, columns=None, rows=None):
    indices = [_index(whole.header, name, 'column') for name in columns] if columns else range(len(whole.header))
    first_cells = [row[0] for row in whole.rows]
    chosen = [whole.rows[_index(first_cells, name, 'row')] for name in rows] if rows else whole.rows
    return Table([whole.header[i] for i in indices], [[row[i] for i in indices] for row in chosen])


def _index(names, name, kind):
    if names.count(name) != 1:
        raise ValueError(f'the source has {names.count(name)} {kind}s named {name!r}. Its {kind}s are '
                         f'{"; ".join(names)}.')
    return names.index(name)


# ---------------------------------------------------------------------------------------------------------------------
# Measurements
# ---------------------------------------------------------------------------------------------------------------------


def write(name, header, rows):
    """Prints the rows of a measurement as a Markdown table, and writes them to benchmarks/results/NAME.csv."""
    print(f'\n{name}\n\n{table(header, rows)}', flush=True)
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
    """Reads the table that a notebook displays and whose first column has the given name, as a `Table`.

    Raises:
        ValueError: the notebook displays no such table, or more than one.
    """
    notebook = json.loads(Path(path).read_text(encoding='utf-8'))
    shown = [Table(**output['metadata']['text/markdown']) for cell in notebook['cells']
             for output in cell.get('outputs', []) if 'text/markdown' in output.get('metadata', {})]
    found = [of for of in shown if of.header[0] == first_column]
    if len(found) != 1:
        raise ValueError(f'{Path(path).name} has {len(found)} tables whose first column is {first_column!r}. Its '
                         f'tables begin with {"; ".join(of.header[0] for of in shown)}.')
    return found[0]


def read_manifest(root, folder='models'):
    """Reads what manifest.json in a folder records of the pretrained models: a dict of dicts, one a model."""
    return json.loads((root / folder / 'manifest.json').read_text(encoding='utf-8'))


# ---------------------------------------------------------------------------------------------------------------------
# Tables that sum up several files
# ---------------------------------------------------------------------------------------------------------------------


def _statements(root):
    """The statements of the article that do not hold, and how many do."""
    checked = read_notebook_table(root / 'notebooks' / 'variational_autoencoder_opt.ipynb', 'the article').rows
    failing = [[statement, measured] for statement, measured, holds in checked if holds != 'yes']
    return Table([f'{len(checked) - len(failing)} of {len(checked)} statements of the article hold; these do not',
                  'measured here'], failing)


def _search(root):
    """The median regret of the searches that the README compares."""
    methods = {'random search': 'random', "GPyOpt, article's settings": "GPyOpt, article's settings",
               'ours, only values known': 'ours, no lower bound', 'ours, prior known': 'ours',
               'BoTorch, prior known': 'BoTorch with the prior'}
    regret = _select(read_csv(root / 'benchmarks' / 'results' / 'regret.csv'), ['regret, median'], methods.values())
    return Table(['', *methods], [['median distance from the minimum (nats)', *(cell for cell, in regret.rows)]])


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


def _models(root):
    """The pretrained models, and what they reach on the test images."""
    rows = []
    for name, model in read_manifest(root).items():
        figures = dict(model['test_metrics'])
        losses = [fixed(figures.pop(key), 2) if key in figures else ''
                  for key in ('neg_elbo', 'reconstruction', 'kl')]
        others = ', '.join(f'{_metric_names.get(key, key)} ' + (fixed(value, 2) if key == 'rmse' else
                                                                fixed(100 * value, 2) + '%')
                           for key, value in figures.items())
        rows.append([f'`{name}`', _model_descriptions.get(name, ''), *losses, others, str(model['epochs'])])
    return Table(['model', 'what it is', '−ELBO', 'reconstruction', 'KL', 'predictions', 'epochs'], rows)


def _molecule_models(root):
    """The pretrained models of molecules, and what they reach on the test molecules."""
    found = {name: model['test_metrics'] for name, model in read_manifest(root, 'models/qm9').items()}
    columns = list(dict.fromkeys(column for figures in found.values() for column in figures))
    return Table(['model', *columns], [
        [f'`{name}`', *(fixed(figures[column], 3) if column in figures else '' for column in columns)]
        for name, figures in found.items()])


# The notebooks, their names in tables, and the models that each trains where it does not load the pretrained ones.
_notebooks = {
    'variational_autoencoder_opt': ('Main notebook', ['vae-predictor-off', 'vae-predictor-softmax',
                                                      'vae-predictor-linear', 'classifier', 'judge']),
    'latent_spaces': ('Latent spaces', []),
    'external_results': ('Results from outside', []),
    'higher_dimensions': ('More dimensions', ['vae-predictor-softmax', 'vae-predictor-softmax-10d', 'classifier',
                                              'judge']),
    'molecules': ('Molecules', ['qm9/vae-predictor-linear', 'qm9/vae-predictor-off']),
    'alternatives': ('Alternatives', ['vae-predictor-softmax', 'vae-predictor-off', 'classifier', 'judge',
                                      'vae-conditional', 'latent-constraints']),
}


def _times(root):
    """What executing each notebook takes, and what training its models takes."""
    training = {name: int(seconds) for name, _, seconds in
                read_csv(root / 'benchmarks' / 'results' / 'training_times.csv').rows}
    training |= {f'qm9/{name}': model['seconds'] for name, model in read_manifest(root, 'models/qm9').items()}
    rows = []
    for file, (name, models) in _notebooks.items():
        notebook = json.loads((root / 'notebooks' / f'{file}.ipynb').read_text(encoding='utf-8'))
        if 'measured' not in notebook['metadata']:
            raise ValueError(f'{file}.ipynb does not say how long it took. Execute it by `make notebook`.')
        seconds, cores, gigabytes = (notebook['metadata']['measured'][key] for key in ('seconds', 'cores', 'gigabytes'))
        rows.append([name, f'{seconds / 60:.1f} min', str(cores), f'{gigabytes} GB',
                     f'{sum(training[model] for model in models) / 60:.0f} min' if models else ''])
    return Table(['notebook', 'time with pretrained models', 'CPU cores', 'memory of its largest process',
                  'training its models, in addition'], rows)


# What a marker can name in place of a file: functions of the project's folder.
SUMMARIES = {'statements': _statements, 'search': _search, 'models': _models, 'molecule models': _molecule_models,
             'times': _times}


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
