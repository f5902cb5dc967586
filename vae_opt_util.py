"""Conditional generation via Bayesian optimization in latent space.

This is the helper of `notebooks/variational_autoencoder_opt.ipynb`, in the order of its story: networks, losses, joint
model, the table of models, training, pretrained models, measures.

Conventions: images are float32 in [0, 1] with shape (n, *image_shape), MNIST's (28, 28, 1) unless another is given;
labels are integers with shape (n,); points `t` of the latent space have shape (n, latent_dim); losses are in nats.

    data = load_data('digits')
    model, history = train('vae-predictor-softmax', data)
    evaluate(model, data.x_test, data.y_test)
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digits.data import check_data, check_image_shape, check_images, check_labels, image_shape, num_labels
from digits.measures import encode
from latent_search.points import check_integer
from networks.backend import Conv2DTranspose, keras, layers, ops, set_random_seed
from networks.prediction import predict
from networks.pretrained import load_weights, models_dir
from networks.training import Recipe, fit

_root = Path(__file__).resolve().parent

# In a clone, what is built lies beside the sources; elsewhere, in the working directory.
build_dir = (_root if models_dir.parent == _root else Path()) / 'build'
checkpoints_dir = build_dir / 'checkpoints'

# ---------------------------------------------------------------------------------------------------------------------
# Networks
# ---------------------------------------------------------------------------------------------------------------------


def create_encoder(latent_dim, image_shape=image_shape):
    """Creates the CNN that maps images (n, *image_shape) to `t_mean` and `t_log_var`, each (n, latent_dim)."""
    image = layers.Input(shape=image_shape, name='image')

    x = layers.Conv2D(32, 3, padding='same', activation='relu', name='conv_1')(image)
    x = layers.Conv2D(64, 3, strides=2, padding='same', activation='relu', name='conv_2')(x)
    x = layers.Conv2D(64, 3, padding='same', activation='relu', name='conv_3')(x)
    x = layers.Conv2D(64, 3, padding='same', activation='relu', name='conv_4')(x)
    x = layers.Flatten(name='flatten')(x)
    x = layers.Dense(32, activation='relu', name='dense')(x)
    t_mean = layers.Dense(latent_dim, name='t_mean')(x)
    t_log_var = layers.Dense(latent_dim, name='t_log_var')(x)

    return keras.Model(image, [t_mean, t_log_var], name='encoder')


def create_decoder(latent_dim, image_shape=image_shape):
    """Creates the CNN that maps latent vectors (n, latent_dim) to images (n, *image_shape) with pixels in (0, 1).

    Raises:
        ValueError: see `check_image_shape`; an image's height and width must be even.
    """
    check_image_shape(image_shape)
    height, width, channels = image_shape
    t = layers.Input(shape=(latent_dim,), name='t')

    x = layers.Dense(height // 2 * (width // 2) * 64, activation='relu', name='expand')(t)
    x = layers.Reshape((height // 2, width // 2, 64), name='reshape')(x)
    x = Conv2DTranspose(32, 3, strides=2, padding='same', activation='relu', name='conv_transpose')(x)
    x = layers.Conv2D(channels, 3, padding='same', name='logits')(x)
    x = layers.Activation('sigmoid', name='pixels')(x)

    return keras.Model(t, x, name='decoder')


class Sampler(layers.Layer):
    """Draws t ~ N(t_mean, exp(t_log_var)) as t_mean + exp(t_log_var / 2) * epsilon, epsilon ~ N(0, I)."""

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs):
        t_mean, t_log_var = inputs
        epsilon = keras.random.normal(ops.shape(t_mean), dtype=t_mean.dtype, seed=self.seed_generator)
        return t_mean + ops.exp(0.5 * t_log_var) * epsilon


def create_sampler(seed=None):
    """Creates the layer that draws `t` from `[t_mean, t_log_var]`; `seed` fixes its stream of random numbers."""
    return Sampler(seed, name='sampler')


def create_predictor(latent_dim, num_labels=num_labels):
    """Creates the network that predicts label probabilities (n, num_labels) from `t_mean` (n, latent_dim)."""
    t_mean = layers.Input(shape=(latent_dim,), name='t_mean')

    x = layers.Dense(128, activation='relu', name='dense_1')(t_mean)
    x = layers.Dense(128, activation='relu', name='dense_2')(x)
    x = layers.Dense(num_labels, activation='softmax', name='label_probs')(x)

    return keras.Model(t_mean, x, name='predictor')


def create_predictor_linear(latent_dim):
    """Creates the network that predicts values (n, 1), any real numbers, from `t_mean` (n, latent_dim)."""
    t_mean = layers.Input(shape=(latent_dim,), name='t_mean')

    x = layers.Dense(128, activation='relu', name='dense_1')(t_mean)
    x = layers.Dense(128, activation='relu', name='dense_2')(x)
    x = layers.Dense(1, name='value')(x)

    return keras.Model(t_mean, x, name='predictor')


def create_classifier(image_shape=image_shape, num_labels=num_labels):
    """Creates the CNN that predicts label probabilities (n, num_labels) from images; the objective searches with it.

    Raises:
        ValueError: see `check_image_shape`.
    """
    check_image_shape(image_shape)
    image = layers.Input(shape=image_shape, name='image')

    x = layers.Conv2D(32, 3, activation='relu', name='conv_1')(image)
    x = layers.MaxPooling2D(name='pool_1')(x)
    x = layers.Conv2D(64, 3, activation='relu', name='conv_2')(x)
    x = layers.MaxPooling2D(name='pool_2')(x)
    x = layers.Conv2D(64, 3, activation='relu', name='conv_3')(x)
    x = layers.Flatten(name='flatten')(x)
    x = layers.Dense(64, activation='relu', name='dense')(x)
    x = layers.Dense(num_labels, activation='softmax', name='label_probs')(x)

    return keras.Model(image, x, name='classifier')


def create_judge(image_shape=image_shape, num_labels=num_labels):
    """Creates a second CNN that predicts label probabilities (n, num_labels) from images.

    It has another architecture and another seed than the classifier, and is never used in training a VAE or in a
    search, so it can check independently what a search found. Its layer `features` has 128 units.
    """
    image = layers.Input(shape=image_shape, name='image')

    x = image
    for block, filters in enumerate((32, 64), start=1):
        for step, (kernel_size, strides) in enumerate(((3, 1), (3, 1), (5, 2)), start=1):
            x = layers.Conv2D(filters, kernel_size, strides=strides, padding='same' if strides == 2 else 'valid',
                              activation='relu', name=f'conv_{block}_{step}')(x)
            x = layers.BatchNormalization(name=f'norm_{block}_{step}')(x)
        x = layers.Dropout(0.4, name=f'dropout_{block}')(x)
    x = layers.Flatten(name='flatten')(x)
    x = layers.Dense(128, activation='relu', name='features')(x)
    x = layers.Dropout(0.4, name='dropout')(x)
    x = layers.Dense(num_labels, activation='softmax', name='label_probs')(x)

    return keras.Model(image, x, name='judge')

# ---------------------------------------------------------------------------------------------------------------------
# Losses
# ---------------------------------------------------------------------------------------------------------------------


def reconstruction_loss(x, x_decoded):
    """Binary cross-entropy of images (n, height, width, channels) summed over their pixels and channels: (n,), nats.

    −Σ x log p + (1 − x) log(1 − p), where p is `x_decoded`, kept 1e-7 from 0 and 1.
    """
    p = ops.clip(x_decoded, 1e-7, 1 - 1e-7)
    return -ops.sum(ops.multiply(x, ops.log(p)) + ops.multiply(1 - x, ops.log(1 - p)), axis=(1, 2, 3))


def kl_divergence(t_mean, t_log_var):
    """KL divergence of N(t_mean, exp(t_log_var)) from N(0, I), summed over latent dimensions: (n,), nats.

    1/2 Σ (t_mean² + exp(t_log_var) − t_log_var − 1), appendix B of arXiv 1312.6114.
    """
    return 0.5 * ops.sum(ops.square(t_mean) + ops.exp(t_log_var) - t_log_var - 1, axis=-1)


def vae_loss(x, t_decoded, t_mean, t_log_var):
    """Negative variational lower bound (−ELBO) of images, arXiv 1312.6114: (n,), nats.

    Args:
        x: images, (n, *image_shape).
        t_decoded: the decoded sample of each image's posterior, (n, *image_shape).
        t_mean: means of the posteriors, (n, latent_dim).
        t_log_var: logarithms of their variances, (n, latent_dim).
    """
    return reconstruction_loss(x, t_decoded) + kl_divergence(t_mean, t_log_var)


def computed_in_model(_, loss):
    """A loss for Keras's `compile` where an output of the model is the loss itself: its mean is minimised."""
    return loss


