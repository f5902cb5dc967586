"""The page of `make explore` in Chromium, driven as a reader would: with mouse, keyboard and finger."""

import base64
import re

import numpy as np
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

VAES = [('vae-predictor-off', 'without predictor'), ('vae-predictor-softmax', 'with classifier'),
        ('vae-predictor-linear', 'with regressor')]


@pytest.fixture(scope='module')
def path():
    from vae_opt_util import build_dir

    path = build_dir / 'explore.html'
    assert path.exists(), 'Call `make explore` first.'
    return path


@pytest.fixture(params=['desk', 'phone'])
def page(request, chromium, path):
    """The page on a screen of a desk or of a phone. It must not log, fail or ask the network for anything."""
    screen = {'viewport': {'width': 1400, 'height': 900}} if request.param == 'desk' else {
        'viewport': {'width': 390, 'height': 844}, 'is_mobile': True, 'has_touch': True, 'device_scale_factor': 2}
    context = chromium.new_context(**screen)
    page = context.new_page()
    said, requested = [], []
    page.on('console', lambda message: said.append(message.text))
    page.on('pageerror', lambda error: said.append(str(error)))
    page.on('request', lambda asked: requested.append(asked.url))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert said == []
    assert requested == [path.as_uri()]


desk_only = pytest.mark.parametrize('page', ['desk'], indirect=True)
phone_only = pytest.mark.parametrize('page', ['phone'], indirect=True)


def pixels(page, canvas='#image'):
    """What a canvas of 28 × 28 pixels shows, grey from 0 to 1."""
    values = page.eval_on_selector(canvas, '''canvas => {
        const copy = new OffscreenCanvas(28, 28).getContext('2d', { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        return Array.from(copy.getImageData(0, 0, 28, 28).data);
    }''')
    colors = np.array(values).reshape(28, 28, 4)
    assert (colors[..., :3] == colors[..., :1]).all()
    return colors[..., 0] / 255


def choose(page, group, choice):
    page.locator(f'#{group} label', has_text=re.compile(f'^{choice}$')).click()


def go_to(page, t):
    for name, coordinate in zip(('t1', 't2'), t, strict=True):
        page.fill(f'#{name}', repr(float(coordinate)))
    settle(page)


def settle(page):
    """Waits until what was asked for is drawn: two frames of animation."""
    page.evaluate('() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')


def point(page):
    return np.array([float(page.input_value(f'#{name}')) for name in ('t1', 't2')])


def value(page):
    return float(page.inner_text('#value'))


def middle(page, t=(0, 0)):
    """Where a point of the latent space is on the screen."""
    box = page.locator('#marks').bounding_box()
    return box['x'] + (t[0] + 4) / 8 * box['width'], box['y'] + (4 - t[1]) / 8 * box['height']


@desk_only
@pytest.mark.parametrize(('name', 'choice'), VAES)
def test_images_are_those_of_keras(page, pretrained, rng, name, choice):
    points = np.vstack((rng.normal(size=(8, 2)), rng.uniform(-4, 4, size=(8, 2)))).clip(-4, 4).astype('float32')
    expected = pretrained[name].get_layer('decoder').predict_on_batch(points)[..., 0]

    choose(page, 'vae', choice)
    shown = []
    for t in points:
        go_to(page, t)
        shown.append(pixels(page))

    assert np.ptp(expected, axis=0).max() > 0.5
    np.testing.assert_allclose(shown, expected, rtol=0, atol=1 / 255)


@desk_only
@pytest.mark.parametrize('source', ['decode → classify', 'predictor'])
def test_objectives_and_probabilities_are_those_of_keras(page, pretrained, rng, source):
    from digits.objectives import create_decode_classify, nll_all_targets

    vae = pretrained['vae-predictor-softmax']
    reader = (vae.get_layer('predictor') if source == 'predictor' else
                   create_decode_classify(vae.get_layer('decoder'), pretrained['classifier']))
    points = rng.uniform(-3, 3, size=(6, 2)).astype('float32')
    expected = nll_all_targets(reader, points)
    probs = reader.predict_on_batch(points)

    choose(page, 'objective', source)
    for row, (t, target) in enumerate(zip(points, (0, 3, 4, 5, 8, 9), strict=True)):
        choose(page, 'target', target)
        go_to(page, t)
        assert value(page) == pytest.approx(expected[row, target], abs=0.006)
        heights = page.eval_on_selector_all(f'.column i:nth-child({1 + (source == "predictor")})',
                                            'bars => bars.map(bar => parseFloat(bar.style.height))')
        np.testing.assert_allclose(heights, 100 * probs[row], atol=0.01)


