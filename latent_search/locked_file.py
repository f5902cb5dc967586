"""A file to which one process at a time adds lines, each on the disk before the next."""

import errno
import os
import sys
from contextlib import suppress
from io import FileIO
from pathlib import Path
from weakref import WeakValueDictionary, finalize

from filelock import FileLock, Timeout

from latent_search.files import replace_file
from latent_search.interrupts import postponed

if sys.platform != 'win32':
    import fcntl


class JournalInUseError(OSError):
    """Another process writes to the journal."""


class LockedFile:
    """A file that grows at its end and belongs to this process until it is closed.

    Opening it again in the same process closes it first, as happens when a cell of a notebook is run twice, and so does
    losing the last reference to it. Two locks keep other processes away: PATH.lock for the name, also where there is no
    file yet, and one of the file itself (on POSIX), for other names of the same file such as hard links.

    Args:
        path: the file. Beside it is PATH.lock.

    Attributes:
        path: with all links resolved.
        end: how many bytes are known to be on the disk. What the file holds beyond them is overwritten.

    Raises:
        JournalInUseError: another process has it open.
        OSError: there is no such folder, the path is of something else than a file, or the lock cannot be written.
    """

    _open: WeakValueDictionary[Path, 'LockedFile'] = WeakValueDictionary()

    def __init__(self, path: os.PathLike[str] | str) -> None:
        try:
            self.path = Path(path).expanduser().resolve()
        except RuntimeError as error:  # Of a loop of links, or of `~` where there is no home.
            raise OSError(errno.EINVAL, f'The journal {path} cannot be found: {error}') from error
        self.end = 0
        self._stamp: tuple[int, int, int] | None = None
        self._process = os.getpid()
        self._held: FileIO | None = None  # Holds the lock of the file itself.
        # Where the last line was to be written, the line, and what it stands for.
        self._last: tuple[int, bytes, object] | None = None
        self._close_other(self.path)
        self._lock = FileLock(f'{self.path}.lock', thread_local=False)
        try:
            if not self.path.parent.is_dir():  # The lock would make it, also where its name has a typing error.
                raise FileNotFoundError(errno.ENOENT, 'There is no such folder')
            if self.path.is_symlink():  # With all links resolved it is one of a loop.
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if self.path.exists() and not (self.path.is_file() or self.path.is_dir()):  # Such as a pipe.
                raise OSError(errno.EINVAL, 'It is not a file')
            with postponed():
                self._lock.acquire(timeout=0)
        except (Timeout, NotImplementedError) as error:  # Older versions of filelock say the first of all errors.
            raise (self._in_use() if _has_locks(Path(self._lock.lock_file)) else self._without_locks()) from error
        except OSError as error:
            raise (self._without_locks() if error.errno in _no_locks else self._cannot_be_written(error)) from error
        self._open[self.path] = self

    def close(self) -> None:
        """Lets others write to the file; `append` then raises ValueError."""
        with postponed():
            if self._open.get(self.path) is self:
                del self._open[self.path]
            with suppress(OSError):  # What cannot be closed is closed already.
                if self._held is not None:
                    self._held.close()  # In a forked process this leaves the lock to the process that forked.
            with suppress(OSError):
                self._lock.release()

    def read(self) -> bytes:
        """The content of the file, all of which is then known to be on the disk.

        Raises:
            OSError: it cannot be read.
        """
        try:
            self._hold()
            content = self.path.read_bytes()
        except JournalInUseError:
            raise
        except OSError as error:
            raise OSError(error.errno, f'The journal {self.path} cannot be read: {error.strerror}') from error
        self._stamp, self.end = _stamp(os.stat(self.path)), len(content)
        return content

    def create(self, content: bytes) -> None:
        """Makes the file with its first content, in one step.

        Raises:
            OSError: it cannot be written.
        """
        try:
            replace_file(self.path, content)
            self._hold()
        except JournalInUseError:
            raise
        except OSError as error:
            raise self._cannot_be_written(error) from error
        self._stamp, self.end = _stamp(os.stat(self.path)), len(content)

    def append(self, lines: bytes, of: object = None) -> None:
        """Writes lines and returns when they are on the disk; if that fails the file is as it was before.

        Args:
            lines: each with its end.
            of: what they stand for, for `settle`.

        Raises:
            ValueError: the file was closed, or opened again since, or belongs to another process.
            OSError: it cannot be written, or something else has changed it since it was read.
        """
        if self._open.get(self.path) is not self or os.getpid() != self._process:
            raise ValueError(f'This journal of {self.path} is closed, or belongs to another process. Continue with the '
                             'search that has opened it last, or open it again.')
        self._last = self.end, lines, of
        try:
            changed = self._write(lines, unless_changed=True)
        except OSError as error:
            self._last = None
            raise self._cannot_be_written(error) from error
        if changed:
            self._last = None
            raise self._was_changed()

    def settle(self, of: object) -> bool:
        """Says whether an interrupted `append` has written the lines of `of`; takes back a part of them.

        What something else has written is left alone.

        Raises:
            OSError: the file cannot be read or written.
        """
        if self._last is None or self._last[2] is not of:
            return False
        start, line, _ = self._last
        try:
            with open(self.path, 'rb') as file:
                file.seek(start)
                tail = file.read()
            if line.startswith(tail) and self._open.get(self.path) is self:
                os.truncate(self.path, start + len(line) * (tail == line))
                self._stamp, self.end = _stamp(os.stat(self.path)), start + len(line) * (tail == line)
        except OSError as error:
            raise self._cannot_be_written(error) from error
        return tail == line

    def write(self, line: bytes) -> None:
        """Makes the file end with `line`, after the bytes that are known to be on the disk.

        Raises:
            OSError: it cannot be written.
        """
        try:
            self._write(line)
        except OSError as error:
            raise self._cannot_be_written(error) from error

    def set_aside(self, content: bytes) -> Path:
        """Adds a line to PATH.torn, and returns the path of that file.

        Raises:
            OSError: it cannot be written.
        """
        torn = self.path.with_name(self.path.name + '.torn')
        try:
            with open(torn, 'ab') as file:
                file.write(content + b'\n')
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._cannot_be_written(error) from error
        return torn

    def _write(self, lines: bytes, unless_changed: bool = False) -> bool:
        """Writes lines, and returns False; or writes nothing and returns True if something else has changed the file.

        What is checked and what is written is the same open file. Once the lines are on the disk, no error of the
        system is one of this method.
        """
        start = self.end
        file = open(self.path, 'rb+', buffering=0)
        try:
            if unless_changed and self._stamp not in (None, _stamp(os.fstat(file.fileno()))):
                return True
            try:
                file.seek(start)
                left = lines
                while left:
                    left = left[os.write(file.fileno(), left):]
                os.ftruncate(file.fileno(), start + len(lines))
                os.fsync(file.fileno())
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(file.fileno(), start)
                with suppress(OSError):
                    self._stamp = _stamp(os.fstat(file.fileno()))
                raise
            self.end = start + len(lines)
            self._stamp = None  # What is not known is not compared.
            with suppress(OSError):
                self._stamp = _stamp(os.fstat(file.fileno()))
        finally:
            with suppress(OSError):
                file.close()
        return False

    def _hold(self) -> None:
        """Locks the file itself, where the file system can."""
        file = FileIO(self.path)
        finalize(self, file.close)
        self._close_other(os.fstat(file.fileno()))
        if sys.platform != 'win32':
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise self._in_use() from error
            except OSError as error:
                if error.errno not in _no_locks:
                    raise
        self._held = file

    def _close_other(self, same: Path | os.stat_result) -> None:
        """Closes what this process has open under the same name, or as the same file."""
        for other in list(self._open.values()):
            if other is self or other._process != self._process:
                continue
            if isinstance(same, Path):
                is_same = other.path == same
            else:
                is_same = other._held is not None and os.path.samestat(os.fstat(other._held.fileno()), same)
            if is_same:
                other.close()

    def _in_use(self) -> JournalInUseError:
        return JournalInUseError(f'The journal {self.path} is in use by another process. Stop that one, or give this '
                                 'search a journal of its own.')

    def _without_locks(self) -> OSError:
        return OSError(errno.ENOLCK, f'The journal {self.path} is on a file system without locks, where two processes '
                       'could spoil it. Put it on a local disk, and copy it afterwards.')

    def _was_changed(self) -> OSError:
        return OSError(f'The journal {self.path} was changed while a search had it open, so nothing was added to it. '
                       'Create the search again, which reads it anew, and do the last step again.')

    def _cannot_be_written(self, error: OSError) -> OSError:
        return OSError(error.errno, f'The journal {self.path} cannot be written: {error.strerror or error}. What it '
                       'holds is untouched. Make sure that its folder exists, is writable and has space, and do the '
                       'last step again')


# What systems say where a file system has no locks.
_no_locks = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


def _has_locks(path: Path) -> bool:
    """Whether the file system of a file has locks, be it locked or not."""
    if sys.platform == 'win32':
        return True
    try:
        with FileIO(path) as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _no_locks
    return True


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino
