"""Conditional generation via Bayesian optimization in latent space.

This is the helper of `notebooks/variational_autoencoder_opt.ipynb`, in the order of its story: networks, joint model,
losses, recipes, training, pretrained models, assessment. Data, objectives, figures and searches come from the rooms
below, `digits` and `latent_search`; what the notebooks use of them can be imported from here too.

Conventions: images are float32 in [0, 1] with shape (n, 28, 28, 1); labels are integers with shape (n,); points `t` of
the latent space have shape (n, latent_dim); losses and objectives are in nats, and objectives are minimised.
"""

import hashlib
from pathlib import Path

import numpy as np

import digits.figures
import digits.pretrained
from digits.backend import (
    Conv2DTranspose,
    check_precision,
    keras,
    layers,
    native_precision,
    ops,
    set_random_seed,
)
from digits.data import check_images, check_labels, image_shape, num_labels, one_hot
from digits.measures import encode, mean_pixel_distance, predict
from digits.pretrained import check_model_name, models_dir
from digits.training import Checkpoint, Examples, Recipe, averaged_weights, check_recipe, fit
from latent_search import top
from latent_search.points import check_integer

# What notebooks import from here besides. isort would give each name a line of its own.
# isort: off
# Measures and tables of what the notebooks find:
from digits.article import article_ten_best, shares_near, shares_table, statements_table, ten_best_table
from digits.measures import mean_distance_of_labels
from digits.objectives import assess_objective
from digits.tables import losses_table, objectives_table, top_table, typical_table, variations_table
# Data, objectives, searches, figures:
from latent_search import (
    Experiment, GradientSearch, LatentOptimizer, create_grid, create_optimizer, distinct_distance, run_searches,
    sample_around, search_with_gradients, spaced_best,
)
from latent_search.figures import animate_stages, create_player
from digits.data import Data, DataUnavailableError, choose_per_label, load_data, load_digits, load_mnist
from digits.figures import (
    label_colors, plot_images, plot_latent_spaces, plot_learning_curves, plot_nll, plot_principal_components,
    plot_reconstructions, plot_top, plot_top_beside, plot_variations, table,
)
from digits.image_files import save_images
from digits.interactive import explore_latent_space, replay_evaluations
from digits.latent_figures import plot_interpolations, plot_manifolds, plot_value_walk
from digits.measures import (
    assess_around, knn_label_accuracy, label_regions, latent_bounds, linear_value_r2, widest_radius,
)
from digits.objectives import (
    create_decode_classify, create_nll, create_nll_predict, create_nll_with_gradient, nll_all_targets, nll_minima,
    nll_norm, nll_of_probs, nll_prior, probability_floor,
)
from digits.network_figures import network_blocks, plot_networks
from digits.walks import create_value_with_gradient, gradient_paths, interpolate, walk_along_value
from digits.pretrained import load_manifest, versions
from digits.sources import show_source
# isort: on

