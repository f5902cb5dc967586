import time

import numpy as np
import pytest

from alternatives import (
    constrain,
    constrain_with_gradients,
    constraint_loss,
    create_actor,
    create_attribute_critic,
    create_latent_constraints,
    create_realism_critic,
    evaluate_latent_constraints,
    move_loss,
    move_weight,
    sample_prior,
    train_latent_constraints,
)
from digits.data import one_hot
from networks.backend import keras
from vae_opt_util import create_model


def dense(inputs, units):
    return inputs * units + units


def test_architectures():
    critic, attribute_critic, actor = create_realism_critic(3), create_attribute_critic(3), create_actor(3)

    assert critic.count_params() == dense(3, 128) + dense(128, 128) + dense(128, 1)
    assert attribute_critic.count_params() == dense(3, 128) + dense(128, 128) + dense(128, 10)
    assert actor.count_params() == dense(13, 128) + dense(128, 128) + dense(128, 3)


def test_actor_moves_what_it_is_given(rng):
    actor = create_actor(2)
    actor.set_weights([np.zeros_like(weights) for weights in actor.get_weights()[:-1]] + [np.array([1.0, -2.0])])
    t = rng.normal(size=(4, 2)).astype('float32')

    np.testing.assert_allclose(actor.predict_on_batch([t, one_hot(np.arange(4))]), t + [1, -2], atol=1e-6)


def test_move_loss_by_hand():
    t, moved = np.zeros((2, 2), dtype='float32'), np.array([[0, 0], [1, 3]], dtype='float32')

    np.testing.assert_allclose(keras.ops.convert_to_numpy(move_loss(t, moved)), [0, np.log(2) + np.log(10)], rtol=1e-6)


def test_constraint_loss_by_hand():
    t, moved = np.array([[0, 0], [1, 1]], dtype='float32'), np.array([[2, 0], [1, 1]], dtype='float32')
    realism = np.array([[0.5], [0.25]], dtype='float32')
    label_probs = np.array([[0.1, 0.9], [0.8, 0.2]] @ np.eye(2, 10), dtype='float32')

    loss = keras.ops.convert_to_numpy(constraint_loss(t, one_hot(np.array([1, 1])), moved, realism, label_probs))

    expected = [-np.log(0.5) - np.log(0.9) + move_weight * np.log(5), -np.log(0.25) - np.log(0.2)]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_constraint_loss_of_the_impossible_is_finite():
    nothing = np.zeros((1, 1), dtype='float32')

    loss = constraint_loss(nothing, one_hot(np.array([1])), nothing, nothing, np.zeros((1, 10), dtype='float32'))

    np.testing.assert_allclose(keras.ops.convert_to_numpy(loss), 2 * 7 * np.log(10), rtol=1e-5)


SETTINGS = {'epochs': 4, 'batch_size': 16}


@pytest.fixture(scope='module')
def training(pretrained, few_digits):
    """Constraints, history, and seconds of a training."""
    started = time.perf_counter()
    return *train_latent_constraints(pretrained['vae-predictor-off'], few_digits, **SETTINGS), (
        time.perf_counter() - started)


@pytest.mark.slow
def test_training_by_hand(training, pretrained, few_digits):
    """The losses that training reports of its last epoch, from the trained networks' outputs."""
    constraints, history, seconds = training
    vae = pretrained['vae-predictor-off']

    parts = {'realism', 'attribute', 'accuracy', 'actor'}
    assert [set(epoch) for epoch in history] == [parts | {f'val_{part}' for part in parts} | {'seconds'}] * 4
    assert 0.5 * seconds < sum(epoch['seconds'] for epoch in history) < seconds
    assert min(epoch['seconds'] for epoch in history) > 0
    for part in ('realism', 'attribute', 'actor'):
        assert history[-1][part] < history[0][part]
    t_mean, _ = vae.get_layer('encoder').predict_on_batch(few_digits.x_test)
    probs = constraints.get_layer('attribute_critic').predict_on_batch(t_mean)
    attribute = -np.log(probs[np.arange(64), few_digits.y_test]).mean()
    assert history[-1]['val_attribute'] == pytest.approx(attribute, rel=0.1)

    of_images, of_prior = (constraints.get_layer('realism_critic').predict_on_batch(t)
                           for t in (t_mean, sample_prior(5000, 2).astype('float32')))
    realism = (-np.log(of_images).mean() - np.log(1 - of_prior).mean()) / 2
    assert history[-1]['val_realism'] == pytest.approx(realism, rel=0.15) and realism < 0.6

    t, label = sample_prior(5000, 2).astype('float32'), one_hot(np.random.default_rng(0).integers(10, size=5000))
    moved, realism, label_probs = constraints.predict_on_batch([t, label])
    actor = (-np.log(realism[:, 0]) - np.log((label * label_probs).sum(axis=1))
             + move_weight * np.log1p((moved - t) ** 2).sum(axis=1))
    assert history[-1]['val_actor'] == pytest.approx(actor.mean(), rel=0.15)


@pytest.mark.slow
def test_training_leaves_the_vae_and_that_of_the_actor_the_critics(training, pretrained, few_digits):
    """Trainings that differ only in the loss of the actor have the same critics."""
    vae = pretrained['vae-predictor-off']
    before = [weights.copy() for weights in vae.get_weights()]

    other, _ = train_latent_constraints(vae, few_digits, **SETTINGS, move_weight=30.0)

    for weights, same in zip(vae.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, same)
    for name, same in (('realism_critic', True), ('attribute_critic', True), ('actor', False)):
        weights, others = (model.get_layer(name).get_weights() for model in (training[0], other))
        assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(weights, others, strict=True)) == same


