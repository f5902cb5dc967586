"""The joint model of molecules: a VAE of SELFIES tokens, trained together with a predictor of properties.

Conventions: rows of tokens are int32, (n, length), see `Vocabulary`; points `t` of the latent space are float32,
(n, latent_dim); losses are in nats.

    model = load_pretrained('vae-predictor-linear')
    t = predict(model.get_layer('encoder'), rows, 'encode')[0]
    rows_again = predict(create_generator(model.get_layer('decoder')), t, 'decode')
"""

import numpy as np

from molecules.properties import NAMES
from molecules.vocabulary import QM9
from networks.backend import keras, layers, ops, set_random_seed
from networks.pretrained import load_weights, models_dir
from networks.training import Recipe
from vae_opt_util import computed_in_model, create_sampler, kl_divergence

# Of the pretrained models.
latent_dim = 16
RECIPE = Recipe(epochs=12, batch_size=256, learning_rate=0.002, warm_up_steps=300, ema_momentum=0.998)

# A decoder that is given the previous tokens soon ignores `t` where its KL divergence has full weight.
kl_weight = 0.1
predictor_weight = 20.0


def create_encoder(vocabulary, latent_dim):
    """Creates the CNN that maps rows of tokens (n, length) to `t_mean` and `t_log_var`, each (n, latent_dim)."""
    rows = layers.Input(shape=(vocabulary.length,), dtype='int32', name='rows')

    x = layers.Embedding(len(vocabulary.tokens) + 1, 32, name='embedding')(rows)
    for i in range(3):
        x = layers.Conv1D(96, 5, padding='same', activation='relu', name=f'conv_{i + 1}')(x)
    x = layers.Flatten(name='flatten')(x)
    x = layers.Dense(256, activation='relu', name='dense')(x)
    t_mean = layers.Dense(latent_dim, name='t_mean')(x)
    t_log_var = layers.Dense(latent_dim, name='t_log_var')(x)

    return keras.Model(rows, [t_mean, t_log_var], name='encoder')


def create_decoder(vocabulary, latent_dim):
    """Creates the recurrent network that maps `t` (n, latent_dim) and rows of tokens (n, length) to logits.

    The logits of a token, (n, length, tokens + 1), depend on `t` and on the tokens before it: teacher forcing.
    """
    t = layers.Input(shape=(latent_dim,), name='t')
    rows = layers.Input(shape=(vocabulary.length,), dtype='int32', name='rows')

    x = layers.Embedding(len(vocabulary.tokens) + 1, 32, name='embedding')(rows)
    x = layers.ZeroPadding1D((1, 0), name='shift')(x)  # Each place gets the token before it, the first one zeros.
    x = layers.Cropping1D((0, 1), name='crop')(x)
    x = layers.Concatenate(name='inputs')([x, layers.RepeatVector(vocabulary.length, name='repeat')(t)])
    state = layers.Dense(256, activation='tanh', name='state')(t)
    # Unrolled, all steps are one graph, which takes half the time.
    x, _ = layers.GRU(256, return_sequences=True, return_state=True, unroll=True, name='gru')(x, initial_state=state)
    x = layers.Dense(len(vocabulary.tokens) + 1, name='logits')(x)

    return keras.Model([t, rows], x, name='decoder')


def create_predictor(latent_dim):
    """Creates the network that predicts the standardized properties `NAMES` from `t_mean` (n, latent_dim)."""
    t_mean = layers.Input(shape=(latent_dim,), name='t_mean')

    x = layers.Dense(128, activation='relu', name='dense_1')(t_mean)
    x = layers.Dense(128, activation='relu', name='dense_2')(x)
    x = layers.Dense(len(NAMES), name='properties')(x)

    return keras.Model(t_mean, x, name='predictor')


