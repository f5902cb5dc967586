import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from digits.backend import check_precision, keras, native_precision
from digits.training import Checkpoint, Recipe
from latent_search import Interrupted
from vae_opt_util import RECIPES, compile_model, create_model, evaluate, evaluate_classifier, recipe_for, train

# Elsewhere training warns of bfloat16, and takes ten times as long.
native_only = pytest.mark.skipif(native_precision() == 'float32', reason='bfloat16 is not native here')


def same_weights(a, b):
    return all(np.allclose(x, y, atol=1e-6) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def without_times(history):
    return [{key: pytest.approx(value, rel=1e-4) for key, value in epoch.items() if key != 'seconds'}
            for epoch in history]


write = Checkpoint.write


def write_and_interrupt(checkpoint, model, history):
    write(checkpoint, model, history)
    raise KeyboardInterrupt


PARTS = {'vae-predictor-off': {'reconstruction', 'kl'},
         'vae-predictor-softmax': {'reconstruction', 'kl', 'predictor', 'accuracy'},
         'vae-predictor-linear': {'reconstruction', 'kl', 'predictor'},
         'vae-predictor-softmax-10d': {'reconstruction', 'kl', 'predictor', 'accuracy'},
         'vae-conditional': {'reconstruction', 'kl'},
         'classifier': {'loss', 'accuracy'},
         'judge': {'loss', 'accuracy'}}


# One model with a predictor and one without are trained in the quick tests.
QUICK = 'vae-predictor-softmax', 'classifier'
NAMES = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in RECIPES]


@pytest.fixture(scope='module')
def trained(few_digits):
    """Trains a model for two epochs, once: model and history."""
    return cache(lambda name: train(name, few_digits, latent_dim=3, precision='float32',
                                    recipe=recipe_for(name, epochs=2, batch_size=16)))


@pytest.mark.parametrize('name', NAMES)
def test_training_reports_its_parts_and_learns(name, trained):
    model, history = trained(name)

    assert [set(epoch) for epoch in history] == [PARTS[name] | {f'val_{part}' for part in PARTS[name]}
                                                 | {'seconds'}] * 2
    first = 'reconstruction' if name.startswith('vae') else 'loss'
    assert history[1][first] < history[0][first]
    assert not model.compiled
    assert not name.startswith('vae') or model.get_layer('decoder').inputs[0].shape == (None, 3)


@pytest.mark.parametrize('name', NAMES[:5])
def test_parts_of_the_loss(name, trained, few_digits):
    """Compared with the parts computed one by one from the trained networks' outputs, without the sampler's noise."""
    model, history = trained(name)
    x, y = few_digits.x_test, few_digits.y_test
    label = [np.eye(10, dtype='float32')[y]] if name == 'vae-conditional' else []
    t_mean, t_log_var = model.get_layer('encoder').predict_on_batch([x, *label] if label else x)
    decoded = model.get_layer('decoder').predict_on_batch([t_mean, *label] if label else t_mean).clip(1e-7, 1 - 1e-7)

    kl = 0.5 * (np.exp(t_log_var) + t_mean ** 2 - 1 - t_log_var).sum(axis=1).mean()
    reconstruction = -(x * np.log(decoded) + (1 - x) * np.log(1 - decoded)).sum(axis=(1, 2, 3)).mean()
    assert kl > 0.5
    np.testing.assert_allclose(history[-1]['val_kl'], kl, rtol=1e-3)
    np.testing.assert_allclose(history[-1]['val_reconstruction'], reconstruction, rtol=0.05)
    if name in ('vae-predictor-softmax', 'vae-predictor-linear'):
        predicted = model.get_layer('predictor').predict_on_batch(t_mean)
        expected = (-np.log(predicted[np.arange(len(y)), y]) if name.endswith('softmax')
                    else (predicted[:, 0] - y) ** 2).mean()
        np.testing.assert_allclose(history[-1]['val_predictor'], expected, rtol=1e-3)


@pytest.mark.backends
def test_loss_weighs_the_predictor_twentyfold(few_digits):
    model = create_model('vae-predictor-softmax')
    compile_model(model, Recipe(1))
    x, y = few_digits.x_test, few_digits.y_test

    logs = {key: float(value) for key, value in model.test_on_batch(x, [x, y], return_dict=True).items()}

    t_mean, t_log_var = model.get_layer('encoder').predict_on_batch(x)
    kl = 0.5 * (np.exp(t_log_var) + t_mean ** 2 - 1 - t_log_var).sum(axis=1).mean()
    np.testing.assert_allclose(logs['loss'], logs['decoder_loss'] + kl + 20 * logs['predictor_loss'], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['classifier', 'vae-predictor-softmax'])