@desk_only
def test_value_of_the_regressor(page, pretrained):
    predictor = pretrained['vae-predictor-linear'].get_layer('predictor')

    choose(page, 'vae', 'with regressor')
    go_to(page, (1.25, -0.5))

    said = float(re.search(r'the regressor says (\S+)', page.inner_text('#read'))[1])
    assert said == pytest.approx(predictor.predict_on_batch(np.float32([[1.25, -0.5]])).item(), abs=0.006)


@desk_only
def test_mouse(page):
    page.mouse.move(*middle(page, (1.5, -2)))
    settle(page)
    first, image = point(page), pixels(page)
    page.mouse.move(*middle(page, (-1, 0.5)))
    settle(page)

    np.testing.assert_allclose(first, (1.5, -2), atol=0.02)
    np.testing.assert_allclose(point(page), (-1, 0.5), atol=0.02)
    assert np.abs(pixels(page) - image).max() > 0.1


@desk_only
def test_keyboard(page):
    go_to(page, (0, 0))
    image = pixels(page)
    page.focus('#marks')
    for key in ('ArrowRight', 'ArrowRight', 'ArrowUp', 'Shift+ArrowLeft', 'Shift+ArrowDown'):
        page.keyboard.press(key)
    settle(page)

    np.testing.assert_allclose(point(page), (-0.4, -0.45), atol=1e-9)
    assert np.abs(pixels(page) - image).max() > 0.1
    for _ in range(9):
        page.keyboard.press('Shift+ArrowLeft')
    settle(page)
    assert point(page)[0] == -4  # The box ends here.


@desk_only
def test_all_controls_are_reached_by_tab(page):
    page.evaluate('document.activeElement.blur()')
    reached = []
    for _ in range(12):
        page.keyboard.press('Tab')
        reached.append(page.evaluate('document.activeElement.name || document.activeElement.id'))

    assert reached[:3] == ['vae', 'target', 'objective']
    assert {'marks', 't1', 't2', 'to-minimum', 'play', 'forward', 'frame'} <= set(reached)


@phone_only
def test_touch(page):
    page.locator('#marks').scroll_into_view_if_needed()
    page.touchscreen.tap(*middle(page, (2, 1)))
    settle(page)
    tapped, image, scrolled = point(page), pixels(page), page.evaluate('scrollY')
    finger = page.context.new_cdp_session(page)
    for kind, t in (('touchStart', (2, 1)), ('touchMove', (1, 0)), ('touchMove', (-1, -1))):
        x, y = middle(page, t)
        finger.send('Input.dispatchTouchEvent', {'type': kind, 'touchPoints': [{'x': x, 'y': y}]})
    finger.send('Input.dispatchTouchEvent', {'type': 'touchEnd', 'touchPoints': []})
    settle(page)

    np.testing.assert_allclose(tapped, (2, 1), atol=0.05)
    np.testing.assert_allclose(point(page), (-1, -1), atol=0.05)
    assert np.abs(pixels(page) - image).max() > 0.1
    assert page.evaluate('scrollY') == scrolled  # The finger moved the point, and not the page.


def test_target_moves_the_minimum(page):
    minima = {}
    for target in (1, 7):
        choose(page, 'target', target)
        drawn = page.eval_on_selector('#map', 'canvas => canvas.toDataURL()')
        page.click('#to-minimum')
        settle(page)
        minima[target] = point(page), value(page), drawn
        assert page.inner_text('#read').startswith(f'Reads as {target}')
        assert value(page) == pytest.approx(float(page.inner_text('#minimum')), abs=0.011)

    assert np.linalg.norm(minima[1][0] - minima[7][0]) > 0.5
    assert minima[1][2] != minima[7][2]


