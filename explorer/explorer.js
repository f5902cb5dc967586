// What the page does: its state, its controls, and how they are drawn.

const data = JSON.parse(document.getElementById('data').textContent);
const box = data.box, range = data.range;
const colors = data.colors.match(/.{6}/g).map(hex => [0, 2, 4].map(i => parseInt(hex.slice(i, i + 2), 16)));
const classifier = network(data.classifier);
const vaes = data.vaes.map(vae => ({
  ...vae,
  decoder: network(vae.decoder),
  predictor: vae.predictor && network(vae.predictor),
  objectives: vae.objectives.map(objective => ({ ...objective, terms: bytes(objective.terms) })),
}));
const state = { vae: 1, target: 4, objective: 0, t: [0, 0], frame: 0, timer: null };
const $ = id => document.getElementById(id);

function vae() { return vaes[state.vae]; }
function objective() { return vae().objectives[state.objective]; }
function search() { return objective().searches[state.target]; }
function minimum() { return objective().minima[state.target]; }

// ---------------------------------------------------------------------------------------------------------------------
// Drawing
// ---------------------------------------------------------------------------------------------------------------------

function paintImage(canvas, pixels) {
  const context = canvas.getContext('2d'), image = context.createImageData(28, 28);
  pixels.forEach((pixel, i) => image.data.set([255 * pixel, 255 * pixel, 255 * pixel, 255], 4 * i));
  context.putImageData(image, 0, 0);
}

// Gives a canvas the resolution of the screen.
function fit(canvas, most = 1200) {
  const scale = Math.min(window.devicePixelRatio || 1, most / canvas.clientWidth);
  const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
}

function drawMap() {
  fit($('map'), 800);
  const points = data.points, quantised = objective().terms.subarray(state.target * points ** 2);
  // Square roots are stored, so that small values are fine.
  const terms = Float32Array.from({ length: points ** 2 }, (_, i) => data.highestTerm * (quantised[i] / 255) ** 2);
  paintMap($('map'), objectiveAtPixels(terms, points, $('map').width, box), colors, range);
  $('legend-target').textContent = state.target;
}

function drawMarks() {
  fit($('marks'));
  paintMarks($('marks'), {
    minima: objective().minima, target: state.target, t: state.t, box,
    evaluations: search().slice(0, Math.min(state.frame, search().length)),
  });
}

const percent = p => p > 0.9995 ? '> 99.9%' : p < 0.0005 ? '< 0.1%' : `${(100 * p).toFixed(1)}%`;

function drawPoint() {
  const pixels = decode(vae().decoder, state.t), byClassifier = classify(classifier, pixels);
  const predicted = vae().predictor && predict(vae().predictor, state.t);
  const labels = vae().objectives.map((_, i) => i ? predicted : byClassifier);
  const read = byClassifier.indexOf(Math.max(...byClassifier));
  paintImage($('image'), pixels);
  $('read').innerHTML = `Reads as ${read} <small>with ${percent(byClassifier[read])}, by the classifier` +
    (typeof predicted === 'number' ? `; the regressor says ${predicted.toFixed(2)}` : '') + '</small>';
  $('image').setAttribute('aria-label', `Decoded image; reads as ${read} with ${percent(byClassifier[read])}`);
  for (const [i, id] of ['t1', 't2'].entries()) {
    if (document.activeElement !== $(id)) $(id).value = state.t[i].toFixed(3);
  }
  drawBars(labels);
  drawValues(labels[state.objective][state.target]);
}

function drawBars(labels) {
  [...$('bars').children].forEach((bar, digit) => {
    bar.classList.toggle('target', digit === state.target);
    bar.title = labels.map(probs => percent(probs[digit])).join(', ');
    bar.firstChild.innerHTML = labels.map(probs => `<i style="height:${100 * probs[digit]}%"></i>`).join('');
  });
  $('bars-key').innerHTML = '<span class="swatch"></span>classifier of the image' +
    (labels.length > 1 ? '<span class="swatch second"></span>predictor of the point' : '');
}

