"""Computations for many molecules, in several processes."""

import sys

from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits
from tqdm import tqdm

_chunk = 250


def map_molecules(function, smiles, description):
    """Applies a function to each of many molecules, in as many processes as there are cores; shows a progress bar.

    Args:
        function: of a SMILES string, which can be pickled.
        smiles: a list of SMILES strings.
        description: what the progress bar says.

    Returns:
        A list of what the function returned.
    """
    chunks = [smiles[start:start + _chunk] for start in range(0, len(smiles), _chunk)]
    run = Parallel(n_jobs=-1 if len(chunks) > 8 else 1, return_as='generator')
    results = []
    with tqdm(total=len(smiles), desc=description, unit='molecule', file=sys.stdout, delay=1, leave=False) as bar:
        for of_chunk in run(delayed(_apply)(function, chunk) for chunk in chunks):
            results += of_chunk
            bar.update(len(of_chunk))
    return results


def _apply(function, smiles):
    with threadpool_limits(1):
        return [function(text) for text in smiles]