@pytest.mark.slow
def test_seed_governs_training_of_the_constraints(pretrained, few_digits):
    first, same, other = (train_latent_constraints(pretrained['vae-predictor-off'], few_digits, epochs=1,
                                                   batch_size=128, seed=seed)[0] for seed in (1, 1, 2))

    for a, b in zip(first.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert not np.allclose(first.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize('changes, message', [
    ({'epochs': 0}, 'epochs must be an integer'), ({'batch_size': 0.5}, 'batch_size must be an integer'),
    ({'seed': None}, 'seed must be an integer')])
def test_training_with_bad_numbers(changes, message, pretrained, few_digits):
    with pytest.raises(ValueError, match=message):
        train_latent_constraints(pretrained['vae-predictor-off'], few_digits, **changes)


@pytest.mark.slow
def test_diverged_training_of_the_constraints(pretrained, few_digits):
    with pytest.raises(FloatingPointError, match='actor.*nan.*another seed'):
        train_latent_constraints(pretrained['vae-predictor-off'], few_digits, epochs=1, move_weight=float('nan'))


def test_actor_and_gradients_find_the_label(pretrained):
    constraints = pretrained['latent-constraints']
    critic = constraints.get_layer('attribute_critic')
    t = sample_prior(200, 2)

    for target in (0, 6):
        by_actor = constrain(constraints, t, target)
        by_gradients, evaluations = constrain_with_gradients(constraints, t, target, num=50)

        assert by_actor.shape == (200, 2) and by_gradients.shape == (50, 2) and 5 < evaluations < 150
        for moved in (by_actor, by_gradients):
            assert (critic.predict_on_batch(moved.astype('float32')).argmax(axis=1) == target).mean() > 0.99


def test_gradients_descend_the_constraint_loss(pretrained):
    """From each start to a lower loss, and the least losses are those that are kept, the least first."""
    constraints = pretrained['latent-constraints']
    t = sample_prior(40, 2).astype('float32')
    label = one_hot(np.full(40, 6))

    def losses(start, moved):
        critics = (constraints.get_layer(name).predict_on_batch(moved) for name in ('realism_critic',
                                                                                    'attribute_critic'))
        return keras.ops.convert_to_numpy(constraint_loss(start, label[:len(start)], moved, *critics))

    alone = np.concatenate([constrain_with_gradients(constraints, t[[i]], 6, num=1, max_iter=300)[0]
                            for i in range(40)]).astype('float32')
    together, _ = constrain_with_gradients(constraints, t, 6, num=40, max_iter=300)

    assert (losses(t, alone) <= losses(t, t) + 1e-5).all() and losses(t, alone).mean() < losses(t, t).mean() - 1
    best, _ = constrain_with_gradients(constraints, t, 6, num=5, max_iter=300)
    np.testing.assert_allclose(best, together[:5], atol=1e-6)


def test_points_that_cannot_be_constrained(pretrained):
    constraints = pretrained['latent-constraints']

    with pytest.raises(ValueError, match='target must be a label'):
        constrain(constraints, np.zeros((3, 2)), 12)
    with pytest.raises(ValueError, match=r'shape \(n, 2\)'):
        constrain(constraints, np.zeros((3, 4)), 1)
    with pytest.raises(ValueError, match='5 points cannot be chosen from 3'):
        constrain_with_gradients(constraints, np.zeros((3, 2)), 1, num=5)


def test_weights_of_the_actor_have_names_of_their_own():
    actor, critics = create_actor(2), (create_realism_critic(2), create_attribute_critic(2))
    paths = [variable.path for variable in actor.variables]

    assert len(set(paths)) == len(paths)
    assert not set(paths) & {variable.path for critic in critics for variable in critic.variables}


def test_evaluation_of_the_constraints(few_digits):
    """With a VAE that encodes every image at (5, 0), an actor that moves nothing, and critics that know x > 2.5."""
    def zero_but(network, **biases_and_kernels):
        network.set_weights([np.zeros_like(weights) for weights in network.get_weights()])
        for name, (kernel, bias) in biases_and_kernels.items():
            layer = network.get_layer(name)
            weights = [np.zeros_like(part) for part in layer.get_weights()]
            weights[0][0, kernel[0]], weights[1][bias[0]] = kernel[1], bias[1]
            layer.set_weights(weights)

    vae = create_model('vae-predictor-off')
    zero_but(vae.get_layer('encoder'), t_mean=((0, 0), (0, 5)), t_log_var=((0, 0), (0, -9)))
    constraints = create_latent_constraints(create_realism_critic(2), create_attribute_critic(2), create_actor(2))
    beyond = {'dense_1': ((0, 1), (0, -2.5)), 'dense_2': ((0, 1), (0, 0))}
    zero_but(constraints.get_layer('realism_critic'), **beyond, realism=((0, 9), (0, -1)))
    zero_but(constraints.get_layer('attribute_critic'), **beyond, label_probs=((7, 9), (7, -1)))
    zero_but(constraints.get_layer('actor'))

    metrics = evaluate_latent_constraints(constraints, vae, few_digits.x_test, few_digits.y_test, seed=3)

    rng = np.random.default_rng(3)
    rng.standard_normal((2 * 64, 2), dtype='float32')
    assert metrics == {'accuracy': np.mean(few_digits.y_test == 7), 'realism': 1.0,
                       'moved': np.mean(rng.integers(10, size=64) == 0)}