def test_seed_governs_training(name, few_digits):
    first, same, other = (train(name, few_digits, recipe=Recipe(1), seed=seed) for seed in (1, 1, 2))

    assert without_times(first[1]) == [{key: epoch[key] for key in epoch if key != 'seconds'} for epoch in same[1]]
    assert same_weights(first[0], same[0]) and not same_weights(first[0], other[0])


@pytest.mark.backends
def test_moving_averages_of_weights_are_measured_and_returned(few_digits, monkeypatch):
    steps = []
    train_on_batch = keras.Model.train_on_batch

    def recorded(model, *arguments, **keywords):
        logs = train_on_batch(model, *arguments, **keywords)
        steps.append([np.array(weights) for weights in model.get_weights()])
        return logs

    monkeypatch.setattr(keras.Model, 'train_on_batch', recorded)
    model, history = train('classifier', few_digits, recipe=Recipe(2, batch_size=64, ema_momentum=0.25))

    averages = steps[0]
    for weights in steps[1:]:
        averages = [0.25 * average + 0.75 * new for average, new in zip(averages, weights, strict=True)]
    assert len(steps) == 2 * 4
    for returned, average, last in zip(model.get_weights(), averages, steps[-1], strict=True):
        np.testing.assert_allclose(returned, average, atol=1e-6)
        assert not np.allclose(returned, last, atol=1e-5)
    measured = evaluate_classifier(model, few_digits.x_test, few_digits.y_test)
    assert history[-1]['val_accuracy'] == pytest.approx(measured['accuracy'])


def test_few_steps_shorten_warm_up_and_averages():
    recipe = RECIPES['vae-predictor-off']

    assert recipe.for_examples(60_000) == recipe and RECIPES['classifier'].for_examples(55_000) == RECIPES['classifier']
    short = recipe.for_examples(1437)
    assert (short.warm_up_steps, short.epochs) == (34, 15) and 0.98 < short.ema_momentum < 0.99
    assert Recipe(1).for_examples(10) == Recipe(1)


@pytest.mark.backends
@pytest.mark.slow
def test_moving_averages_are_in_the_checkpoint(few_digits, tmp_path, monkeypatch):
    recipe = Recipe(2, batch_size=64, ema_momentum=0.75)
    model, _ = train('classifier', few_digits, recipe=recipe)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Checkpoint, 'write', write_and_interrupt)
        train('classifier', few_digits, recipe=recipe, checkpoint_dir=tmp_path)
    resumed, read_back = (train('classifier', few_digits, recipe=recipe, checkpoint_dir=tmp_path)[0] for _ in range(2))
    assert same_weights(resumed, model) and same_weights(read_back, model)


@native_only
@pytest.mark.slow
def test_mixed_precision_trains_nearly_the_same(few_digits):
    recipe = recipe_for('vae-predictor-softmax', epochs=3, batch_size=8, learning_rate=0.0005)
    (exact, history), (mixed, mixed_history) = (train('vae-predictor-softmax', few_digits, recipe=recipe,
                                                      precision=precision)
                                                for precision in ('float32', 'mixed_bfloat16'))

    assert not same_weights(exact, mixed)
    for part in ('reconstruction', 'kl', 'predictor'):
        assert mixed_history[-1][part] == pytest.approx(history[-1][part], rel=0.2)
    assert {layer.compute_dtype for layer in mixed.get_layer('encoder').layers} == {'float32'}


@pytest.mark.slow
@pytest.mark.parametrize('name, precision', [
    ('classifier', 'float32'), ('vae-predictor-softmax', 'float32'),
    pytest.param('vae-predictor-softmax', 'mixed_bfloat16', marks=native_only),
    pytest.param('judge', 'mixed_bfloat16', marks=native_only)])
def test_training_that_was_interrupted_is_the_uninterrupted_one(name, precision, few_digits, tmp_path, monkeypatch):
    options = {'recipe': recipe_for(name, epochs=2), 'seed': 5, 'precision': precision}
    at_once, history = train(name, few_digits, **options)

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match='in epoch 2 of 2.*continues with epoch 2'):
        patch.setattr(Checkpoint, 'write', write_and_interrupt)
        train(name, few_digits, **options, checkpoint_dir=tmp_path)
    continued, continued_history = train(name, few_digits, **options, checkpoint_dir=tmp_path)

    assert without_times(history) == without_times(continued_history)
    assert same_weights(continued, at_once)


