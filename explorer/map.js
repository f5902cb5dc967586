// The objective as a map: colours, contours, and what is marked on it.

const contourLevels = [2, 3, 4, 6, 8, 12, 16, 24, 32];

// −log N(t | 0, I) in two dimensions, nats.
function nllPrior(x, y) {
  return (x * x + y * y) / 2 + Math.log(2 * Math.PI);
}

// Where a point of the box is on a canvas of `size` pixels, and back.
function toPixel([x, y], size, [low, high]) {
  return [(x - low) / (high - low) * size, (high - y) / (high - low) * size];
}

function toPoint([x, y], size, [low, high]) {
  return [low + x / size * (high - low), high - y / size * (high - low)];
}

// The objective at the centre of each pixel. The prior is exact, the label's term is interpolated on the grid.
function objectiveAtPixels(terms, points, size, [low, high]) {
  const values = new Float32Array(size * size), scale = (points - 1) / size, step = (high - low) / size;
  for (let row = 0, k = 0; row < size; row++) {
    const v = (size - row - 0.5) * scale, up = v % 1, below = Math.floor(v) * points, y = high - (row + 0.5) * step;
    for (let column = 0; column < size; column++, k++) {
      const u = (column + 0.5) * scale, right = u % 1, i = below + Math.floor(u);
      values[k] = nllPrior(low + (column + 0.5) * step, y)
        + (1 - up) * ((1 - right) * terms[i] + right * terms[i + 1])
        + up * ((1 - right) * terms[i + points] + right * terms[i + points + 1]);
    }
  }
  return values;
}

// Where a value is between the ends of the colours, 0 to 1, logarithmically.
function share(value, [lowest, highest]) {
  return Math.min(Math.max(Math.log(value / lowest) / Math.log(highest / lowest), 0), 1);
}

// The contour level that is nearest to a value.
function nearestLevel(value) {
  let i = 0;
  while (i < contourLevels.length - 1 && value > (contourLevels[i] + contourLevels[i + 1]) / 2) i++;
  return contourLevels[i];
}

function paintMap(canvas, values, colors, range) {
  const size = canvas.width, context = canvas.getContext('2d'), image = context.createImageData(size, size);
  for (let i = 0; i < values.length; i++) {
    const value = values[i], color = colors[Math.round(share(value, range) * (colors.length - 1))];
    const across = values[(i + 1) % size ? i + 1 : i - 1] - value;
    const down = values[i < size ? i + size : i - size] - value;
    // The distance of the contour in pixels, as if the objective were a plane here.
    const distance = Math.abs(value - nearestLevel(value)) / (Math.sqrt(across * across + down * down) + 1e-9);
    const line = 0.4 * Math.min(Math.max(1.3 * size / 600 - distance, 0), 1);
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = color[c] + line * (255 - color[c]);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function paintStar(context, [x, y], radius) {
  context.beginPath();
  for (let i = 0; i < 10; i++) {
    const angle = Math.PI * (i / 5 - 0.5), length = i % 2 ? 0.42 * radius : radius;
    context.lineTo(x + length * Math.cos(angle), y + length * Math.sin(angle));
  }
  context.closePath();
}

function paintDot(context, [x, y], radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
}

function fillAndStroke(context, fill, stroke, width) {
  context.fillStyle = fill;
  context.strokeStyle = stroke;
  context.lineWidth = width;
  context.stroke();
  context.fill();
}

// Marks the minima of all targets by digits, that of `target` by a star, the evaluations of a search and the point.
function paintMarks(canvas, { minima, target, evaluations, t, box }) {
  const size = canvas.width, context = canvas.getContext('2d'), unit = size / canvas.clientWidth;
  const place = point => toPixel(point, size, box);
  context.clearRect(0, 0, size, size);
  context.lineJoin = 'round';
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.font = `600 ${13 * unit}px system-ui, sans-serif`;
  minima.forEach((point, digit) => {
    if (digit === target) return;
    context.lineWidth = 3 * unit;
    context.strokeStyle = 'rgb(0 0 0 / 0.55)';
    context.strokeText(digit, ...place(point));
    context.fillStyle = 'rgb(255 255 255 / 0.9)';
    context.fillText(digit, ...place(point));
  });
  context.beginPath();
  evaluations.forEach(point => context.lineTo(...place(point)));
  context.strokeStyle = 'rgb(255 255 255 / 0.35)';
  context.lineWidth = unit;
  context.stroke();
  evaluations.forEach((point, i) => {
    paintDot(context, place(point), 4.5 * unit);
    fillAndStroke(context, i === evaluations.length - 1 ? '#ffb000' : 'white', 'rgb(0 0 0 / 0.75)', 2 * unit);
  });
  paintStar(context, place(minima[target]), 11 * unit);
  fillAndStroke(context, '#e2003b', 'white', 3 * unit);
  for (const [color, width] of [['rgb(0 0 0 / 0.7)', 5], ['white', 2]]) {
    paintDot(context, place(t), 10 * unit);
    context.strokeStyle = color;
    context.lineWidth = width * unit;
    context.stroke();
  }
}

// The values of a search against its evaluations, logarithmically, with the best so far and the minimum as lines.
// Evaluations that are still to come are hollow.
function paintCurve(canvas, { values, shown, minimum, range, colors }) {
  const { width, height } = canvas, context = canvas.getContext('2d'), unit = width / canvas.clientWidth;
  const left = 26 * unit, bottom = height - 32 * unit, top = 20 * unit, right = width - 8 * unit;
  const x = i => left + (i + 0.5) / values.length * (right - left);
  const y = value => bottom - share(value, range) * (bottom - top);
  context.clearRect(0, 0, width, height);
  context.font = `${11 * unit}px system-ui, sans-serif`;
  context.lineWidth = unit;
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  for (const level of [2, 4, 8, 16, 32]) {
    context.strokeStyle = colors.grid;
    context.beginPath();
    context.moveTo(left, y(level));
    context.lineTo(right, y(level));
    context.stroke();
    context.fillStyle = colors.text;
    context.fillText(level, left - 6 * unit, y(level));
  }
  context.textBaseline = 'bottom';
  context.textAlign = 'center';
  for (let i = 9; i < values.length; i += 10) context.fillText(i + 1, x(i), height - 15 * unit);
  context.fillText('evaluation', (left + right) / 2, height);
  context.textAlign = 'left';
  context.fillText('value (nats)', 0, 12 * unit);
  context.setLineDash([4 * unit, 4 * unit]);
  context.strokeStyle = '#e2003b';
  context.lineWidth = 1.5 * unit;
  context.beginPath();
  context.moveTo(left, y(minimum));
  context.lineTo(right, y(minimum));
  context.stroke();
  context.setLineDash([]);
  let best = Infinity;
  context.strokeStyle = colors.best;
  context.lineWidth = 2 * unit;
  context.beginPath();
  values.slice(0, shown).forEach((value, i) => {
    if (i) context.lineTo(x(i), y(best));
    best = Math.min(best, value);
    context.lineTo(x(i), y(best));
  });
  context.stroke();
  values.forEach((value, i) => {
    paintDot(context, [x(i), y(value)], 3 * unit);
    context.lineWidth = unit;
    context.strokeStyle = colors.text;
    context.stroke();
    context.fillStyle = i === shown - 1 ? '#ffb000' : colors.text;
    if (i < shown) context.fill();
  });
}
