import subprocess
import sys
import zipfile

import numpy as np
import pytest

from digits.backend import Conv2DTranspose, keras, native_precision
from digits.data import one_hot
from vae_opt_util import (
    RECIPES,
    create_classifier,
    create_decoder,
    create_encoder,
    create_joint_model,
    create_judge,
    create_model,
    create_predictor,
    create_predictor_linear,
    create_sampler,
    recipe_for,
    save_pretrained,
)


def conv(inputs, filters):
    return 9 * inputs * filters + filters


def dense(inputs, units):
    return inputs * units + units


@pytest.mark.backends
@pytest.mark.parametrize('name', RECIPES)
def test_weights_have_names_of_their_own(name):
    """Keras identifies weights by name on PyTorch: of two with one name, only one would get its gradients reset."""
    paths = [variable.path for variable in create_model(name).variables]

    assert len(set(paths)) == len(paths)


@pytest.mark.backends
@pytest.mark.parametrize('layer', [keras.layers.Conv2D, Conv2DTranspose])
@pytest.mark.parametrize('dtype', ['float32', 'mixed_bfloat16'])
def test_gradient_of_a_bias_is_the_sum_over_all_pixels(layer, dtype):
    """50,176 equal summands. Keras's own Conv2DTranspose leaves a hundredth of them with TensorFlow in bfloat16."""
    if dtype == 'mixed_bfloat16' and native_precision() == 'float32':
        pytest.skip('bfloat16 is not native here, and training warns of it')
    image = keras.Input((28, 28, 1))
    convolution = layer(32, 3, padding='same', dtype=dtype)
    model = keras.Model(image, convolution(image))
    model.compile(keras.optimizers.SGD(1.0), loss=lambda y, prediction: keras.ops.cast(prediction, 'float32'))
    x = np.zeros((64, 28, 28, 1), dtype='float32')

    model.train_on_batch(x, x)

    np.testing.assert_allclose(keras.ops.convert_to_numpy(convolution.bias), -1 / 32, rtol=0.01)


@pytest.mark.parametrize('latent_dim', [1, 2, 10])
def test_architectures_are_the_articles(latent_dim):
    encoder, decoder = create_encoder(latent_dim), create_decoder(latent_dim)
    predictor, linear = create_predictor(latent_dim), create_predictor_linear(latent_dim)

    assert encoder.count_params() == (conv(1, 32) + conv(32, 64) + 2 * conv(64, 64) + dense(14 * 14 * 64, 32)
                                      + 2 * dense(32, latent_dim))
    assert decoder.count_params() == dense(latent_dim, 12544) + conv(64, 32) + conv(32, 1)
    assert predictor.count_params() == dense(latent_dim, 128) + dense(128, 128) + dense(128, 10)
    assert linear.count_params() == dense(latent_dim, 128) + dense(128, 128) + dense(128, 1)
    conditional = create_encoder(latent_dim, conditional=True), create_decoder(latent_dim, conditional=True)
    assert conditional[0].count_params() == encoder.count_params() + 10 * 32
    assert conditional[1].count_params() == decoder.count_params() + 10 * 12544
    assert [output.shape for output in encoder.outputs] == [(None, latent_dim)] * 2
    assert decoder.output.shape == (None, 28, 28, 1)
    assert predictor.output.shape == (None, 10) and linear.output.shape == (None, 1)


def test_classifiers(rng):
    classifier, judge = create_classifier(), create_judge()
    x = rng.random((3, 28, 28, 1), dtype='float32')

    assert classifier.count_params() == (conv(1, 32) + conv(32, 64) + conv(64, 64) + dense(3 * 3 * 64, 64)
                                         + dense(64, 10))
    for network in (classifier, judge):
        np.testing.assert_allclose(network.predict_on_batch(x).sum(axis=1), 1, rtol=1e-5)
    assert judge.get_layer('features').output.shape == (None, 128)
    assert judge.count_params() != classifier.count_params()


@pytest.mark.parametrize('create', [create_encoder, create_decoder, create_predictor, create_predictor_linear])
@pytest.mark.parametrize('latent_dim', [0, -1, 2.0, '2', None, True])
def test_bad_latent_dim(create, latent_dim):
    with pytest.raises(ValueError, match='latent_dim must be an integer of at least 1'):
        create(latent_dim)


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


def test_predictor_reads_the_mean(rng):
    x = rng.random((4, 28, 28, 1), dtype='float32')
    model = create_model('vae-predictor-softmax', latent_dim=3)

    decoded, predicted = model.predict_on_batch(x)
    decoded_again, predicted_again = model.predict_on_batch(x)

    assert not np.allclose(decoded, decoded_again, atol=1e-7)
    np.testing.assert_array_equal(predicted, predicted_again)
    t_mean, _ = model.get_layer('encoder').predict_on_batch(x)
    np.testing.assert_allclose(predicted, model.get_layer('predictor').predict_on_batch(t_mean), rtol=1e-5)