__all__ = [
    # Of this file
    'ARTICLE_RECIPE', 'KLDivergence', 'PRETRAINED', 'RECIPES', 'Sampler', 'VAE_RECIPE', 'assess_top',
    'build_dir', 'checkpoints_dir', 'compile_model', 'create_classifier', 'create_decoder',
    'create_encoder', 'create_joint_model', 'create_judge', 'create_model', 'create_predictor',
    'create_predictor_linear', 'create_sampler', 'evaluate', 'evaluate_classifier', 'kl_divergence',
    'load_pretrained', 'plot_architecture', 'predictor_weight',
    'recipe_for', 'reconstruct', 'reconstruction_loss', 'save_pretrained', 'train',
    # Measures and tables of what the notebooks find
    'article_ten_best', 'assess_objective', 'losses_table', 'mean_distance_of_labels',
    'objectives_table', 'shares_near', 'shares_table', 'statements_table', 'ten_best_table',
    'top_table', 'typical_table', 'variations_table',
    # Of digits and latent_search
    'Data', 'DataUnavailableError', 'Experiment', 'GradientSearch', 'LatentOptimizer', 'Recipe', 'animate_stages',
    'assess_around', 'choose_per_label', 'create_decode_classify', 'create_grid', 'create_nll',
    'create_nll_predict', 'create_nll_with_gradient', 'create_optimizer', 'create_player',
    'create_value_with_gradient', 'distinct_distance', 'encode', 'explore_latent_space', 'gradient_paths',
    'image_shape', 'interpolate', 'keras', 'knn_label_accuracy', 'label_colors', 'label_regions', 'latent_bounds',
    'linear_value_r2', 'load_data', 'load_digits', 'load_manifest', 'load_mnist', 'mean_pixel_distance',
    'models_dir', 'native_precision', 'network_blocks', 'nll_all_targets', 'nll_minima', 'nll_norm', 'nll_of_probs',
    'nll_prior', 'num_labels', 'one_hot', 'plot_images', 'plot_interpolations', 'plot_latent_spaces',
    'plot_learning_curves', 'plot_manifolds', 'plot_networks', 'plot_nll', 'plot_principal_components',
    'plot_reconstructions', 'plot_top', 'plot_top_beside', 'plot_value_walk', 'plot_variations',
    'predict', 'probability_floor', 'replay_evaluations', 'run_searches', 'sample_around', 'save_images',
    'search_with_gradients', 'show_source', 'spaced_best', 'table', 'top', 'versions', 'walk_along_value',
    'widest_radius',
]

_root = Path(__file__).resolve().parent

# In a clone, what is built lies beside the sources; elsewhere, in the working directory.
build_dir = (_root if models_dir.parent == _root else Path()) / 'build'
checkpoints_dir = build_dir / 'checkpoints'

# ---------------------------------------------------------------------------------------------------------------------
# Layers and networks
# ---------------------------------------------------------------------------------------------------------------------

# Outputs, sampler and KL divergence are float32 whatever the precision: losses are computed from them. The predictor is
# float32 too: bfloat16 cannot tell neighbours in latent space apart. No two layers of a model have the same name: with
# PyTorch, Keras identifies weights by their names.


@keras.saving.register_keras_serializable(package='vae_opt_util')
class KLDivergence(layers.Layer):
    """Passes `[t_mean, t_log_var]` through and adds the batch mean of their KL divergence to the model's loss.

    The divergence is that of N(t_mean, exp(t_log_var)) from N(0, I), see `kl_divergence`. The outputs have to be used
    downstream: Keras drops a layer whose output nothing reads, and its loss with it.
    """

    def call(self, inputs):
        t_mean, t_log_var = inputs
        self.add_loss(ops.mean(kl_divergence(t_mean, t_log_var)))
        return t_mean, t_log_var


@keras.saving.register_keras_serializable(package='vae_opt_util')
class Sampler(layers.Layer):
    """Draws t ~ N(t_mean, exp(t_log_var)) as t_mean + exp(t_log_var / 2) * epsilon, epsilon ~ N(0, I)."""

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs):
        t_mean, t_log_var = inputs
        epsilon = keras.random.normal(ops.shape(t_mean), dtype=t_mean.dtype, seed=self.seed_generator)
        return t_mean + ops.exp(0.5 * t_log_var) * epsilon

    def get_config(self):
        return {**super().get_config(), 'seed': self.seed}


def create_encoder(latent_dim, conditional=False):
    """Creates the CNN that maps images (n, 28, 28, 1) to `t_mean` and `t_log_var`, each (n, latent_dim).

    A conditional one takes a list of images and of their labels, one-hot (n, 10); see `create_decoder`.
    """
    latent_dim = check_integer('latent_dim', latent_dim, at_least=1)
    image = layers.Input(shape=image_shape, name='image')
    inputs = [image, layers.Input(shape=(num_labels,), name='label')] if conditional else image

    x = layers.Conv2D(32, 3, padding='same', activation='relu', name='conv_1')(image)
    x = layers.Conv2D(64, 3, strides=2, padding='same', activation='relu', name='conv_2')(x)
    x = layers.Conv2D(64, 3, padding='same', activation='relu', name='conv_3')(x)
    x = layers.Conv2D(64, 3, padding='same', activation='relu', name='conv_4')(x)
    x = layers.Flatten(name='flatten')(x)
    if conditional:
        x = layers.Concatenate(name='with_label')([x, inputs[1]])
    x = layers.Dense(32, activation='relu', name='dense')(x)
    t_mean = layers.Dense(latent_dim, dtype='float32', name='t_mean')(x)
    t_log_var = layers.Dense(latent_dim, dtype='float32', name='t_log_var')(x)

    return keras.Model(inputs, [t_mean, t_log_var], name='encoder')


