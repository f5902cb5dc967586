"""Searches for molecules that `molecule_search.py` compares. Each is given the ten molecules that all start with.

They ask `measure` for the value of a molecule, a SMILES string; it returns a number, larger is better, or None where
the experiment fails, and ends the search once the budget is spent.
"""

import heapq
import random
from functools import cache, cached_property

import numpy as np
from rdkit import Chem, DataStructs
from rdkit.Chem import Descriptors, rdFingerprintGenerator
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from latent_search import create_optimizer
from molecules.latent_space import points_around, widest
from molecules.properties import is_plausible
from molecules.vocabulary import canonical

_morgan = rdFingerprintGenerator.GetMorganGenerator(radius=3, fpSize=2048)

# ---------------------------------------------------------------------------------------------------------------------
# Inventing molecules
# ---------------------------------------------------------------------------------------------------------------------


def samples_of_prior(start, measure, seed, space, library):
    """Molecules decoded from samples of the prior."""
    rng, known = np.random.default_rng(seed), set(start)
    for smiles in start:
        measure(smiles)
    while True:
        for smiles in space.new_molecules(rng.normal(size=(300, space.latent_dim)), known)[0]:
            measure(smiles)
            known.add(smiles)


def perturbation(start, measure, seed, space, library):
    """New molecules decoded from around the code of the best one."""
    rng, values = np.random.default_rng(seed), {smiles: measure(smiles) for smiles in start}
    while True:
        best = max((smiles for smiles in values if values[smiles] is not None), key=values.get)
        around = points_around(space.encode([best]), 100, rng)
        smiles = (space.new_molecules(around, values)[0] or space.new_molecules(
            rng.normal(size=(100, space.latent_dim)), values)[0])[0]
        values[smiles] = measure(smiles)


def genetic_algorithm_on_selfies(start, measure, seed, space, library):
    """Replaces, inserts or deletes a token of one of the twenty best molecules, or joins the halves of two of them."""
    rng, values = np.random.default_rng(seed), {smiles: measure(smiles) for smiles in start}
    vocabulary = space.vocabulary
    while True:
        parents = heapq.nlargest(20, (smiles for smiles in values if values[smiles] is not None), values.get)
        rows = [[token for token in vocabulary.encode(parent) if token]
                for parent in (parents[i] for i in rng.integers(len(parents), size=2))]
        row = rows[0]
        if rng.random() < 0.5:
            row = row[:rng.integers(len(row) + 1)] + rows[1][rng.integers(len(rows[1])):]
        place = rng.integers(len(row) + 1)
        token = [int(rng.integers(len(vocabulary.tokens))) + 1]
        row = (row[:place] + token + row[place + 1:], row[:place] + token + row[place:],
               row[:place] + row[place + 1:])[rng.integers(3)]
        smiles, = vocabulary.decode(np.array([row])) if row else ['']
        if smiles not in values and is_plausible(smiles) and can_be_written(smiles, vocabulary):
            values[smiles] = measure(smiles)


def can_be_written(smiles, vocabulary):
    try:
        vocabulary.encode(smiles)
    except ValueError:
        return False
    return True


def graph_genetic_algorithm(start, measure, seed, space, library):
    """The genetic algorithm on molecular graphs of `mol_ga`, with its own settings and five offspring a generation."""
    from mol_ga.graph_ga.gen_candidates import graph_ga_blended_generation
    from mol_ga.preconfigured_gas import default_ga

    def score(smiles):
        values = [measure(text) for text in smiles]
        return [-1e3 if value is None else value for value in values]

    def plausible_offspring(samples, num, rng, parallel):
        found = set()
        while len(found) < num:
            offspring = graph_ga_blended_generation(samples, num, rng, parallel)
            found |= {text for text in map(canonical, offspring) if is_plausible(text)}
        return set(sorted(found)[:num])

    np.random.seed(seed)  # It draws from the global generators, too.
    random.seed(seed)
    default_ga(list(start), score, max_generations=10_000, offspring_size=5, rng=random.Random(seed),
               offspring_gen_func=plausible_offspring)


def ours_inventing(start, measure, seed, space, library):
    """Our search over the codes of new molecules: 60 points of the prior and 240 around the best ten are decoded."""
    rng, search = np.random.default_rng(seed), create_optimizer(None, space.domain, seed)
    tried = list(start)
    for smiles in start:
        value = measure(smiles)
        search.add_known(space.encode([smiles]), None if value is None else [[-value]])
    while True:
        best = search.X[search.Y[:, 0].argsort()[:10]]
        smiles, codes = space.new_molecules(np.vstack((
            rng.normal(size=(60, space.latent_dim)), points_around(best, 240, rng))), tried)
        choose(search, smiles, codes, measure, tried)


def choose(search, smiles, points, measure, tried):
    """One experiment of our search."""
    experiment, = search.ask(candidates=points)
    tried.append(smiles[experiment.candidate])
    value = measure(tried[-1])
    if value is None:
        search.tell_failed(experiment.number)
    else:
        search.tell(experiment.number, -value)


# ---------------------------------------------------------------------------------------------------------------------
# Screening a library
# ---------------------------------------------------------------------------------------------------------------------