@pytest.mark.parametrize('predictor', [None, create_predictor(2)])
def test_kl_is_the_models_own_loss(predictor, rng):
    x = rng.random((4, 28, 28, 1), dtype='float32')
    encoder = create_encoder(2)
    model = create_joint_model(encoder, create_decoder(2), create_sampler(0), predictor)
    t_mean, t_log_var = encoder.predict_on_batch(x)

    model(x)

    expected = np.mean(-0.5 * np.sum(1 + t_log_var - t_mean ** 2 - np.exp(t_log_var), axis=1))
    assert expected > 1e-6
    np.testing.assert_allclose(keras.ops.convert_to_numpy(sum(model.losses)), expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize('name', RECIPES)
def test_models_by_name(name):
    first, same, other = create_model(name, seed=1), create_model(name, seed=1), create_model(name, seed=2)

    for a, b in zip(first.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first.get_weights(), other.get_weights(), strict=True))


@pytest.mark.parametrize('name, latent_dim, expected', [
    ('vae-predictor-softmax-10d', None, 10), ('vae-predictor-softmax-10d', 3, 3), ('vae-predictor-linear', None, 2)])
def test_latent_dim_is_the_recipes_unless_given(name, latent_dim, expected):
    model = create_model(name, latent_dim=latent_dim)

    assert model.get_layer('decoder').input.shape == (None, expected)
    assert model.get_layer('encoder').outputs[0].shape == (None, expected)


def test_model_that_cannot_be_made():
    with pytest.raises(ValueError, match="no model named 'vae'.*'judge'"):
        create_model('vae')
    with pytest.raises(ValueError, match='seed must be an integer of at least 0, got None'):
        create_model('judge', seed=None)


@pytest.mark.backends
@pytest.mark.parametrize('name', RECIPES)
def test_mixed_precision_leaves_what_losses_need_in_float32(name):
    model = create_model(name, precision='mixed_bfloat16')
    parts = [part for layer in model.layers for part in (layer.layers if isinstance(layer, keras.Model) else [layer])]
    computes_in = {layer.name: (layer.compute_dtype, layer.variable_dtype) for layer in parts
                   if layer.weights or layer.name in ('kl_divergence', 'sampler')}

    exact = {'t_mean', 't_log_var', 'pixels', 'dense_1', 'dense_2', 'value', 'label_probs', 'kl_divergence', 'sampler'}
    assert all(dtypes == ('float32' if layer in exact else 'bfloat16', 'float32')
               for layer, dtypes in computes_in.items())
    assert {dtypes[0] for dtypes in computes_in.values()} == {'float32', 'bfloat16'}
    assert {keras.backend.standardize_dtype(output.dtype) for output in model.outputs} == {'float32'}
    assert keras.config.dtype_policy().name == 'float32'


def test_precision_is_reset_if_a_model_cannot_be_made():
    with pytest.raises(ValueError, match='latent_dim must be'):
        create_model('vae-predictor-off', latent_dim=0, precision='mixed_bfloat16')
    assert keras.config.dtype_policy().name == 'float32'


@pytest.mark.slow
def test_saved_models_load_in_a_fresh_process(tmp_path, rng):
    x = rng.random((2, 28, 28, 1), dtype='float32')
    expected = {}
    for name in RECIPES:
        model = create_model(name)
        part = model.get_layer('encoder') if name.startswith('vae') else model
        expected[name] = np.concatenate(part.predict_on_batch([x, one_hot(np.array([3, 7]))] if len(part.inputs) == 2
                                                              else x))
        save_pretrained(model, name, {}, folder=tmp_path)
        config = zipfile.ZipFile(tmp_path / f'{name}.keras').read('config.json').decode()
        assert 'Lambda' not in config and 'optimizer' not in config
    np.savez(tmp_path / 'expected.npz', x=x, **expected)

    subprocess.run([sys.executable, '-c', f"""
import numpy as np, vae_opt_util
expected = np.load({str(tmp_path / 'expected.npz')!r})
x = expected['x']
for name in vae_opt_util.RECIPES:
    model = vae_opt_util.load_pretrained(name, {str(tmp_path)!r})
    part = model.get_layer('encoder') if name.startswith('vae') else model
    inputs = [x, vae_opt_util.one_hot(np.array([3, 7]))] if len(part.inputs) == 2 else x
    np.testing.assert_allclose(np.concatenate(part.predict_on_batch(inputs)), expected[name], rtol=1e-4, atol=1e-5)
"""], check=True, cwd=tmp_path)


# ---------------------------------------------------------------------------------------------------------------------
# Recipes
# ---------------------------------------------------------------------------------------------------------------------


def test_recipe_with_changes():
    assert recipe_for('classifier') == RECIPES['classifier']
    assert recipe_for('classifier', epochs=None, batch_size=32) == RECIPES['classifier']._replace(batch_size=32)
    assert recipe_for('judge', learning_rate=0.5, ema_momentum=0.0).learning_rate == 0.5
    assert recipe_for('judge', warm_up_steps=0).warm_up_steps == 0


@pytest.mark.parametrize('name, changes, message', [
    ('vae', {}, "no model named 'vae'.*'judge'"),
    ('judge', {'momentum': 0.9}, 'A recipe has no momentum.*ema_momentum'),
    ('judge', {'epochs': 0}, 'epochs must be an integer of at least 1'),
    ('judge', {'batch_size': 1.5}, 'batch_size must be an integer')])
def test_recipe_that_cannot_be(name, changes, message):
    with pytest.raises(ValueError, match=message):
        recipe_for(name, **changes)
