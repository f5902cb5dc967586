"""The side of the search: which results of the laboratory's file belong to pending experiments."""

import notebook_helpers  # noqa: F401 (makes the folder of the notebooks importable)
import numpy as np

from latent_search import Experiment


def test_results_of_pending_experiments(tmp_path):
    from laboratory import results_of

    results = tmp_path / 'results.csv'
    pending = [Experiment(number, np.zeros((1, 2))) for number in (2, 3, 5)]
    assert results_of(pending, results) == []

    results.write_text('number,value,failure\n1,7.5,\n3,,the sample was dropped\n2,-1.25,\n5,1.')

    # The last line is still being written.
    assert results_of(pending, results) == [(3, None, 'the sample was dropped'), (2, -1.25, None)]
    assert results_of([], results) == []