def create_decoder(latent_dim, conditional=False):
    """Creates the CNN that maps latent vectors (n, latent_dim) to images (n, 28, 28, 1) with pixels in (0, 1).

    A conditional one takes a list of latent vectors and of labels, one-hot (n, 10), so that the latent vector need not
    encode the label (arXiv 1606.05908).
    """
    t = layers.Input(shape=(check_integer('latent_dim', latent_dim, at_least=1),), name='t')
    inputs = [t, layers.Input(shape=(num_labels,), name='label')] if conditional else t

    x = layers.Concatenate(name='with_label')(inputs) if conditional else t
    x = layers.Dense(14 * 14 * 64, activation='relu', name='expand')(x)
    x = layers.Reshape((14, 14, 64), name='reshape')(x)
    x = Conv2DTranspose(32, 3, strides=2, padding='same', activation='relu', name='conv_transpose')(x)
    x = layers.Conv2D(1, 3, padding='same', name='logits')(x)
    x = layers.Activation('sigmoid', dtype='float32', name='pixels')(x)

    return keras.Model(inputs, x, name='decoder')


def create_sampler(seed=None):
    """Creates the layer that draws `t` from `[t_mean, t_log_var]`; `seed` fixes its stream of random numbers."""
    return Sampler(seed, dtype='float32', name='sampler')


def create_predictor(latent_dim):
    """Creates the network that predicts label probabilities (n, 10) from `t_mean` (n, latent_dim)."""
    t_mean = layers.Input(shape=(check_integer('latent_dim', latent_dim, at_least=1),), name='t_mean')

    x = layers.Dense(128, activation='relu', dtype='float32', name='dense_1')(t_mean)
    x = layers.Dense(128, activation='relu', dtype='float32', name='dense_2')(x)
    x = layers.Dense(num_labels, activation='softmax', dtype='float32', name='label_probs')(x)

    return keras.Model(t_mean, x, name='predictor')


def create_predictor_linear(latent_dim):
    """Creates the network that predicts digit values (n, 1), any real number, from `t_mean` (n, latent_dim)."""
    t_mean = layers.Input(shape=(check_integer('latent_dim', latent_dim, at_least=1),), name='t_mean')

    x = layers.Dense(128, activation='relu', dtype='float32', name='dense_1')(t_mean)
    x = layers.Dense(128, activation='relu', dtype='float32', name='dense_2')(x)
    x = layers.Dense(1, dtype='float32', name='value')(x)

    return keras.Model(t_mean, x, name='predictor')


def create_classifier():
    """Creates the CNN that predicts label probabilities (n, 10) from images; the objective searches with it."""
    image = layers.Input(shape=image_shape, name='image')

    x = layers.Conv2D(32, 3, activation='relu', name='conv_1')(image)
    x = layers.MaxPooling2D(name='pool_1')(x)
    x = layers.Conv2D(64, 3, activation='relu', name='conv_2')(x)
    x = layers.MaxPooling2D(name='pool_2')(x)
    x = layers.Conv2D(64, 3, activation='relu', name='conv_3')(x)
    x = layers.Flatten(name='flatten')(x)
    x = layers.Dense(64, activation='relu', name='dense')(x)
    x = layers.Dense(num_labels, activation='softmax', dtype='float32', name='label_probs')(x)

    return keras.Model(image, x, name='classifier')


def create_judge():
    """Creates a second CNN that predicts label probabilities (n, 10) from images.

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
    x = layers.Dense(num_labels, activation='softmax', dtype='float32', name='label_probs')(x)

    return keras.Model(image, x, name='judge')


# ---------------------------------------------------------------------------------------------------------------------
# Joint model
# ---------------------------------------------------------------------------------------------------------------------


def create_joint_model(encoder, decoder, sampler, predictor=None):
    """Composes the joint VAE-predictor model, or the VAE alone if `predictor` is None.

    The model maps images (n, 28, 28, 1) to decoded samples of their posterior. With a predictor, it returns a list of
    these and of what the predictor reads from `t_mean`, never from a sample. Its loss includes the KL divergence;
    `train` adds the other parts. `get_layer` returns 'encoder', 'decoder' and 'predictor'. With a conditional encoder
    and decoder it is a conditional VAE, a function of a list of images and of their labels, one-hot.
    """
    image = layers.Input(shape=image_shape, name='image')
    label = [layers.Input(shape=(num_labels,), name='label')] if len(encoder.inputs) == 2 else []
    inputs = [image, *label] if label else image
    t_mean, t_log_var = KLDivergence(dtype='float32', name='kl_divergence')(encoder(inputs))
    t = sampler([t_mean, t_log_var])
    t_decoded = decoder([t, *label] if label else t)
    if predictor is None:
        return keras.Model(inputs, t_decoded, name='vae')
    return keras.Model(inputs, [t_decoded, predictor(t_mean)], name='vae_predictor')


# ---------------------------------------------------------------------------------------------------------------------
# Losses
# ---------------------------------------------------------------------------------------------------------------------


def reconstruction_loss(x, x_decoded):
    """Binary cross-entropy of images (n, 28, 28, 1) summed over their pixels: (n,), nats.

    −Σ x log p + (1 − x) log(1 − p), where p is `x_decoded`, kept 1e-7 from 0 and 1.
    With `kl_divergence` it is the negative variational lower bound (−ELBO) of Kingma and Welling, arXiv 1312.6114.
    """
    x, p = ops.convert_to_tensor(x), ops.clip(x_decoded, 1e-7, 1 - 1e-7)
    return -ops.sum(x * ops.log(p) + (1 - x) * ops.log(1 - p), axis=(1, 2, 3))


def kl_divergence(t_mean, t_log_var):
    """KL divergence of N(t_mean, exp(t_log_var)) from N(0, I), summed over latent dimensions: (n,), nats.

    1/2 Σ (t_mean² + exp(t_log_var) − t_log_var − 1), appendix B of arXiv 1312.6114.
    """
    return 0.5 * ops.sum(ops.square(t_mean) + ops.exp(t_log_var) - ops.add(t_log_var, 1), axis=-1)


# Weight of the predictor's loss in that of the joint model.
predictor_weight = 20.0


def plot_architecture(latent_dim):
    """Draws the joint model: what is computed from what, and which part of the loss each output enters."""
    return digits.figures.plot_architecture(latent_dim, predictor_weight)


# ---------------------------------------------------------------------------------------------------------------------
# Recipes and training
# ---------------------------------------------------------------------------------------------------------------------

# The article's recipe for its VAEs: a constant learning rate, and the last weights.
ARTICLE_RECIPE = Recipe(epochs=15)

# Ours: the first steps of RMSprop, too large without a bias correction, are warmed up, and the weights are averaged.
VAE_RECIPE = ARTICLE_RECIPE._replace(learning_rate=0.002, warm_up_steps=300, ema_momentum=0.998)

# models/README.md says how they were chosen.
RECIPES = {
    'vae-predictor-off': VAE_RECIPE,
    'vae-predictor-softmax': VAE_RECIPE,
    'vae-predictor-linear': VAE_RECIPE,
    'vae-predictor-softmax-10d': VAE_RECIPE,
    'vae-conditional': VAE_RECIPE,
    'classifier': VAE_RECIPE._replace(epochs=5),
    'judge': ARTICLE_RECIPE._replace(epochs=18, learning_rate_decay=0.8),
}

# The last of the pretrained models is trained by `alternatives.train_latent_constraints`.
PRETRAINED = (*RECIPES, 'latent-constraints')


def recipe_for(name, **changes):
    """Returns the recipe of a model, with some of its fields changed.

    Args:
        name: a key of `RECIPES`.
        **changes: fields of `Recipe` and their new values. None leaves a field as it is.

    Raises:
        ValueError: there is no such model or field, or a number is not as it should be.
    """
    recipe = RECIPES[check_model_name(name, RECIPES)]
    unknown = sorted(changes.keys() - set(Recipe._fields))
    if unknown:
        raise ValueError(f'A recipe has no {", ".join(unknown)}. Its fields are {", ".join(Recipe._fields)}.')
    return check_recipe(recipe._replace(**{field: value for field, value in changes.items() if value is not None}))


def create_model(name, *, latent_dim=None, seed=0, precision='float32'):
    """Creates one of the models named in `RECIPES`, untrained.

    It sets the global random seeds of Python, NumPy and Keras.

    Args:
        name: a key of `RECIPES`.
        latent_dim: dimensions of the latent space. Without it, two, or ten where the name ends in '-10d'. Classifiers
            have none.
        seed: of the initial weights and of the sampler. The judge adds 1000 to it.
        precision: 'float32' or 'mixed_bfloat16', in which layers compute in bfloat16, except those that losses are
            computed from. All weights are float32.

    Returns:
        An uncompiled Keras model.

    Raises:
        ValueError: there is no model of that name, or a number is not as it should be.
    """
    check_model_name(name, RECIPES)
    seed = check_integer('seed', seed, at_least=0)
    set_random_seed(seed + 1000 if name == 'judge' else seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return _create_model(name, latent_dim, seed)
    finally:
        keras.config.set_dtype_policy(policy)


def _create_model(name, latent_dim, seed):
    if name in ('classifier', 'judge'):
        return create_classifier() if name == 'classifier' else create_judge()
    if latent_dim is None:
        latent_dim = 10 if name.endswith('-10d') else 2
    encoder, decoder = (create(latent_dim, conditional=name == 'vae-conditional')
                        for create in (create_encoder, create_decoder))
    predictor = None
    if name.startswith('vae-predictor-softmax'):
        predictor = create_predictor(latent_dim)
    elif name == 'vae-predictor-linear':
        predictor = create_predictor_linear(latent_dim)
    return create_joint_model(encoder, decoder, create_sampler(seed), predictor)


def train(name, data, *, latent_dim=None, recipe=None, seed=0, checkpoint_dir=None, precision='auto'):
    """Trains one of the models named in `RECIPES`, with RMSprop.

    VAEs minimise the batch mean of `reconstruction_loss` + `kl_divergence`, plus `predictor_weight` times the
    predictor's loss if they have a predictor: cross-entropy for labels, mean squared error for values. Classifiers
    minimise cross-entropy.

    With `checkpoint_dir`, weights and learning curve are written after each epoch, and an interrupted training
    continues after its last finished epoch with the result of an uninterrupted one. A finished one is read back.
    Each training has a folder of its own there, whose name depends on all that its result depends on.

    With JAX as Keras's backend, call `keras.distribution.set_distribution(keras.distribution.DataParallel())` first to
    share each batch among all devices. Their number has to divide the size of every batch: the first, the last, which
    may be smaller, and 400, in which test images are measured.

    Args:
        name: a key of `RECIPES`.
        data: a `Data` tuple.
        latent_dim: dimensions of the latent space, see `create_model`.
        recipe: a `Recipe`, such as `recipe_for` returns; without it that of `RECIPES`. Few examples shorten its
            warm-up and its averages, see `Recipe.for_examples`.
        seed: governs initial weights, order of images, sampler and dropout.
        checkpoint_dir: folder of all checkpoints, created if it does not exist.
        precision: 'float32', 'mixed_bfloat16' or 'auto', which is what `native_precision` returns.

    Returns:
        `(model, history)`: the uncompiled model and a list with a dict for each epoch. Its keys are 'seconds' and, for
        the training images as a running mean and with the prefix 'val_' for the test images, the parts of the loss in
        nats: 'reconstruction', 'kl' and 'predictor' (squared digits for values), or 'loss' for classifiers;
        'accuracy' where labels are predicted.

    Raises:
        ValueError: unknown name, bad images, labels or numbers, or a checkpoint that is damaged.
        FloatingPointError: the loss is no longer finite; the checkpoint keeps the epochs before.
        Interrupted: a KeyboardInterrupt that says what is kept and how to continue.
    """
    precision = check_precision(precision)
    recipe = (recipe_for(name) if recipe is None else check_recipe(recipe)).for_examples(len(data.x_train))
    model = create_model(name, latent_dim=latent_dim, seed=seed, precision=precision)
    train_set = _examples(model, data.x_train, data.y_train)
    test_set = _examples(model, data.x_test, data.y_test)
    settings = {'name': name, 'recipe': recipe._asdict(), 'data': data.name, 'images': len(train_set), 'seed': seed,
                'precision': precision, 'architecture': hashlib.sha256(model.to_json().encode()).hexdigest()}
    compile_model(model, recipe)  # Not before: to_json would include it.
    history = fit(model, recipe, train_set, test_set, loss_parts=_loss_parts, seed=seed,
                  checkpoint=Checkpoint(checkpoint_dir and Path(checkpoint_dir) / data.name / name, settings),
                  name=f'{name}, {precision}')

    trained = create_model(name, latent_dim=latent_dim, seed=seed)
    with averaged_weights(model):
        trained.set_weights(model.get_weights())
    return trained, history


def compile_model(model, recipe):
    """Compiles a model made by `create_model` with the losses that `train` minimises, and RMSprop."""
    optimizer = keras.optimizers.RMSprop(use_ema=recipe.ema_momentum != 0, ema_momentum=recipe.ema_momentum)
    if 'decoder' not in (layer.name for layer in model.layers):
        return model.compile(optimizer, 'sparse_categorical_crossentropy', metrics=['accuracy'])
    if len(model.outputs) == 1:
        return model.compile(optimizer, reconstruction_loss, metrics=[reconstruction_loss])
    predicts_labels = model.get_layer('predictor').output.shape[-1] == num_labels
    return model.compile(optimizer,
                         [reconstruction_loss,
                          'sparse_categorical_crossentropy' if predicts_labels else 'mean_squared_error'],
                         loss_weights=[1.0, predictor_weight],
                         metrics=[[], ['accuracy'] if predicts_labels else []])


def _examples(model, x, y):
    x = check_images(x)
    y = check_labels(y, len(x))
    inputs = [x, one_hot(y)] if len(model.inputs) == 2 else x
    if 'decoder' not in (layer.name for layer in model.layers):
        return Examples(inputs, y)
    return Examples(inputs, [x, y] if len(model.outputs) == 2 else x)


def _loss_parts(logs):
    """Names the parts of the loss in Keras's logs; the KL divergence is what the other parts leave of the whole."""
    if 'reconstruction_loss' in logs:
        return {'reconstruction': logs['reconstruction_loss'], 'kl': logs['loss'] - logs['reconstruction_loss']}
    if 'decoder_loss' not in logs:
        return {'loss': logs['loss'], 'accuracy': logs['accuracy']}
    parts = {'reconstruction': logs['decoder_loss'],
             'kl': logs['loss'] - logs['decoder_loss'] - predictor_weight * logs['predictor_loss'],
             'predictor': logs['predictor_loss']}
    if 'predictor_accuracy' in logs:
        parts['accuracy'] = logs['predictor_accuracy']
    return parts


