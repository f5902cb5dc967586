from functools import cache

import numpy as np
import pytest

from alternatives import train_conditional_vae
from digits.data import Data
from latent_search import Interrupted
from networks.backend import Conv2DTranspose, keras, layers, native_precision
from networks.prediction import predict
from networks.training import Checkpoint, Recipe
from vae_opt_util import (
    ARTICLE_RECIPE,
    MODELS,
    create_model,
    evaluate,
    label_accuracy,
    predictor_weight,
    train,
    value_rmse,
)

# One model with a predictor and one without are trained in the quick tests.
QUICK = 'vae-predictor-softmax', 'classifier'
NAMES = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in MODELS]
KEYS = {'vae-predictor-off': {'loss', 'vae_loss'},
        'vae-predictor-softmax': {'loss', 'vae_loss', 'predictor_loss', 'predictor_accuracy'},
        'vae-predictor-linear': {'loss', 'vae_loss', 'predictor_loss'},
        'vae-predictor-softmax-10d': {'loss', 'vae_loss', 'predictor_loss', 'predictor_accuracy'},
        'classifier': {'loss', 'accuracy'},
        'judge': {'loss', 'accuracy'}}
SETTINGS = {'latent_dim': 3, 'precision': 'float32', 'recipe': Recipe(2, batch_size=16, ema_momentum=0.5)}


@pytest.fixture(scope='module')
def trained(few_digits):
    """Trains a model for two epochs, once: model and history."""
    return cache(lambda name: train(name, few_digits, **SETTINGS))


@pytest.mark.parametrize('name', NAMES)
def test_training_reports_its_losses_and_learns(name, trained):
    model, history = trained(name)

    assert [set(epoch) for epoch in history] == [KEYS[name] | {f'val_{key}' for key in KEYS[name]} | {'seconds'}] * 2
    assert history[1]['loss'] < history[0]['loss']
    assert not name.startswith('vae') or model.get_layer('decoder').input.shape == (None, 3)


@pytest.mark.parametrize('name', [name for name in NAMES if 'vae' in str(name)])
def test_losses_are_those_of_the_networks_outputs(name, trained, few_digits):
    """Compared with the parts computed one by one in NumPy, without the sampler's noise."""
    model, history = trained(name)
    x, y = few_digits.x_test, few_digits.y_test
    t_mean, t_log_var = model.get_layer('encoder').predict_on_batch(x)
    decoded = model.get_layer('decoder').predict_on_batch(t_mean).clip(1e-7, 1 - 1e-7)

    kl = 0.5 * (np.exp(t_log_var) + t_mean ** 2 - 1 - t_log_var).sum(axis=1).mean()
    reconstruction = -(x * np.log(decoded) + (1 - x) * np.log(1 - decoded)).sum(axis=(1, 2, 3)).mean()
    last = history[-1]
    np.testing.assert_allclose(last['val_vae_loss'], reconstruction + kl, rtol=0.05)
    if 'predictor' in model.output:
        predicted = model.get_layer('predictor').predict_on_batch(t_mean)
        expected = ((predicted[:, 0] - y) ** 2 if name.endswith('linear') else -np.log(predicted[range(len(y)), y]))
        np.testing.assert_allclose(last['val_predictor_loss'], expected.mean(), rtol=1e-3)
        np.testing.assert_allclose(last['val_loss'], last['val_vae_loss'] + 20 * last['val_predictor_loss'], rtol=1e-5)


def test_evaluate(trained, few_digits):
    x, y = few_digits.x_test, few_digits.y_test
    model, history = trained('vae-predictor-softmax')

    metrics = evaluate(model, x, y, label_accuracy)

    assert set(metrics) == {'reconstruction', 'kl', 'neg_elbo', 'accuracy'}
    assert metrics['neg_elbo'] == metrics['reconstruction'] + metrics['kl']
    assert metrics['neg_elbo'] == pytest.approx(history[-1]['val_vae_loss'], rel=0.05)
    assert metrics['accuracy'] == pytest.approx(history[-1]['val_predictor_accuracy'])
    assert evaluate(model, x, y, label_accuracy) == metrics and predictor_weight == 20
    with pytest.raises(ValueError, match='Images must be float32'):
        evaluate(model, x[..., 0], y)


