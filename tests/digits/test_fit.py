"""The training loop and its checkpoints, on a small network; tests/vae_opt_util has those of the models."""

import json
import logging

import numpy as np
import pytest

from digits.backend import keras, layers
from digits.training import Checkpoint, Examples, Recipe, averaged_weights, check_recipe, fit
from latent_search import Interrupted

SETTINGS = {'name': 'small', 'recipe': {'batch_size': 8}}


@pytest.fixture
def examples(rng):
    x = rng.normal(size=(44, 3)).astype('float32')
    return Examples(x[:32], x[:32].sum(axis=1, keepdims=True)), Examples(x[32:], x[32:].sum(axis=1, keepdims=True))


def small_model(ema_momentum=0.0):
    keras.utils.set_random_seed(3)
    x = layers.Input((3,))
    model = keras.Model(x, layers.Dense(1)(layers.Dropout(0.1, seed=0)(layers.Dense(4, activation='tanh')(x))))
    model.compile(keras.optimizers.RMSprop(use_ema=ema_momentum != 0, ema_momentum=ema_momentum), 'mse')
    return model


def trained(examples, epochs, checkpoint=None, seed=0, **options):
    model = small_model()
    recipe = Recipe(epochs, batch_size=8, learning_rate=0.02)
    history = fit(model, recipe, *examples, seed=seed, checkpoint=checkpoint, **options)
    return [weights.copy() for weights in model.get_weights()], [without_time(epoch) for epoch in history]


def without_time(epoch):
    return {key: value for key, value in epoch.items() if key != 'seconds'}


def same(first, second):
    return all(np.allclose(a, b, atol=1e-6) for a, b in zip(first, second, strict=True))


def folder_in(parent):
    """The folder of the only checkpoint."""
    folder, = parent.iterdir()
    return folder


@pytest.mark.backends
def test_learning_curve(examples):
    _, history = trained(examples, epochs=6)

    assert [set(epoch) for epoch in history] == [{'loss', 'val_loss'}] * 6
    assert history[-1]['loss'] < history[0]['loss'] and history[-1]['val_loss'] < history[0]['val_loss']


def test_val_loss_is_that_of_the_test_examples(examples):
    model = small_model()

    history = fit(model, Recipe(1, batch_size=8), *examples)

    predicted = model.predict_on_batch(examples[1].inputs)
    assert history[0]['val_loss'] == pytest.approx(np.square(predicted - examples[1].targets).mean(), rel=1e-4)
    assert history[0]['seconds'] > 0


def test_losses_are_means_over_examples_not_over_batches(examples):
    x, y = examples[0]
    model = small_model()
    seen = []

    def loss_parts(logs):
        seen.append(logs['loss'])
        return {'part': float(len(seen))}

    uneven = Examples(x[:18], y[:18])
    history = fit(model, Recipe(1, batch_size=8), uneven, uneven, loss_parts=loss_parts)

    assert history[0]['part'] == pytest.approx((8 * 1 + 8 * 2 + 2 * 3) / 18) and history[0]['val_part'] == 4


def test_several_inputs_and_outputs(rng):
    x = rng.normal(size=(10, 2)).astype('float32')
    examples = Examples([x, 2 * x], [x, 3 * x])

    inputs, targets = examples.rows(np.array([4, 1]))

    assert len(examples) == 10
    for parts, factors in ((inputs, (1, 2)), (targets, (1, 3))):
        for part, factor in zip(parts, factors, strict=True):
            np.testing.assert_array_equal(part, factor * x[[4, 1]])


@pytest.mark.backends
@pytest.mark.parametrize('interrupted_after', [1, 2])
def test_interrupted_training_goes_on_as_the_uninterrupted_one(interrupted_after, examples, tmp_path):
    class Stopped(Checkpoint):
        def write(self, model, history):
            super().write(model, history)
            if len(history) == interrupted_after:
                raise KeyboardInterrupt

    with pytest.raises(Interrupted) as interrupted:
        trained(examples, 3, Stopped(tmp_path, SETTINGS), name='small')
    assert str(interrupted.value) == (
        f'Training of small stopped in epoch {interrupted_after + 1} of 3. Finished epochs are kept in '
        f'{folder_in(tmp_path)}. Running it again continues with epoch {interrupted_after + 1}.')
    resumed, history = trained(examples, 3, Checkpoint(tmp_path, SETTINGS))

    weights, expected = trained(examples, 3)
    assert same(resumed, weights)
    for epoch, as_expected in zip(history, expected, strict=True):
        assert epoch == pytest.approx(as_expected, rel=1e-4)


def test_interrupted_training_without_a_checkpoint_says_that_nothing_is_kept(examples):
    def interrupt(logs):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match='stopped in epoch 1 of 2. Nothing of it is kept'):
        fit(small_model(), Recipe(2), *examples, loss_parts=interrupt)


def test_seed_governs_order_and_random_layers(examples):
    first, again, other = (trained(examples, 1, seed=seed)[0] for seed in (0, 0, 1))

    assert same(first, again) and not same(first, other)


