"""Figures of a latent space of two dimensions that widgets change, in a notebook with a kernel.

Without a kernel, as in a page, the same figure is an image. Functions take grids, points and values from any source.
"""

import base64
import html
import io

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from digits.data import check_target, num_labels
from digits.objectives import nll_of_probs
from latent_search.figures import colors as label_colors
from latent_search.figures import describe, styled
from networks.prediction import predict

# ---------------------------------------------------------------------------------------------------------------------
# Widgets
# ---------------------------------------------------------------------------------------------------------------------


class InteractiveFigure:
    """Widgets with a figure that follows them. A notebook displays it.

    Its output also holds the figure as PNG, as it was when it was displayed. A page without a kernel shows this.

    Attributes:
        controls: a dict from names to the widgets. Set the `value` of one to change the figure.
        picture: the widget with the figure.
        png: the figure as a PNG file.
        alt: its alternative text.
    """

    def __init__(self, controls, draw, *others):
        """Creates it.

        Args:
            controls: a dict from names to widgets with a value.
            draw: a function of these values, by their names, that returns a Matplotlib figure with a text; see
                `latent_search.figures.describe`.
            *others: widgets that stand before the controls, such as a player.
        """
        import ipywidgets

        self.controls, self._draw = controls, draw
        self.picture = ipywidgets.HTML()  # The widget of an image has no alternative text.
        row = ipywidgets.HBox([*others, *controls.values()], layout={'flex_flow': 'row wrap'})
        self._widget = ipywidgets.VBox([row, self.picture])
        for control in controls.values():
            control.observe(lambda change: self._redraw(), names='value')
        self._redraw()

    def _redraw(self):
        figure = self._draw(**{name: control.value for name, control in self.controls.items()})
        file = io.BytesIO()
        figure.savefig(file, format='png')
        plt.close(figure)  # Otherwise a notebook shows it once more.
        self.png, self.alt = file.getvalue(), figure.alt
        self.picture.value = (f'<img src="data:image/png;base64,{base64.b64encode(self.png).decode()}" '
                               f'alt="{html.escape(self.alt)}" style="max-width: 100%">')

    def _repr_mimebundle_(self, **_):
        bundle = self._widget._repr_mimebundle_()
        return ({**bundle, 'image/png': base64.b64encode(self.png).decode()},
                {'image/png': {'alt': self.alt}})


def explore_latent_space(gx, gy, objectives, readers, decoder, target=4, t=(0.0, 0.0)):
    """Shows the decoded image of a point, its label as read by models, and its objectives; sliders move the point.

    Args:
        gx: first coordinates of a grid, (m, k).
        gy: second coordinates, (m, k).
        objectives: a dict from names to objectives at the grid's points, (m * k, 10), nats; see `nll_all_targets`.
        readers: a dict from the same names to the Keras models from points to label probabilities (n, 10).
        decoder: a Keras model from points to images.
        target: the label whose objectives are drawn at first.
        t: the point at first, two numbers.

    Returns:
        An `InteractiveFigure` with the controls 't_1', 't_2' and 'target'.

    Raises:
        ValueError: the names differ, an objective does not belong to the grid, or the target is not a label.
    """
    import ipywidgets

    if objectives.keys() != readers.keys():
        raise ValueError(f'objectives and readers must have the same names, got {", ".join(objectives)} and '
                         f'{", ".join(readers)}.')
    for name, nll in objectives.items():
        if np.shape(nll) != (gx.size, num_labels):
            raise ValueError(f'The objective {name!r} must have shape ({gx.size}, 10), a row for each point of the '
                             f'grid, got {np.shape(nll)}.')
    check_target(target)

    def draw(t_1, t_2, target):
        point = np.array([[t_1, t_2]])
        probs = {name: predict(reader, point, name) for name, reader in readers.items()}
        values = {name: nll_of_probs(of_name, point)[0, target] for name, of_name in probs.items()}
        return plot_point(gx, gy, {name: nll[:, target] for name, nll in objectives.items()}, point[0], values,
                          {name: of_name[0] for name, of_name in probs.items()},
                          predict(decoder, point, 'decode')[0], target)

    sliders = {f't_{axis}': ipywidgets.FloatSlider(value, min=coordinates.min(), max=coordinates.max(), step=0.05,
                                                   description=f't_{axis}')
               for axis, (value, coordinates) in enumerate(zip(t, (gx, gy), strict=True), start=1)}
    targets = ipywidgets.Dropdown(options=range(num_labels), value=target, description='target')
    return InteractiveFigure({**sliders, 'target': targets}, draw)


