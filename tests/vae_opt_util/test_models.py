import pickle
import subprocess
import sys

import numpy as np
import pytest

from alternatives import create_conditional_decoder, create_conditional_encoder
from networks.backend import keras
from vae_opt_util import (
    MODELS,
    create_classifier,
    create_decoder,
    create_encoder,
    create_joint_model,
    create_judge,
    create_model,
    create_predictor,
    create_predictor_linear,
    create_sampler,
)


def conv(inputs, filters):
    return 9 * inputs * filters + filters


def dense(inputs, units):
    return inputs * units + units


@pytest.mark.backends
@pytest.mark.parametrize('name', MODELS)
def test_weights_have_names_of_their_own(name):
    """Keras identifies weights by name on PyTorch: of two with one name, only one would get its gradients reset."""
    paths = [variable.path for variable in create_model(name).variables]

    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize('latent_dim', [1, 2, 10])
def test_architectures_are_the_articles(latent_dim):
    encoder, decoder = create_encoder(latent_dim), create_decoder(latent_dim)
    predictor, linear = create_predictor(latent_dim), create_predictor_linear(latent_dim)

    assert encoder.count_params() == (conv(1, 32) + conv(32, 64) + 2 * conv(64, 64) + dense(14 * 14 * 64, 32)
                                      + 2 * dense(32, latent_dim))
    assert decoder.count_params() == dense(latent_dim, 12544) + conv(64, 32) + conv(32, 1)
    assert predictor.count_params() == dense(latent_dim, 128) + dense(128, 128) + dense(128, 10)
    assert linear.count_params() == dense(latent_dim, 128) + dense(128, 128) + dense(128, 1)
    conditional = create_conditional_encoder(latent_dim), create_conditional_decoder(latent_dim)
    assert conditional[0].count_params() == encoder.count_params() + 10 * 32
    assert conditional[1].count_params() == decoder.count_params() + 10 * 12544
    assert [output.shape for output in encoder.outputs] == [(None, latent_dim)] * 2
    assert decoder.output.shape == (None, 28, 28, 1)
    assert predictor.output.shape == (None, 10) and linear.output.shape == (None, 1)


@pytest.mark.parametrize('shape, num_labels', [((32, 32, 3), 11), ((18, 26, 1), 3)])
def test_networks_for_other_images_and_labels(shape, num_labels, rng):
    x = rng.random((4, *shape), dtype='float32')
    encoder, decoder = create_encoder(3, shape), create_decoder(3, shape)
    joint = create_joint_model(encoder, decoder, create_sampler(0), create_predictor(3, num_labels))

    outputs = joint.predict_on_batch(x)

    assert decoder.output.shape == (None, *shape) and outputs['vae'].shape == (4,)
    for probs in (outputs['predictor'], *(create(shape, num_labels).predict_on_batch(x)
                                          for create in (create_classifier, create_judge))):
        assert probs.shape == (4, num_labels)


def test_images_that_the_networks_cannot_serve():
    """Half a side is doubled, and the classifier's convolutions need 18 pixels."""
    for shape in ((29, 28, 1), (16, 28, 1), (28, 28, 2), (28, 28)):
        with pytest.raises(ValueError, match='even height and width of 18 pixels or more and 1 or 3 channels'):
            create_decoder(2, shape)
    with pytest.raises(ValueError, match='18 pixels or more'):
        create_classifier((16, 28, 1))


def test_classifiers(rng):
    classifier, judge = create_classifier(), create_judge()
    x = rng.random((3, 28, 28, 1), dtype='float32')

    assert classifier.count_params() == (conv(1, 32) + conv(32, 64) + conv(64, 64) + dense(3 * 3 * 64, 64)
                                         + dense(64, 10))
    for network in (classifier, judge):
        np.testing.assert_allclose(network.predict_on_batch(x).sum(axis=1), 1, rtol=1e-5)
    assert judge.get_layer('features').output.shape == (None, 128)
    assert judge.count_params() != classifier.count_params()


def test_sampler_moments():
    t_mean = np.tile([1.0, -2.0], (100_000, 1)).astype('float32')
    t_log_var = np.tile(np.log([4.0, 0.25]), (100_000, 1)).astype('float32')

    t = keras.ops.convert_to_numpy(create_sampler(seed=1)([t_mean, t_log_var]))

    np.testing.assert_allclose(t.mean(axis=0), [1, -2], atol=0.03)
    np.testing.assert_allclose(t.std(axis=0), [2, 0.5], rtol=0.02)
    assert abs(np.corrcoef(t.T)[0, 1]) < 0.02


def test_sampler_seed():
    moments = [np.zeros((5, 2), dtype='float32')] * 2
    first, same, other = (keras.ops.convert_to_numpy(create_sampler(seed)(moments)) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


@pytest.mark.backends
@pytest.mark.parametrize('create', [create_predictor, create_predictor_linear])
def test_joint_model(create, rng):
    """The loss is that of a sample, which differs from call to call; the prediction is that of the mean."""
    x = rng.random((4, 28, 28, 1), dtype='float32')
    encoder, predictor = create_encoder(3), create(3)
    model = create_joint_model(encoder, create_decoder(3), create_sampler(0), predictor)

    first, second = model.predict_on_batch(x), model.predict_on_batch(x)

    assert first['vae'].shape == (4,) and not np.allclose(first['vae'], second['vae'], rtol=1e-7)
    np.testing.assert_array_equal(first['predictor'], second['predictor'])
    t_mean, _ = encoder.predict_on_batch(x)
    np.testing.assert_allclose(first['predictor'], predictor.predict_on_batch(t_mean), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name', ['encoder', 'decoder', 'predictor'])
def test_parts_of_the_joint_model_have_their_names(name):
    parts = {'encoder': create_encoder(2), 'decoder': create_decoder(2), 'predictor': create_predictor(2)}
    parts[name] = keras.Model(parts[name].inputs, parts[name].outputs)

    with pytest.raises(ValueError, match=rf"The {name} must be named '{name}', .*, got 'functional.*'. Create it by "
                                         rf"keras.Model\(…, name='{name}'\)"):
        create_joint_model(**parts, sampler=create_sampler(0))


def test_loss_of_the_joint_model_is_the_bound_of_its_sample(rng):
    """With a posterior so narrow that the sample is the mean, compared with NumPy."""
    x = rng.random((4, 28, 28, 1), dtype='float32')
    encoder, decoder = create_encoder(2), create_decoder(2)
    kernel, _ = encoder.get_layer('t_log_var').get_weights()
    encoder.get_layer('t_log_var').set_weights([0 * kernel, np.full(2, -20, dtype='float32')])

    loss = create_joint_model(encoder, decoder, create_sampler(0)).predict_on_batch(x)['vae']

    t_mean, _ = encoder.predict_on_batch(x)
    p = decoder.predict_on_batch(t_mean).astype('float64')
    reconstruction = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=(1, 2, 3))
    kl = 0.5 * (np.exp(-20) + t_mean ** 2 - 1 + 20).sum(axis=1)
    np.testing.assert_allclose(loss, reconstruction + kl, rtol=1e-4)


def test_model_is_restored_in_a_process_that_has_not_imported_the_networks(tmp_path):
    model = create_decoder(2)
    (tmp_path / 'model.pkl').write_bytes(pickle.dumps(model))
    code = ("import pickle, sys; import numpy as np; model = pickle.load(open(sys.argv[1], 'rb')); "
            "print(float(model.predict_on_batch(np.ones((1, 2))).sum()))")

    done = subprocess.run([sys.executable, '-c', code, str(tmp_path / 'model.pkl')], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(float(model.predict_on_batch(np.ones((1, 2))).sum()), rel=1e-5)
