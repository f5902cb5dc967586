"""Alternatives to Bayesian optimization in latent space that the article names: conditional VAE and latent constraints.

`notebooks/alternatives.ipynb` uses it. Conventions are those of `vae_opt_util`.
"""

import sys
import time
from functools import lru_cache

import numpy as np
from tqdm import tqdm

from digits.data import check_data, check_images, check_labels, check_target, image_shape, num_labels, one_hot
from latent_search.interrupts import interruptible
from latent_search.points import check_integer, check_points
from latent_search.threads import limit_threads
from networks.backend import keras, layers, ops, set_random_seed, value_and_gradient
from networks.prediction import predict
from networks.pretrained import load_weights
from networks.training import fit
from vae_opt_util import (
    VAE_RECIPE,
    computed_in_model,
    create_decoder,
    create_encoder,
    create_predictor,
    create_sampler,
    elbo_parts,
    sample_posterior,
    vae_loss,
)

# ---------------------------------------------------------------------------------------------------------------------
# Conditional VAE
# ---------------------------------------------------------------------------------------------------------------------


def create_conditional_vae(latent_dim, seed=0):
    """Creates a VAE whose encoder and decoder also receive the label, one-hot (n, 10), arXiv 1606.05908.

    So the latent space need not encode the label. The model maps a list of images and labels to the `vae_loss` of each
    image, {'vae': (n,)}; `get_layer` returns 'encoder' and 'decoder'. Otherwise it equals a `create_joint_model`.
    """
    image, label = layers.Input(shape=image_shape, name='image'), layers.Input(shape=(num_labels,), name='label')
    encoder, decoder = create_conditional_encoder(latent_dim), create_conditional_decoder(latent_dim)
    t_mean, t_log_var = encoder([image, label])
    t_decoded = decoder([create_sampler(seed)([t_mean, t_log_var]), label])
    return keras.Model([image, label], {'vae': vae_loss(image, t_decoded, t_mean, t_log_var)}, name='conditional_vae')


def create_conditional_encoder(latent_dim):
    """Creates the CNN that maps a list of images and labels, one-hot (n, 10), to `t_mean` and `t_log_var`."""
    encoder, label = create_encoder(latent_dim), layers.Input(shape=(num_labels,), name='label')

    x = layers.Concatenate(name='with_label')([encoder.get_layer('flatten').output, label])
    x = layers.Dense(32, activation='relu', name='dense')(x)
    t_mean = layers.Dense(latent_dim, name='t_mean')(x)
    t_log_var = layers.Dense(latent_dim, name='t_log_var')(x)

    return keras.Model([encoder.input, label], [t_mean, t_log_var], name='encoder')


def create_conditional_decoder(latent_dim):
    """Creates the CNN that maps a list of latent vectors (n, latent_dim) and labels, one-hot (n, 10), to images."""
    t, label = layers.Input(shape=(latent_dim,), name='t'), layers.Input(shape=(num_labels,), name='label')

    x = layers.Concatenate(name='with_label')([t, label])
    for layer in create_decoder(latent_dim + num_labels).layers[1:]:
        x = layer.from_config(layer.get_config())(x)

    return keras.Model([t, label], x, name='decoder')


def train_conditional_vae(data, *, latent_dim=2, recipe=VAE_RECIPE, seed=0, checkpoint_dir=None):
    """Builds a conditional VAE and trains it. Arguments, results and errors are those of `vae_opt_util.train`."""
    sets = [((x, one_hot(y)), {'vae': x}) for x, y in check_data(data)]
    set_random_seed(check_integer('seed', seed, at_least=0))
    model = create_conditional_vae(latent_dim, seed)
    model.compile(recipe.optimizer(len(data.x_train)), {'vae': computed_in_model})
    return model, fit(model, *sets, recipe, 'vae-conditional', seed=seed, folder=checkpoint_dir)


def load_conditional_vae():
    """Builds the conditional VAE and loads its pretrained weights."""
    model = create_conditional_vae(2)
    load_weights(model, 'vae-conditional')
    return model


def evaluate_conditional_vae(model, x, y, seed=0):
    """Measures a conditional VAE on images x (n, 28, 28, 1) and labels y (n,): see `vae_opt_util.elbo_parts`."""
    label = one_hot(y)
    t_mean, t_log_var = predict(model.get_layer('encoder'), [check_images(x), label], 'encode')
    t = sample_posterior(t_mean, t_log_var, np.random.default_rng(seed))
    return elbo_parts(x, predict(model.get_layer('decoder'), [t, label], 'decode'), t_mean, t_log_var)


