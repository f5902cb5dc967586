"""The joint model of molecules: its losses in NumPy, its decoder, and the generator that decodes a token at a time."""

import numpy as np
import pytest
from scipy.special import log_softmax

from molecules.joint_model import (
    MODELS,
    create_decoder,
    create_encoder,
    create_generator,
    create_joint_model,
    create_model,
    create_predictor,
    kl_weight,
    load_pretrained,
    losses_of,
    predictor_weight,
    reconstruction_loss,
    vae_loss,
)
from molecules.properties import NAMES
from molecules.vocabulary import QM9, Vocabulary
from networks.backend import keras, ops, set_random_seed
from networks.prediction import predict
from networks.pretrained import save_weights
from vae_opt_util import create_sampler

VOCABULARY = Vocabulary(('[C]', '[N]', '[O]', '[=O]'), 6)
LATENT_DIM = 3
# The last one has no end.
ROWS = np.array([[1, 0, 0, 0, 0, 0], [1, 2, 3, 0, 0, 0], [2, 1, 4, 1, 1, 0], [3, 3, 1, 1, 2, 1]], dtype='int32')


@pytest.fixture(scope='module')
def decoder():
    """A decoder with random weights, so large that each point is decoded to a row of its own."""
    set_random_seed(0)
    decoder = create_decoder(VOCABULARY, LATENT_DIM)
    for name, factor in (('embedding', 30), ('logits', 10)):
        decoder.get_layer(name).set_weights([factor * weights for weights in decoder.get_layer(name).get_weights()])
    return decoder


@pytest.fixture
def joint_model():
    set_random_seed(0)
    encoder, decoder = create_encoder(VOCABULARY, LATENT_DIM), create_decoder(VOCABULARY, LATENT_DIM)
    return create_joint_model(VOCABULARY, encoder, decoder, create_sampler(0), create_predictor(LATENT_DIM))


@pytest.fixture
def logits(rng):
    return rng.normal(scale=3, size=(len(ROWS), VOCABULARY.length, 5)).astype('float32')


def in_numpy(rows, logits):
    """The reconstruction loss of each row, by a loop over its tokens and the end."""
    log_p = log_softmax(logits.astype('float64'), axis=-1)
    ends = [list(row).index(0) if 0 in row else len(row) - 1 for row in rows]
    return np.array([-sum(log_p[i, j, row[j]] for j in range(end + 1))
                     for i, (row, end) in enumerate(zip(rows, ends, strict=True))])


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def test_reconstruction_loss(logits):
    np.testing.assert_allclose(numbers(reconstruction_loss(ROWS, logits)), in_numpy(ROWS, logits), rtol=1e-5)


def test_what_follows_the_end_counts_nothing(logits, rng):
    before = numbers(reconstruction_loss(ROWS, logits))
    logits[0, 2:], logits[1, 4:] = rng.normal(size=(4, 5)), rng.normal(size=(2, 5))

    np.testing.assert_array_equal(numbers(reconstruction_loss(ROWS, logits)), before)
    logits[0, 1, 0] += 1  # The end itself.
    assert numbers(reconstruction_loss(ROWS, logits))[0] < before[0]


def test_vae_loss(logits, rng):
    t_mean, t_log_var = rng.normal(size=(2, len(ROWS), LATENT_DIM)).astype('float32')
    kl = (np.exp(t_log_var) + t_mean ** 2 - 1 - t_log_var).sum(axis=1) / 2

    np.testing.assert_allclose(numbers(vae_loss(ROWS, logits, t_mean, t_log_var)),
                               in_numpy(ROWS, logits) + kl_weight * kl, rtol=1e-5)


def test_outputs_of_the_joint_model(joint_model):
    """With hardly any variance, so that the sample is the mean."""
    encoder, decoder, predictor = map(joint_model.get_layer, ('encoder', 'decoder', 'predictor'))
    layer = encoder.get_layer('t_log_var')
    layer.set_weights([0 * layer.get_weights()[0], np.full(LATENT_DIM, -40.0)])
    mean = encoder.get_layer('t_mean')
    mean.set_weights([100 * mean.get_weights()[0], np.zeros(LATENT_DIM)])

    found = joint_model.predict_on_batch(ROWS)

    t_mean, t_log_var = predict(encoder, ROWS, 'encode')
    logits = predict(decoder, [t_mean, ROWS], 'decode')
    assert set(found) == {'vae', 'predictor'} and np.ptp(t_mean, axis=0).min() > 0.1
    np.testing.assert_allclose(found['vae'], numbers(vae_loss(ROWS, logits, t_mean, t_log_var)), rtol=1e-5)
    np.testing.assert_allclose(found['predictor'], predict(predictor, t_mean, 'predict'), rtol=1e-5, atol=1e-6)


def test_joint_model_samples(joint_model):
    first, second = (joint_model.predict_on_batch(ROWS) for _ in range(2))

    assert (first['vae'] != second['vae']).all()
    np.testing.assert_array_equal(first['predictor'], second['predictor'])