def reconstruction_loss(rows, logits):
    """−Σ log p of the tokens of each molecule and of the mark of its end, which follows them: (n,), nats.

    Args:
        rows: tokens, (n, length).
        logits: of the decoder, (n, length, tokens + 1).
    """
    losses = keras.losses.sparse_categorical_crossentropy(rows, logits, from_logits=True)
    is_inside = ops.pad(ops.cast(rows > 0, 'float32')[:, :-1], ((0, 0), (1, 0)), constant_values=1.0)
    return ops.sum(is_inside * losses, axis=-1)


def vae_loss(rows, logits, t_mean, t_log_var):
    """Negative variational lower bound of molecules, with `kl_weight` (β-VAE): (n,), nats.

    Args:
        rows: tokens, (n, length).
        logits: of the decoder, (n, length, tokens + 1).
        t_mean: means of the posteriors, (n, latent_dim).
        t_log_var: logarithms of their variances, (n, latent_dim).
    """
    return reconstruction_loss(rows, logits) + kl_weight * kl_divergence(t_mean, t_log_var)


def create_joint_model(vocabulary, encoder, decoder, sampler, predictor=None):
    """Composes the joint VAE-predictor model, or the VAE alone if `predictor` is None.

    It maps rows of tokens to a dict: 'vae', their `vae_loss`, (n,), and with a predictor 'predictor', its output for
    `t_mean`. `get_layer` returns 'encoder', 'decoder' and 'predictor'.
    """
    rows = layers.Input(shape=(vocabulary.length,), dtype='int32', name='rows')
    t_mean, t_log_var = encoder(rows)
    logits = decoder([sampler([t_mean, t_log_var]), rows])
    outputs = {'vae': vae_loss(rows, logits, t_mean, t_log_var)}
    if predictor is not None:
        outputs['predictor'] = predictor(t_mean)
    return keras.Model(rows, outputs, name='vae')


def create_generator(decoder):
    """Creates the model that maps points `t` (n, latent_dim) to rows of tokens (n, length), with a decoder's weights.

    It takes the most likely token at each position.
    """
    t = layers.Input(shape=(decoder.input[0].shape[1],), name='t')
    embedding, gru, logits = (decoder.get_layer(name) for name in ('embedding', 'gru', 'logits'))

    state, tokens, is_inside = decoder.get_layer('state')(t), [], ops.ones_like(t[:, :1])
    embedded = ops.zeros_like(t[:, :1, np.newaxis]) * ops.zeros((embedding.output_dim,))
    for _ in range(decoder.output.shape[1]):
        x, state = gru(ops.concatenate([embedded, t[:, np.newaxis]], axis=-1), initial_state=state)
        token = ops.argmax(logits(x), axis=-1)
        embedded = embedding(token)
        is_inside *= ops.cast(token > 0, 'float32')
        tokens.append(is_inside * ops.cast(token, 'float32'))
    return keras.Model(t, ops.cast(ops.concatenate(tokens, axis=-1), 'int32'), name='generator')


# The pretrained models: their names, and what creates their predictor.
MODELS = {'vae-predictor-linear': create_predictor, 'vae-predictor-off': None}
qm9_dir = models_dir / 'qm9'


def create_model(name, vocabulary=QM9, seed=0):
    """Builds one of `MODELS`, with new weights. It sets the global random seeds of Python, NumPy and Keras."""
    set_random_seed(seed)
    encoder, decoder = create_encoder(vocabulary, latent_dim), create_decoder(vocabulary, latent_dim)
    predictor = MODELS[name] and MODELS[name](latent_dim)
    return create_joint_model(vocabulary, encoder, decoder, create_sampler(seed), predictor)


def losses_of(name):
    """The arguments of Keras's `compile` for one of `MODELS`, except the optimizer."""
    if MODELS[name] is None:
        return {'loss': {'vae': computed_in_model}}
    return {'loss': {'vae': computed_in_model, 'predictor': 'mean_squared_error'},
            'loss_weights': {'vae': 1.0, 'predictor': predictor_weight}}


def load_pretrained(name, folder=qm9_dir):
    """Builds one of `MODELS` and loads its pretrained weights; see `networks.pretrained.load_weights`."""
    model = create_model(name)
    load_weights(model, name, folder)
    return model