# Weight of the predictor's loss in the loss of the joint model.
predictor_weight = 20.0

# ---------------------------------------------------------------------------------------------------------------------
# Joint model
# ---------------------------------------------------------------------------------------------------------------------


def create_joint_model(encoder, decoder, sampler, predictor=None):
    """Composes the joint VAE-predictor model, or the VAE alone if `predictor` is None.

    The model maps images (n, *image_shape) to a dict: 'vae', their `vae_loss`, (n,), and with a predictor 'predictor',
    its output for `t_mean`, never for a sample. (In Keras 3, a loss is a function of one output and its target, and
    `vae_loss` needs three tensors, so the model computes it.) `get_layer` returns 'encoder', 'decoder' and 'predictor'.

    Raises:
        ValueError: one of these three has another name.
    """
    for name, part in (('encoder', encoder), ('decoder', decoder), ('predictor', predictor)):
        if part is not None and part.name != name:
            raise ValueError(f'The {name} must be named {name!r}, under which the joint model finds it, got '
                             f'{part.name!r}. Create it by keras.Model(…, name={name!r}).')
    image = layers.Input(shape=encoder.input.shape[1:], name='image')
    t_mean, t_log_var = encoder(image)
    t_decoded = decoder(sampler([t_mean, t_log_var]))
    outputs = {'vae': vae_loss(image, t_decoded, t_mean, t_log_var)}
    if predictor is not None:
        outputs['predictor'] = predictor(t_mean)
    return keras.Model(image, outputs, name='vae')


