import itertools
from types import SimpleNamespace

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

import alternatives
from alternatives import (
    assess_generated,
    constrain,
    constrain_with_gradients,
    constraint_loss,
    coverage,
    create_actor,
    create_attribute_critic,
    create_features,
    create_latent_constraints,
    create_realism_critic,
    evaluate_latent_constraints,
    frechet_distance,
    generate,
    median_and_spread,
    move_loss,
    plot_constrained,
    plot_generated,
    plot_trade_off,
    run_methods,
    sample_prior,
    train_latent_constraints,
)
from vae_opt_util import create_judge, create_model, evaluate, mean_pixel_distance, one_hot, predict, train

# ---------------------------------------------------------------------------------------------------------------------
# Conditional VAE
# ---------------------------------------------------------------------------------------------------------------------


def test_one_hot():
    np.testing.assert_array_equal(one_hot(np.array([2, 0])), np.eye(10)[[2, 0]])
    assert one_hot(np.array([9])).dtype == np.float32
    with pytest.raises(ValueError, match='Labels must lie in 0 to 9'):
        one_hot(np.array([10]))


def test_sample_prior():
    t = sample_prior(50_000, 3, seed=1)

    np.testing.assert_allclose(t.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(t.T), np.eye(3), atol=0.03)
    np.testing.assert_array_equal(t, sample_prior(50_000, 3, seed=1))
    assert not np.array_equal(t, sample_prior(50_000, 3, seed=2))
    with pytest.raises(ValueError, match='num must be an integer of at least 1'):
        sample_prior(0, 2)


def test_generate_decodes_the_prior_under_the_label(pretrained):
    vae = pretrained['vae-conditional']

    images = generate(vae, target=3, num=5, seed=7)

    assert images.shape == (5, 28, 28, 1) and images.dtype == np.float32 and 0 < images.min() < images.max() < 1
    label = np.zeros((5, 10), dtype='float32')
    label[:, 3] = 1
    t = sample_prior(5, 2, seed=7).astype('float32')
    np.testing.assert_allclose(images, vae.get_layer('decoder').predict_on_batch([t, label]), atol=1e-6)
    assert not np.allclose(images, generate(vae, 8, 5, seed=7), atol=0.5)
    assert not np.allclose(images, generate(vae, 3, 5, seed=8), atol=0.5)


def test_generate_of_what_cannot_be(pretrained):
    with pytest.raises(ValueError, match="needs a conditional VAE.*'vae-conditional'"):
        generate(pretrained['vae-predictor-off'], 3, 5)
    with pytest.raises(ValueError, match='target must be a label'):
        generate(pretrained['vae-conditional'], 10, 5)
    with pytest.raises(ValueError, match='num must be an integer of at least 1'):
        generate(pretrained['vae-conditional'], 3, 0)


def test_conditional_loss_by_hand(few_digits):
    """Reconstruction and KL divergence, each with the label as condition, but for the sampler's noise."""
    model, history = train('vae-conditional', few_digits, epochs=2, batch_size=4, precision='float32')
    x, y = few_digits.x_test, few_digits.y_test
    label = np.eye(10, dtype='float32')[y]
    t_mean, t_log_var = model.get_layer('encoder').predict_on_batch([x, label])
    decoded = model.get_layer('decoder').predict_on_batch([t_mean, label]).clip(1e-7, 1 - 1e-7)

    kl = 0.5 * (np.exp(t_log_var) + t_mean ** 2 - 1 - t_log_var).sum(axis=1).mean()
    reconstruction = -(x * np.log(decoded) + (1 - x) * np.log(1 - decoded)).sum(axis=(1, 2, 3)).mean()
    np.testing.assert_allclose(history[-1]['val_kl'], kl, rtol=1e-3)
    np.testing.assert_allclose(history[-1]['val_reconstruction'], reconstruction, rtol=0.05)
    assert evaluate(model, x, y)['kl'] == pytest.approx(kl, rel=1e-3)


@pytest.mark.parametrize('part', ['encoder', 'decoder'])
def test_both_networks_use_the_condition(part, pretrained, few_digits):
    network = pretrained['vae-conditional'].get_layer(part)
    given = few_digits.x_test[:4] if part == 'encoder' else sample_prior(4, 2).astype('float32')

    first, second = (network.predict_on_batch([given, one_hot(np.full(4, label))]) for label in (1, 8))

    assert not np.allclose(first, second, atol=0.1)


