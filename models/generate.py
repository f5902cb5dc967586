"""Makes images of a digit with the pretrained models, and saves them as PNG with a table of their points and values.

`python models/generate.py 7` takes the ten best distinct points of a search for a 7 and decodes them.
`python models/generate.py 7 --by conditional` decodes samples of the prior with the conditional VAE.
The columns of images.csv: file; t_1, t_2, the point; label, the wanted digit; objective_nats, the value that the search
minimises; classifier_probability and judge_probability, of the wanted digit.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from latent_search import create_optimizer, top
from latent_search.points import check_integer

USAGE = ('make images DIGIT=7 [BY=search|conditional] [NUM=10] [SEED=0] [FOLDER=build/images/7-search]\n'
         '       python models/generate.py 7 [--by search|conditional] [--num 10] [--seed 0] [--folder FOLDER]')

# Evaluations of the objective after the six starting points, as in the main notebook.
max_iter = 46


def by_search(digit, num, seed):
    """The best distinct points of a search for a digit: images, points, and their values as a column."""
    from digits.objectives import create_decode_classify, create_nll, nll_prior
    from networks.prediction import predict
    from vae_opt_util import load_pretrained

    decoder = load_pretrained('vae-predictor-softmax').get_layer('decoder')
    objective = create_nll(create_decode_classify(decoder, load_pretrained('classifier')), digit)
    search = create_optimizer(objective, [(-4, 4), (-4, 4)], seed, lower_bound=nll_prior)
    search.run_optimization(max_iter)
    points, values = top(search, num)
    if len(points) < num:
        sys.exit(f'The search found {len(points)} distinct points, and {num} images were asked for. Nothing was '
                 'written. Ask for fewer, or make them with the conditional VAE (BY=conditional).')
    return predict(decoder, points, 'decode'), points, {'objective_nats': values[:, 0]}


def by_conditional_vae(digit, num, seed):
    """Samples of the prior, decoded by the conditional VAE: images, points, and no further column."""
    from alternatives import generate, load_conditional_vae, sample_prior

    vae = load_conditional_vae()
    points = sample_prior(num, vae.get_layer('decoder').inputs[0].shape[1], seed)
    return generate(vae, digit, num, seed), points, {}


METHODS = {'search': by_search, 'conditional': by_conditional_vae}


def main(command_line=None):
    parser = argparse.ArgumentParser(description=__doc__, usage=USAGE,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('digit', type=int, choices=range(10), help='the wanted digit')
    parser.add_argument('--by', choices=list(METHODS), default='search', help='the method (default: %(default)s)')
    parser.add_argument('--num', type=int, default=10, help='how many images (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the random numbers (default: %(default)s)')
    parser.add_argument('--folder', type=Path, help='where the files go (default: build/images/DIGIT-METHOD)')
    arguments = parser.parse_args(command_line)
    try:
        check_integer('num', arguments.num, at_least=1)
        check_integer('seed', arguments.seed, at_least=0)
    except ValueError as error:
        parser.error(str(error))
    try:
        make(**vars(arguments))
    except OSError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit('\nInterrupted, and nothing was written. The same command starts again.')


def make(digit, by, num, seed, folder):
    print(f'Loading the models for a {digit} by {by} ...', flush=True)
    # Keras takes seconds to load. A mistake in the command should not have to wait for it.
    from digits.image_files import save_images
    from networks.prediction import predict
    from vae_opt_util import build_dir, load_pretrained

    folder = folder or build_dir / 'images' / f'{digit}-{by}'
    images, points, columns = METHODS[by](digit, num, seed)
    by_classifier, by_judge = (predict(load_pretrained(name), images, name) for name in ('classifier', 'judge'))
    save_images(folder, images, points, label=np.full(num, digit), **columns,
                classifier_probability=by_classifier[:, digit], judge_probability=by_judge[:, digit])
    print(f'{num} images. The judge, an independent classifier, reads {(by_judge.argmax(axis=1) == digit).sum()} of '
          f'them as a {digit}.\nTo look at: {folder / "all.png"}\nPoints, values and probabilities: '
          f'{folder / "images.csv"}')


if __name__ == '__main__':
    main()
