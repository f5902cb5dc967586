"""Training by Keras's `fit` and its checkpoints, on a small network; tests/vae_opt_util has those of the models."""

import errno
import os

import numpy as np
import pytest

from latent_search import Interrupted
from networks.backend import keras, layers
from networks.training import Checkpoint, Recipe, batches, fit


@pytest.fixture
def examples(rng):
    x = rng.normal(size=(44, 3)).astype('float32')
    y = x.sum(axis=1, keepdims=True)
    return (x[:32], y[:32]), (x[32:], y[32:])


def small_model(recipe, output=lambda tensor: tensor):
    keras.utils.set_random_seed(3)
    x = layers.Input((3,))
    tensor = layers.Dense(1, name='last')(layers.Dropout(0.1, seed=0)(layers.Dense(4, activation='tanh')(x)))
    model = keras.Model(x, output(tensor))
    model.compile(recipe.optimizer(32), 'mse')
    return model


def trained(examples, recipe=None, **options):
    recipe = recipe or Recipe(3, batch_size=8, learning_rate=0.02)
    model = small_model(recipe)
    history = fit(model, *examples, recipe, 'small', **options)
    return [weights.copy() for weights in model.get_weights()], [without_time(epoch) for epoch in history]


def without_time(epoch):
    return {key: value for key, value in epoch.items() if key != 'seconds'}


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def folder_in(parent):
    """The folder of the only checkpoint."""
    folder, = parent.iterdir()
    return folder


@pytest.mark.backends
def test_learning_curve(examples):
    recipe = Recipe(6, batch_size=8, learning_rate=0.02)
    model = small_model(recipe)

    history = fit(model, *examples, recipe, 'small')

    assert [set(epoch) for epoch in history] == [{'loss', 'val_loss', 'seconds'}] * 6
    assert history[-1]['loss'] < history[0]['loss'] and history[-1]['val_loss'] < history[0]['val_loss']
    predicted = model.predict_on_batch(examples[1][0])
    assert history[-1]['val_loss'] == pytest.approx(np.square(predicted - examples[1][1]).mean(), rel=1e-4)


def test_single_named_output_is_named_in_the_learning_curve(examples):
    (x, y), (x_test, y_test) = examples
    recipe = Recipe(1)
    model = small_model(recipe, lambda tensor: {'value': tensor})

    epoch, = fit(model, (x, {'value': y}), (x_test, {'value': y_test}), recipe, 'small')

    assert epoch['value_loss'] == epoch['loss'] and epoch['val_value_loss'] == epoch['val_loss']


@pytest.mark.backends
def test_batches_follow_the_orders_of_the_epochs():
    x, orders = np.arange(10), np.array([np.arange(10), np.arange(10)[::-1]])

    parts = list(batches((x, 2 * x), {'y': 3 * x}, 4, orders).as_numpy_iterator())

    assert [len(first) for (first, _), _ in parts] == [4, 4, 2] * 2
    assert [row for (first, _), _ in parts for row in first] == orders.ravel().tolist()
    for (first, second), targets in parts:
        np.testing.assert_array_equal(second, 2 * first)
        np.testing.assert_array_equal(targets['y'], 3 * first)


@pytest.mark.backends
def test_order_depends_on_seed_and_epoch(examples, monkeypatch):
    orders = {}
    for seed in (1, 2):
        monkeypatch.setattr('networks.training.batches',
                            lambda *given, seed=seed: orders.update({seed: given[-1]}) or batches(*given))
        trained(examples, seed=seed)

    assert [sorted(order) for order in orders[1]] == [list(range(32))] * 3
    assert len({tuple(order) for of_seed in orders.values() for order in of_seed}) == 6


@pytest.mark.backends
@pytest.mark.parametrize('ema_momentum', [0.0, 0.5])
@pytest.mark.parametrize('interrupted_after', [1, 2])
def test_interrupted_training_goes_on_as_the_uninterrupted_one(interrupted_after, ema_momentum, examples, tmp_path,
                                                               monkeypatch):
    recipe = Recipe(3, batch_size=8, learning_rate=0.02, ema_momentum=ema_momentum)
    write = Checkpoint.write

    def write_and_interrupt(checkpoint, model, epoch):
        write(checkpoint, model, epoch)
        if len(checkpoint.history) == interrupted_after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted) as interrupted:
        patch.setattr(Checkpoint, 'write', write_and_interrupt)
        trained(examples, recipe, folder=tmp_path)
    assert str(interrupted.value) == (
        f'Training of small stopped in epoch {interrupted_after + 1} of 3. Finished epochs are kept in '
        f'{folder_in(tmp_path)}. Running it again continues with epoch {interrupted_after + 1}.')
    weights, history = trained(examples, recipe, folder=tmp_path)
    at_once, expected = trained(examples, recipe)

    assert same(weights, at_once) and history == expected
    weights, history = trained(examples, recipe, folder=tmp_path)  # It is finished, and read back.
    assert same(weights, at_once) and history == expected


def test_interrupted_training_without_a_folder_says_that_nothing_is_kept(examples, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, 'write', interrupt)
    with pytest.raises(Interrupted, match='stopped in epoch 1 of 3. Nothing of it is kept'):
        trained(examples)


def test_seed_governs_order_and_random_layers(examples):
    first, again, other = (trained(examples, seed=seed)[0] for seed in (0, 0, 1))

    assert same(first, again) and not same(first, other)


def test_each_training_has_a_folder_of_its_own(examples, tmp_path):
    (x, y), test_set = examples
    trained(examples, folder=tmp_path)
    files = {path: path.read_bytes() for path in folder_in(tmp_path).iterdir()}
    recipe = Recipe(1, batch_size=8)
    other_loss = small_model(recipe)
    other_loss.compile(recipe.optimizer(32), 'mae')

    trained(examples, folder=tmp_path, seed=1)
    trained(examples, recipe, folder=tmp_path)
    trained(((x, 2 * y), test_set), folder=tmp_path)
    fit(other_loss, *examples, recipe, 'small', folder=tmp_path)

    assert len(list(tmp_path.iterdir())) == 5
    assert {path: path.read_bytes() for path in files} == files


def test_damaged_checkpoint(examples, tmp_path):
    trained(examples, folder=tmp_path)
    path = folder_in(tmp_path) / 'checkpoint.npz'
    path.write_bytes(path.read_bytes()[:1000])
    recipe = Recipe(3, batch_size=8, learning_rate=0.02)
    model = small_model(recipe)
    before = model.get_weights()

    with pytest.raises(ValueError, match=r'The checkpoint .*small-.* is damaged \(.*Delete it to train anew'):
        fit(model, *examples, recipe, 'small', folder=tmp_path)
    assert same(model.get_weights(), before)


def test_disk_that_is_full_ends_the_training(examples, tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(OSError, match=(
            'The checkpoint .*small-.* cannot be written: No space left on device. Epochs before are kept')):
        patch.setattr(os, 'fsync', fail)
        trained(examples, folder=tmp_path)
    assert trained(examples, folder=tmp_path)[1] == trained(examples)[1]


@pytest.mark.parametrize('part', [0, 1], ids=['training', 'test'])
def test_diverged_training_keeps_no_epoch(part, examples, tmp_path):
    sets = [(x * np.float32(np.nan if index == part else 1), y) for index, (x, y) in enumerate(examples)]

    with pytest.raises(FloatingPointError, match='Training of small diverged in epoch 1.*nan'):
        trained(sets, folder=tmp_path)
    assert list(folder_in(tmp_path).iterdir()) == []


@pytest.mark.backends
def test_learning_rates_and_moving_averages_are_the_recipes(examples):
    """Compared with RMSprop and the averages written out in NumPy, on a linear model of one weight."""
    x = examples[0][0][:, :1]
    recipe = Recipe(2, batch_size=32, learning_rate=0.1, warm_up_steps=1, ema_momentum=0.25)
    inputs = layers.Input((1,))
    model = keras.Model(inputs, layers.Dense(1, use_bias=False, kernel_initializer='zeros')(inputs))
    model.compile(recipe.optimizer(8 * 32), 'mse')  # As if there were 16 steps: the averages' momentum is 0.25.
    np.testing.assert_allclose([float(model.optimizer.learning_rate)], [0.05])

    fit(model, (x, 3 * x), (x, 3 * x), recipe, 'linear')

    weight, square, average = 0.0, 0.0, 0.0
    for step in range(2):
        gradient = 2 * np.mean(x * (weight * x - 3 * x))
        square = 0.9 * square + 0.1 * gradient ** 2
        weight -= 0.1 * min(1, (step + 1) / 2) * gradient / (np.sqrt(square) + 1e-7)
        average = weight if step == 0 else 0.25 * average + 0.75 * weight
    assert float(model.get_weights()[0][0, 0]) == pytest.approx(average, rel=1e-4)
    assert abs(average - weight) > 1e-3


def rates(recipe, num, steps):
    return [float(recipe.optimizer(num)._learning_rate(step)) for step in range(steps)]


def test_learning_rates_of_a_recipe():
    np.testing.assert_allclose(rates(Recipe(5, batch_size=1, learning_rate=0.3, warm_up_steps=2), 4, 5),
                               [0.1, 0.2, 0.3, 0.3, 0.3], rtol=1e-6)
    np.testing.assert_allclose(rates(Recipe(3, batch_size=1, learning_rate_decay=0.5), 4, 12),
                               0.001 * np.repeat([1, 0.5, 0.25], 4), rtol=1e-6)


def test_few_steps_shorten_warm_up_and_averages():
    recipe = Recipe(15, warm_up_steps=300, ema_momentum=0.998)

    assert recipe.optimizer(60_000).ema_momentum == 0.998
    assert rates(recipe, 512, 62)[60:] == pytest.approx([0.001, 0.001]) and rates(recipe, 512, 62)[59] < 0.001
    assert rates(recipe, 64, 15) == pytest.approx([0.001 * (step + 1) / 31 for step in range(15)])
    assert 0.98 < recipe.optimizer(1437).ema_momentum < 0.99
    assert not Recipe(1, ema_momentum=0.9).optimizer(10).use_ema


@pytest.mark.parametrize('numbers, message', [
    ({'epochs': 0}, 'epochs must be an integer of at least 1'), ({'batch_size': 1.5}, 'batch_size must be an integer'),
    ({'warm_up_steps': -1}, 'warm_up_steps must be an integer of at least 0'),
    *(({'learning_rate': value}, f'learning_rate must be a positive number, got {value!r}')
      for value in ('1e-3', np.nan, np.inf, -0.1, 0, True, None)),
    ({'learning_rate_decay': 0.0}, 'learning_rate_decay must be a positive number, got 0.0'),
    ({'learning_rate_decay': '1'}, 'learning_rate_decay must be a positive number'),
    ({'ema_momentum': 1.0}, 'ema_momentum must be a number from 0 to below 1, got 1.0'),
    ({'ema_momentum': np.nan}, 'ema_momentum must be a number')])
def test_bad_recipe(numbers, message):
    with pytest.raises(ValueError, match=message):
        Recipe(1)._replace(**numbers).optimizer(32)
    with pytest.raises(ValueError, match='num must be an integer of at least 1, got 0'):
        Recipe(1).optimizer(0)


def test_numbers_of_numpy_in_a_recipe(examples):
    recipe = Recipe(np.int64(2), np.int32(8), np.float32(0.02), ema_momentum=np.float64(0.5))

    assert len(trained(examples, recipe)[1]) == 2


def test_bad_precision(examples):
    with pytest.raises(ValueError, match='precision must be .auto., .float32. or .mixed_bfloat16., got .float16.'):
        trained(examples, precision='float16')
