"""Calls of models on many rows."""

import sys

import numpy as np
from tqdm import tqdm


def predict(model, x, description, batch_size=500):
    """Calls a model on all of `x`, a batch at a time; shows a progress bar if that takes more than a second.

    Args:
        model: a Keras model, or a function of one array that returns an array with as many rows.
        x: array (n, …) of its inputs, or a list of arrays where the model has several. Numbers are converted to the
            inputs' dtypes.
        description: what the progress bar says.
        batch_size: rows a call.

    Returns:
        An array (n, …), or a list of arrays where the model has several outputs.

    Raises:
        ValueError: `x` has no rows.
    """
    first = x[0] if isinstance(x, list) else x
    if len(first) == 0:
        raise ValueError(f'There is nothing to {description}: got an array with shape {np.shape(first)}.')
    if not hasattr(model, 'predict_on_batch'):
        return np.concatenate([model(x[start:start + batch_size]) for start in range(0, len(x), batch_size)])
    from networks.backend import compiling_is_expected  # Keras, which other models do without.

    inputs = [np.asarray(of_input, dtype=expected.dtype)
              for of_input, expected in zip(x if isinstance(x, list) else [x], model.inputs, strict=True)]
    batches = []
    with compiling_is_expected(), \
            tqdm(total=len(inputs[0]), desc=description, unit='row', file=sys.stdout, delay=1, leave=False) as bar:
        for start in range(0, len(inputs[0]), batch_size):
            batch = [of_input[start:start + batch_size] for of_input in inputs]
            # Keras's `predict` sets up a data pipeline at each call, which makes a single point dozens of times slower.
            batches.append(model.predict_on_batch(batch if isinstance(model.input, list) else batch[0]))
            bar.update(len(batch[0]))
    if isinstance(batches[0], list):
        return [np.concatenate(outputs) for outputs in zip(*batches, strict=True)]
    return np.concatenate(batches)