def evaluate(model, x, y, seed=0):
    """Measures a joint model on images and labels, with one sample of each image's posterior.

    Args:
        model: made by `create_joint_model`.
        x: images, float32 in [0, 1], (n, 28, 28, 1).
        y: labels, integers, (n,).

    Returns:
        A dict of floats: 'reconstruction', 'kl' and their sum 'neg_elbo', means in nats; with a predictor of labels
        also 'accuracy', with one of values 'rmse' in units of a digit.
    """
    x, y = check_images(x), check_labels(y, len(x))
    encoder, decoder = model.get_layer('encoder'), model.get_layer('decoder')
    label = [one_hot(y)] if len(model.inputs) == 2 else []
    t_mean, t_log_var = predict(encoder, [x, *label] if label else x, 'encode')
    epsilon = np.random.default_rng(seed).standard_normal(t_mean.shape, dtype='float32')
    t = t_mean + np.exp(0.5 * t_log_var) * epsilon
    x_decoded = predict(decoder, [t, *label] if label else t, 'decode')

    reconstruction = float(np.mean(ops.convert_to_numpy(reconstruction_loss(x, x_decoded))))
    kl = float(np.mean(ops.convert_to_numpy(kl_divergence(t_mean, t_log_var))))
    metrics = {'reconstruction': reconstruction, 'kl': kl, 'neg_elbo': reconstruction + kl}
    if len(model.outputs) == 2:
        predicted = predict(model.get_layer('predictor'), t_mean, 'predict')
        if predicted.shape[1] == num_labels:
            metrics['accuracy'] = float(np.mean(predicted.argmax(axis=1) == y))
        else:
            metrics['rmse'] = float(np.sqrt(np.mean((predicted[:, 0] - y) ** 2)))
    return metrics