def sample_prior(num, latent_dim, seed=0):
    """Draws points of latent space from the prior N(0, I): float64 (num, latent_dim)."""
    shape = check_integer('num', num, at_least=1), check_integer('latent_dim', latent_dim, at_least=1)
    return np.random.default_rng(check_integer('seed', seed, at_least=0)).standard_normal(shape)


def generate(vae, target, num, seed=0):
    """Generates images of a digit with a conditional VAE: decodes samples of the prior with the label.

    Args:
        vae: a conditional VAE, such as `load_conditional_vae` returns.
        target: the wanted label.
        num: how many images.
        seed: of the points.

    Returns:
        float32 (num, 28, 28, 1) in (0, 1).

    Raises:
        ValueError: the VAE is not conditional, `target` is not a label, or `num` is not a positive integer.
    """
    check_target(target)
    decoder = vae.get_layer('decoder')
    if len(decoder.inputs) != 2:
        raise ValueError('generate needs a conditional VAE, whose decoder takes a label. `load_conditional_vae()` '
                         'returns one.')
    t = sample_prior(num, decoder.inputs[0].shape[1], seed)
    return predict(decoder, [t.astype('float32'), one_hot(np.full(num, target))], 'decode')


# ---------------------------------------------------------------------------------------------------------------------
# Latent constraints
# ---------------------------------------------------------------------------------------------------------------------

# Cost of moving a point: the weight of `move_loss`.
move_weight = 0.3


def create_realism_critic(latent_dim):
    """Creates the network that distinguishes encoded images from samples of the prior, points (n, latent_dim).

    Its output is the probability that a point encodes an image, (n, 1).
    """
    t = layers.Input(shape=(check_integer('latent_dim', latent_dim, at_least=1),), name='t')

    x = layers.Dense(128, activation='relu', name='dense_1')(t)
    x = layers.Dense(128, activation='relu', name='dense_2')(x)
    x = layers.Dense(1, activation='sigmoid', name='realism')(x)

    return keras.Model(t, x, name='realism_critic')


def create_attribute_critic(latent_dim):
    """Creates the network that predicts label probabilities (n, 10) of encoded images (n, latent_dim).

    It has the architecture of the joint model's predictor, but the latent space is not trained with it.
    """
    predictor = create_predictor(latent_dim)
    return keras.Model(predictor.input, predictor.output, name='attribute_critic')


def create_actor(latent_dim):
    """Creates the network that moves points (n, latent_dim) to where a label, one-hot (n, 10), is."""
    t = layers.Input(shape=(check_integer('latent_dim', latent_dim, at_least=1),), name='t')
    label = layers.Input(shape=(num_labels,), name='label')

    x = layers.Concatenate(name='with_label')([t, label])
    x = layers.Dense(128, activation='relu', name='move_1')(x)
    x = layers.Dense(128, activation='relu', name='move_2')(x)
    x = layers.Dense(latent_dim, name='move')(x)

    return keras.Model([t, label], layers.Add(name='moved')([t, x]), name='actor')


def create_latent_constraints(realism_critic, attribute_critic, actor):
    """Composes critics and actor: points and labels, one-hot, to moved points and the critics' outputs for these.

    `get_layer` returns 'realism_critic', 'attribute_critic' and 'actor'.
    """
    t, label = (layers.Input(shape=part.shape[1:], name=part.name) for part in actor.inputs)
    moved = actor([t, label])
    return keras.Model([t, label], [moved, realism_critic(moved), attribute_critic(moved)], name='latent_constraints')


def load_latent_constraints():
    """Builds critics and actor for two latent dimensions and loads their pretrained weights."""
    model = create_latent_constraints(create_realism_critic(2), create_attribute_critic(2), create_actor(2))
    load_weights(model, 'latent-constraints')
    return model


def move_loss(t, moved):
    """How far points (n, latent_dim) were moved: Σ log(1 + (moved − t)²) over their coordinates, (n,)."""
    return ops.sum(ops.log1p(ops.square(moved - t)), axis=-1)