# ---------------------------------------------------------------------------------------------------------------------
# The table of models
# ---------------------------------------------------------------------------------------------------------------------


class Design(NamedTuple):
    """How a model is built, trained and measured.

    Attributes:
        create: a function of `latent_dim`, seed, `image_shape` and `num_labels` that builds the model, uncompiled.
        losses: arguments of Keras's `compile` except the optimizer: losses, their weights, and metrics.
        targets: a function of images and labels that returns the model's targets in training.
        recipe: how it is trained.
        score: a function of predictions and labels that returns a dict with a float; None where nothing is predicted.
        latent_dim: dimensions of the latent space, unless others are asked for.
    """

    create: Callable
    losses: dict
    targets: Callable
    recipe: Recipe
    score: Callable | None
    latent_dim: int | None = 2


def label_accuracy(probs, y):
    """The share of rows of probabilities (n, k) that are highest for the label in y (n,): {'accuracy': float}."""
    return {'accuracy': float(np.mean(probs.argmax(axis=1) == y))}


def value_rmse(values, y):
    """The root mean square of the errors of values (n, 1) for numbers y (n,), in their unit: {'rmse': float}."""
    return {'rmse': float(np.sqrt(np.mean((values[:, 0] - y) ** 2)))}


def _joint(create_predictor=None):
    def create(latent_dim, seed, image_shape, num_labels):
        return create_joint_model(create_encoder(latent_dim, image_shape), create_decoder(latent_dim, image_shape),
                                  create_sampler(seed), create_predictor and create_predictor(latent_dim, num_labels))

    return create


def _with_predictor(loss, metrics):
    return {'loss': {'vae': computed_in_model, 'predictor': loss}, 'metrics': {'predictor': metrics},
            'loss_weights': {'vae': 1.0, 'predictor': predictor_weight}}


