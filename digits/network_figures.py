"""Networks as layer diagrams: the layers of a Keras model, and a figure of them."""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from latent_search.figures import describe, styled
from networks.backend import keras

_colors = {'InputLayer': 'white', 'Conv2D': 'skyblue', 'Conv2DTranspose': 'steelblue', 'Dense': 'orange',
           'MaxPooling2D': 'khaki'}
_other = 'lightgrey'

# Distance of two layers as drawn.
_pitch = 1.42


class Block(NamedTuple):
    """A layer of a network.

    Attributes:
        name: of the layer.
        kind: its class, such as 'Conv2D'.
        detail: size of its kernel or pool, stride and activation, such as '3 × 3, stride 2, relu'.
        shape: of its output for one example: `(height, width, channels)` or `(n,)`.
        parameters: how many numbers are trained.
        sources: names of the layers whose outputs it takes.
    """

    name: str
    kind: str
    detail: str
    shape: tuple
    parameters: int
    sources: tuple


def network_blocks(model):
    """Reads the layers of a Keras model, in the order in which they are computed.

    Args:
        model: a functional model, such as `create_encoder` makes.

    Returns:
        A list of `Block`.
    """
    producers = {id(tensor): layer.name for layer in model.layers for tensor in keras.tree.flatten(layer.output)}
    blocks = []
    for layer in model.layers:
        inputs = [] if isinstance(layer, keras.layers.InputLayer) else keras.tree.flatten(layer.input)
        blocks.append(Block(layer.name, type(layer).__name__, _detail(layer.get_config()),
                            tuple(layer.output.shape[1:]), layer.count_params(),
                            tuple(producers[id(tensor)] for tensor in inputs)))
    return blocks


def _detail(config):
    window = config.get('kernel_size', config.get('pool_size'))
    parts = [] if window is None else [' × '.join(map(str, window))]
    if 'kernel_size' in config and max(config['strides']) > 1:
        parts.append(f"stride {config['strides'][0]}")
    if config.get('activation', 'linear') != 'linear':
        parts.append(config['activation'])
    return ', '.join(parts)


@styled
def plot_networks(networks, title):
    """Draws networks layer by layer, a row for each: output shapes above the layers; names, kernels, parameters below.

    Picture: docs/figures.md#plot_networks.

    Pictures are drawn as boxes: height and depth are those of the picture, the width is the number of channels.
    Vectors are drawn as bars whose height is the logarithm of their length.

    Args:
        networks: a dict from names to lists of `Block`, see `network_blocks`.
        title: of the figure.

    Raises:
        ValueError: there are no networks.
    """
    if not networks:
        raise ValueError('plot_networks draws one network or more, got none.')
    columns = {name: _columns(blocks) for name, blocks in networks.items()}
    tallest = [max(_size(block.shape)[1] for block in blocks) for blocks in networks.values()]
    heights = [tall + 1.6 for tall in tallest]
    right = _pitch * max(max(column.values()) for column in columns.values()) + 1.2
    figure, axis = plt.subplots(figsize=(10, 10 * sum(heights) / (right + 0.55) + 1.1))
    axis.set(xlim=(-0.55, right), ylim=(-sum(heights), 0), aspect='equal')
    axis.set_axis_off()
    for (name, blocks), top, tall in zip(networks.items(), -np.cumsum([0, *heights[:-1]]), tallest, strict=True):
        axis.axhline(top, color='lightgrey', linewidth=1)
        axis.text(-0.52, top - 0.06, f'{name}: {sum(block.parameters for block in blocks):,} parameters',
                  weight='bold', va='top')
        _draw_network(axis, blocks, columns[name], top - 0.6 - tall / 2, tall)
    kinds = {block.kind: _colors.get(block.kind, _other) for blocks in networks.values() for block in blocks}
    others = [kind for kind, color in kinds.items() if color == _other]
    names = {color: kind for kind, color in kinds.items()} | ({_other: ', '.join(others)} if others else {})
    figure.legend(handles=[plt.Rectangle((0, 0), 1, 1, facecolor=color, edgecolor='black', label=name)
                           for color, name in names.items()], loc='outside lower center', ncols=6,
                  title='Boxes: pictures, as wide as they have channels. Bars: vectors; the height is the logarithm of '
                        'the length.\nBelow a layer: name, kernel, activation, number of parameters. Colours:')
    figure.suptitle(title)
    shapes = '; '.join(f'{name}: ' + ', '.join(' × '.join(map(str, block.shape)) for block in blocks)
                       for name, blocks in networks.items())
    return describe(figure, f'{title}. A row of layers for each network, with the shapes of their outputs. {shapes}.')


