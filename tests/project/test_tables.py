"""Each number in the tables of the pages is that of the file that holds the measurement."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from digits.tables import table

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / 'benchmarks'))
import tables  # noqa: E402

PAGES = [str(path.relative_to(ROOT)) for path in tables.pages(ROOT)]
REGRET = """method,"regret, median",judge|reads
random,1.05,30.7%
"GPyOpt, article's settings",0.04,79.0%
"ours, no lower bound",0.004,94.2%
ours,0.0001,93.3%
BoTorch with the prior,0.0004,54.8%
"""
README = """<!-- table: statements -->

| 1 of 2 statements of the article hold; these do not | measured here |
| --- | --- |
| Samples lie around the minimum | 27% within 1 \\| of it |

<!-- end of table -->
<!-- table: search -->

|  | random search | GPyOpt, article's settings | ours, only values known | ours, prior known | BoTorch, prior known |
| --- | --- | --- | --- | --- | --- |
| median distance from the minimum (nats) | 1.05 | 0.04 | 0.004 | 0.0001 | 0.0004 |

<!-- end of table -->
"""
CARD = """<!-- table: models -->

| model | what it is | −ELBO | reconstruction | KL | predictions | epochs |
| --- | --- | --- | --- | --- | --- | --- |
| `classifier` | the classifier of the objective |  |  |  | accuracy 99.33% | 5 |

<!-- end of table -->
"""
CELL = """A cell.
<!-- table: benchmarks/results/regret.csv
     columns: judge|reads; method
     rows: ours; random -->

| judge\\|reads | method |
| --- | --- |
| 93.3% | ours |
| 30.7% | random |

