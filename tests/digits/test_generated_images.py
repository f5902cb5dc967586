"""Measures of generated images: diversity, Fréchet distance, coverage."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from digits.measures import (
    assess_generated,
    coverage,
    create_features,
    frechet_distance,
    mean_pixel_distance,
    median_and_spread,
    predict,
)
from vae_opt_util import create_judge


def test_mean_pixel_distance():
    images = np.zeros((3, 28, 28, 1))
    images[1, :2, :2] = 1
    images[2, :3, :3] = 1

    assert mean_pixel_distance(images) == pytest.approx((2 + 3 + np.sqrt(5)) / 3)
    assert mean_pixel_distance(images[:1]) == 0


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
    assert np.isnan(single['distance']) and 0 < single['coverage'] < 1
    assert np.isnan(single['frechet'])  # Of ten images, and not of a hundred as the others.


def test_median_and_spread():
    assert median_and_spread([3.0, 1.0, 2.0], 1) == '2.0 (1.0–3.0)'
    assert median_and_spread([2.0], 1) == '2.0'
    assert median_and_spread([np.nan, 1.0], 1) == '–'
