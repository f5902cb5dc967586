// The networks of the project in plain JavaScript. Features are flat Float32Arrays in Keras's order: row, column,
// channel. A layer is a pair of its kernel and its bias. Zeros, which ReLU makes in plenty, are skipped.

function bytes(base64) {
  return Uint8Array.from(atob(base64), character => character.charCodeAt(0));
}

// The layers of a network, from base64 of little-endian float32.
function network(layers) {
  return layers.map(weights => weights.map(base64 => new Float32Array(bytes(base64).buffer)));
}

function relu(x) {
  for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] = 0;
  return x;
}

function softmax(x) {
  const highest = Math.max(...x), powers = Array.from(x, value => Math.exp(value - highest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map(power => power / sum);
}

// The kernel is (inputs, outputs).
function dense(x, [kernel, bias]) {
  const y = Float32Array.from(bias), n = y.length;
  for (let i = 0; i < x.length; i++) {
    const value = x[i];
    if (value === 0) continue;
    for (let j = 0, k = i * n; j < n; j++, k++) y[j] += value * kernel[k];
  }
  return y;
}

// A convolution of a square of `size` with 3 × 3 kernels, (3, 3, channels, filters), and a border of `padding` zeros.
function convolve(x, size, [kernel, bias], padding) {
  const filters = bias.length, channels = x.length / size ** 2, outSize = size - 2 + 2 * padding;
  const y = new Float32Array(outSize ** 2 * filters), sums = new Float32Array(filters);
  for (let row = 0; row < outSize; row++) for (let column = 0; column < outSize; column++) {
    sums.set(bias);
    for (let dy = 0; dy < 3; dy++) for (let dx = 0; dx < 3; dx++) {
      const fromRow = row + dy - padding, fromColumn = column + dx - padding;
      if (fromRow < 0 || fromRow >= size || fromColumn < 0 || fromColumn >= size) continue;
      const from = (fromRow * size + fromColumn) * channels, tap = (3 * dy + dx) * channels;
      for (let c = 0; c < channels; c++) {
        const value = x[from + c];
        if (value === 0) continue;
        for (let f = 0, k = (tap + c) * filters; f < filters; f++, k++) sums[f] += value * kernel[k];
      }
    }
    y.set(sums, (row * outSize + column) * filters);
  }
  return y;
}

// Keras's Conv2DTranspose with stride 2 and padding 'same': twice the size. The kernel is (3, 3, channels, filters).
function convolveTransposed(x, size, [kernel, bias]) {
  const filters = bias.length, channels = x.length / size ** 2, outSize = 2 * size;
  const y = new Float32Array(outSize ** 2 * filters);
  for (let i = 0; i < y.length; i += filters) y.set(bias, i);
  for (let row = 0; row < size; row++) for (let column = 0; column < size; column++) {
    const from = (row * size + column) * channels;
    for (let c = 0; c < channels; c++) {
      const value = x[from + c];
      if (value === 0) continue;
      for (let dy = 0; dy < 3 && 2 * row + dy < outSize; dy++) {
        for (let dx = 0; dx < 3 && 2 * column + dx < outSize; dx++) {
          const to = ((2 * row + dy) * outSize + 2 * column + dx) * filters;
          const k = ((3 * dy + dx) * channels + c) * filters;
          for (let f = 0; f < filters; f++) y[to + f] += value * kernel[k + f];
        }
      }
    }
  }
  return y;
}

// The highest value in each square of 2 × 2; an odd last row or column is left out.
function pool(x, size, channels) {
  const outSize = size >> 1, y = new Float32Array(outSize ** 2 * channels);
  for (let row = 0; row < outSize; row++) for (let column = 0; column < outSize; column++) {
    const from = (2 * row * size + 2 * column) * channels, to = (row * outSize + column) * channels;
    for (let c = 0; c < channels; c++) {
      const i = from + c, below = i + size * channels;
      y[to + c] = Math.max(x[i], x[i + channels], x[below], x[below + channels]);
    }
  }
  return y;
}

// A point to the 784 pixels of its image, from 0 to 1.
function decode([expand, transposed, logits], t) {
  const expanded = relu(dense(t, expand));
  return convolve(relu(convolveTransposed(expanded, 14, transposed)), 28, logits, 1)
    .map(logit => 1 / (1 + Math.exp(-logit)));
}

// The 784 pixels of an image to the probabilities of the ten labels.
function classify([conv1, conv2, conv3, hidden, labels], image) {
  let x = pool(relu(convolve(image, 28, conv1, 0)), 26, 32);
  x = pool(relu(convolve(x, 13, conv2, 0)), 11, 64);
  x = relu(convolve(x, 5, conv3, 0));
  return softmax(dense(relu(dense(x, hidden)), labels));
}

// A point to what its predictor says: the probabilities of the ten labels, or one value.
function predict([first, second, last], t) {
  const y = dense(relu(dense(relu(dense(t, first)), second)), last);
  return y.length === 1 ? y[0] : softmax(y);
}