# The article's recipe for its VAEs: a constant learning rate, and the last weights.
ARTICLE_RECIPE = Recipe(epochs=15)

# Ours: the first steps of RMSprop, too large without a bias correction, are warmed up, and the weights are averaged.
VAE_RECIPE = ARTICLE_RECIPE._replace(learning_rate=0.002, warm_up_steps=300, ema_momentum=0.998)

_labels = _with_predictor('sparse_categorical_crossentropy', ['accuracy'])
_classifier = {'loss': 'sparse_categorical_crossentropy', 'metrics': ['accuracy']}

MODELS = {
    'vae-predictor-off': Design(
        _joint(), {'loss': {'vae': computed_in_model}}, lambda x, y: {'vae': x}, VAE_RECIPE, None),
    'vae-predictor-softmax': Design(
        _joint(create_predictor), _labels, lambda x, y: {'vae': x, 'predictor': y}, VAE_RECIPE, label_accuracy),
    'vae-predictor-linear': Design(
        _joint(lambda latent_dim, _: create_predictor_linear(latent_dim)), _with_predictor('mean_squared_error', []),
        lambda x, y: {'vae': x, 'predictor': y.astype('float32')}, VAE_RECIPE, value_rmse),
    'vae-predictor-softmax-10d': Design(
        _joint(create_predictor), _labels, lambda x, y: {'vae': x, 'predictor': y}, VAE_RECIPE, label_accuracy,
        latent_dim=10),
    'classifier': Design(
        lambda latent_dim, seed, *form: create_classifier(*form), _classifier, lambda x, y: y,
        VAE_RECIPE._replace(epochs=5), label_accuracy, latent_dim=None),
    'judge': Design(
        lambda latent_dim, seed, *form: create_judge(*form), _classifier, lambda x, y: y,
        ARTICLE_RECIPE._replace(epochs=18, learning_rate_decay=0.8), label_accuracy, latent_dim=None),
}


def create_model(name, *, latent_dim=None, seed=0, image_shape=image_shape, num_labels=num_labels):
    """Builds one of `MODELS`, with new weights. It sets the global random seeds of Python, NumPy and Keras.

    Args:
        name: a key of `MODELS`.
        latent_dim: dimensions of the latent space; without it those of the table.
        seed: of the initial weights and of the sampler. The judge adds 1000 to it.
        image_shape: height, width and channels of the images.
        num_labels: how many labels there are.

    Returns:
        An uncompiled Keras model.

    Raises:
        ValueError: there is no model of that name, or a number is not an integer in its range.
    """
    design = _design(name)
    seed = check_integer('seed', seed, at_least=0)
    if latent_dim is not None:
        latent_dim = check_integer('latent_dim', latent_dim, at_least=1)
    set_random_seed(seed + 1000 if name == 'judge' else seed)
    return design.create(latent_dim or design.latent_dim, seed, image_shape, num_labels)


def _design(name):
    if not isinstance(name, str) or name not in MODELS:
        raise ValueError(f'There is no model named {name!r}. The models are {", ".join(map(repr, MODELS))}.')
    return MODELS[name]