def evaluate_classifier(model, x, y):
    """Measures the share of images that a classifier reads as their label: {'accuracy': float}."""
    x, y = check_images(x), check_labels(y, len(x))
    return {'accuracy': float(np.mean(predict(model, x, model.name).argmax(axis=1) == y))}


def reconstruct(x, model):
    """Decodes images from their `t_mean`.

    Args:
        x: images, (n, 28, 28, 1).
        model: made by `create_joint_model`, not conditional.

    Returns:
        The decoded images, float32 (n, 28, 28, 1), and the reconstruction loss of each, (n,), nats.
    """
    decoded = predict(model.get_layer('decoder'), encode(x, model), 'decode')
    return decoded, ops.convert_to_numpy(reconstruction_loss(x, decoded))


# ---------------------------------------------------------------------------------------------------------------------
# Pretrained models
# ---------------------------------------------------------------------------------------------------------------------


def save_pretrained(model, name, description, folder=models_dir):
    """Saves one of the models named in `PRETRAINED`; see `digits.pretrained.save_pretrained`."""
    digits.pretrained.save_pretrained(model, name, description, names=PRETRAINED, folder=folder)


def load_pretrained(name, folder=models_dir):
    """Loads a pretrained model, checked against the sha256 in manifest.json, without executing code from its file.

    Args:
        name: one of `PRETRAINED`.
        folder: where the models and their manifest are.

    Returns:
        An uncompiled Keras model.

    Raises:
        ValueError: there is no model of that name, or its file is damaged.
        FileNotFoundError: the model's file or the manifest does not exist.
    """
    return digits.pretrained.load_pretrained(name, names=PRETRAINED, folder=folder)


# ---------------------------------------------------------------------------------------------------------------------
# Assessment of searches
# ---------------------------------------------------------------------------------------------------------------------


def assess_top(optimizer, target, decoder, classifier, judge, num=10, distance=None):
    """Decodes the best distinct evaluations of a search and reads the images.

    For `num` and `distance` see `top`: 0 gives the best as the article shows them, distinct or not.

    Returns:
        A dict: `values` of the objective, (m,), nats; `images`, (m, 28, 28, 1); `classifier` and `judge`, their
        probabilities of the target, (m,); `read`, the labels that the judge reads, (m,); `diversity`, see
        `mean_pixel_distance`.
    """
    points, values = top(optimizer, num, distance)
    images = predict(decoder, points.astype('float32'), 'decode')
    by_judge = predict(judge, images, 'judge')
    return {'values': values[:, 0], 'images': images, 'classifier': predict(classifier, images, 'classify')[:, target],
            'judge': by_judge[:, target], 'read': by_judge.argmax(axis=1),
            'diversity': mean_pixel_distance(images)}