# ---------------------------------------------------------------------------------------------------------------------
# Latent constraints
# ---------------------------------------------------------------------------------------------------------------------


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

    expected = [-np.log(0.5) - np.log(0.9) + alternatives.move_weight * np.log(5), -np.log(0.25) - np.log(0.2)]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_constraint_loss_of_the_impossible_is_finite():
    nothing = np.zeros((1, 1), dtype='float32')

    loss = constraint_loss(nothing, one_hot(np.array([1])), nothing, nothing, np.zeros((1, 10), dtype='float32'))

    np.testing.assert_allclose(keras.ops.convert_to_numpy(loss), 2 * 7 * np.log(10), rtol=1e-5)


def test_training_by_hand(pretrained, few_digits, monkeypatch):
    """The losses that training reports of its last epoch, from the trained networks' outputs."""
    vae = pretrained['vae-predictor-off']
    before = [weights.copy() for weights in vae.get_weights()]

    monkeypatch.setattr(alternatives, 'time', SimpleNamespace(perf_counter=itertools.count().__next__))
    constraints, history = train_latent_constraints(vae, few_digits, epochs=12, batch_size=32)

    for weights, same in zip(vae.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, same)
    parts = {'realism', 'attribute', 'accuracy', 'actor'}
    assert [set(epoch) for epoch in history] == [parts | {f'val_{part}' for part in parts} | {'seconds'}] * 12
    assert all(epoch['seconds'] == 3 for epoch in history)  # One for each of the three networks.
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
             + alternatives.move_weight * np.log1p((moved - t) ** 2).sum(axis=1))
    assert history[-1]['val_actor'] == pytest.approx(actor.mean(), rel=0.15)


def test_training_of_the_actor_leaves_the_critics(pretrained, few_digits, monkeypatch):
    """The critics of a training whose actor learns nothing are those of one whose actor does."""
    arguments = pretrained['vae-predictor-off'], few_digits, 1, 64
    constraints, _ = train_latent_constraints(*arguments)
    monkeypatch.setattr(alternatives, 'constraint_loss', lambda *arguments: 0 * constraint_loss(*arguments))
    idle, _ = train_latent_constraints(*arguments)

    for name, same in (('realism_critic', True), ('attribute_critic', True), ('actor', False)):
        weights, others = (model.get_layer(name).get_weights() for model in (constraints, idle))
        assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(weights, others, strict=True)) == same


def test_seed_governs_training_of_the_constraints(pretrained, few_digits):
    first, same, other = (train_latent_constraints(pretrained['vae-predictor-off'], few_digits, 1, seed=seed)[0]
                          for seed in (1, 1, 2))

    for a, b in zip(first.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert not np.allclose(first.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize('changes, message', [
    ({'epochs': 0}, 'epochs must be an integer'), ({'batch_size': 0.5}, 'batch_size must be an integer'),
    ({'seed': None}, 'seed must be an integer')])
def test_training_with_bad_numbers(changes, message, pretrained, few_digits):
    with pytest.raises(ValueError, match=message):
        train_latent_constraints(pretrained['vae-predictor-off'], few_digits, **changes)


def test_diverged_training_of_the_constraints(pretrained, few_digits, monkeypatch):
    monkeypatch.setattr(alternatives, 'move_weight', float('nan'))

    with pytest.raises(FloatingPointError, match='actor.*nan.*another seed'):
        train_latent_constraints(pretrained['vae-predictor-off'], few_digits, 1)


def test_actor_and_gradients_find_the_label(pretrained):
    constraints = pretrained['latent-constraints']
    critic = constraints.get_layer('attribute_critic')
    t = sample_prior(200, 2)

    for target in (0, 6):
        by_actor = constrain(constraints, t, target)
        by_gradients, evaluations = constrain_with_gradients(constraints, t, target, num=50)

        assert by_actor.shape == (200, 2) and by_gradients.shape == (50, 2) and 5 < evaluations < 80
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


# ---------------------------------------------------------------------------------------------------------------------
# Measures
# ---------------------------------------------------------------------------------------------------------------------


def test_features_are_the_judges(rng):
    judge = create_judge()
    x = rng.random((3, 28, 28, 1), dtype='float32')

    features, probs = create_features(judge).predict_on_batch(x)

    assert features.shape == (3, 128)
    kernel, bias = judge.get_layer('label_probs').get_weights()
    logits = features @ kernel + bias
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), probs, rtol=1e-4)


