"""When the parameters of a search's model are fitted, and the results of earlier fits."""

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from latent_search.points import Array

if TYPE_CHECKING:
    from latent_search.likelihood import Likelihood


class Hyperparameters:
    """The most probable parameters of a search, fitted at fixed numbers of evaluations.

    Up to 31 evaluations each one changes them; then about every tenth of a power of two does. Up to 63 and at each
    power of two they are fitted from the start, in between from where the last fit ended. So they depend on the
    evaluations only, and not on what was fitted before: a search that is resumed fits what is missing.
    """

    all_from_the_start = 63

    def __init__(self) -> None:
        self._fitted: dict[Hashable, dict[int, Array]] = {}

    def at(self, num: int, likelihood: Callable[[int], 'Likelihood'], kind: Hashable) -> Array:
        """The parameters for the first `num` evaluations.

        Args:
            num: 1 or more.
            likelihood: a function that returns the `Likelihood` of the first evaluations, given their number.
            kind: of the model; each kind has parameters of its own.
        """
        power = 1 << (num.bit_length() - 1)
        step = max(1, power // 10)
        last = num - (num - power) % step
        parameters = None
        fitted: dict[int, Array] = {}
        known_fits = self._fitted.get(kind, {})
        for count in range(last if num <= self.all_from_the_start else power, last + 1, step):
            known = known_fits.get(count)
            parameters = likelihood(count).maximise(parameters) if known is None else known
            fitted[count] = parameters
        self._fitted[kind] = fitted  # In one step: several threads may look at a search.
        assert parameters is not None
        return parameters
