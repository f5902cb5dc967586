"""Images saved as PNG files, with their table."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digits.image_files import save_images


@pytest.fixture
def images(rng):
    """Twelve images, one of them black and one white."""
    images = rng.random((12, 28, 28, 1), dtype='float32')
    images[0], images[1] = 0, 1
    return images


def pixels(path):
    with Image.open(path) as image:
        assert image.mode == 'L'
        return np.asarray(image)


def rows(folder):
    with open(folder / 'images.csv', newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_png_files_equal_the_images(images, tmp_path):
    save_images(tmp_path / 'new' / 'twelve', images)

    files = [row['file'] for row in rows(tmp_path / 'new' / 'twelve')]
    assert files == [f'{index:02}.png' for index in range(1, 13)]
    assert contents(tmp_path / 'new' / 'twelve').keys() == {*files, 'all.png', 'images.csv'}
    saved = np.array([pixels(tmp_path / 'new' / 'twelve' / file) for file in files])
    np.testing.assert_allclose(saved / 255, images[..., 0], atol=0.5 / 255 + 1e-6)


def test_sheet_shows_all_images_in_rows_of_ten(images, tmp_path):
    save_images(tmp_path / 'twelve', images)

    sheet = pixels(tmp_path / 'twelve' / 'all.png')

    assert sheet.shape == (2 * 120, 10 * 120)
    for index, image in enumerate(images[..., 0]):
        row, column = divmod(index, 10)
        shown = sheet[row * 120 + 4:row * 120 + 116, column * 120 + 4:column * 120 + 116]
        np.testing.assert_allclose(shown[1::4, 1::4] / 255, image, atol=0.5 / 255 + 1e-6)
        np.testing.assert_array_equal(shown, shown[::4, ::4].repeat(4, axis=0).repeat(4, axis=1))
    assert (sheet[120:, 240:] == 255).all()


def test_numbers_of_the_table_are_exact(images, tmp_path, rng):
    points, values = rng.normal(size=(12, 3)) / 3, rng.normal(size=12) * 1e-7
    probs = rng.random(12, dtype='float32')

    save_images(tmp_path / 'twelve', images, points, value=values, prob=probs, label=np.arange(12),
                note=['a, "b"'] * 12)

    table = rows(tmp_path / 'twelve')
    assert list(table[0]) == ['file', 't_1', 't_2', 't_3', 'value', 'prob', 'label', 'note']
    np.testing.assert_array_equal([[float(row[f't_{i}']) for i in (1, 2, 3)] for row in table], points)
    np.testing.assert_array_equal([float(row['value']) for row in table], values)
    np.testing.assert_array_equal([np.float32(row['prob']) for row in table], probs)
    assert [row['label'] for row in table] == [str(label) for label in range(12)]
    assert {row['note'] for row in table} == {'a, "b"'}


def test_files_of_an_earlier_call_are_replaced(images, tmp_path):
    save_images(tmp_path / 'some', images)
    save_images(tmp_path / 'some', images[:3])

    assert contents(tmp_path / 'some').keys() == {'01.png', '02.png', '03.png', 'all.png', 'images.csv'}
    assert [path.name for path in tmp_path.iterdir()] == ['some']


@pytest.mark.parametrize('files', [
    {'notes.txt': 'mine'}, {'01.png': 'mine'}, {'all.png': 'mine'}, {'images.csv': 'name,size\n01.png,1\n'},
    {'images.csv': 'file,size\n'}, {'images.csv': 'file,size\nmine.png,1\n', 'mine.png': 'mine'},
    {'images.csv': 'file,patient\n01.png,17\n', '01.png': 'my scan'},
    {'images.csv': 'file,patient\n01.png,17\n', '01.png': 'my scan', 'all.png': 'my sheet'}])
def test_folder_of_others_is_kept(files, images, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    with pytest.raises(FileExistsError, match='holds .*, which save_images did not write'):
        save_images(tmp_path, images)

    assert contents(tmp_path) == {name: text.encode() for name, text in files.items()}


@pytest.mark.parametrize('added', ['notes.txt', '13.png'])
def test_files_that_were_added_are_kept(added, images, tmp_path):
    folder = tmp_path / 'mine'
    save_images(folder, images)
    (folder / added).write_text('mine')
    before = contents(folder)

    with pytest.raises(FileExistsError, match=f'mine holds {added}, which save_images did not write. Nothing was '
                                              'changed. Name another folder, or move your files.'):
        save_images(folder, images[:2])

    assert contents(folder) == before


@pytest.mark.parametrize('changed', ['03.png', 'all.png', 'images.csv'])
def test_files_that_were_changed_are_kept(changed, images, tmp_path):
    folder = tmp_path / 'mine'
    save_images(folder, images)
    if changed == 'images.csv':
        (folder / changed).write_text((folder / changed).read_text() + 'my note\n')
    else:
        with Image.open(folder / changed) as image:
            image.transpose(Image.Transpose.ROTATE_90).save(folder / changed)
    before = contents(folder)

    with pytest.raises(FileExistsError, match='which save_images did not write. Nothing was changed'):
        save_images(folder, images[:2])

    assert contents(folder) == before


def test_files_that_were_deleted_are_not_missed(images, tmp_path):
    save_images(tmp_path / 'some', images)
    (tmp_path / 'some' / '05.png').unlink()
    (tmp_path / 'some' / 'images.csv').unlink()

    save_images(tmp_path / 'some', images[:1])

    assert contents(tmp_path / 'some').keys() == {'01.png', 'all.png', 'images.csv'}


def test_home_folder(images, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))

    save_images('~/some', images)

    assert len(contents(tmp_path / 'some')) == 14
    for bad in (3, None, '~nobody-has-this-name/some', 'a\0b'):
        with pytest.raises(ValueError, match='folder must be the path of a file or folder, as text or `Path`, got '):
            save_images(bad, images)


def interrupted_at(moment, function):
    """Whether a function was interrupted when a call of C returned, which is when Python notices Ctrl-C."""
    calls = 0

    def interrupt(frame, event, _):
        nonlocal calls
        if event == 'c_return' and Path(frame.f_code.co_filename).name in ('image_files.py', 'pathlib.py', 'shutil.py'):
            calls += 1
            if calls == moment:
                raise KeyboardInterrupt

    sys.setprofile(interrupt)
    try:
        function()
    except KeyboardInterrupt:
        pass
    finally:
        sys.setprofile(None)
    return calls >= moment


def test_an_interrupt_at_any_moment_leaves_the_old_files_or_the_new_ones(images, tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'fsync', lambda _: None)
    folder, seen, moment = tmp_path / 'parent' / 'some', set(), 1
    save_images(tmp_path / 'other', images[1:2])
    save_images(folder, images[:1])
    old, new = contents(folder), contents(tmp_path / 'other')

    while interrupted_at(moment, lambda: save_images(folder, images[1:2])):
        seen.add(contents(folder) == old)
        assert contents(folder) in (old, new)
        assert [path.name for path in folder.parent.iterdir()] == ['some']
        if contents(folder) == new:
            save_images(folder, images[:1])
        moment += 1

    assert seen == {True, False} and contents(folder) == new


@pytest.mark.parametrize('call', ['mkdir', 'rename'])
def test_a_kill_loses_nothing(call, images, tmp_path):
    """Before the new folder is made or gets its name; in the latter case there is no folder until the next call."""
    save_images(tmp_path / 'some', images)
    before = contents(tmp_path / 'some')
    done = subprocess.run([sys.executable, '-c', f"""