def constraint_loss(t, label, moved, realism, label_probs, *, move_weight=move_weight):
    """The loss that the actor is trained to minimise, or that gradient steps minimise without an actor.

    −log realism − log p(label) + `move_weight` · `move_loss`, after arXiv 1711.05772.

    Args:
        t: points, (n, latent_dim).
        label: wanted labels, one-hot (n, 10).
        moved: the points that were moved, (n, latent_dim).
        realism: the realism critic's output for the moved points, (n, 1).
        label_probs: the attribute critic's output for the moved points, (n, 10).
        move_weight: cost of moving a point.

    Returns:
        (n,), nats.
    """
    unlikely = -ops.log(realism[:, 0] + 1e-7) - ops.log(ops.sum(label * label_probs, axis=-1) + 1e-7)
    return unlikely + move_weight * move_loss(t, moved)


def train_latent_constraints(vae, data, *, epochs=10, batch_size=500, seed=0, move_weight=move_weight):
    """Trains critics and actor in the latent space of a VAE, which is not changed.

    The critics come first. The realism critic learns to distinguish a sample of each training image's posterior from as
    many samples of the prior; the attribute critic learns the images' labels from the same samples of the posterior.
    Both minimise cross-entropy. Then the actor, on samples of the prior and random labels, minimises `constraint_loss`.

    Args:
        vae: made by `create_joint_model`, not conditional.
        data: a `Data` tuple.
        epochs: passes over the samples, for each of the three networks.
        batch_size: samples a step.
        seed: governs samples, initial weights and order.
        move_weight: cost of moving a point, see `constraint_loss`.

    Returns:
        `(model, history)`: what `create_latent_constraints` composes, and a list with a dict for each epoch: 'seconds',
        and for training and (with the prefix 'val_') test images 'realism', 'attribute' and 'actor', the three losses
        as means in nats, and 'accuracy' of the attribute critic.

    Raises:
        ValueError: bad images, labels or numbers.
        FloatingPointError: a loss is no longer finite.
    """
    epochs = check_integer('epochs', epochs, at_least=1)
    batch_size = check_integer('batch_size', batch_size, at_least=1)
    set_random_seed(check_integer('seed', seed, at_least=0))
    latent_dim = vae.get_layer('decoder').input.shape[1]
    model = create_latent_constraints(create_realism_critic(latent_dim), create_attribute_critic(latent_dim),
                                      create_actor(latent_dim))
    rng = np.random.default_rng(seed)
    train_sets, test_sets = (_samples(vae, x, y, rng) for x, y in check_data(data))
    critics = [model.get_layer(name) for name in ('realism_critic', 'attribute_critic')]
    history = [{'seconds': 0.0} for _ in range(epochs)]
    with interruptible(lambda: 'Training of the latent constraints is not kept. The same call starts it again.'), \
            tqdm(total=3 * epochs, desc='latent-constraints', unit='epoch', file=sys.stdout) as bar:
        for (name, stage, loss), train_set, test_set in zip(_stages(model, move_weight), train_sets, test_sets,
                                                            strict=True):
            for critic in critics:
                critic.trainable = name != 'actor'
            stage.compile('adam', loss, metrics=['accuracy'] if name == 'attribute' else [])
            for epoch in history:
                started = time.perf_counter()
                logs = stage.fit(*train_set, batch_size, verbose=0, validation_data=test_set).history
                values = {key.replace('loss', name): value for key, (value,) in logs.items()}
                if not all(np.isfinite(value) for value in values.values()):
                    raise FloatingPointError(f'Training of the latent constraints diverged: {values}. Try another '
                                             'seed.')
                epoch |= values
                epoch['seconds'] += time.perf_counter() - started
                bar.update()
                bar.set_postfix({name: f'{values[f"val_{name}"]:.4g}'}, refresh=False)
    for critic in critics:
        critic.trainable = True
    return model, history


def _samples(vae, x, y, rng):
    """Inputs and targets of the three networks: realism critic, attribute critic and actor."""
    t, of_prior = _sample_posterior_and_prior(vae, x, rng)
    origin = np.repeat([[1.0], [0.0]], len(t), axis=0).astype('float32')
    wanted = one_hot(rng.integers(num_labels, size=len(t)))
    return ((np.concatenate((t, of_prior)), origin), (t, y),
            ([of_prior, wanted], np.zeros(len(t), dtype='float32')))


def _stages(model, move_weight):
    """The three networks as models to train, each with its name and loss, in their order.

    They are separate models, so that no saved model has an optimizer.
    """
    realism_critic, attribute_critic = model.get_layer('realism_critic'), model.get_layer('attribute_critic')
    return (('realism', keras.Model(realism_critic.input, realism_critic.output), 'binary_crossentropy'),
            ('attribute', keras.Model(attribute_critic.input, attribute_critic.output),
             'sparse_categorical_crossentropy'),
            ('actor', keras.Model(model.inputs, constraint_loss(*model.inputs, *model.outputs,
                                                                move_weight=move_weight)), lambda _, loss: loss))