<!-- end of table -->"""


@pytest.fixture
def project(tmp_path):
    """A small project, whose tables are those of its sources."""
    for folder in ('benchmarks/results', 'docs', 'models', 'notebooks'):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / 'benchmarks' / 'tables.py', tmp_path / 'benchmarks')
    for path, text in (('README.md', README), ('models/README.md', CARD), ('benchmarks/README.md', 'No table.\n'),
                       ('docs/search.md', 'No table.\n'), ('benchmarks/results/regret.csv', REGRET),
                       ('models/manifest.json', json.dumps({'classifier': {
                           'test_metrics': {'accuracy': 0.9933}, 'epochs': 5}}))):
        (tmp_path / path).write_text(text, encoding='utf-8')
    statements = table(['the article', 'here', 'borne out'], [
        ['Samples lie around the minimum', '27% within 1 | of it', '**no**'], ['The classifier reads', '99.3%', 'yes']])
    data, metadata = statements._repr_mimebundle_()
    shown = nbformat.v4.new_output('display_data', data, metadata=metadata)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(CELL), nbformat.v4.new_code_cell(
        'table(...)', outputs=[shown, nbformat.v4.new_output('stream', text='| the article |')])]),
        tmp_path / 'notebooks' / 'variational_autoencoder_opt.ipynb')
    return tmp_path


def with_page(project, text, page='docs/search.md'):
    (project / page).write_text(text, encoding='utf-8')
    return project / page


def test_tables_equal_their_sources():
    assert tables.check_pages(ROOT) == []


def test_tables_of_the_small_project_equal_their_sources(project):
    assert tables.check_pages(project) == []


@pytest.mark.parametrize('page, cell', [
    ('README.md', '27%'), ('README.md', '1 of 2'), ('README.md', '0.0004'), ('models/README.md', '99.33%'),
    ('notebooks/variational_autoencoder_opt.ipynb', '93.3%')])
def test_an_altered_number_is_found_and_repaired(project, page, cell):
    text = (project / page).read_text(encoding='utf-8')
    with_page(project, text.replace(cell, '12.3%', 1), page)

    assert tables.check_pages(project) == [project / page]
    assert tables.update_pages(project) == [project / page]
    assert (project / page).read_text(encoding='utf-8') == text
    assert tables.check_pages(project) == tables.update_pages(project) == []


@pytest.mark.parametrize('page', PAGES)
def test_every_table_with_a_number_is_written_by_the_script(page):
    rows = [line for line in tables.without_tables(tables.markdown_of(ROOT / page)).splitlines()
            if line.startswith('|')]

    # Links and commands are no measurements.
    assert [row for row in rows if re.search(r'\d', re.sub(r'\]\([^)]*\)|`[^`]*`', '', row))] == []


def test_command(project):
    def run(*options):
        return subprocess.run([sys.executable, project / 'benchmarks' / 'tables.py', *options], capture_output=True,
                              text=True)

    assert run('--check').returncode == 0
    (project / 'benchmarks' / 'results' / 'regret.csv').write_text(REGRET.replace('0.0001', '0.0002'), encoding='utf-8')

    checked = run('--check')
    assert checked.returncode != 0 and 'README.md. Run `make docs`.' in checked.stderr
    assert run().stdout == 'Written: README.md\n'
    assert run('--check').returncode == 0
    assert '0.0002' in (project / 'README.md').read_text(encoding='utf-8')


def test_each_notebook_says_how_long_it_takes():
    whole = tables.SUMMARIES['times'](ROOT)
    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    names = dict(re.findall(r'^\| \[(.+)\]\(notebooks/(.+)\) \|', readme, re.MULTILINE))

    assert [row[0] for row in whole.rows] == list(names)
    for name, file in names.items():
        row, = (row for row in whole.rows if row[0] == name)
        path = ROOT / 'notebooks' / file
        first, *_ = nbformat.read(path, as_version=4).cells
        assert f'rows: {name} -->' in first.source and f'| {row[1]} | {row[2]} | {row[3]} |' in first.source
        assert re.fullmatch(r'[\d.]+ min', row[1]) and re.fullmatch(r'[\d.]+ GB', row[3])
        assert bool(row[4]) == ('use_pretrained = True' in path.read_text(encoding='utf-8'))


def test_disk_is_that_which_make_says():
    said, = re.findall(r'(\d\.\d GB); only the first time', (ROOT / 'Makefile').read_text(encoding='utf-8'))
    assert f'{said} of disk' in (ROOT / 'README.md').read_text(encoding='utf-8')


def test_columns_and_rows(project):
    page = with_page(project, 'Before\n<!-- table: benchmarks/results/regret.csv\n     columns: judge|reads; method\n'
                              '     rows: ours; random -->\nold\n<!-- end of table -->\nafter\n')

    assert tables.update_pages(project) == [page]

    assert page.read_text(encoding='utf-8') == (
        'Before\n<!-- table: benchmarks/results/regret.csv\n     columns: judge|reads; method\n     rows: ours; random '
        '-->\n\n| judge\\|reads | method |\n| --- | --- |\n| 93.3% | ours |\n| 30.7% | random |\n\n'
        '<!-- end of table -->\nafter\n')


def test_table_of_a_notebook(project):
    page = with_page(project, '<!-- table: notebooks/variational_autoencoder_opt.ipynb: the article\n'
                              '     columns: here -->\n<!-- end of table -->\n')

    tables.update_pages(project)

    assert '| here |\n| --- |\n| 27% within 1 \\| of it |\n| 99.3% |' in page.read_text(encoding='utf-8')


@pytest.mark.parametrize('marker, message', [
    ('<!-- table: nothing -->\n<!-- end of table -->', r"line 2: 'nothing' is no source. It must be a CSV file"),
    ('<!-- table: benchmarks/results/regret.csv\n     columns: within 1 -->\n<!-- end of table -->',
     r"line 2: the source has 0 columns named 'within 1'. Its columns are method; regret, median; judge"),
    ('<!-- table: benchmarks/results/regret.csv\n     rows: theirs -->\n<!-- end of table -->',
     r"line 2: the source has 0 rows named 'theirs'. Its rows are random; "),
    ('<!-- table: benchmarks/results/regret.csv\n     row: ours -->\n<!-- end of table -->',
     r"line 2: a marker may have lines `columns: …` and `rows: …`, not 'row: ours'"),
    ('<!-- table: notebooks/variational_autoencoder_opt.ipynb: methods -->\n<!-- end of table -->',
     r"opt.ipynb has 0 tables whose first column is 'methods'. Its tables begin with the article"),
    ('<!-- table: benchmarks/results/regret.csv -->\n', r'needs a `<!-- end of table -->` of its own'),
])
def test_wrong_marker(project, marker, message):
    text = f'A page\n{marker}\n'
    page = with_page(project, text)

    with pytest.raises(ValueError, match=message):
        tables.update_pages(project)

    assert page.read_text(encoding='utf-8') == text


def test_write(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tables, 'results_dir', tmp_path)

    tables.write('made_up', ['name', 'one, two'], [['a', 1], ['b|c', 2.5]])

    assert capsys.readouterr().out == '\nmade_up\n\n| name | one, two |\n| --- | --- |\n| a | 1 |\n| b\\|c | 2.5 |\n'
    assert tables.read_csv(tmp_path / 'made_up.csv') == (['name', 'one, two'], [['a', '1'], ['b|c', '2.5']])


@pytest.mark.parametrize('value, decimals, text', [(-0.00004, 4, '0.0000'), (-0.0, 2, '0.00'), (-0.06, 1, '-0.1'),
                                                   (1.25, 1, '1.2'), (3, 2, '3.00')])
def test_fixed(value, decimals, text):
    assert tables.fixed(value, decimals) == text


def test_no_negative_zero_is_recorded():
    for path in (ROOT / 'benchmarks' / 'results').glob('*.csv'):
        assert not re.search(r'(?<![\d.])-0\.?0*(?![\d.])', path.read_text(encoding='utf-8')), path.name