# ---------------------------------------------------------------------------------------------------------------------
# Figures
# ---------------------------------------------------------------------------------------------------------------------


@styled
def plot_point(gx, gy, objectives, t, values, probs, image, target):
    """Draws a point over the objectives of a target, its decoded image and the probabilities of the ten labels.

    Picture: docs/figures.md#plot_point.

    Args:
        gx: first coordinates of a grid, (m, k).
        gy: second coordinates, (m, k).
        objectives: a dict from names to the target's objectives at the grid's points, (m * k,), nats.
        t: the point, (2,).
        values: a dict from the same names to the objectives at the point, nats.
        probs: a dict from the same names to the probabilities of the ten labels, (10,).
        image: what the point is decoded to, (28, 28, 1).
        target: the label.
    """
    figure, axes = plt.subplots(1, len(objectives) + 2, figsize=(10, 3.4),
                                width_ratios=[*[1.2] * len(objectives), 0.85, 1.15])
    for axis, (name, nll) in zip(axes, objectives.items(), strict=False):
        _draw_map(axis, gx, gy, nll)
        axis.plot(*t, 'o', markersize=11, markerfacecolor='none', markeredgecolor='black', markeredgewidth=4)
        axis.plot(*t, 'o', markersize=11, markerfacecolor='none', markeredgecolor='white', markeredgewidth=2)
        axis.set_title(f'{name}: {values[name]:.2f} nats\n(minimum {nll.min():.2f})')
    axes[-2].imshow(np.squeeze(image), cmap='gray', vmin=0, vmax=1)
    axes[-2].set_title('decoded image')
    axes[-2].set_axis_off()
    width = 0.8 / len(probs)
    for i, (name, of_name) in enumerate(probs.items()):
        axes[-1].bar(np.arange(num_labels) - 0.4 + (i + 0.5) * width, of_name, width, color=label_colors[i], label=name)
    axes[-1].set(xlabel='Label', ylabel='Probability', ylim=(0, 1), xticks=range(num_labels))
    axes[-1].get_xticklabels()[target].set(weight='bold', color='white', bbox={
        'boxstyle': 'round,pad=0.2', 'facecolor': 'black', 'edgecolor': 'none'})
    axes[-1].legend(loc='lower center', bbox_to_anchor=(0.5, 1))
    title = f'The point ({t[0]:.2f}, {t[1]:.2f}), and the objectives for {target} (star: minimum)'
    figure.suptitle(title)
    return describe(figure, f'{title}. ' + '; '.join(
        f'{name}: {values[name]:.2f} nats, and the most probable label is {of_name.argmax()} ({of_name.max():.0%})'
        for name, of_name in probs.items()) + '. The decoded image is beside the maps.')


def _draw_map(axis, gx, gy, nll):
    norm = matplotlib.colors.LogNorm(nll.min(), nll.max())
    values = nll.reshape(gx.shape)
    # Points of the grid are the centres of pixels.
    extent = [coordinates.flat[end] + sign * np.ptp(coordinates) / (size - 1) / 2
              for coordinates, size in zip((gx, gy), gx.shape[::-1], strict=True) for end, sign in ((0, -1), (-1, 1))]
    axis.imshow(values, cmap='viridis', norm=norm, origin='lower', interpolation='bilinear', extent=extent)
    axis.contour(gx, gy, values, levels=[2, 3, 4, 6, 8, 12, 16, 24], colors='white', linewidths=0.6, alpha=0.5)
    best = nll.argmin()
    axis.plot(gx.flat[best], gy.flat[best], '*', markersize=15, color='red', markeredgecolor='white', zorder=3)
    axis.set(xlabel='$t_1$', ylabel='$t_2$', aspect='equal', xlim=(gx.min(), gx.max()), ylim=(gy.min(), gy.max()))