import os, pathlib
import numpy as np
from digits.image_files import save_images
call = pathlib.Path.{call}
pathlib.Path.{call} = lambda path, *args, **options: os._exit(9) if path.name == 'new' else call(path, *args, **options)
save_images('some', np.zeros((1, 28, 28, 1), 'float32'))"""], cwd=tmp_path, check=False, timeout=60, env=os.environ | {
        'PYTHONPATH': str(Path(__file__).parents[2])})
    assert done.returncode == 9

    with pytest.raises(OSError, match='Nothing was changed'), pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, 'fsync', fail)
        save_images(tmp_path / 'some', images[:1])
    assert contents(tmp_path / 'some') == before
    save_images(tmp_path / 'some', images[:1])
    assert len(contents(tmp_path / 'some')) == 3
    assert [path.name for path in tmp_path.iterdir()] == ['some']


def fail(*_):
    raise OSError('No space left')


def test_full_disk_leaves_the_earlier_files(images, tmp_path, monkeypatch):
    save_images(tmp_path / 'some', images)
    before = contents(tmp_path / 'some')
    monkeypatch.setattr(os, 'fsync', fail)

    with pytest.raises(OSError, match=r'cannot be written to .*No space left\). Nothing was changed.*make room'):
        save_images(tmp_path / 'some', images[:2])

    assert contents(tmp_path / 'some') == before
    assert [path.name for path in tmp_path.iterdir()] == ['some']


def test_folder_that_cannot_be_written(images, tmp_path):
    (tmp_path / 'file').write_text('mine')

    for folder in (tmp_path / 'file', tmp_path / 'file' / 'images'):
        with pytest.raises(OSError, match=f'The images cannot be written to {folder} .*Nothing was changed. Name a '
                                          'folder that you may write to'):
            save_images(folder, images)

    assert contents(tmp_path) == {'file': b'mine'}


def test_a_failure_leaves_the_earlier_files(images, tmp_path):
    save_images(tmp_path / 'some', images)
    before = contents(tmp_path / 'some')

    with pytest.raises(UnicodeEncodeError):  # The last file that is written.
        save_images(tmp_path / 'some', images[:2], note=['fine', '\ud800'])

    assert contents(tmp_path / 'some') == before
    assert [path.name for path in tmp_path.iterdir()] == ['some']


def test_a_folder_that_cannot_be_replaced_is_put_back(images, tmp_path, monkeypatch):
    save_images(tmp_path / 'some', images)
    before = contents(tmp_path / 'some')
    rename = Path.rename

    def failing(path, target):
        if path.name == 'new':
            raise OSError('no')
        return rename(path, target)

    monkeypatch.setattr(Path, 'rename', failing)

    with pytest.raises(OSError, match=r'cannot be written to .*no\). Nothing was changed'):
        save_images(tmp_path / 'some', images[:2])

    assert contents(tmp_path / 'some') == before


def test_images_points_and_columns_of_other_forms(images, tmp_path):
    for arguments, columns, message in (
            ((images[:0],), {}, 'There are no images to save'),
            ((255 * images,), {}, r'Pixels must lie in \[0, 1\]'),
            ((images, np.zeros((11, 2))), {}, r'points must have a row for each of the 12 images, got shape \(11, 2\)'),
            ((images, np.full((12, 2), np.nan)), {}, 'Points must be finite'),
            ((images,), {'value': np.zeros((12, 1))}, r'value must have a row .* 12 images, got shape \(12, 1\)'),
            ((images, np.zeros((12, 2))), {'t_1': np.zeros(12)}, "column 't_1' of its own. Give yours another name"),
            ((images,), {'file': ['a.png'] * 12}, "column 'file' of its own")):
        with pytest.raises(ValueError, match=message):
            save_images(tmp_path / 'images', *arguments, **columns)

    assert not (tmp_path / 'images').exists()