def test_frechet_distance_of_known_distributions(rng):
    a = rng.normal(size=(200_000, 3))

    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(a, a + [3, 0, -4]) == pytest.approx(25)
    # N(0, I) and N(0, diag(4, 9, 1)): (1 − 2)² + (1 − 3)² + 0.
    assert frechet_distance(a, rng.normal(size=(200_000, 3)) * [2, 3, 1]) == pytest.approx(5, rel=0.02)
    assert frechet_distance(a[:, :1], 2 * a[:, :1] + 1) == pytest.approx(2, rel=0.02)


def test_frechet_distance_of_correlated_features(rng):
    """Against the definition, with SciPy's square root of a matrix."""
    from scipy.linalg import sqrtm

    a, b = (rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4)) + rng.normal(size=4) for _ in range(2))
    expected = (np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
                + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * sqrtm(np.cov(a.T) @ np.cov(b.T)).real))

    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6) == pytest.approx(frechet_distance(b, a))


def test_frechet_distance_of_few_samples(rng):
    a, b = rng.normal(size=(3, 20)), rng.normal(size=(1000, 20))

    assert np.isfinite(frechet_distance(a, b)) and frechet_distance(a, b) > 0
    with pytest.raises(ValueError, match='two rows or more'):
        frechet_distance(a[:1], b)
    with pytest.raises(ValueError, match=r'shape \(n, 20\)'):
        frechet_distance(a, b[:, :5])


def test_coverage_of_known_cases():
    real = np.arange(8.0)[:, np.newaxis]

    assert coverage(real, real) == 1
    assert coverage(real, np.array([[1000.0]])) == 0
    # The nearest but one real sample is 1 away inside, 2 away at both ends.
    assert coverage(real, np.array([[2.0]]), k=2) == 4 / 8
    assert coverage(real, np.array([[-1.5]]), k=2) == 1 / 8
    with pytest.raises(ValueError, match='8-th nearest of 8'):
        coverage(real, real, k=8)


def test_coverage_of_the_same_distribution(rng):
    real, generated = rng.normal(size=(2, 2000, 5))

    assert coverage(real, generated, k=5) == pytest.approx(1 - 2 ** -5, abs=0.015)
    assert coverage(real, generated, k=1) == pytest.approx(1 / 2, abs=0.04)
    assert coverage(real, generated[:, :] * 0.1, k=5) < 0.5


@pytest.fixture(scope='module')
def judged(pretrained, few_digits):
    features, _ = predict(create_features(pretrained['judge']), few_digits.x_train, 'judge')
    of_labels = [few_digits.x_train[few_digits.y_train == label] for label in range(10)]
    return pretrained['judge'], features, few_digits.y_train, of_labels


def test_assessment_of_real_images(judged):
    judge, features, y, of_labels = judged

    assessed = assess_generated(of_labels, judge, features, y, num=10)

    assert assessed['correct'] > 0.85 and assessed['coverage'] == 1
    assert assessed['frechet'] == pytest.approx(0, abs=0.1)
    assert assessed['distance'] == pytest.approx(np.mean([mean_pixel_distance(images) for images in of_labels]))
    assert [len(read) for read in assessed['read']] == [len(images) for images in of_labels]


def test_assessment_of_wrong_and_of_single_images(judged):
    judge, features, y, of_labels = judged

    wrong = assess_generated(of_labels[1:] + of_labels[:1], judge, features, y, num=10)
    single = assess_generated([images[:1] for images in of_labels], judge, features, y, num=10)

    assert wrong['correct'] < 0.1 and wrong['coverage'] < 0.3 and wrong['frechet'] == pytest.approx(0, abs=0.1)
    assert np.isnan(single['distance']) and 0 < single['coverage'] < 1 and single['frechet'] > 1