@desk_only
def test_map_is_the_objective(page, pretrained):
    """The colours of the map are those of the objective, as far as 121 points and 256 steps can tell."""
    import matplotlib

    from digits.objectives import create_decode_classify, nll_all_targets, nll_prior

    vae = pretrained['vae-predictor-softmax']
    reader = create_decode_classify(vae.get_layer('decoder'), pretrained['classifier'])
    places = np.array([(-3.5, 3.5), (3.5, -3.5), (0.3, -0.45), (-1.5, -1.5), (2.9, 2.1), (-0.9, 2.4)])
    values = nll_all_targets(reader, places)[:, 4]
    low, high = nll_prior([[0, 0]]).item(), nll_prior([[4, 4]]).item() - np.log(1e-8)
    expected = matplotlib.colormaps['viridis'](np.log(values / low) / np.log(high / low))[:, :3]

    choose(page, 'target', 4)
    shown = page.eval_on_selector('#map', '''(canvas, places) => {
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.width).data;
        const pixel = coordinate => Math.floor(coordinate / 8 * canvas.width);
        return places.map(([x, y]) => Array.from(data.slice(
            4 * (pixel(4 - y) * canvas.width + pixel(x + 4))).slice(0, 3)));
    }''', places.tolist())

    assert np.median(np.abs(np.array(shown) / 255 - expected)) < 0.02


def test_replay_ends_at_the_best(page, pretrained):
    search = page.evaluate('vaes[1].objectives[0].searches[3]')
    best = min(search, key=lambda evaluation: evaluation[2])
    choose(page, 'target', 3)
    page.click('#forward')
    settle(page)
    np.testing.assert_allclose(point(page), search[0][:2], atol=1e-3)
    assert value(page) == pytest.approx(search[0][2], abs=0.006)
    page.click('#forward')
    assert page.inner_text('#status').startswith(f'Evaluation 2: {search[1][2]:.3f} nats.')
    page.click('#back')
    assert page.inner_text('#status').startswith(f'Evaluation 1: {search[0][2]:.3f} nats.')

    page.fill('#frame', str(len(search) + 1))
    settle(page)

    assert len(search) == 52
    assert page.is_disabled('#forward')
    assert f'is the best, {best[2]:.3f} nats' in page.inner_text('#status')
    np.testing.assert_allclose(point(page), best[:2], atol=1e-3)
    decoder = pretrained['vae-predictor-softmax'].get_layer('decoder')
    expected = decoder.predict_on_batch(np.float32([best[:2]]))[0, ..., 0]
    np.testing.assert_allclose(pixels(page), expected, atol=1 / 255)
    np.testing.assert_allclose(pixels(page, '#best'), expected, atol=1 / 255)
    assert best[2] == pytest.approx(page.evaluate('vaes[1].objectives[0].minima[3][2]'), abs=0.1)


def test_replay_plays(page):
    from playwright.sync_api import expect

    page.click('#play')
    status = expect(page.locator('#status'))
    status.to_have_text(re.compile('^Evaluation [2-9]:'))
    assert page.get_attribute('#play', 'aria-label') == 'Pause'
    page.fill('#frame', '52')  # This pauses.
    assert page.get_attribute('#play', 'aria-label') == 'Play'
    page.click('#play')

    status.to_have_text(re.compile('^Result:'))

    assert page.get_attribute('#play', 'aria-label') == 'Play'


def test_layout(page):
    width = page.viewport_size['width']
    assert page.evaluate('document.documentElement.scrollWidth') == width
    for image in ('#map', '#image', '#curve'):
        box = page.locator(image).bounding_box()
        assert 100 < box['width'] and 0 <= box['x'] and box['x'] + box['width'] <= width


@phone_only
def test_digit_and_map_fit_on_a_phone(page):
    page.locator('.digit').evaluate('digit => digit.scrollIntoView()')
    box = page.locator('#marks').bounding_box()

    assert page.locator('#image').bounding_box()['y'] >= 0
    assert box['y'] + box['height'] <= 844


def test_page_stands_alone(path):
    text = path.read_text(encoding='utf-8')

    assert path.stat().st_size <= 3_000_000
    assert not re.search(r'(src|href)\s*=|url\(|@import|fetch\(|https?:', text)
    base64.b64decode(re.search(r'"terms": "([^"]+)"', text)[1], validate=True)
