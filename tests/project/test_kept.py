"""What an interrupted benchmark has finished is read back, unless it depends on what has changed."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / 'benchmarks'))
import kept as kept_results  # noqa: E402


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_results, 'bench_dir', tmp_path / 'bench')
    return tmp_path / 'bench'


def test_a_result_is_computed_once(folder):
    calls = []

    def compute():
        calls.append(1)
        return {'values': np.arange(3.0)}

    for _ in range(2):
        np.testing.assert_array_equal(kept_results.kept('result', compute)['values'], [0, 1, 2])
    assert len(calls) == 1 and [path.name for path in folder.iterdir()] == ['result.npz']


def test_an_interrupted_computation_leaves_nothing(folder):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept_results.kept('result', interrupted)
    assert list(folder.glob('result*')) == []


def test_names_of_searches_hold_what_they_depend_on():
    ours, theirs = (kept_results.search_name('part', method, 3) for method in ('ours', 'BoTorch LogEI'))

    assert kept_results.models_version() in ours and kept_results.models_version() in theirs
    assert kept_results.search_version() in ours and kept_results.search_version() not in theirs
    assert kept_results.models_version() != kept_results.search_version()
