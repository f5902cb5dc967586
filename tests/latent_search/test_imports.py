"""What importing and using `latent_search` loads, and what it leaves alone in the process."""

import subprocess
import sys

WATCH = """
import os, sys, warnings
import numpy as np
import threadpoolctl  # It sets the environment variable KMP_DUPLICATE_LIB_OK.

def state():
    return list(warnings.filters), dict(os.environ), warnings.formatwarning, str(np.random.get_state(legacy=False))

def loaded(*names):
    return [name for name in names if name in sys.modules]

before = state()
"""


def run_code(code, *arguments):
    done = subprocess.run([sys.executable, '-W', 'default', '-c', WATCH + code, *map(str, arguments)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def test_importing_loads_nothing_heavy():
    run_code("""
import latent_search
assert loaded('keras', 'tensorflow', 'GPyOpt', 'GPy', 'matplotlib', 'scipy.stats', 'joblib') == []
assert state() == before
""")


def test_a_search_of_an_outside_experiment_loads_no_keras(tmp_path):
    """From the first proposal to the tenth result, with a journal. It leaves the process as it was."""
    done = run_code("""
import scipy.sparse, scipy.stats  # Each has a filter for a warning of its own.
before = state()
from latent_search import create_optimizer
search = create_optimizer(None, [(-4, 4)] * 2, journal=sys.argv[1])
for _ in range(10):
    (number, t), = search.ask()
    search.tell(number, (t ** 2).sum())
assert len(search.X) == 10 and search.pending == []
assert loaded('keras', 'tensorflow', 'GPyOpt', 'GPy', 'matplotlib') == []
assert state() == before
warnings.warn('still heard', DeprecationWarning)
""", tmp_path / 'journal.csv')

    assert 'DeprecationWarning: still heard' in done.stderr
    assert done.stdout == ''
