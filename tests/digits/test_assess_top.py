"""Reading the images of the best points of a search."""

from types import SimpleNamespace

import numpy as np
import pytest

from digits.measures import assess_top, mean_pixel_distance
from digits.objectives import nll_prior
from latent_search import top
from networks.prediction import predict
from vae_opt_util import create_classifier, create_decoder, create_judge


@pytest.fixture
def search(rng):
    points = rng.uniform(-4, 4, size=(30, 2))
    return SimpleNamespace(domain=np.array([(-4.0, 4.0)] * 2), spacing=0.0125, X=points, Y=nll_prior(points))


def test_assess_top(search):
    decoder, classifier, judge = create_decoder(2), create_classifier(), create_judge()
    points, values = top(search, 5)
    images = predict(decoder, points, '')

    assessed = assess_top(search, 3, decoder, classifier, judge, num=5)

    np.testing.assert_array_equal(assessed['values'], values[:, 0])
    np.testing.assert_allclose(assessed['images'], images)
    np.testing.assert_allclose(assessed['classifier'], predict(classifier, images, '')[:, 3])
    np.testing.assert_allclose(assessed['judge'], predict(judge, images, '')[:, 3])
    np.testing.assert_array_equal(assessed['read'], predict(judge, images, '').argmax(axis=1))
    assert assessed['diversity'] == mean_pixel_distance(images) > 0


def test_assess_top_as_the_article_shows_it(search):
    search.X, search.Y = np.repeat(search.X, 2, axis=0), np.repeat(search.Y, 2, axis=0)
    networks = create_decoder(2), create_classifier(), create_judge()

    assert len(np.unique(assess_top(search, 3, *networks, num=4)['values'])) == 4
    assert len(np.unique(assess_top(search, 3, *networks, num=4, distance=0)['values'])) == 2


def test_assess_top_of_a_search_without_evaluations(search):
    search.X, search.Y = search.X[:0], search.Y[:0]
    with pytest.raises(ValueError, match='no evaluations'):
        assess_top(search, 3, None, None, None)
