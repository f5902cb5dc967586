"""The player of a search in the page of a notebook, in Chromium."""

import nbformat
import numpy as np
import pytest
from notebook_helpers import notebook_runner

from latent_search import create_optimizer, stages_of
from latent_search.figures import animate_stages, create_player

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    """The page of a notebook with the player of a search: six to nine evaluations."""
    search = create_optimizer(lambda t: ((t - 1) ** 2).sum(axis=1, keepdims=True), [(-4, 4)] * 2)
    search.run_optimization(3)
    stages = stages_of(search, range(6, 10), points=21)
    pictures = np.random.default_rng(0).random((len(stages), 2, 28, 28))
    player = create_player(animate_stages(search.domain, stages, 'A search', pictures), 'A search, as it goes on')
    output = nbformat.v4.new_output('display_data', {'text/html': player})
    return notebook_runner.write_page(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])]),
                                      tmp_path_factory.mktemp('page') / 'player.html')


@pytest.mark.parametrize('width', [1400, 390])
def test_player(width, path, chromium):
    page = chromium.new_page(viewport={'width': width, 'height': 900})
    said, requested = [], []
    page.on('console', lambda message: said.append(message.text))
    page.on('pageerror', lambda error: said.append(str(error)))
    page.on('request', lambda asked: requested.append(asked.url))
    page.goto(path.as_uri())
    frame, slider = page.locator('.animation img'), page.locator('.anim-slider')

    def click(symbol):
        page.locator('.anim-buttons button', has_text=symbol).click()
        return slider.input_value(), frame.get_attribute('src')

    first, second = (slider.input_value(), frame.get_attribute('src')), click('→')
    assert (first[0], second[0]) == ('0', '1') and first[1] != second[1]
    assert click('←') == first and click('⇥')[0] == '3' and click('⇤') == first
    click('▶')
    page.wait_for_function("document.querySelector('.anim-slider').value == 3")
    slider.fill('1')
    assert frame.get_attribute('src') == second[1]

    inside = page.locator('.animation').bounding_box()
    assert inside['x'] >= 0 and inside['x'] + inside['width'] <= width
    assert frame.get_attribute('alt') == 'A search, as it goes on'
    assert said == [] and [url for url in requested if not url.startswith(('file:', 'data:'))] == []
    page.close()
