"""What the tests of journals share. Processes are forked from one that has loaded this module."""

import csv
import os
import time

import numpy as np
from helpers import assert_same  # noqa: F401 (the tests of journals take both from here)
from helpers import snapshot as state  # noqa: F401

from latent_search import Event, create_optimizer
from latent_search.journal import Journal, JournalInUseError

# What it imports is loaded before processes are forked.
create_optimizer(lambda t: t, [(0, 1)]).suggest_next_locations()

SQUARE = [(-4.0, 4.0)] * 2
BOX = np.array(SQUARE)

EXPERIMENTS = 16
HEADER = 'number,status,t1 from -4.0 to 4.0,t2 from -4.0 to 4.0,value,note,time'
GOOD = [HEADER,
        '1,proposed,0.25,-1.5,,,2026-11-22T18:30:00+00:00',
        '1,done,0.25,-1.5,3.75,,2026-11-22T18:31:10+00:00',
        '2,proposed,2.0,1.0,,,2026-11-22T18:31:10+00:00',
        '2,failed,2.0,1.0,,"no ""oven"", again",2026-11-22T18:40:00+00:00',
        '3,known,0.5,0.5,2.5,,2026-11-22T18:41:00+00:00']
ONE, TWO = np.array([[0.1, -1 / 3]]), np.array([[1e-300, 2.5]])
EVENTS = [Event(1, 'proposed', ONE), Event(1, 'done', ONE, 2 / 3), Event(2, 'proposed', TWO)]
LAST = {'proposed': Event(3, 'proposed', ONE), 'done': Event(2, 'done', TWO, -1e-17),
        'failed': Event(2, 'failed', TWO, note='no "oven", again'), 'known': Event(3, 'known', ONE, 1e22)}


def steps(search, num=EXPERIMENTS):
    """Makes experiments, two at a time, of which some fail; stops after each event."""
    while True:
        proposed = len(search.X) + len(search.failed) + len(search.pending)
        if len(search.pending) < 2 and proposed < num:
            search.ask()
        elif search.pending:
            number, t = search.pending[0]
            if t[0, 0] > 1.5:
                search.tell_failed(number, 'too hot,\n"again"')
            else:
                search.tell(number, ((t - 1) ** 2).sum())
        else:
            return
        yield


def rows(path):
    """The events of a journal as dicts, without the time."""
    with open(path, newline='', encoding='utf-8') as file:
        return [{name: cell for name, cell in row.items() if name != 'time'} for row in csv.DictReader(file)
                if row['status'] != 'settings']


def plain(events):
    return [(event.number, event.status, event.t.tolist(), event.value, event.note) for event in events]


def journal_of(path, events):
    journal = Journal(path, BOX, 'seed=0 noisy=False lower_bound=None')
    for event in events:
        journal.append([event])
    journal.close()
    return path.read_bytes()


def files_beside(path):
    return {file.name for file in path.parent.iterdir()} - {path.name, path.name + '.lock'}


def run_to_the_end(path, slow, log):
    """Runs in a process of its own, where writing takes long: a few bytes at a time."""
    log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if slow:
        write = os.write

        def slowly(file, data):
            time.sleep(0.0005)
            return write(file, data[:8])

        os.write = slowly
    for _ in steps(create_optimizer(None, SQUARE, seed=1, journal=path)):
        pass


def hold(path, connection):
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask()
    connection.send('it is mine')
    connection.recv()


def compete(path, start, rounds):
    start.wait(timeout=60)
    while rounds:
        try:
            search = create_optimizer(None, SQUARE, journal=path)
        except JournalInUseError:
            time.sleep(0.002)
            continue
        alone = os.open(f'{path}.alone', os.O_CREAT | os.O_EXCL)
        for number, t in search.ask(2):
            search.tell(number, t.sum())
        os.close(alone)
        os.remove(f'{path}.alone')
        search.close()
        rounds -= 1
        time.sleep(0.005)
