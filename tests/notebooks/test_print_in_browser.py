"""Pages of notebooks on paper, in Chromium: nothing is cut."""

import pytest
from notebook_helpers import MAIN, notebook_runner, read

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# What is cut: what has more inside than it shows, or reaches beyond the paper; a figure that is higher than it.
CUT = """() => [...document.querySelectorAll('pre, table, img')]
    .filter(e => e.scrollWidth > e.clientWidth + 1 || e.getBoundingClientRect().right > innerWidth ||
                 e.tagName == 'IMG' && e.getBoundingClientRect().height > innerHeight)
    .map(e => e.textContent.slice(0, 80))"""


# The widest table, the longest lines, and the highest figure.
@pytest.mark.parametrize('name', ['alternatives', 'molecules', 'higher_dimensions'])
def test_nothing_is_cut(name, chromium, tmp_path):
    written = notebook_runner.write_page(read(MAIN.with_stem(name)), tmp_path / 'page.html')
    page = chromium.new_page(viewport={'width': 698, 'height': 1027})  # A4 between its margins; Letter is wider.
    page.goto(written.as_uri())

    assert page.evaluate(CUT) != []  # On a screen, which scrolls.
    page.emulate_media(media='print')
    assert page.evaluate(CUT) == []
    page.close()