function drawValues(probability) {
  const term = -Math.log(probability + data.floor), prior = nllPrior(...state.t);
  $('values').innerHTML =
    `<tr><th>−log p(${state.target})</th><td>${term.toFixed(2)}</td></tr>` +
    `<tr><th>−log N(<b>t</b> | <b>0</b>, <b>I</b>)</th><td>${prior.toFixed(2)}</td></tr>` +
    `<tr class="total"><th>objective, nats</th><td id="value">${(term + prior).toFixed(2)}</td></tr>` +
    `<tr><th>minimum</th><td id="minimum">${minimum()[2].toFixed(2)}</td></tr>`;
}

function drawSearch() {
  const evaluations = search(), values = evaluations.map(evaluation => evaluation[2]);
  const shown = Math.min(state.frame, values.length), best = values.indexOf(Math.min(...values.slice(0, shown)));
  const style = getComputedStyle(document.body);
  fit($('curve'));
  paintCurve($('curve'), { values, shown, minimum: minimum()[2], range, colors: {
    grid: style.getPropertyValue('--line'), text: style.getPropertyValue('--quiet'),
    best: style.getPropertyValue('--accent') } });
  $('frame').value = state.frame;
  $('back').disabled = state.frame === 0;
  $('forward').disabled = state.frame > values.length;
  $('best').getContext('2d').clearRect(0, 0, 28, 28);
  $('search-of').textContent = `for ${state.target}, ${values.length} evaluations`;
  let status = 'Press play. The evaluations appear one by one, and the small image is the best so far.';
  if (shown) {
    paintImage($('best'), decode(vae().decoder, evaluations[best].slice(0, 2)));
    $('best').setAttribute('aria-label', `Best image so far, of evaluation ${best + 1}`);
    status = state.frame > values.length
      ? `Result: evaluation ${best + 1} is the best, ${values[best].toFixed(3)} nats. ` +
        `The minimum is ${minimum()[2].toFixed(3)}.`
      : `Evaluation ${shown}: ${values[shown - 1].toFixed(3)} nats. Best so far: ${values[best].toFixed(3)}.`;
  }
  $('status').textContent = status;
  $('frame').setAttribute('aria-valuetext', status);
}

// ---------------------------------------------------------------------------------------------------------------------
// Changes of the state
// ---------------------------------------------------------------------------------------------------------------------

let redrawing = false, toAnnounce = null;

function moveTo(t) {
  state.t = t.map(coordinate => Math.min(Math.max(coordinate, box[0]), box[1]));
  if (!redrawing) requestAnimationFrame(() => {
    redrawing = false;
    drawPoint();
    drawMarks();
  });
  redrawing = true;
  clearTimeout(toAnnounce);  // Not at each step: a screen reader would not finish a sentence.
  toAnnounce = setTimeout(() => {
    $('announcement').textContent = `Point ${state.t.map(coordinate => coordinate.toFixed(2)).join(', ')}. ` +
      `${$('read').textContent}. Objective ${$('value').textContent} nats.`;
  }, 600);
}

// Shows a search after `frame` evaluations; the frame after the last one shows the best of all.
function showFrame(frame) {
  const evaluations = search(), values = evaluations.map(evaluation => evaluation[2]);
  state.frame = Math.min(Math.max(frame, 0), evaluations.length + 1);
  if (state.frame > evaluations.length) {
    moveTo(evaluations[values.indexOf(Math.min(...values))].slice(0, 2));
    stop();
  } else if (state.frame) {
    moveTo(evaluations[state.frame - 1].slice(0, 2));
  }
  drawSearch();
  drawMarks();
}

function stop() {
  clearInterval(state.timer);
  state.timer = null;
  $('play').textContent = '▶';
  $('play').setAttribute('aria-label', 'Play');
}

function play() {
  if (state.timer) return stop();
  state.timer = setInterval(() => showFrame(state.frame + 1), 450);
  $('play').textContent = '❚❚';
  $('play').setAttribute('aria-label', 'Pause');
  showFrame(state.frame > search().length ? 1 : state.frame + 1);
}

// After another VAE, target or objective: another map and another search.
function showAll() {
  stop();
  state.frame = 0;
  $('frame').max = search().length + 1;
  drawMap();
  drawPoint();
  drawSearch();
  drawMarks();
}

function choices(id, names, chosen, choose) {
  $(id).querySelector('.options')?.remove();
  const options = document.createElement('div');
  options.className = 'options';
  names.forEach((name, i) => {
    const label = document.createElement('label');
    label.innerHTML = `<input type="radio" name="${id}"><span>${name}</span>`;
    label.firstChild.checked = i === chosen;
    label.firstChild.addEventListener('change', () => { choose(i); showAll(); });
    options.append(label);
  });
  $(id).append(options);
}

function offerObjectives() {
  state.objective = Math.min(state.objective, vae().objectives.length - 1);
  choices('objective', vae().objectives.map(({ name }) => name), state.objective, i => { state.objective = i; });
}

// ---------------------------------------------------------------------------------------------------------------------
// Events
// ---------------------------------------------------------------------------------------------------------------------

function followPointer(event) {
  const { left, top, width } = $('marks').getBoundingClientRect();
  moveTo(toPoint([event.clientX - left, event.clientY - top], width, box));
}

$('marks').addEventListener('pointerdown', event => {
  stop();
  $('marks').setPointerCapture(event.pointerId);
  followPointer(event);
});
$('marks').addEventListener('pointermove', event => {
  // While a search is replayed, only a pressed pointer takes over.
  if (!state.timer) followPointer(event);
});
$('marks').addEventListener('keydown', event => {
  const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (!direction) return;
  event.preventDefault();
  stop();
  moveTo(state.t.map((coordinate, i) => coordinate + direction[i] * (event.shiftKey ? 0.5 : 0.05)));
});
for (const [i, id] of ['t1', 't2'].entries()) {
  $(id).min = box[0];
  $(id).max = box[1];
  $(id).addEventListener('input', () => {
    stop();
    if ($(id).value !== '') moveTo(state.t.map((coordinate, j) => j === i ? Number($(id).value) : coordinate));
  });
  $(id).addEventListener('blur', drawPoint);
}
$('to-minimum').addEventListener('click', () => { stop(); moveTo(minimum().slice(0, 2)); });
$('play').addEventListener('click', play);
$('back').addEventListener('click', () => { stop(); showFrame(state.frame - 1); });
$('forward').addEventListener('click', () => { stop(); showFrame(state.frame + 1); });
$('frame').addEventListener('input', () => { stop(); showFrame(Number($('frame').value)); });
new ResizeObserver(([{ contentRect }]) => {
  if (contentRect.width === 0) return;
  drawMap();
  drawSearch();
  drawMarks();
}).observe($('marks'));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawSearch);

// ---------------------------------------------------------------------------------------------------------------------
// Beginning
// ---------------------------------------------------------------------------------------------------------------------

for (let tick = box[0]; tick <= box[1]; tick += 2) {
  const span = `<span>${tick < 0 ? '−' : ''}${Math.abs(tick)}</span>`;
  document.querySelector('.ticks.horizontal').insertAdjacentHTML('beforeend', span);
  document.querySelector('.ticks.vertical').insertAdjacentHTML('afterbegin', span);
}
const gradient = $('colorbar').getContext('2d').createImageData(256, 1);
colors.forEach((color, i) => gradient.data.set([...color, 255], 4 * i));
$('colorbar').getContext('2d').putImageData(gradient, 0, 0);
$('colorbar-ticks').innerHTML = [2, 4, 8, 16, 32].map(level =>
  `<span style="left:${100 * share(level, range)}%">${level}${level === 32 ? ' nats' : ''}</span>`).join('');
$('bars').innerHTML = Array.from({ length: 10 }, (_, digit) =>
  `<div class="bar"><div class="column"></div><b>${digit}</b></div>`).join('');
$('resolution').textContent = `${data.points} × ${data.points} points`;
choices('vae', vaes.map(({ name }) => name), state.vae, i => { state.vae = i; offerObjectives(); });
choices('target', [...Array(10).keys()], state.target, i => { state.target = i; });
offerObjectives();
showAll();
moveTo(minimum().slice(0, 2));