def _sample_posterior_and_prior(vae, x, rng):
    t_mean, t_log_var = predict(vae.get_layer('encoder'), check_images(x), 'encode')
    t = sample_posterior(t_mean, t_log_var, rng)
    return t, rng.standard_normal(t.shape, dtype='float32')


def constrain(constraints, t, target):
    """Moves points by the actor: one call of a small network.

    Args:
        constraints: what `create_latent_constraints` composes, such as `load_latent_constraints` returns.
        t: points, such as `sample_prior` draws, (n, latent_dim).
        target: the wanted label.

    Returns:
        float32 (n, latent_dim).
    """
    t, label = _checked_start(constraints, t, target)
    return predict(constraints.get_layer('actor'), [t, label], 'constrain')


def constrain_with_gradients(constraints, t, target, num, *, max_iter=100, move_weight=move_weight):
    """Moves points by gradient steps on `constraint_loss`, without the actor, and keeps those with the lowest loss.

    The steps are those of L-BFGS, on all points at once. Many points end in a local minimum, which only its high loss
    reveals, so start from more points than you need.

    Args:
        constraints, t, target: as for `constrain`.
        num: how many points to keep.
        max_iter: maximal number of steps.
        move_weight: cost of moving a point.

    Returns:
        The moved points, float64 (num, latent_dim), lowest loss first, and how often loss and gradient were computed
        for each of `t`.

    Raises:
        ValueError: there are fewer than `num` points, or points or target have the wrong form.
    """
    from scipy.optimize import minimize

    t, label = _checked_start(constraints, t, target)
    if len(t) < check_integer('num', num, at_least=1):
        raise ValueError(f'{num} points cannot be chosen from {len(t)}. Give more points to start from.')
    with_gradient = _constraint_loss_with_gradient(constraints, move_weight)

    def of_all(moved):
        losses, gradient = with_gradient(moved.reshape(t.shape).astype('float32'), t, label)
        return float(losses.sum(dtype='float64')), gradient.astype('float64').ravel()

    with limit_threads(1):
        found = minimize(of_all, t.ravel().astype('float64'), jac=True, method='L-BFGS-B',
                         options={'maxiter': max_iter})
    moved = found.x.reshape(t.shape)
    losses, _ = with_gradient(moved.astype('float32'), t, label)
    return moved[np.argsort(losses, kind='stable')[:num]], found.nfev + 1


def _checked_start(constraints, t, target):
    check_target(target)
    t = check_points(t, constraints.inputs[0].shape[1]).astype('float32')
    return t, one_hot(np.full(len(t), target))


@lru_cache(maxsize=4)
def _constraint_loss_with_gradient(constraints, move_weight):
    realism_critic = constraints.get_layer('realism_critic')
    attribute_critic = constraints.get_layer('attribute_critic')

    def losses(moved, t, label):
        return constraint_loss(t, label, moved, realism_critic(moved), attribute_critic(moved),
                               move_weight=move_weight)

    return value_and_gradient(losses)


def evaluate_latent_constraints(constraints, vae, x, y, seed=0):
    """Measures critics and actor on images and labels, with one sample of each image's posterior and one of the prior.

    Returns:
        A dict of floats: 'accuracy', the share of images whose label the attribute critic predicts; 'realism', the
        share of samples for which the realism critic is right about the origin, image or prior; 'moved', the share of
        samples of the prior, each with a random label, for which the attribute critic predicts that label after the
        actor has moved them.
    """
    y = check_labels(y, len(x))
    rng = np.random.default_rng(seed)
    t, of_prior = _sample_posterior_and_prior(vae, x, rng)
    wanted = rng.integers(num_labels, size=len(t))
    critics = [constraints.get_layer(name) for name in ('attribute_critic', 'realism_critic')]
    labels, of_images = (predict(critic, t, 'criticise') for critic in critics)
    _, _, moved = predict(constraints, [of_prior, one_hot(wanted)], 'constrain')
    not_of_images = predict(critics[1], of_prior, 'criticise')
    return {'accuracy': float(np.mean(labels.argmax(axis=1) == y)),
            'realism': float(np.mean([np.mean(of_images > 0.5), np.mean(not_of_images <= 0.5)])),
            'moved': float(np.mean(moved.argmax(axis=1) == wanted))}