def test_runs_of_methods(capsys):
    def method(label, seed):
        return np.full((2, 28, 28, 1), label / 10, dtype='float32'), 7 + seed, None if seed else -1.5

    runs = run_methods({'a': method, 'b': lambda label, seed: method(9 - label, seed)}, num_runs=2)

    assert list(runs) == ['a', 'b'] and [len(of_run) for of_run in runs['a']] == [10, 10]
    assert runs['a'][1][4].images[0, 0, 0, 0] == runs['b'][0][5].images[0, 0, 0, 0] == np.float32(0.4)
    assert [(of_run[3].evaluations, of_run[3].value) for of_run in runs['b']] == [(7, -1.5), (8, None)]
    assert all(run.seconds >= 0 for of_run in runs['a'] for run in of_run)
    assert '40/40' in capsys.readouterr().out
    with pytest.raises(ValueError, match='num_runs must be an integer of at least 1'):
        run_methods({'a': method}, 0)


def test_median_and_spread():
    assert median_and_spread([3.0, 1.0, 2.0], 1) == '2.0 (1.0–3.0)'
    assert median_and_spread([np.nan, 1.0], 1) == '–'


# ---------------------------------------------------------------------------------------------------------------------
# What the models reach
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('method', ['conditional VAE', 'actor', 'gradients'])
def test_judge_reads_what_was_wanted(method, pretrained):
    """Required: 97%, as the median of ten seeds; twenty images of each digit."""
    vae, constraints = pretrained['vae-predictor-off'], pretrained['latent-constraints']

    def images(target, seed):
        if method == 'conditional VAE':
            return generate(pretrained['vae-conditional'], target, 20, seed)
        if method == 'actor':
            t = constrain(constraints, sample_prior(20, 2, seed), target)
        else:
            t, _ = constrain_with_gradients(constraints, sample_prior(80, 2, seed), target, num=20)
        return predict(vae.get_layer('decoder'), t.astype('float32'), 'decode')

    shares = [np.mean([predict(pretrained['judge'], images(target, seed), 'judge').argmax(axis=1) == target
                       for target in range(10)]) for seed in range(10)]

    assert np.median(shares) >= 0.97


# ---------------------------------------------------------------------------------------------------------------------
# Figures
# ---------------------------------------------------------------------------------------------------------------------


def test_plot_generated(rng):
    generated = {name: list(rng.random((10, num, 28, 28, 1))) for name, num in (('three', 3), ('one', 1), ('six', 6))}
    read = {name: [np.full(len(images), label) for label, images in enumerate(of_labels)]
            for name, of_labels in generated.items()}
    read['three'][4][1] = 9

    figure = plot_generated(generated, read, 'methods', num=4)

    assert isinstance(figure, plt.Figure)
    three, one, six, empty = figure.axes
    assert [axis.get_title() for axis in figure.axes] == ['three', 'one', 'six', ''] and not empty.axison
    assert [len(axis.patches) for axis in (three, one, six)] == [1, 0, 0]
    assert three.patches[0].get_xy() == (120, 30)
    assert [axis.images[0].get_array().shape for axis in (three, one, six)] == [(90, 300), (30, 300), (120, 300)]
    montage = six.images[0].get_array()
    np.testing.assert_allclose(montage[91:119, 271:299], generated['six'][9][5][..., 0])  # The last of six.
    np.testing.assert_allclose(montage[1:29, 1:29], generated['six'][0][0][..., 0])


def test_plot_constrained(rng):
    t, y = rng.normal(size=(50, 2)), rng.integers(10, size=50)

    figure = plot_constrained(t, y, {'actor': rng.normal(size=(10, 7, 2))}, 'moved')

    axis = figure.axes[0]
    assert axis.get_title() == 'actor' and axis.get_xlabel() == '$t_1$'
    assert sorted(len(points.get_offsets()) for points in axis.collections) == [7] * 10 + [50]


def test_plot_trade_off():
    figure = plot_trade_off({'a': [0.9, 1.0, 0.95], 'b': [0.5, 0.5, 0.5]},
                            {'a': [1.0, 3.0, 2.0], 'b': [np.nan] * 3}, 'trade-off')

    (a, *_), (b, *_) = figure.axes[0].containers
    np.testing.assert_allclose([*a.get_xydata()[0], *b.get_xydata()[0]], [2, 0.95, 0, 0.5])
