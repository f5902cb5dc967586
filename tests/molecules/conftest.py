import numpy as np
import pytest

# RDKit, and Keras, which takes seconds, are loaded in the fixtures that need them only.


def pytest_pycollect_makemodule():
    """Skips this folder where the packages of molecules are not installed."""
    for package in ('rdkit', 'selfies', 'tblite'):
        pytest.importorskip(package, reason=f'molecules need {package}: pip install -e ".[molecules]"')


@pytest.fixture(scope='session')
def textbook():
    """Canonical SMILES strings of molecules that each textbook has."""
    from molecules.vocabulary import canonical

    return [canonical(smiles) for smiles in (
        'C', 'N', 'O', 'C=O', 'C=C', 'C#C', 'C#N', 'CO', 'CCO', 'CC#N', 'CC(C)=O', 'CC(=O)O', 'CC(C)(C)O', 'COC',
        'C(=O)N', 'NC(=O)N', 'NN', 'CN(C)C', 'NCC(=O)O', 'CC(O)C(=O)O', 'FC(F)F', 'O=C=O', 'C1CC1', 'C1CO1',
        'C1CCCCC1', 'C1CC2CCC1C2', 'O=C1CCCN1', 'C1COCCN1', 'c1ccccc1', 'Oc1ccccc1', 'c1ccncc1', 'c1cc[nH]c1',
        'c1ccoc1', 'c1cnc[nH]1', 'c1cnon1', 'c1cn[nH]n1', 'c1nnn[nH]1', 'O=c1cc[nH]c(=O)[nH]1')]


@pytest.fixture(scope='session')
def short(textbook):
    """Those of at most five tokens."""
    from molecules.vocabulary import QM9

    return [smiles for smiles in textbook if np.count_nonzero(QM9.encode(smiles)) <= 5]


@pytest.fixture(scope='session')
def short_vocabulary(short):
    from molecules.vocabulary import vocabulary_of

    return vocabulary_of(short)


@pytest.fixture(scope='session')
def trained(short, short_vocabulary):
    """A model, without predictor, that has learned most of a few short molecules by heart."""
    from molecules.joint_model import create_model, losses_of
    from networks.backend import compiling_is_expected, keras

    model = create_model('vae-predictor-off', short_vocabulary)
    rows = np.array([short_vocabulary.encode(smiles) for smiles in short])
    model.compile(keras.optimizers.Adam(0.004), **losses_of('vae-predictor-off'))
    with compiling_is_expected():
        model.fit(rows, {'vae': np.zeros(len(rows))}, batch_size=len(rows), epochs=120, verbose=0)
    return model
