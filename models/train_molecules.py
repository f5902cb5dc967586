"""Trains the pretrained models of molecules on QM9 and writes their weights with their manifest into models/qm9.

It continues where an interrupted run stopped. `MOLECULES=qm9.csv.gz python models/train_molecules.py` names the file.
"""

import argparse
import sys

import numpy as np

from molecules.data import encode_molecules, read_smiles, split
from molecules.joint_model import MODELS, RECIPE, create_model, losses_of, qm9_dir
from molecules.measures import evaluate
from molecules.properties import properties, standardized
from molecules.vocabulary import QM9
from networks.pretrained import load_manifest, save_trained
from networks.training import fit
from vae_opt_util import checkpoints_dir


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('names', nargs='*', default=list(MODELS), help='models to train (default: all)')
    parser.add_argument('--seed', type=int, default=0)
    arguments = parser.parse_args()

    smiles = read_smiles()
    if smiles is None:
        sys.exit('Name a file of molecules: MOLECULES=qm9.csv.gz. docs/molecules.md says where QM9 is published.')
    molecules = encode_molecules(smiles, QM9)
    targets, parts = standardized(properties(molecules.smiles)), split(molecules.smiles)
    for name in arguments.names:
        model = create_model(name, seed=arguments.seed)
        sets = [(molecules.rows[part], {'vae': np.zeros(part.sum(), 'float32'), 'predictor': targets[part]})
                for part in (parts['train'], parts['validation'])]
        sets = [(rows, {output: of_outputs[output] for output in model.output}) for rows, of_outputs in sets]
        model.compile(RECIPE.optimizer(parts['train'].sum()), **losses_of(name))
        history = fit(model, *sets, RECIPE, f'molecules-{name}', seed=arguments.seed, folder=checkpoints_dir,
                      precision='float32')
        metrics = evaluate(model, molecules.rows[parts['test']], targets[parts['test']], QM9, set(molecules.smiles))
        save_trained(model, name, history, metrics, seed=arguments.seed, precision='float32',
                     folder=qm9_dir, data=f'QM9, {parts["train"].sum():,} training molecules')
        print(f'{name}: {load_manifest(qm9_dir)[name]["test_metrics"]} on test data', flush=True)


if __name__ == '__main__':
    main()
