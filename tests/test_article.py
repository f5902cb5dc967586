"""Each sentence of the article that states a result, as a number: in the committed notebook and in a run of it here."""

import re

import nbformat
import pytest
from test_notebooks import main_notebook, notebook_runner, statements

# What the committed notebook measured, checked by the first number (or numbers) in each row of its last table.
# A sentence that is not borne out is listed as such, so that the table cannot change without this test.
NOT_BORNE_OUT = set()


@pytest.fixture(scope='module')
def committed():
    return statements(nbformat.read(main_notebook, as_version=4))


@pytest.fixture(scope='module')
def run_here(mnist):
    notebook = nbformat.read(main_notebook, as_version=4)
    notebook_runner.execute(notebook, main_notebook.parent)
    return statements(notebook)


def numbers(text):
    return [float(number) for number in re.findall(r'\d+\.?\d*', text)]