@pytest.mark.slow
def test_each_training_has_a_checkpoint_of_its_own(few_digits, tmp_path):
    one, two = recipe_for('classifier', epochs=1), recipe_for('classifier', epochs=2)
    trainings = [{}, {'seed': 1}, {'recipe': two}]
    histories = [train('classifier', few_digits, **{'recipe': one, 'checkpoint_dir': tmp_path} | options)[1]
                 for options in trainings]

    checkpoints = list((tmp_path / few_digits.name / 'classifier').iterdir())
    assert len(checkpoints) == len(trainings)
    for options, history in zip(trainings, histories, strict=True):  # Seconds too: they are read back.
        assert train('classifier', few_digits, **{'recipe': one, 'checkpoint_dir': tmp_path} | options)[1] == history


def test_automatic_precision_is_the_native_one(few_digits, tmp_path, capsys, caplog):
    native = native_precision()

    train('classifier', few_digits, recipe=Recipe(1), checkpoint_dir=tmp_path)

    assert f'classifier, {native}: 100%' in capsys.readouterr().out
    written, = tmp_path.rglob('history.json')
    assert json.loads(written.read_text())['settings']['precision'] == native
    assert caplog.messages == []


def test_bfloat16_where_it_is_not_native_is_warned_of(caplog):
    assert [check_precision(precision) for precision in ('float32', 'mixed_bfloat16')] == ['float32', 'mixed_bfloat16']

    assert ['does not compute natively in bfloat16' in message for message in caplog.messages] == [True] * (
        native_precision() == 'float32')


def test_native_precision():
    """That of CPUs; the tests have no GPU."""
    cpuinfo = Path('/proc/cpuinfo')
    flags = set(cpuinfo.read_text().split()) & {'amx_bf16', 'avx512_bf16'} if cpuinfo.exists() else set()

    native = native_precision()

    assert native == ('mixed_bfloat16' if flags and keras.backend.backend() != 'jax' else 'float32')


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
        train('classifier', few_digits._replace(**changes), recipe=Recipe(1))


@pytest.mark.parametrize('numbers, message', [
    ({'recipe': Recipe(0)}, 'epochs must be an integer of at least 1'),
    ({'recipe': Recipe(1, batch_size=1.5)}, 'batch_size must be an integer'),
    ({'seed': -1}, 'seed must be an integer of at least 0'), ({'precision': 'float16'}, 'precision must be .auto.'),
    ({'latent_dim': 0}, 'latent_dim must be an integer')])
def test_bad_numbers(few_digits, numbers, message):
    with pytest.raises(ValueError, match=message):
        train('vae-predictor-off', few_digits, **numbers)


def test_evaluate(trained, few_digits):
    x, y = few_digits.x_test, few_digits.y_test
    model, history = trained('vae-predictor-softmax')

    metrics = evaluate(model, x, y)

    assert set(metrics) == {'reconstruction', 'kl', 'neg_elbo', 'accuracy'}
    assert metrics['neg_elbo'] == metrics['reconstruction'] + metrics['kl']
    assert metrics['kl'] == pytest.approx(history[-1]['val_kl'], rel=1e-3)
    assert metrics['reconstruction'] == pytest.approx(history[-1]['val_reconstruction'], rel=0.05)
    assert metrics['accuracy'] == pytest.approx(history[-1]['val_accuracy'])
    assert evaluate(model, x, y) == metrics


@pytest.mark.slow
def test_evaluate_values_conditions_and_classifiers(trained, few_digits):
    x, y = few_digits.x_test, few_digits.y_test
    (regressor, of_regressor), (conditional, of_conditional), (classifier, of_classifier) = map(
        trained, ('vae-predictor-linear', 'vae-conditional', 'classifier'))

    assert evaluate(regressor, x, y)['rmse'] ** 2 == pytest.approx(of_regressor[-1]['val_predictor'], rel=1e-3)
    assert evaluate(conditional, x, y)['kl'] == pytest.approx(of_conditional[-1]['val_kl'], rel=1e-3)
    assert evaluate_classifier(classifier, x, y)['accuracy'] == pytest.approx(of_classifier[-1]['val_accuracy'])
    with pytest.raises(ValueError, match='Images must be float32'):
        evaluate(regressor, x[..., 0], y)
    with pytest.raises(ValueError, match='Labels must be integers'):
        evaluate_classifier(classifier, x, y[:-1])
