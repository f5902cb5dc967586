"""Damaged journals, and files that are none."""



import pytest
from journal_helpers import BOX, GOOD, HEADER, SQUARE, files_beside, plain

from latent_search import create_optimizer
from latent_search.journal import Journal


def test_the_undamaged_journal_is_read(path):
    """The one that is damaged below."""
    path.write_text('\n'.join(GOOD) + '\n')

    assert plain(Journal(path, BOX).events) == [
        (1, 'proposed', [[0.25, -1.5]], None, ''), (1, 'done', [[0.25, -1.5]], 3.75, ''),
        (2, 'proposed', [[2.0, 1.0]], None, ''), (2, 'failed', [[2.0, 1.0]], None, 'no "oven", again'),
        (3, 'known', [[0.5, 0.5]], 2.5, '')]


DAMAGES = [
    (2, '0,proposed,0.25,-1.5,,,', "number must be an integer of at least 1, it is '0'"),
    (2, '-1,proposed,0.25,-1.5,,,', "number must be an integer of at least 1, it is '-1'"),
    (2, '1.5,proposed,0.25,-1.5,,,', "number must be an integer of at least 1, it is '1.5'"),
    (2, ',proposed,0.25,-1.5,,,', "number must be an integer of at least 1, it is ''"),
    pytest.param(2, '1' * 5000 + ',proposed,0.25,-1.5,,,', 'number', id='long number'),
    (2, '1,proposed,0.25,-1.5,3.75,,', "an experiment that is proposed has no value, this one has 3.75"),
    (2, '1,proposed,4.000000000000001,-1.5,,,', 'is not within the bounds'),
    (2, '1,proposed,inf,-1.5,,,', "t1 from -4.0 to 4.0 must be a finite number, it is 'inf'"),
    (2, '1,proposed,0.25,nan,,,', "t2 from -4.0 to 4.0 must be a finite number, it is 'nan'"),
    (2, '1,proposed,0.25,,,,', "t2 from -4.0 to 4.0 must be a finite number, it is ''"),
    (3, '1,done,0.25,-1.5,,,', "value must be a finite number, it is ''"),
    (3, '1,done,0.25,-1.5,nan,,', "value must be a finite number, it is 'nan'"),
    (3, '1,done,0.25,-1.5,-inf,,', "value must be a finite number, it is '-inf'"),
    (3, '1,done,0.25,-1.5,1e999,,', "value must be a finite number, it is '1e999'"),
    (3, '1,done,0.25,-1.5,1_5,,', "value must be a finite number, it is '1_5'"),
    (3, '1,done,0.25,-1.5,"3,75",,', "it is '3,75'. Decimals have a point, not a comma"),
    (6, '1000000003,known,0.5,0.5,2.5,,', 'at most 1000000002'),
    (3, '1,done,0.25,-1.5,low,,', "value must be a finite number, it is 'low'"),
    (3, '1,done,0.25,-1.5,3,75,,', 'it must have 7 cells, it has 8. Decimals have a point'),
    (3, '1,done,0.25', 'it must have 7 cells, it has 3'),
    (3, '1;done;0.25;-1.5;3.75;;', 'it must have 7 cells, it has 1'),
    (3, '1,finished,0.25,-1.5,3.75,,', "withdrawn, known, known failure, it is 'finished'"),
    (3, '1,Done,0.25,-1.5,3.75,,', "withdrawn, known, known failure, it is 'Done'"),
    (3, '1,done,0.26,-1.5,3.75,,', 'experiment 1 was proposed at another point'),
    (3, '1,failed,0.25,-1.4,,,', 'experiment 1 was proposed at another point'),
    (3, '7,done,0.25,-1.5,3.75,,', 'experiment 7 is done, but no event before proposes it'),
    (3, '2,failed,2.0,1.0,,,', 'experiment 2 is failed, but no event before proposes it'),
    (4, '1,proposed,2.0,1.0,,,', 'there is an experiment 1 already'),
    (5, '2,failed,2.0,1.0,7.5,,', "an experiment that is failed has no value, this one has 7.5"),
    (5, '2,failed,2.0,1.0,,"no oven,2026-11-22T18:40:00+00:00', 'it is not CSV'),
    (5, '2,failed,2.0,1.0,,"no" oven,2026-11-22T18:40:00+00:00', 'it is not CSV'),
    (5, b'2,failed,2.0,1.0,,caf\xe9,2026-11-22T18:40:00+00:00', 'it is not CSV'),
    (6, '2,done,2.0,1.0,7.5,,', 'experiment 2 has a result already'),
    (6, '1,failed,0.25,-1.5,,,', 'experiment 1 has a result already'),
    (6, '1,known,0.5,0.5,2.5,,', 'there is an experiment 1 already'),
    (6, '3,known,0.5,-4.1,2.5,,', 'is not within the bounds')]


