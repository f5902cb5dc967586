"""Files of images: PNG files, and a table of what is known about each image."""

import csv
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from digits.data import check_images
from latent_search.points import check_points

_sheet, _table = 'all.png', 'images.csv'


def save_images(folder, images, points=None, **columns):
    """Saves images as PNG files, with a table of their points, their values and whatever else is known about them.

    Afterwards the folder holds these files and no others:

    - `01.png`, `02.png`, …: the images in their order, 28 × 28 pixels with 256 levels of grey;
    - `all.png`: all of them, ten in a row and enlarged four times, to look at;
    - `images.csv`: a row for each image, with the name of its file in the column `file`, the coordinates of its point
      in `t_1`, `t_2`, …, and your columns. Numbers are exact: read as float64, they equal those that were given.

    Either all files are written or none. If the folder holds only files that an earlier call wrote, it is replaced.

        points, values = top(search, 10)
        images = predict(decoder, points.astype('float32'), 'decode')
        save_images('build/images/fours', images, points, objective_nats=values[:, 0])

    Args:
        folder: where the files go. It is created if it does not exist.
        images: float32 in [0, 1], (n, 28, 28, 1), n ≥ 1.
        points: the points of latent space that the images were decoded from, (n, latent_dim), if there are any.
        **columns: further columns of the table, numbers or texts, (n,) each.

    Raises:
        ValueError: images, points or columns have another form.
        FileExistsError: the folder holds a file that no earlier call wrote. Nothing was changed.
        OSError: the folder cannot be written. Nothing was changed.
    """
    folder = Path(folder).expanduser().resolve()
    images = np.rint(255 * check_images(images)).astype('uint8')[..., 0]
    if len(images) == 0:
        raise ValueError('There are no images to save: images must have shape (n, 28, 28, 1), n ≥ 1.')
    table = _columns(len(images), points, columns)
    try:
        others = _files_of_others(folder)
        if not others:
            _replace(folder, images, table)
    except OSError as error:
        raise OSError(f'The images cannot be written to {folder} ({error}). Nothing was changed. Name a folder that '
                      'you may write to, or make room on the disk.') from error
    if others:
        raise FileExistsError(f'{folder} holds {others[0]}, which save_images did not write. Nothing was changed. Name '
                              'another folder, or move your files.')


def _columns(num, points, columns):
    table = {'file': [f'{index:0{max(len(str(num)), 2)}}.png' for index in range(1, num + 1)]}
    if points is not None:
        table |= {f't_{i}': coordinate for i, coordinate in enumerate(check_points(points).T, start=1)}
    taken = table.keys() & columns.keys()
    if taken:
        raise ValueError(f'The table has a column {min(taken)!r} of its own. Give yours another name.')
    table = {name: np.asarray(column) for name, column in (table | columns).items()}
    for name, column in table.items():
        if column.shape != (num,):
            raise ValueError(f'{"points" if name == "t_1" else name} must have a row for each of the {num} images, got '
                             f'shape {np.shape(points) if name == "t_1" else column.shape}.')
    return table


def _files_of_others(folder):
    """Names of the files in a folder that `save_images` did not write; none if there is no such folder."""
    if not folder.exists():
        return []
    ours = set()
    if (folder / _table).is_file():
        with open(folder / _table, newline='', encoding='utf-8', errors='replace') as file:
            listed = [row.get('file') or '' for row in csv.DictReader(file)]
        if listed and all(re.fullmatch(r'\d{2,}\.png', name) for name in listed):
            ours = {_table, _sheet, *listed}
    return sorted({path.name for path in folder.iterdir()} - ours)


def _replace(folder, images, table):
    """Puts a new folder in the place of the old one when all of its files are written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f'.{folder.name}-', dir=folder.parent) as unfinished:
        new = Path(unfinished) / 'new'
        new.mkdir()
        for name, image in zip(table['file'], images, strict=True):
            Image.fromarray(image).save(new / name)
        Image.fromarray(_contact_sheet(images)).save(new / _sheet)
        with open(new / _table, 'w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(table)
            writer.writerows(zip(*(column.tolist() for column in table.values()), strict=True))
        old = folder.rename(Path(unfinished) / 'old') if folder.exists() else None
        try:
            new.rename(folder)
        except OSError:
            if old is not None:
                old.rename(folder)
            raise


def _contact_sheet(images, in_a_row=10, enlarged=4):
    in_a_row = min(in_a_row, len(images))
    sheet = np.full((-(-len(images) // in_a_row) * 30, in_a_row * 30), 255, dtype='uint8')
    for index, image in enumerate(images):
        top, left = 30 * (index // in_a_row) + 1, 30 * (index % in_a_row) + 1
        sheet[top:top + 28, left:left + 28] = image
    return sheet.repeat(enlarged, axis=0).repeat(enlarged, axis=1)