def _columns(blocks):
    """The column of each layer: the longest way to it from an input."""
    columns = {}
    for block in blocks:
        columns[block.name] = 1 + max((columns[source] for source in block.sources), default=-1)
    return columns


def _draw_network(axis, blocks, columns, middle, tall):
    edges = {}
    for block in blocks:
        beside = [other.name for other in blocks if columns[other.name] == columns[block.name]]
        y = middle + 0.43 * ((len(beside) - 1) - 2 * beside.index(block.name))
        x, size = _pitch * columns[block.name], _size(block.shape)
        color = _colors.get(block.kind, _other)
        top = _draw_box(axis, x, y, *size, color) if len(block.shape) == 3 else _draw_bar(axis, x, y, *size, color)
        edges[block.name] = x + size[0] + size[2], y
        for source in block.sources:
            start = edges[source]
            axis.annotate('', (x - 0.02, y), (start[0] + 0.02, start[1]),
                          arrowprops={'arrowstyle': '->', 'color': 'grey', 'shrinkA': 0, 'shrinkB': 0})
        center = x + (size[0] + size[2]) / 2
        axis.text(center, top + 0.03, ' × '.join(f'{n:,}' for n in block.shape), ha='center', va='bottom')
        window, _, activation = block.detail.rpartition(', ')
        lines = [block.name, window, activation, f'{block.parameters:,}' if block.parameters else '']
        x, y, ha, va = ((x + size[0] + size[2] + 0.1, y, 'left', 'center') if len(beside) > 1 else
                        (center, y - tall / 2 - 0.15, 'center', 'top'))
        axis.text(x, y, '\n'.join(filter(None, lines)), ha=ha, va=va, linespacing=1.2)


def _size(shape):
    """Width, height and depth of a layer's output as drawn."""
    if len(shape) == 3:
        height, depth, channels = shape
        return max(0.02, 0.5 * channels / 64), 0.8 * height / 28, 0.4 * depth / 28
    return 0.12, 0.9 * np.log1p(np.prod(shape)) / np.log1p(14 * 14 * 64), 0.0


def _draw_box(axis, x, y, width, height, depth, color):
    """Draws a box around y and returns the height of its upper edge."""
    low, high, dy = y - height / 2 - depth / 4, y + height / 2 - depth / 4, depth / 2
    faces = {1.0: ((x, low), (x + width, low), (x + width, high), (x, high)),
             0.55: ((x, high), (x + width, high), (x + width + depth, high + dy), (x + depth, high + dy)),
             0.75: ((x + width, low), (x + width + depth, low + dy), (x + width + depth, high + dy), (x + width, high))}
    for shade, corners in faces.items():
        axis.add_patch(plt.Polygon(corners, facecolor='white', edgecolor='none'))
        axis.add_patch(plt.Polygon(corners, facecolor=(color, shade), edgecolor='black', linewidth=0.8))
    return high + dy


def _draw_bar(axis, x, y, width, height, _, color):
    """Draws a bar around y and returns the height of its upper edge."""
    axis.add_patch(plt.Rectangle((x, y - height / 2), width, height, facecolor=color, edgecolor='black', linewidth=0.8))
    return y + height / 2
