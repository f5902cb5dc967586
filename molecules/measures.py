"""Measures of a joint model of molecules: reconstruction, invention, and how its codes explain properties."""

import sys

import numpy as np
from tqdm import tqdm

from molecules.latent_space import LatentSpace
from molecules.properties import NAMES, is_plausible
from networks.prediction import predict


def evaluate(model, rows, targets, vocabulary, known, num_samples=5_000, seed=0):
    """Measures a joint model on molecules that it was not trained on.

    Args:
        model: made by `create_joint_model`.
        rows: tokens of the molecules, (n, length).
        targets: their standardized properties, (n, k).
        vocabulary: of the tokens.
        known: a set of canonical SMILES strings; samples of the prior that are not among them are new.
        num_samples: how many samples of the prior.
        seed: of the samples.

    Returns:
        A dict of floats. 'reconstructed': the share of molecules that are decoded from their own code. 'allowed': the
        share of samples of the prior that are plausible molecules; 'unique' and 'new': shares of these. With a
        predictor, 'R² …' of its predictions for each property.
    """
    space = LatentSpace(model, vocabulary)
    t = space.encode_rows(rows)
    found = {'reconstructed': float(np.mean([a == b for a, b in zip(
        space.decode(t), vocabulary.decode(rows), strict=True)]))}
    samples = space.decode(np.random.default_rng(seed).normal(size=(num_samples, space.latent_dim)))
    allowed = [smiles for smiles in samples if is_plausible(smiles)]
    found |= {'allowed': len(allowed) / num_samples, 'unique': len(set(allowed)) / max(len(allowed), 1),
              'new': len(set(allowed) - known) / max(len(set(allowed)), 1)}
    if 'predictor' in model.output:
        predicted = predict(model.get_layer('predictor'), t, 'predict')
        found |= {f'R² {name}': value for name, value in zip(NAMES, r2(targets, predicted), strict=True)}
    return found


def r2(y, predicted):
    """The share of the variance of values y (n, k) that predictions (n, k) explain: (k,) floats."""
    return [float(value) for value in 1 - ((predicted - y) ** 2).mean(axis=0) / y.var(axis=0)]


def r2_by_neighbors(t, y, k=10):
    """R² of property values y (n,) by the mean of the `k` nearest codes t (n, d), in five-fold cross-validation."""
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsRegressor

    return float(cross_val_score(KNeighborsRegressor(k, weights='distance'), t, y, cv=5, scoring='r2').mean())


def sample_molecules(space, num, rng):
    """Different molecules that samples of the prior are decoded to; shows a progress bar.

    Args:
        space: a `LatentSpace`.
        num: how many.
        rng: a NumPy generator.

    Returns:
        SMILES strings, a list of `num`.

    Raises:
        ValueError: the model does not decode as many.
    """
    found = {}
    with tqdm(total=num, desc='decode a library', unit='molecule', file=sys.stdout, delay=1, leave=False) as bar:
        while len(found) < num:
            before = len(found)
            found |= dict.fromkeys(space.new_molecules(rng.normal(size=(2_000, space.latent_dim)), found)[0])
            if len(found) < before + 20:
                raise ValueError(f'Of 2,000 more samples {len(found) - before} are new molecules. Ask for fewer than '
                                 f'{num}, or train the model for longer.')
            bar.update(len(found) - before)
    return list(found)[:num]


def r2_by_line(t, y):
    """R² of property values y (n,) by a line in codes t (n, d), in five-fold cross-validation."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import cross_val_score

    return float(cross_val_score(RidgeCV(), t, y, cv=5, scoring='r2').mean())


def measures_table(found):
    """The results of `evaluate` for several models, with three of the properties: header and rows of a table.

    Args:
        found: a dict from names of models to their results of `evaluate`.
    """
    shares, predicted = ['reconstructed', 'allowed', 'unique', 'new'], [f'R² {name}' for name in NAMES[:3]]
    return ['VAE', *shares, *predicted], [
        [name, *(f'{of_model[share]:.1%}' for share in shares),
         *(f'{of_model[key]:.2f}' if key in of_model else '—' for key in predicted)]
        for name, of_model in found.items()]
