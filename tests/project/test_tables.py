"""Each number in the tables of the pages is that of the file that holds the measurement."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / 'benchmarks'))
import tables  # noqa: E402

PAGES = [str(path.relative_to(ROOT)) for path in tables.pages(ROOT)]


@pytest.fixture
def project(tmp_path):
    """A copy of the pages and their sources."""
    for pattern in ('README.md', 'docs/*.md', 'models/README.md', 'models/manifest.json', 'benchmarks/*.py',
                    'benchmarks/results/*.csv', 'notebooks/*.ipynb'):
        for path in ROOT.glob(pattern):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    return tmp_path


def with_page(project, text, page='docs/search.md'):
    (project / page).write_text(text, encoding='utf-8')
    return project / page


def test_tables_equal_their_sources():
    assert tables.check_pages(ROOT) == []
    assert len(PAGES) >= 7


@pytest.mark.parametrize('page', ['README.md', 'docs/search.md', 'docs/alternatives.md', 'docs/training.md',
                                  'models/README.md'])
def test_an_altered_number_is_found_and_repaired(project, page):
    text = (project / page).read_text(encoding='utf-8')
    table = text.index('| ---', text.index('<!-- table:'))
    digit = re.compile(r'\d').search(text, table)
    with_page(project, f'{text[:digit.start()]}{9 - int(digit[0])}{text[digit.end():]}', page)

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


def test_no_result_is_left_out():
    """Each row of each benchmark is in a page; the curves are in figures."""
    text = ''.join((ROOT / page).read_text(encoding='utf-8') for page in PAGES)

    for path in (ROOT / 'benchmarks' / 'results').glob('*.csv'):
        if path.stem not in ('curves', 'curves_ten_dimensions', 'training_epochs'):
            assert f'<!-- table: benchmarks/results/{path.name}' in text, path.name
            assert [row[0] for row in tables.read_csv(path).rows if f'\n| {row[0]} |' not in text] == []


def test_command(project):
    def run(*options):
        return subprocess.run([sys.executable, project / 'benchmarks' / 'tables.py', *options], capture_output=True,
                              text=True)

    regret = project / 'benchmarks' / 'results' / 'regret.csv'
    assert run('--check').returncode == 0
    right = tables.read_csv(regret).cell('ours', 'judge: ten best distinct')
    regret.write_text(regret.read_text(encoding='utf-8').replace(right, '12.3%'), encoding='utf-8')

    checked = run('--check')
    assert checked.returncode != 0
    assert 'README.md, docs/search.md. Run `make docs`.' in checked.stderr.replace('\\', '/')
    assert run().stdout.replace('\\', '/') == 'Written: README.md\nWritten: docs/search.md\n'
    assert run('--check').returncode == 0
    assert '12.3%' in (project / 'README.md').read_text(encoding='utf-8')


def test_table_in_a_notebook(project):
    page = project / 'notebooks' / 'variational_autoencoder_opt.ipynb'
    text, markdown = page.read_text(encoding='utf-8'), tables.markdown_of(page)
    assert '\n| Bayesian optimization | 9' in markdown
    altered = text.replace('| Bayesian optimization | 9', '| Bayesian optimization | 1')
    page.write_text(altered, encoding='utf-8')

    assert tables.check_pages(project) == tables.update_pages(project) == [page]
    assert page.read_text(encoding='utf-8') == text
    assert '| Bayesian optimization |' not in tables.without_tables(markdown)


def test_columns_and_rows(project):
    (project / 'benchmarks' / 'results' / 'made_up.csv').write_text('name,"one, two",three\na,1,x|y\nb,2,\nc,3,z\n',
                                                                    encoding='utf-8')
    page = with_page(project, 'Before\n<!-- table: benchmarks/results/made_up.csv\n     columns: three; name\n'
                              '     rows: c; a -->\nold\n<!-- end of table -->\nafter\n')

    tables.update_pages(project)

    assert page.read_text(encoding='utf-8') == (
        'Before\n<!-- table: benchmarks/results/made_up.csv\n     columns: three; name\n     rows: c; a -->\n\n'
        '| three | name |\n| --- | --- |\n| z | c |\n| x\\|y | a |\n\n<!-- end of table -->\nafter\n')


@pytest.mark.parametrize('marker, message', [
    ('<!-- table: nothing -->\n<!-- end of table -->', r"line 2: 'nothing' is no source. It must be a CSV file"),
    ('<!-- table: benchmarks/results/judge.csv\n     columns: within 1 -->\n<!-- end of table -->',
     r"line 2: the source has 0 columns named 'within 1'. Its columns are points of the grid, target; within 0.01"),
    ('<!-- table: benchmarks/results/regret.csv\n     rows: theirs -->\n<!-- end of table -->',
     r"line 2: the source has 0 rows named 'theirs'. Its rows are random; "),
    ('<!-- table: benchmarks/results/regret.csv\n     row: ours -->\n<!-- end of table -->',
     r"line 2: a marker may have lines `columns: …` and `rows: …`, not 'row: ours'"),
    ('<!-- table: notebooks/alternatives.ipynb: methods -->\n<!-- end of table -->',
     r"alternatives.ipynb has 0 tables whose first column is 'methods'. Other tables begin with method"),
    ('<!-- table: benchmarks/results/judge.csv -->\n', r'needs a `<!-- end of table -->` of its own'),
])
def test_wrong_marker(project, marker, message):
    text = f'A page\n{marker}\n'
    page = with_page(project, text)

    with pytest.raises(ValueError, match=message):
        tables.update_pages(project)

    assert page.read_text(encoding='utf-8') == text


def test_results_are_those_of_their_sources():
    """The README's table, read from the sources by other means."""
    rows = {line.split(' | ')[0]: line for line in (ROOT / 'README.md').read_text(encoding='utf-8').splitlines()
            if line.startswith('| ')}
    neg_elbo = tables.read_manifest(ROOT)['vae-predictor-off']['test_metrics']['neg_elbo']
    results = ROOT / 'benchmarks' / 'results'
    regret, times = ({row[key]: row for row in csv.DictReader((results / f'{name}.csv').open(newline=''))}
                     for name, key in (('regret', 'method'), ('times', 'search of 52 evaluations')))
    share = 'judge: ten best distinct'

    def cells(*, elsewhere, here):
        return f' | {elsewhere} | {here} | '

    def distance(method):
        of_method = regret[method]
        return f"median {of_method['regret, median']}, worst of {of_method['searches']} {of_method['regret, worst']}"

    gpyopt, with_prior, without = "GPyOpt, article's settings", 'BoTorch with the prior', 'ours, no lower bound'
    assert f' | {neg_elbo:.1f} | ' in rows['| −ELBO of the VAE without predictor (nats)']
    assert cells(elsewhere=f'{distance(gpyopt)} ¹', here=distance(without)) in rows[
        '| regret where only values are known: best value found − minimum (nats)']
    assert cells(elsewhere=f'{distance(with_prior)} ²', here=distance('ours')) in rows[
        '| regret where the prior is known']
    assert cells(elsewhere=f"{times[with_prior]['seconds']} ²", here=times['ours']['seconds']) in rows[
        '| seconds of a search where the prior is known: median (fastest–slowest)']
    assert cells(elsewhere=f"{times[gpyopt]['seconds']} ¹", here=times[without]['seconds']) in rows[
        '| seconds of a search where only values are known']
    assert cells(elsewhere=f'{regret[gpyopt][share]} ¹', here=regret['ours'][share]) in rows[
        '| ten best distinct images of a search that the judge reads as the wanted digit']
    with (results / 'bbob.csv').open(newline='') as file:
        of_others = [row for row in csv.DictReader(file)
                     if re.search(r' (2|5|10|20) dimensions, 60 evaluations', row['other method'])]
    ranges = []
    for method in ('random', 'BoTorch LogEI', 'scikit-optimize EI'):
        shares = [float(row['ours wins'].rstrip('%')) for row in of_others if row['other method'].startswith(method)]
        assert len(shares) == 4
        ranges.append(f'{min(shares):.1f}% to {max(shares):.1f}%')
    assert any(f' | {"; ".join(ranges)} | ' in row for row in rows.values())


@pytest.mark.parametrize('value, decimals, text', [(-0.00004, 4, '0.0000'), (-0.0, 2, '0.00'), (-0.06, 1, '-0.1'),
                                                   (1.25, 1, '1.2'), (3, 2, '3.00')])
def test_fixed(value, decimals, text):
    assert tables.fixed(value, decimals) == text


def test_no_negative_zero_is_recorded():
    for path in (ROOT / 'benchmarks' / 'results').glob('*.csv'):
        assert not re.search(r'(?<![\d.])-0\.?0*(?![\d.])', path.read_text(encoding='utf-8')), path.name