def train(name, data, *, latent_dim=None, recipe=None, seed=0, checkpoint_dir=None, precision='auto'):
    """Builds one of `MODELS` and trains it, with RMSprop.

    With JAX as Keras's backend, call `keras.distribution.set_distribution(keras.distribution.DataParallel())` first to
    share each batch among all devices. Their number has to divide the size of every batch: the first, the last, which
    may be smaller, and 400, in which test images are measured.

    Args:
        name: a key of `MODELS`.
        data: a `Data` tuple; the networks get its `image_shape` and `num_labels`.
        latent_dim: dimensions of the latent space; by default as in the table.
        recipe: a `Recipe`; by default that of the table.
        seed: of initial weights, order of images, sampler and dropout.
        checkpoint_dir: folder of all trainings; see `fit`.
        precision: see `fit`.

    Returns:
        `(model, history)`: the trained model, and the learning curve, see `fit`.

    Raises:
        ValueError: unknown name, bad images, labels or numbers, data without the labels that the model learns, or a
            checkpoint that is damaged.
        OSError: the checkpoint cannot be written, for example because the disk is full.
        FloatingPointError, Interrupted: see `fit`.
    """
    design = _design(name)
    if design.score is label_accuracy and not data.num_labels or design.score is value_rmse and data.y_train is None:
        raise ValueError(f"{name!r} needs labels, and {data.name} has {'none' if data.y_train is None else 'numbers'}. "
                         "Train 'vae-predictor-off', or for numbers 'vae-predictor-linear'.")
    sets = [(x, design.targets(x, y)) for x, y in check_data(data)]
    model, recipe = create_model(name, latent_dim=latent_dim, seed=seed, image_shape=data.image_shape,
                                 num_labels=data.num_labels), recipe or design.recipe
    model.compile(recipe.optimizer(len(data.x_train)), **design.losses)
    return model, fit(model, *sets, recipe, name, seed=seed, folder=checkpoint_dir, precision=precision)


def load_pretrained(name, folder=models_dir):
    """Builds one of `MODELS` and loads its pretrained weights; see `networks.pretrained.load_weights`.

    Args:
        name: a key of `MODELS`.
        folder: where the weights and their manifest are.

    Returns:
        An uncompiled Keras model.

    Raises:
        ValueError: there is no model of that name, or its file is damaged.
        FileNotFoundError: its file or the manifest does not exist.
    """
    design = _design(name)
    model = design.create(design.latent_dim, 0, image_shape, num_labels)
    load_weights(model, name, folder)
    return model


# ---------------------------------------------------------------------------------------------------------------------
# Measures
# ---------------------------------------------------------------------------------------------------------------------


def evaluate(model, x, y, score=None, seed=0):
    """Measures a joint model on images and labels, with one sample of each image's posterior.

    Args:
        model: made by `create_joint_model`.
        x: images, float32 in [0, 1], of the model's shape.
        y: labels or numbers, (n,); None where `score` is.
        score: of the predictor, see `Design`.
        seed: of the samples.

    Returns:
        A dict of floats: the results of `elbo_parts` and of `score`.
    """
    x = check_images(x, model.input.shape[1:])
    t_mean, t_log_var = predict(model.get_layer('encoder'), x, 'encode')
    t = sample_posterior(t_mean, t_log_var, np.random.default_rng(seed))
    losses = elbo_parts(x, predict(model.get_layer('decoder'), t, 'decode'), t_mean, t_log_var)
    if score is None:
        return losses
    predicted = predict(model.get_layer('predictor'), t_mean, 'predict')
    return losses | score(predicted, check_labels(y, len(x), predicted.shape[1] if predicted.shape[1] > 1 else 0))


def sample_posterior(t_mean, t_log_var, rng):
    """Draws a sample of the posterior of each image, float32 (n, latent_dim), with a generator of NumPy."""
    return t_mean + np.exp(0.5 * t_log_var) * rng.standard_normal(t_mean.shape, dtype='float32')


def elbo_parts(x, t_decoded, t_mean, t_log_var):
    """The parts of `vae_loss`: a dict of floats, means in nats: 'reconstruction', 'kl' and their sum 'neg_elbo'."""
    reconstruction, kl = (float(np.mean(ops.convert_to_numpy(loss))) for loss in (
        reconstruction_loss(x, t_decoded), kl_divergence(t_mean, t_log_var)))
    return {'reconstruction': reconstruction, 'kl': kl, 'neg_elbo': reconstruction + kl}


def reconstruct(x, model):
    """Decodes images from their `t_mean`.

    Args:
        x: images, (n, *image_shape).
        model: made by `create_joint_model`.

    Returns:
        The decoded images, float32 (n, *image_shape), and the reconstruction loss of each, (n,), nats.
    """
    decoded = predict(model.get_layer('decoder'), encode(x, model), 'decode')
    return decoded, ops.convert_to_numpy(reconstruction_loss(x, decoded))
