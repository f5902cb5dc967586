"""The latent space of a trained joint model: molecules become points, and points become molecules."""

import numpy as np

from molecules.joint_model import create_generator
from molecules.properties import is_plausible
from networks.prediction import predict

# Of a code in standard deviations of the prior, and of a property in those of QM9's molecules.
widest = 5.0


class LatentSpace:
    """Encodes and decodes molecules.

        space = LatentSpace(load_pretrained('vae-predictor-linear'), QM9)
        t = space.encode(['CCO'])
        space.decode(t)                # ['CCO']

    Args:
        model: made by `create_joint_model`.
        vocabulary: of its tokens.
        is_allowed: a function of a SMILES string: whether that molecule may be proposed.

    Attributes:
        latent_dim: number of dimensions.
        domain: a box that holds nearly all codes, float64 (latent_dim, 2).
    """

    def __init__(self, model, vocabulary, is_allowed=is_plausible):
        self.model, self.vocabulary, self.is_allowed = model, vocabulary, is_allowed
        self._generator = create_generator(model.get_layer('decoder'))
        self.latent_dim = self._generator.input.shape[1]
        self.domain = np.array([(-widest, widest)] * self.latent_dim)

    def encode(self, smiles):
        """`t_mean` of molecules, a list of n canonical SMILES strings: float64 (n, latent_dim).

        Raises:
            NoMoleculeError: a molecule cannot be written in the vocabulary.
        """
        return self.encode_rows(np.array([self.vocabulary.encode(text) for text in smiles]))

    def encode_rows(self, rows):
        """`t_mean` of molecules, rows of tokens (n, length): float64 (n, latent_dim)."""
        return predict(self.model.get_layer('encoder'), rows, 'encode')[0].astype('float64')

    def properties(self, t):
        """Standardized properties that the predictor reads from codes t (n, latent_dim): float64 (n, k).

        Values beyond `widest` standard deviations are moved there, so that the properties lie in a box, too.
        """
        return np.clip(predict(self.model.get_layer('predictor'), t, 'predict').astype('float64'), -widest, widest)

    def decode(self, t):
        """The canonical SMILES strings that points t (n, latent_dim) are decoded to, a list; '' for no molecule."""
        return self.vocabulary.decode(predict(self._generator, t, 'decode'))

    def new_molecules(self, t, known=()):
        """The molecules that points are decoded to: allowed, not known, in the box, and decoded from their own code.

        Args:
            t: points, (m, latent_dim).
            known: SMILES strings that are not new.

        Returns:
            SMILES strings, a list of n, each once, and their codes, float64 (n, latent_dim).
        """
        if not len(t):
            return [], np.empty(np.shape(t))
        known = set(known)
        smiles = [text for text in dict.fromkeys(self.decode(t)) if text not in known and self.is_allowed(text)]
        rows = {}
        for text in smiles:
            try:
                rows[text] = self.vocabulary.encode(text)
            except ValueError:
                continue  # It has a token or a length that the vocabulary lacks.
        if not rows:
            return [], np.empty((0, np.shape(t)[1]))
        codes = self.encode_rows(np.array(list(rows.values())))
        own = [text == again and abs(code).max() <= widest
               for text, code, again in zip(rows, codes, self.decode(codes), strict=True)]
        return [text for text, same in zip(rows, own, strict=True) if same], codes[own]


def points_around(centers, num, rng, radii=(0.1, 1.0)):
    """Random points around given ones: (num, d).

    Each differs from one of them by a normal deviate, whose standard deviation is log-uniform between two radii.

    Args:
        centers: points, (n, d).
        num: how many points.
        rng: a NumPy generator.
        radii: the smallest and the largest standard deviation along each axis.
    """
    sizes = np.exp(rng.uniform(*np.log(radii), (num, 1)))
    return centers[rng.integers(len(centers), size=num)] + sizes * rng.normal(size=(num, centers.shape[1]))