@pytest.mark.parametrize('k', range(VOCABULARY.length))
def test_decoder_sees_only_the_tokens_before(k, decoder, rng):
    t, changed = rng.normal(size=(len(ROWS), LATENT_DIM)), ROWS.copy()
    changed[:, k] = (changed[:, k] + 1) % 5

    before, after = (predict(decoder, [t, rows], 'decode') for rows in (ROWS, changed))

    np.testing.assert_array_equal(after[:, :k + 1], before[:, :k + 1])
    assert (abs(after[:, k + 1:] - before[:, k + 1:]).max(axis=(0, 2)) > 1e-3).all()


def test_all_logits_depend_on_the_point(decoder):
    logits = predict(decoder, [np.eye(LATENT_DIM), ROWS[[2, 2, 2]]], 'decode')

    assert (abs(logits[1:] - logits[0]).max(axis=(0, 2)) > 1e-3).all()


def test_generator_takes_the_likeliest_token_at_each_step(decoder, rng):
    t = 3 * rng.normal(size=(40, LATENT_DIM))
    rows = np.zeros((40, VOCABULARY.length), dtype='int32')
    for k in range(VOCABULARY.length):
        rows[:, k] = predict(decoder, [t, rows], 'decode')[:, k].argmax(axis=-1)
    ended = np.cumsum(rows == 0, axis=1) > 0

    found = predict(create_generator(decoder), t, 'decode')

    assert found.dtype == 'int32'
    np.testing.assert_array_equal(found, np.where(ended, 0, rows))
    # Some go on after their end if they are let, some have no end, and they differ.
    assert (ended & (rows > 0)).any() and not ended.all(axis=1).all() and len({tuple(row) for row in found}) > 10


def test_generator_has_the_decoders_weights(decoder):
    generator, layer = create_generator(decoder), decoder.get_layer('logits')
    before, weights = predict(generator, np.ones((1, LATENT_DIM)), 'decode'), layer.get_weights()

    layer.set_weights([0 * weights[0], np.array([0, 0, 0, 1, 0])])
    after = predict(generator, np.ones((1, LATENT_DIM)), 'decode')
    layer.set_weights(weights)

    assert after.tolist() == [[3] * VOCABULARY.length] and before.tolist() != after.tolist()


def test_training_changes_all_weights(joint_model):
    joint_model.compile(keras.optimizers.SGD(0.1), **losses_of('vae-predictor-linear'), run_eagerly=True)
    before = joint_model.get_weights()

    joint_model.train_on_batch(ROWS, {'vae': np.zeros(len(ROWS)), 'predictor': np.ones((len(ROWS), len(NAMES)))})

    names = [variable.path for variable in joint_model.weights]
    changed = {name for name, a, b in zip(names, before, joint_model.get_weights(), strict=True) if (a != b).any()}
    assert {name for name in names if 'seed' not in name} <= changed


def test_loss_of_the_training(joint_model):
    """The mean of the losses, and the weighted squared error of the predictions."""
    joint_model.compile('sgd', **losses_of('vae-predictor-linear'), run_eagerly=True)
    layer = joint_model.get_layer('encoder').get_layer('t_log_var')
    layer.set_weights([0 * layer.get_weights()[0], np.full(LATENT_DIM, -40.0)])
    found, targets = joint_model.predict_on_batch(ROWS), np.ones((len(ROWS), len(NAMES)))

    loss = joint_model.test_on_batch(ROWS, {'vae': np.zeros(len(ROWS)), 'predictor': targets}, return_dict=True)['loss']

    expected = found['vae'].mean() + predictor_weight * ((found['predictor'] - targets) ** 2).mean()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize('name', MODELS)
def test_models(name):
    model, again, other = (create_model(name, VOCABULARY, seed) for seed in (0, 0, 1))

    assert ('predictor' in model.output) == ('predictor' in losses_of(name)['loss']) == (name != 'vae-predictor-off')
    assert model.get_layer('decoder').output.shape == (None, 6, 5)
    for a, b in zip(model.get_layer('encoder').get_weights(), again.get_layer('encoder').get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (model.get_layer('encoder').get_weights()[0] != other.get_layer('encoder').get_weights()[0]).any()


@pytest.mark.parametrize('vocabulary, latent_dim', [
    (Vocabulary(('[C]',), 3), 1), (Vocabulary(VOCABULARY.tokens, 9), 7)])
def test_other_sizes(vocabulary, latent_dim):
    encoder, decoder = create_encoder(vocabulary, latent_dim), create_decoder(vocabulary, latent_dim)
    model = create_joint_model(vocabulary, encoder, decoder, create_sampler(0))
    rows = np.ones((2, vocabulary.length), dtype='int32')

    found = model.predict_on_batch(rows)

    assert set(found) == {'vae'} and found['vae'].shape == (2,)
    assert predict(encoder, rows, 'encode')[0].shape == (2, latent_dim)
    generated = predict(create_generator(decoder), np.zeros((2, latent_dim)), 'decode')
    assert generated.shape == rows.shape and generated.max() <= len(vocabulary.tokens)


def test_weights_are_saved_and_loaded(tmp_path):
    model = create_model('vae-predictor-off', QM9, seed=7)
    save_weights(model, 'vae-predictor-off', {}, tmp_path)

    loaded = load_pretrained('vae-predictor-off', tmp_path)

    rows = np.array([QM9.encode('CCO'), QM9.encode('c1ccccc1')])
    for a, b in zip(*(predict(of.get_layer('encoder'), rows, 'encode') for of in (model, loaded)), strict=True):
        np.testing.assert_array_equal(a, b)