def test_scores():
    assert value_rmse(np.array([[1.0], [5.0]]), np.array([1, 2])) == {'rmse': pytest.approx(np.sqrt(4.5))}
    assert label_accuracy(np.eye(10)[[3, 4, 4]], np.array([3, 4, 5])) == {'accuracy': pytest.approx(2 / 3)}


@pytest.mark.slow
def test_values_and_images_are_scored(trained, few_digits):
    x, y = few_digits.x_test, few_digits.y_test
    (regressor, of_regressor), (classifier, of_classifier) = map(trained, ('vae-predictor-linear', 'classifier'))

    assert evaluate(regressor, x, y, value_rmse)['rmse'] ** 2 == pytest.approx(of_regressor[-1]['val_predictor_loss'],
                                                                              rel=1e-3)
    assert label_accuracy(predict(classifier, x, ''), y)['accuracy'] == pytest.approx(of_classifier[-1]['val_accuracy'])


@pytest.mark.parametrize('name', ['vae-predictor-softmax', pytest.param('judge', marks=pytest.mark.slow)])
def test_interrupted_training_goes_on_as_the_uninterrupted_one(name, trained, few_digits, tmp_path, monkeypatch):
    """With a sampler, dropout, batch normalisation and averaged weights."""
    write = Checkpoint.write

    def write_and_interrupt(checkpoint, model, epoch):
        write(checkpoint, model, epoch)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match='continues with epoch 2'):
        patch.setattr(Checkpoint, 'write', write_and_interrupt)
        train(name, few_digits, **SETTINGS, checkpoint_dir=tmp_path)
    model, history = train(name, few_digits, **SETTINGS, checkpoint_dir=tmp_path)

    expected, at_once = trained(name)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), expected.get_weights(), strict=True))
    assert [{**epoch, 'seconds': 0} for epoch in history] == [{**epoch, 'seconds': 0} for epoch in at_once]