def test_finished_training_is_read_back(examples, tmp_path, caplog, capfd):
    caplog.set_level(logging.INFO, logger='digits')
    weights, history = trained(examples, 2, Checkpoint(tmp_path, SETTINGS))
    capfd.readouterr()

    again, read_back = trained(examples, 2, Checkpoint(tmp_path, SETTINGS), name='small')

    assert same(again, weights) and read_back == history
    assert caplog.messages == [f'small: epochs 1 to 2 of 2 read back from {folder_in(tmp_path)}']
    assert 'small: 100%' in capfd.readouterr().out


def test_crash_between_learning_curve_and_weights(examples, tmp_path):
    _, history = trained(examples, 1, Checkpoint(tmp_path, SETTINGS))
    written = folder_in(tmp_path) / 'history.json'
    state = json.loads(written.read_text())
    state['history'].append({'loss': -1.0})
    written.write_text(json.dumps(state))

    _, resumed = trained(examples, 2, Checkpoint(tmp_path, SETTINGS))

    assert resumed[0] == history[0] and resumed[1]['loss'] > 0


def test_checkpoints_of_other_settings_are_left_alone(examples, tmp_path):
    trained(examples, 2, Checkpoint(tmp_path, SETTINGS))
    files = {path: path.read_bytes() for path in folder_in(tmp_path).iterdir()}

    _, history = trained(examples, 1, Checkpoint(tmp_path, SETTINGS | {'recipe': {'batch_size': 4}}))

    assert len(history) == 1 and len(list(tmp_path.iterdir())) == 2
    assert {path: path.read_bytes() for path in files} == files


def test_damaged_checkpoint(examples, tmp_path):
    trained(examples, 1, Checkpoint(tmp_path, SETTINGS))
    folder = folder_in(tmp_path)
    weights = folder / 'epoch-001.weights.h5'
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r'epoch-001\.weights\.h5 cannot be read'):
        trained(examples, 2, Checkpoint(tmp_path, SETTINGS))

    (folder / 'history.json').write_text('{')
    with pytest.raises(ValueError, match=r'history\.json is damaged.*Delete its folder'):
        trained(examples, 2, Checkpoint(tmp_path, SETTINGS))


@pytest.mark.parametrize('part', ['loss', 'val_loss'])
def test_diverged_training_keeps_earlier_epochs(part, examples, tmp_path):
    trained(examples, 1, Checkpoint(tmp_path, SETTINGS))
    diverging = [Examples(of.inputs * np.float32(np.nan if part.startswith('val') == is_test else 1), of.targets)
                 for is_test, of in enumerate(examples)]

    with pytest.raises(FloatingPointError, match="'small' diverged in epoch 2.*nan"):
        trained(diverging, 2, Checkpoint(tmp_path, SETTINGS), name='small')
    assert [path.name for path in folder_in(tmp_path).glob('*.h5')] == ['epoch-001.weights.h5']


def test_learning_rate_of_a_recipe():
    recipe = Recipe(3, learning_rate_decay=0.5, warm_up_steps=2)

    rates = [recipe.learning_rate_at(step, 4) for step in range(12)]

    np.testing.assert_allclose(rates, 0.001 * np.array([1 / 3, 2 / 3, 1, 1, *[0.5] * 4, *[0.25] * 4]))
    assert Recipe(2, learning_rate=0.5).learning_rate_at(7, 4) == 0.5


def test_learning_rate_of_each_step_is_the_recipes(examples):
    recipe = Recipe(2, batch_size=8, learning_rate_decay=0.1, warm_up_steps=2)
    model = small_model()
    rates = []

    class Recorded:
        """The model, of which each learning rate is noted."""

        def __getattr__(self, name):
            return getattr(model, name)

        def train_on_batch(self, *arguments, **keywords):
            rates.append(float(model.optimizer.learning_rate))
            return model.train_on_batch(*arguments, **keywords)

    fit(Recorded(), recipe, *examples)

    np.testing.assert_allclose(rates, [recipe.learning_rate_at(step, 4) for step in range(8)], rtol=1e-6)


@pytest.mark.backends
def test_moving_averages_are_measured(examples, rng):
    model = small_model(ema_momentum=0.75)
    history = fit(model, Recipe(2, batch_size=8), *examples)
    last = [weights.copy() for weights in model.get_weights()]

    with averaged_weights(model):
        averages = [weights.copy() for weights in model.get_weights()]
        measured = float(model.test_on_batch(*examples[1]))

    assert history[-1]['val_loss'] == pytest.approx(measured, rel=1e-4)
    assert not same(averages, last) and same(model.get_weights(), last)


@pytest.mark.parametrize('numbers, message', [
    ({'epochs': 0}, 'epochs must be an integer of at least 1'), ({'batch_size': 1.5}, 'batch_size must be an integer'),
    ({'warm_up_steps': -1}, 'warm_up_steps must be an integer of at least 0')])
def test_bad_recipe(numbers, message, examples):
    with pytest.raises(ValueError, match=message):
        fit(small_model(), Recipe(1)._replace(**numbers), *examples)


def test_numpys_integers_are_written_as_integers():
    assert json.dumps(check_recipe(Recipe(np.int64(2), batch_size=np.int32(8)))._asdict())
