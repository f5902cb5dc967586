"""The conditional VAE, and runs of several methods."""

import numpy as np
import pytest

from alternatives import (
    constrain,
    constrain_with_gradients,
    evaluate_conditional_vae,
    generate,
    sample_prior,
    train_conditional_vae,
)
from digits.data import one_hot
from networks.prediction import predict
from networks.training import Recipe


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
    with pytest.raises(ValueError, match='needs a conditional VAE.*load_conditional_vae'):
        generate(pretrained['vae-predictor-off'], 3, 5)
    with pytest.raises(ValueError, match='target must be a label'):
        generate(pretrained['vae-conditional'], 10, 5)
    with pytest.raises(ValueError, match='num must be an integer of at least 1'):
        generate(pretrained['vae-conditional'], 3, 0)


@pytest.mark.parametrize('part', ['encoder', 'decoder'])
def test_both_networks_use_the_condition(part, pretrained, few_digits):
    network = pretrained['vae-conditional'].get_layer(part)
    given = few_digits.x_test[:4] if part == 'encoder' else sample_prior(4, 2).astype('float32')

    first, second = (network.predict_on_batch([given, one_hot(np.full(4, label))]) for label in (1, 8))

    assert not np.allclose(first, second, atol=0.1)


@pytest.mark.slow
def test_training_and_evaluation(few_digits):
    model, history = train_conditional_vae(few_digits, recipe=Recipe(2, batch_size=16), seed=3)
    again, _ = train_conditional_vae(few_digits, recipe=Recipe(2, batch_size=16), seed=3)

    metrics = evaluate_conditional_vae(model, few_digits.x_test, few_digits.y_test)

    assert history[1]['vae_loss'] < history[0]['vae_loss']
    assert metrics['neg_elbo'] == pytest.approx(history[-1]['val_vae_loss'], rel=0.05)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize('method', ['conditional VAE', 'actor', 'gradients'])
def test_judge_reads_what_was_wanted(method, pretrained):
    """97% or more, as the median of five seeds; twenty images of each digit."""
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
                       for target in range(10)]) for seed in range(5)]

    assert np.median(shares) >= 0.97
