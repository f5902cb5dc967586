import json
from pathlib import Path

import keras
import numpy as np
import pytest

import vae_opt_util
from vae_opt_util import RECIPES, Recipe, evaluate, evaluate_classifier, train


def same_weights(a, b):
    return all(np.allclose(x, y, atol=1e-6) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def without_times(history):
    return [{key: pytest.approx(value, rel=1e-4) for key, value in epoch.items() if key != 'seconds'}
            for epoch in history]


PARTS = {'vae-predictor-off': {'reconstruction', 'kl'},
         'vae-predictor-softmax': {'reconstruction', 'kl', 'predictor', 'accuracy'},
         'vae-predictor-linear': {'reconstruction', 'kl', 'predictor'},
         'vae-predictor-softmax-10d': {'reconstruction', 'kl', 'predictor', 'accuracy'},
         'vae-conditional': {'reconstruction', 'kl'},
         'classifier': {'loss', 'accuracy'},
         'judge': {'loss', 'accuracy'}}


@pytest.mark.parametrize('name', RECIPES)
def test_training_reports_its_parts_and_learns(name, few_digits):
    model, history = train(name, few_digits, latent_dim=3, epochs=2, batch_size=8)

    assert [set(epoch) for epoch in history] == [PARTS[name] | {f'val_{part}' for part in PARTS[name]}
                                                 | {'seconds'}] * 2
    first = 'reconstruction' if name.startswith('vae') else 'loss'
    assert history[1][first] < history[0][first]
    assert not model.compiled


@pytest.mark.parametrize('name', ['vae-predictor-off', 'vae-predictor-softmax', 'vae-predictor-linear'])
def test_parts_of_the_loss(name, few_digits):
    """Against the parts computed one by one from the trained networks' outputs, but for the sampler's noise."""
    model, history = train(name, few_digits, epochs=2, batch_size=4, precision='float32')
    x, y = few_digits.x_test, few_digits.y_test
    t_mean, t_log_var = model.get_layer('encoder').predict_on_batch(x)
    decoded = model.get_layer('decoder').predict_on_batch(t_mean).clip(1e-7, 1 - 1e-7)

    kl = 0.5 * (np.exp(t_log_var) + t_mean ** 2 - 1 - t_log_var).sum(axis=1).mean()
    reconstruction = -(x * np.log(decoded) + (1 - x) * np.log(1 - decoded)).sum(axis=(1, 2, 3)).mean()
    assert kl > 1
    np.testing.assert_allclose(history[-1]['val_kl'], kl, rtol=1e-3)
    np.testing.assert_allclose(history[-1]['val_reconstruction'], reconstruction, rtol=0.05)
    if name != 'vae-predictor-off':
        predicted = model.get_layer('predictor').predict_on_batch(t_mean)
        expected = (-np.log(predicted[np.arange(len(y)), y]) if name.endswith('softmax')
                    else (predicted[:, 0] - y) ** 2).mean()
        np.testing.assert_allclose(history[-1]['val_predictor'], expected, rtol=1e-3)


@pytest.mark.backends
def test_loss_weighs_the_predictor_twentyfold(few_digits):
    model = vae_opt_util.create_model('vae-predictor-softmax')
    vae_opt_util._compile(model)
    x, y = few_digits.x_test, few_digits.y_test

    logs = {key: float(value) for key, value in model.test_on_batch(x, [x, y], return_dict=True).items()}

    t_mean, t_log_var = model.get_layer('encoder').predict_on_batch(x)
    kl = 0.5 * (np.exp(t_log_var) + t_mean ** 2 - 1 - t_log_var).sum(axis=1).mean()
    np.testing.assert_allclose(logs['loss'], logs['decoder_loss'] + kl + 20 * logs['predictor_loss'], rtol=1e-5)


@pytest.mark.parametrize('name, precision', [
    pytest.param('vae-predictor-softmax', 'float32', marks=pytest.mark.backends),
    ('vae-predictor-softmax', 'mixed_bfloat16'), ('vae-conditional', 'float32'), ('judge', 'mixed_bfloat16')])
def test_resumed_training_is_the_uninterrupted_one(name, precision, few_digits, tmp_path, monkeypatch):
    uninterrupted, history = train(name, few_digits, epochs=3, seed=5, precision=precision)
    calls = []
    write = vae_opt_util._Checkpoint.write

    def interrupted_write(*arguments):
        write(*arguments)
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(vae_opt_util._Checkpoint, 'write', interrupted_write)
    with pytest.raises(KeyboardInterrupt):
        train(name, few_digits, epochs=3, seed=5, checkpoint_dir=tmp_path, precision=precision)
    resumed, resumed_history = train(name, few_digits, epochs=3, seed=5, checkpoint_dir=tmp_path, precision=precision)

    assert len(calls) == 3
    assert [set(epoch) for epoch in resumed_history] == [set(epoch) for epoch in history]
    assert without_times(history) == [{key: epoch[key] for key in epoch if key != 'seconds'}
                                      for epoch in resumed_history]
    assert same_weights(resumed, uninterrupted)


def test_finished_training_is_read_back(few_digits, tmp_path, monkeypatch, capsys):
    model, history = train('classifier', few_digits, epochs=2, checkpoint_dir=tmp_path)
    monkeypatch.setattr(keras.Model, 'train_on_batch', lambda *_, **__: pytest.fail('trained again'))

    again, history_again = train('classifier', few_digits, epochs=2, checkpoint_dir=tmp_path)

    assert history_again == history and same_weights(again, model)
    assert 'read back' in capsys.readouterr().out


def test_crash_between_learning_curve_and_weights(few_digits, tmp_path):
    _, history = train('classifier', few_digits, epochs=1, checkpoint_dir=tmp_path)
    state = json.loads((tmp_path / 'history.json').read_text())
    state['history'].append({'loss': -1.0})
    (tmp_path / 'history.json').write_text(json.dumps(state))

    _, resumed = train('classifier', few_digits, epochs=2, checkpoint_dir=tmp_path)

    assert resumed[0] == history[0] and resumed[1]['loss'] > 0


def test_checkpoint_of_another_training_is_refused(few_digits, tmp_path):
    train('classifier', few_digits, epochs=2, checkpoint_dir=tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(ValueError, match=r'other settings \(seed\)'):
        train('classifier', few_digits, epochs=2, seed=1, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match=r'other settings \(name, recipe, architecture\)'):
        train('judge', few_digits, epochs=2, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match='has 2 epochs, more than the 1 asked for'):
        train('classifier', few_digits, epochs=1, checkpoint_dir=tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_damaged_checkpoint(few_digits, tmp_path):
    train('classifier', few_digits, epochs=1, checkpoint_dir=tmp_path)
    weights = tmp_path / 'epoch-001.weights.h5'
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r'epoch-001\.weights\.h5 cannot be read'):
        train('classifier', few_digits, epochs=2, checkpoint_dir=tmp_path)

    (tmp_path / 'history.json').write_text('{')
    with pytest.raises(ValueError, match=r'history\.json is damaged'):
        train('classifier', few_digits, epochs=2, checkpoint_dir=tmp_path)


def test_diverged_training_keeps_earlier_epochs(few_digits, tmp_path, monkeypatch):
    train('vae-predictor-softmax', few_digits, epochs=1, checkpoint_dir=tmp_path)
    monkeypatch.setattr(vae_opt_util, 'predictor_weight', float('inf'))

    with pytest.raises(FloatingPointError, match='diverged in epoch 2'):
        train('vae-predictor-softmax', few_digits, epochs=2, checkpoint_dir=tmp_path)
    assert (tmp_path / 'epoch-001.weights.h5').exists()


def test_seed_governs_training(few_digits):
    first, same, other = (train('vae-predictor-softmax', few_digits, epochs=1, seed=seed) for seed in (1, 1, 2))

    assert without_times(first[1]) == [{key: epoch[key] for key in epoch if key != 'seconds'} for epoch in same[1]]
    assert same_weights(first[0], same[0]) and not same_weights(first[0], other[0])


@pytest.mark.parametrize('recipe, expected', [
    (Recipe(3, learning_rate_decay=0.5, warm_up_steps=2),
     0.001 * np.array([1 / 3, 2 / 3, 1, 1, *[0.5] * 4, *[0.25] * 4])),
    (Recipe(2, batch_size=128, learning_rate=0.5), [0.5] * 4)])
def test_learning_rate_follows_the_recipe(recipe, expected, few_digits, monkeypatch):
    rates = []
    train_on_batch = keras.Model.train_on_batch
    monkeypatch.setattr(keras.Model, 'train_on_batch', lambda model, *arguments, **keywords: (
        rates.append(float(model.optimizer.learning_rate)) or train_on_batch(model, *arguments, **keywords)))

    train('classifier', few_digits, recipe=recipe)

    np.testing.assert_allclose(rates, expected, rtol=1e-6)


@pytest.mark.backends
def test_moving_averages_of_weights_are_measured_and_returned(few_digits, tmp_path, monkeypatch):
    recipe = Recipe(2, batch_size=64, ema_momentum=0.75)
    steps = []
    train_on_batch = keras.Model.train_on_batch

    def recorded(model, *arguments, **keywords):
        logs = train_on_batch(model, *arguments, **keywords)
        steps.append([np.array(weights) for weights in model.get_weights()])
        return logs

    monkeypatch.setattr(keras.Model, 'train_on_batch', recorded)
    model, history = train('classifier', few_digits, recipe=recipe)

    averages = steps[0]
    for weights in steps[1:]:
        averages = [0.75 * average + 0.25 * new for average, new in zip(averages, weights, strict=True)]
    assert len(steps) == 2 * 4
    for returned, average, last in zip(model.get_weights(), averages, steps[-1], strict=True):
        np.testing.assert_allclose(returned, average, atol=1e-6)
        assert not np.allclose(returned, last, atol=1e-5)
    measured = evaluate_classifier(model, few_digits.x_test, few_digits.y_test)
    assert history[-1]['val_accuracy'] == pytest.approx(measured['accuracy'])

    train('classifier', few_digits, epochs=1, recipe=recipe, checkpoint_dir=tmp_path)
    resumed, read_back = (train('classifier', few_digits, recipe=recipe, checkpoint_dir=tmp_path)[0] for _ in range(2))
    assert same_weights(resumed, model) and same_weights(read_back, model)


def computes_in(layer):
    return layer.compute_dtype, layer.variable_dtype


@pytest.mark.backends
@pytest.mark.parametrize('name', RECIPES)
def test_mixed_precision_leaves_what_losses_need_in_float32(name):
    model = vae_opt_util.create_model(name, precision='mixed_bfloat16')
    layers = {layer.name: computes_in(layer) for layer in model._flatten_layers()
              if layer.weights and not isinstance(layer, keras.Model)
              or layer.name in ('kl_divergence', 'sampler')}

    exact = {'t_mean', 't_log_var', 'pixels', 'dense_1', 'dense_2', 'value', 'label_probs', 'kl_divergence', 'sampler'}
    assert all(dtypes == ('float32' if layer in exact else 'bfloat16', 'float32') for layer, dtypes in layers.items())
    assert {dtypes[0] for dtypes in layers.values()} == {'float32', 'bfloat16'}
    assert {keras.backend.standardize_dtype(output.dtype) for output in model.outputs} == {'float32'}
    assert keras.config.dtype_policy().name == 'float32'


def test_mixed_precision_trains_nearly_the_same(few_digits):
    (exact, history), (mixed, mixed_history) = (
        train('vae-predictor-softmax', few_digits, epochs=3, batch_size=8, precision=precision)
        for precision in ('float32', 'mixed_bfloat16'))

    assert not same_weights(exact, mixed)
    for part in ('reconstruction', 'kl', 'predictor'):
        assert mixed_history[-1][part] == pytest.approx(history[-1][part], rel=0.2)
    assert {layer.compute_dtype for layer in mixed._flatten_layers()} == {'float32'}


def test_policy_is_put_back_where_a_model_cannot_be(monkeypatch):
    monkeypatch.setattr(vae_opt_util, 'create_classifier', lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        vae_opt_util.create_model('classifier', precision='mixed_bfloat16')
    assert keras.config.dtype_policy().name == 'float32'


@pytest.mark.parametrize('native', ['float32', 'mixed_bfloat16'])
def test_automatic_precision_is_said(native, few_digits, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(vae_opt_util, 'native_precision', lambda: native)

    train('classifier', few_digits, epochs=1, checkpoint_dir=tmp_path)

    assert f'classifier, {native}: 100%' in capsys.readouterr().out
    assert json.loads((tmp_path / 'history.json').read_text())['settings']['precision'] == native
    other = 'float32' if native == 'mixed_bfloat16' else 'mixed_bfloat16'
    with pytest.raises(ValueError, match=r'other settings \(precision'):
        train('classifier', few_digits, epochs=2, checkpoint_dir=tmp_path, precision=other)


def test_native_precision():
    """That of CPUs; the tests have no GPU."""
    cpuinfo = Path('/proc/cpuinfo')
    amx = cpuinfo.exists() and 'amx_bf16' in cpuinfo.read_text().split()

    native = vae_opt_util.native_precision()

    assert native == ('mixed_bfloat16' if amx and keras.backend.backend() != 'jax' else 'float32')


@pytest.mark.parametrize('changes, message', [
    ({'x_train': np.zeros((256, 28, 28, 1), dtype='float64')}, 'float32 with shape .n, 28, 28, 1., got float64'),
    ({'x_train': np.zeros((256, 28, 28), dtype='float32')}, 'got float32 with shape .256, 28, 28.'),
    ({'x_train': np.full((256, 28, 28, 1), 255, dtype='float32')}, 'Divide bytes by 255'),
    ({'x_test': np.full((64, 28, 28, 1), np.nan, dtype='float32')}, 'Pixels must lie in'),
    ({'y_train': np.zeros(255, dtype='int64')}, r'integers with shape \(256,\)'),
    ({'y_train': np.zeros(256)}, 'integers.*got float64'),
    ({'y_test': np.full(64, 10)}, 'Labels must lie in 0 to 9, got values from 10 to 10'),
])
def test_bad_data(few_digits, changes, message):
    with pytest.raises(ValueError, match=message):
        train('classifier', few_digits._replace(**changes), epochs=1)


@pytest.mark.parametrize('numbers, message', [
    ({'epochs': 0}, 'epochs must be an integer of at least 1'), ({'batch_size': 1.5}, 'batch_size must be an integer'),
    ({'seed': -1}, 'seed must be an integer of at least 0'), ({'precision': 'float16'}, 'precision must be .auto.'),
    ({'latent_dim': 0}, 'latent_dim must be an integer')])
def test_bad_numbers(few_digits, numbers, message):
    with pytest.raises(ValueError, match=message):
        train('vae-predictor-off', few_digits, **numbers)


def test_evaluate(few_digits):
    x, y = few_digits.x_test, few_digits.y_test
    model, history = train('vae-predictor-softmax', few_digits, epochs=2, batch_size=4, precision='float32')

    metrics = evaluate(model, x, y)

    assert set(metrics) == {'reconstruction', 'kl', 'neg_elbo', 'accuracy'}
    assert metrics['neg_elbo'] == metrics['reconstruction'] + metrics['kl']
    assert metrics['kl'] == pytest.approx(history[-1]['val_kl'], rel=1e-3)
    assert metrics['reconstruction'] == pytest.approx(history[-1]['val_reconstruction'], rel=0.05)
    assert metrics['accuracy'] == pytest.approx(history[-1]['val_accuracy'])
    assert evaluate(model, x, y) == metrics


def test_evaluate_values_and_classifier(few_digits):
    x, y = few_digits.x_test, few_digits.y_test
    regressor, history = train('vae-predictor-linear', few_digits, epochs=1, precision='float32')
    classifier, classifier_history = train('classifier', few_digits, epochs=1, precision='float32')

    assert evaluate(regressor, x, y)['rmse'] ** 2 == pytest.approx(history[-1]['val_predictor'], rel=1e-3)
    assert evaluate_classifier(classifier, x, y)['accuracy'] == pytest.approx(classifier_history[-1]['val_accuracy'])
    with pytest.raises(ValueError, match='Images must be float32'):
        evaluate(regressor, x[..., 0], y)
    with pytest.raises(ValueError, match='Labels must be integers'):
        evaluate_classifier(classifier, x, y[:-1])