def assert_refused(path, content, line, reason):
    path.write_bytes(content)

    with pytest.raises(ValueError) as raised:
        create_optimizer(None, SQUARE, journal=path)

    assert str(raised.value).startswith(f'{path}, line {line}: ') and reason in str(raised.value)
    assert path.read_bytes() == content and files_beside(path) == set()


@pytest.mark.parametrize('torn', ['3,kno', *(pytest.param(torn, marks=pytest.mark.slow) for torn in
                                             ('', '4,known,0.5,0.5,2.5,,2026-11-22T18:41:00+00:00'))])
@pytest.mark.parametrize('line, damage, reason', DAMAGES)
def test_a_damaged_line_is_named_and_nothing_is_changed(line, damage, reason, torn, path):
    lines = [good.encode() for good in GOOD]
    lines[line - 1] = damage if isinstance(damage, bytes) else damage.encode()

    assert_refused(path, b'\n'.join([*lines, torn.encode()]), line, reason)


@pytest.mark.parametrize('last', ['1,done,0.25,-1.5,5.0,,2026-11-22T18:41:00+00:00', '3,known,0.5,0.5,3,75,,',
                                  '7,failed,0.25,-1.5,,,2026-11-22T18:41:00+00:00',
                                  '3,known,0.5,-4.1,2.5,,2026-11-22T18:41:00+00:00'])
def test_a_damaged_last_line_that_lacks_only_its_end(last, path):
    assert_refused(path, '\n'.join([*GOOD[:5], last]).encode(), 6, ' ')


def test_lines_are_counted_as_an_editor_does(path):
    assert_refused(path, '\r\n\r\n'.join([*GOOD, ',,,,,,', '9,lost,0,0,,,\r\n']).encode(), 15, "it is 'lost'")


OTHER_FILES = {
    'empty': (b'', 'they are none'),
    'a blank line': (b'\n', 'they are none'),
    'header without an end': (HEADER.encode(), 'delete the file'),
    'part of a header': (HEADER[:30].encode(), 'the columns must be number, status'),
    'image': (b'\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR', 'it is not CSV'),
    'text': (b'Dear diary,\ntoday the oven was out.\n', 'they are Dear diary'),
    'other table': (b'a,b,c\n1,2,3\n', 'they are a, b, c; this is not the journal of such a search'),
    'no header': ('\n'.join(GOOD[1:]).encode() + b'\n', 'the columns must be'),
    'other bounds': ('\n'.join(GOOD).replace('-4.0 to', '-5.0 to').encode() + b'\n', 't1 from -5.0 to 4.0'),
    'one dimension': (HEADER.replace('t2 from -4.0 to 4.0,', '').encode() + b'\n', 'the columns must be'),
    'three dimensions': (HEADER.replace(',value', ',t3 from -4.0 to 4.0,value').encode() + b'\n', 't3 from'),
    'semicolons': ('\n'.join(GOOD).replace(',', ';').encode() + b'\n', 'the columns must be'),
    'old Macintosh': ('\r'.join(GOOD).encode() + b'\r', 'it is not CSV'),
    'UTF-16': ('\n'.join(GOOD).encode('utf-16'), 'it is not CSV')}


@pytest.mark.parametrize('file', OTHER_FILES)
def test_other_files_are_refused_and_left_alone(file, path):
    assert_refused(path, OTHER_FILES[file][0], 1, OTHER_FILES[file][1])


def test_a_journal_can_be_repaired_and_opened(path):
    test_a_damaged_line_is_named_and_nothing_is_changed(*DAMAGES[0], '', path)
    path.write_text('\n'.join(GOOD) + '\n')

    assert len(Journal(path, BOX).events) == 5