class Library:
    """Molecules to choose from, with all that methods know of them.

    Args:
        smiles: a list of n SMILES strings.
        space: a `LatentSpace`.
    """

    def __init__(self, smiles, space):
        self.smiles, self.space = smiles, space
        self.rows = {text: row for row, text in enumerate(smiles)}

    @cached_property
    def codes(self):
        return self.space.encode(self.smiles)

    @cached_property
    def properties(self):
        """What the joint predictor reads from the codes."""
        return self.space.properties(self.codes)

    @property
    def fingerprints(self):
        return [fingerprint(text) for text in self.smiles]

    @property
    def descriptors(self):
        """RDKit's descriptors that have a value for each molecule, (n, about 200)."""
        found = np.array([descriptors(text) for text in self.smiles])
        return found[:, (np.isfinite(found) & (np.abs(found) < 1e6)).all(axis=0)]


@cache
def fingerprint(smiles):
    """The counts of a Morgan fingerprint of radius 3."""
    return _morgan.GetCountFingerprint(Chem.MolFromSmiles(smiles))


@cache
def descriptors(smiles):
    """All of RDKit's descriptors."""
    return np.array(list(Descriptors.CalcMolDescriptors(Chem.MolFromSmiles(smiles)).values()))


def any_of_library(start, measure, seed, space, library):
    """Molecules of the library at random."""
    others = np.random.default_rng(seed).permutation([smiles for smiles in library.smiles if smiles not in start])
    for smiles in (*start, *others):
        measure(str(smiles))


def ridge_on_codes(start, measure, seed, space, library):
    """The best of the library by a ridge regression on codes and predicted properties, after each experiment anew."""
    ridge(start, measure, library, np.hstack((library.codes, library.properties)))


def ridge_on_descriptors(start, measure, seed, space, library):
    """The same on RDKit's descriptors, which need no VAE."""
    ridge(start, measure, library, library.descriptors)


def ridge(start, measure, library, x):
    from sklearn.linear_model import RidgeCV

    x = x[:, x.std(axis=0) > 0]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    greedily(start, measure, library, lambda rows, y, left: RidgeCV(np.geomspace(0.1, 1000, 9)).fit(
        x[rows], y).predict(x[left]))


def fingerprint_process(start, measure, seed, space, library):
    """Expected improvement by a Gaussian process with the Tanimoto kernel of Morgan fingerprints (counts, radius 3).

    Mean and variance are the likeliest, in closed form; so is the ratio of noise, by a search.
    """
    columns, fingerprints = {}, library.fingerprints

    def similarities(row):
        if row not in columns:
            columns[row] = np.array(DataStructs.BulkTanimotoSimilarity(fingerprints[row], fingerprints))
        return columns[row]

    def acquisition(rows, y, left):
        to_all = np.column_stack([similarities(row) for row in rows])
        eigenvalues, vectors = np.linalg.eigh(to_all[rows])
        ones, values = vectors.T @ np.ones(len(rows)), vectors.T @ y

        def fitted(log_ratio):
            scale = np.maximum(eigenvalues, 0) + np.exp(log_ratio)
            mean = (ones * values / scale).sum() / (ones ** 2 / scale).sum()
            variance = ((values - mean * ones) ** 2 / scale).mean()
            return scale, mean, variance, len(rows) * np.log(variance) + np.log(scale).sum()

        ratio = minimize_scalar(lambda log_ratio: fitted(log_ratio)[3], bounds=(-10, 2), method='bounded').x
        scale, mean, variance, _ = fitted(ratio)
        projected = to_all[left] @ vectors
        mu = mean + projected @ ((values - mean * ones) / scale)
        std = np.sqrt(np.maximum(variance * (1 - (projected ** 2 / scale).sum(axis=1)), 1e-12))
        z = (mu - y.max()) / std
        logpdf = norm.logpdf(z)
        return logpdf + np.log(std) + np.log(np.maximum(1 + z * np.exp(norm.logcdf(z) - logpdf), 1e-300))

    greedily(start, measure, library, acquisition)


def greedily(start, measure, library, worth):
    """Measures the molecule of the library that is worth most, again and again.

    Args:
        start: molecules to measure first.
        measure: see above.
        library: a `Library`.
        worth: a function of the rows of what is measured, of its values, and of the rows that are left.
    """
    rows = [library.rows[smiles] for smiles in start]
    values = [measure(smiles) for smiles in start]
    left = np.ones(len(library.smiles), dtype=bool)
    left[rows] = False
    while True:
        done = [i for i, value in enumerate(values) if value is not None]
        remaining = np.flatnonzero(left)
        worth_of = worth([rows[i] for i in done], np.array([values[i] for i in done]), remaining)
        rows.append(int(remaining[worth_of.argmax()]))
        left[rows[-1]] = False
        values.append(measure(library.smiles[rows[-1]]))


def ours_screening(start, measure, seed, space, library):
    """Our search over the properties that the joint predictor reads from the codes of the library."""
    search = create_optimizer(None, [(-widest, widest)] * library.properties.shape[1], seed)
    tried = list(start)
    for smiles in start:
        value = measure(smiles)
        search.add_known(library.properties[[library.rows[smiles]]], None if value is None else [[-value]])
    while True:
        choose(search, library.smiles, library.properties, measure, tried)


inventing = {'samples of the prior': samples_of_prior, 'perturbation of the best code': perturbation,
             'genetic algorithm on SELFIES': genetic_algorithm_on_selfies,
             'graph genetic algorithm (mol_ga)': graph_genetic_algorithm, 'ours, inventing': ours_inventing}
screening = {'random molecules': any_of_library, 'ridge on codes and predictions': ridge_on_codes,
             'ridge on RDKit descriptors': ridge_on_descriptors,
             'Gaussian process on fingerprints': fingerprint_process, 'ours, screening': ours_screening}