@pytest.mark.slow
@pytest.mark.parametrize('name', ['classifier', 'judge', 'vae-predictor-softmax'])
def test_seed_governs_training(name, few_digits):
    first, same, other = (train(name, few_digits, recipe=Recipe(1), seed=seed)[0].get_weights() for seed in (1, 1, 2))

    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.allclose(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.slow
def test_convolutions_train_in_bfloat16_and_compute_in_float32_afterwards(few_digits):
    recipe = ARTICLE_RECIPE._replace(epochs=3, batch_size=8, learning_rate=0.0005)
    (exact, history), (mixed, of_mixed) = (
        train('vae-predictor-softmax', few_digits, recipe=recipe, precision=precision)
        for precision in ('float32', 'mixed_bfloat16'))

    assert not all(np.allclose(a, b, rtol=1e-4) for a, b in zip(exact.get_weights(), mixed.get_weights(), strict=True))
    for key in ('vae_loss', 'predictor_loss'):
        assert of_mixed[-1][key] == pytest.approx(history[-1][key], rel=0.2)
    parts = [mixed.get_layer('encoder'), mixed.get_layer('decoder')]
    assert {layer.compute_dtype for part in parts for layer in part.layers} == {'float32'}
    x = few_digits.x_test
    exact.set_weights(mixed.get_weights())  # A model that never computed in bfloat16 has the same outputs.
    for part in parts:
        inputs = x if part is parts[0] else np.zeros((3, 2), dtype='float32')
        for output, expected in zip(keras.tree.flatten(part.predict_on_batch(inputs)), keras.tree.flatten(
                exact.get_layer(part.name).predict_on_batch(inputs)), strict=True):
            np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.backends
@pytest.mark.parametrize('dtype', ['float32', 'mixed_bfloat16'])
@pytest.mark.parametrize('layer', [layers.Conv2D, Conv2DTranspose])
def test_gradient_of_a_bias_is_the_sum_over_all_pixels(layer, dtype):
    """50,176 equal summands. Keras's own Conv2DTranspose leaves a hundredth of them with TensorFlow in bfloat16."""
    if dtype == 'mixed_bfloat16' and native_precision() == 'float32':
        pytest.skip('bfloat16 is not native here')
    image = layers.Input((28, 28, 1))
    convolution = layer(32, 3, padding='same', dtype=dtype)
    model = keras.Model(image, convolution(image))
    model.compile(keras.optimizers.SGD(1.0), loss=lambda y, prediction: keras.ops.cast(prediction, 'float32'))
    x = np.zeros((64, 28, 28, 1), dtype='float32')

    model.train_on_batch(x, x)

    np.testing.assert_allclose(keras.ops.convert_to_numpy(convolution.bias), -1 / 32, rtol=0.01)


def test_own_images_are_trained_in_their_form(rng):
    x, y = rng.random((40, 20, 18, 3), dtype='float32'), np.linspace(0, 1, 40)
    numbers = Data('numbers', x, y, x, y, 0)
    model, _ = train('vae-predictor-linear', numbers, recipe=Recipe(1))

    assert model.get_layer('decoder').output.shape == (None, 20, 18, 3)
    assert set(evaluate(model, x, y, value_rmse)) == {'reconstruction', 'kl', 'neg_elbo', 'rmse'}
    with pytest.raises(ValueError, match="'classifier' needs labels, and numbers has numbers"):
        train('classifier', numbers)
    with pytest.raises(ValueError, match="'vae-predictor-linear' needs labels, and images has none"):
        train('vae-predictor-linear', Data('images', x, None, x, None, 0))


@pytest.mark.parametrize('changes, message', [
    ({'x_train': np.zeros((256, 28, 28, 1), dtype='float64')}, 'float32 with shape .n, 28, 28, 1., got float64'),
    ({'x_train': np.zeros((256, 28, 28), dtype='float32')}, r'shape \(height, width, channels\).*, got \(28, 28\)'),
    ({'x_train': np.full((256, 28, 28, 1), 255, dtype='float32')}, 'Divide bytes by 255'),
    ({'x_test': np.full((64, 28, 28, 1), np.nan, dtype='float32')}, 'Pixels must lie in'),
    ({'y_train': np.zeros(255, dtype='int64')}, r'integers with shape \(256,\)'),
    ({'y_train': np.zeros(256)}, 'integers.*got float64'),
    ({'y_test': np.full(64, 10)}, 'Labels must lie in 0 to 9, got values from 10 to 10'),
    ({'y_train': np.arange(256) % 26}, 'Labels must lie in 0 to 9, got values from 0 to 25'),
    ({'x_test': np.zeros((0, 28, 28, 1), dtype='float32'), 'y_test': np.zeros(0, dtype='int64')},
     'There are no test images. A training needs both')])
def test_bad_data(few_digits, changes, message):
    data = few_digits._replace(**changes)
    with pytest.raises(ValueError, match=message):
        train('classifier', data, recipe=Recipe(1))
    with pytest.raises(ValueError, match=message):
        train_conditional_vae(data, recipe=Recipe(1))


@pytest.mark.parametrize('arguments, message', [
    ({'name': 'vae'}, "no model named 'vae'.*'judge'"), ({'recipe': Recipe(0)}, 'epochs must be an integer'),
    ({'recipe': Recipe(1, learning_rate='1e-3')}, "learning_rate must be a positive number, got '1e-3'"),
    ({'name': ['judge']}, r"no model named \['judge'\]"),
    ({'checkpoint_dir': '~nobody-has-this-name'}, 'folder must be the path of a file or folder'),
    ({'seed': -1}, 'seed must be an integer of at least 0'), ({'latent_dim': 0}, 'latent_dim must be an integer')])
def test_bad_arguments(few_digits, arguments, message):
    with pytest.raises(ValueError, match=message):
        train(**{'name': 'vae-predictor-off', 'data': few_digits} | arguments)


@pytest.mark.parametrize('name', MODELS)
def test_models_by_name_follow_their_seed(name):
    first, same, other = (create_model(name, seed=seed).get_weights() for seed in (1, 1, 2))

    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_classifier_and_judge_of_one_seed_draw_other_numbers():
    np.random.seed(0)
    create_model('classifier', seed=5)
    of_classifier = np.random.random()
    create_model('judge', seed=5)

    assert np.random.random() != of_classifier


@pytest.mark.parametrize('name, latent_dim, expected', [
    ('vae-predictor-softmax-10d', None, 10), ('vae-predictor-softmax-10d', 3, 3), ('vae-predictor-linear', None, 2)])
def test_latent_dim_is_the_tables_unless_given(name, latent_dim, expected):
    model = create_model(name, latent_dim=latent_dim)

    assert model.get_layer('decoder').input.shape == (None, expected)
    assert model.get_layer('encoder').output[0].shape == (None, expected)
