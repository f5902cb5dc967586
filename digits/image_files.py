"""Files of images: PNG files, and a table of their points and values."""

import csv
import hashlib
import io
import json
import shutil
from contextlib import suppress

import numpy as np
from PIL import Image, PngImagePlugin

from digits.data import check_images
from latent_search.files import replace_file
from latent_search.points import check_points
from networks.files import check_path

_sheet, _table = 'all.png', 'images.csv'
_record = 'sha256 of the files of save_images'  # In the sheet; its own is of its pixels.


def save_images(folder, images, points=None, **columns):
    """Saves images as PNG files, with a table of their points, their values and further columns.

    Afterwards the folder holds these files and no others:

    - `01.png`, `02.png`, …: the images in their order, 28 × 28 pixels with 256 levels of grey;
    - `all.png`: all of them, ten in a row and enlarged four times, to look at;
    - `images.csv`: a row for each image, with the name of its file in the column `file`, the coordinates of its point
      in `t_1`, `t_2`, …, and your columns. Numbers are exact: read as float64, they equal those that were given.

    Either all files are written or none. If the folder holds only unchanged files of an earlier call, it is replaced.
    `all.png` records these files. If Python is killed while the folder is replaced, the
    next call with it first brings the earlier files back.

        points, values = top(search, 10)
        images = predict(decoder, points.astype('float32'), 'decode')
        save_images('build/images/fours', images, points, objective_nats=values[:, 0])

    Args:
        folder: where the files go. It is created if it does not exist. One call at a time writes to it.
        images: float32 in [0, 1], (n, 28, 28, 1), n ≥ 1.
        points: the points of latent space that the images were decoded from, (n, latent_dim), if there are any.
        **columns: further columns of the table, numbers or texts, (n,) each.

    Raises:
        ValueError: images, points or columns have another form, or the folder is no path.
        FileExistsError: the folder holds a file that no earlier call wrote, or one that has changed since. Nothing was
            changed.
        OSError: the folder cannot be written. Nothing was changed.
    """
    folder = check_path('folder', folder).resolve()
    images = np.rint(255 * check_images(images)).astype('uint8')[..., 0]
    if len(images) == 0:
        raise ValueError('There are no images to save: images must have shape (n, 28, 28, 1), n ≥ 1.')
    files = _files(images, _columns(len(images), points, columns))
    try:
        _end_interrupted_call(folder)
        others = _files_of_others(folder)
        if not others:
            _replace(folder, files)
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


def _files(images, table):
    """The contents of all files, by their names. The sheet also holds a record of what the others are."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(table)
    writer.writerows(zip(*(column.tolist() for column in table.values()), strict=True))
    files = {_table: text.getvalue().encode()}
    files |= {name: _png(image) for name, image in zip(table['file'], images, strict=True)}
    record, sheet = PngImagePlugin.PngInfo(), _contact_sheet(images)
    record.add_text(_record, json.dumps({name: _hash(content) for name, content in files.items()}
                                        | {_sheet: _hash(sheet.tobytes())}))
    return files | {_sheet: _png(sheet, record)}


def _png(image, record=None):
    content = io.BytesIO()
    Image.fromarray(image).save(content, 'PNG', pnginfo=record)
    return content.getvalue()


def _hash(content):
    return hashlib.sha256(content).hexdigest()


def _files_of_others(folder):
    """Names of what a folder holds that is not as `save_images` wrote it; none if there is no such folder."""
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    try:
        with PngImagePlugin.PngImageFile(folder / _sheet) as image:  # Image.open warns of large ones.
            recorded = json.loads(image.text[_record])
            ours = {_sheet} if _hash(image.tobytes()) == recorded[_sheet] else set()
        ours |= {name for name in names & recorded.keys() - {_sheet}
                 if _hash((folder / name).read_bytes()) == recorded[name]}
    except Exception:  # It is no image, or one of another program: Pillow raises nearly all kinds.
        ours = set()
    return sorted(names - ours)


def _replace(folder, files):
    """Puts a new folder in the place of the old one when all of its files are written."""
    new = _beside(folder) / 'new'
    try:
        new.mkdir(parents=True)
        for name, content in files.items():
            replace_file(new / name, content)
        if folder.exists():
            folder.rename(_beside(folder) / 'old')
        new.rename(folder)
    finally:
        try:
            _end_interrupted_call(folder)
        finally:  # Where Ctrl-C came meanwhile.
            _end_interrupted_call(folder)


def _end_interrupted_call(folder):
    """Puts the old folder back if an interrupted call has put none in its place, and removes what else it left."""
    old = _beside(folder) / 'old'
    if old.exists() and not folder.exists():
        old.rename(folder)
    with suppress(OSError):
        shutil.rmtree(_beside(folder))


def _beside(folder):
    return folder.parent / f'.{folder.name}.save_images'


def _contact_sheet(images, in_a_row=10, enlarged=4):
    in_a_row = min(in_a_row, len(images))
    sheet = np.full((-(-len(images) // in_a_row) * 30, in_a_row * 30), 255, dtype='uint8')
    for index, image in enumerate(images):
        top, left = 30 * (index // in_a_row) + 1, 30 * (index % in_a_row) + 1
        sheet[top:top + 28, left:left + 28] = image
    return sheet.repeat(enlarged, axis=0).repeat(enlarged, axis=1)
