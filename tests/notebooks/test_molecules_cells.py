"""What cells of the molecules notebook define is what its package and its benchmark run."""

import numpy as np
import pytest
from notebook_helpers import ROOT, code_cells, read

from networks.backend import keras
from networks.pretrained import load_weights

pytest.importorskip('rdkit', reason="needs pip install -e '.[molecules]'")

from molecules.joint_model import create_model, create_predictor, qm9_dir, vae_loss  # noqa: E402
from molecules.vocabulary import QM9  # noqa: E402


@pytest.fixture
def defined():
    """The notebook's loss and joint model, with the names that it imports."""
    cells = [cell.source for cell in code_cells(read(ROOT / 'notebooks' / 'molecules.ipynb'))]
    imports, = (source.split('\n\n# Show')[0] for source in cells if source.startswith('import csv'))
    model, = (source for source in cells if 'def create_joint_model(' in source)
    names = {'latent_dim': 16, 'seed': 0}
    exec(imports, names)
    exec(model, names)
    return names


def test_loss_is_the_packages(defined, rng):
    rows = np.array([QM9.encode(smiles) for smiles in ('CCO', 'c1cnon1')])
    logits = rng.normal(size=(2, QM9.length, len(QM9.tokens) + 1)).astype('float32')
    moments = rng.normal(size=(2, 2, 16)).astype('float32')

    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(loss(rows, logits, *moments))
                                    for loss in (defined['vae_loss'], vae_loss)))


def test_joint_model_is_the_packages(defined):
    rows = np.array([QM9.encode(smiles) for smiles in ('CCO', 'c1cnon1')])
    outputs = []
    for network in (defined['create_joint_model'](QM9, create_predictor(16)), create_model('vae-predictor-linear')):
        load_weights(network, 'vae-predictor-linear', qm9_dir)
        outputs.append(network.predict_on_batch(rows))

    assert outputs[0].keys() == outputs[1].keys() == {'vae', 'predictor'}
    for output in outputs[0]:
        np.testing.assert_allclose(outputs[0][output], outputs[1][output], rtol=1e-3, atol=1e-5)
