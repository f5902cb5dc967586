"""A simulated laboratory: a process of its own that knows nothing of the search.

It reads the journal of a search as a file and starts the proposed experiments, a few at a time. When an experiment is
finished, it adds a line to a file of results. Results come late, out of order and with noise, and some experiments
fail. An experiment decodes the point to an image and classifies it; its value is the article's objective for one
target, in nats.

`python laboratory.py JOURNAL RESULTS --target 4` works until it is stopped, or until the process that started it ends.
When it is started again, it continues with the experiments that have no result.

Two functions are for the side of the search: `start_laboratory`, and `results_of`, which reads the file of results.
"""

import argparse
import csv
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np

from digits.objectives import create_decode_classify, create_nll
from latent_search.files import replace_file
from vae_opt_util import load_pretrained


@cache
def objective_for(target):
    """The article's objective for a target, with the pretrained models. A process loads them once."""
    decoder = load_pretrained('vae-predictor-softmax').get_layer('decoder')
    return create_nll(create_decode_classify(decoder, load_pretrained('classifier')), target)


def make_experiment(number, t, target):
    """Evaluates one proposal, an experiment's number and point (1, 2): its number and value, (1, 1), without noise."""
    return number, objective_for(target)(t)


def rows(path):
    """Reads the complete lines of a CSV file to which another process may be writing, as dicts; none without a file."""
    if not path.exists():
        return []
    return list(csv.DictReader(line for line in path.read_text().splitlines(keepends=True) if line.endswith('\n')))


def start_laboratory(journal, results, target):
    """Starts a laboratory in a process of its own: a `subprocess.Popen`. `journal` and `results` are paths."""
    return subprocess.Popen([sys.executable, __file__, journal, results, '--target', str(target)])


def results_of(pending, results):
    """The results of pending experiments, in the order in which they came.

    Args:
        pending: experiments, see `LatentOptimizer.pending`.
        results: path of the laboratory's file, which may not exist yet.

    Returns:
        A list of an experiment's number, its value as a float, and the reason of a failure; one of these two is None.
    """
    numbers = {experiment.number for experiment in pending}
    return [(int(row['number']), float(row['value']) if row['value'] else None, row['failure'] or None)
            for row in rows(results) if int(row['number']) in numbers]


def point(row):
    """The coordinates in a line of the journal, (1, d)."""
    return np.array([[float(value) for name, value in row.items() if ' from ' in name]])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('journal', type=Path)
    parser.add_argument('results', type=Path)
    parser.add_argument('--target', type=int, required=True)
    parser.add_argument('--benches', type=int, default=4, help='experiments at a time')
    parser.add_argument('--seconds', type=float, default=0.3, help='mean duration of an experiment')
    parser.add_argument('--noise', type=float, default=0.1, help='standard deviation, nats')
    parser.add_argument('--failing', type=float, default=0.15, help='share of experiments')
    arguments = parser.parse_args()

    parent = os.getppid()
    objective = objective_for(arguments.target)
    if not arguments.results.exists():
        replace_file(arguments.results, 'number,value,failure\n')
    started = {int(row['number']) for row in rows(arguments.results)}
    running = []
    while os.getppid() == parent:
        for row in rows(arguments.journal):
            number = int(row['number'])
            if row['status'] == 'proposed' and number not in started and len(running) < arguments.benches:
                # Seeded by the experiment's number, so that an interruption does not change the results.
                luck = np.random.default_rng(number)
                failure = 'the sample was dropped' if luck.random() < arguments.failing else ''
                value = '' if failure else objective(point(row))[0, 0] + arguments.noise * luck.normal()
                over = time.monotonic() + luck.exponential(arguments.seconds)
                running.append((over, number, value, failure))
                started.add(number)
        for result in sorted(result for result in running if result[0] < time.monotonic()):
            running.remove(result)
            with open(arguments.results, 'a', newline='') as file:
                csv.writer(file, lineterminator='\n').writerow(result[1:])
        time.sleep(0.02)


if __name__ == '__main__':
    main()
