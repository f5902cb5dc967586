"""Files that are written whole."""

import os
from contextlib import suppress
from pathlib import Path


def replace_file(path: os.PathLike[str] | str, content: bytes | str) -> None:
    """Writes a file in one step: whatever interrupts, it has its old content or the new one, never a part.

    When this returns, the content is on the disk. It is written to a file beside it first, which is removed if that
    fails.

    Args:
        path: of the file, whose folder exists.
        content: text is written as UTF-8, its line ends as they are.

    Raises:
        OSError: the file cannot be written. Its old content, if any, is untouched.
    """
    path, data = Path(path), content.encode() if isinstance(content, str) else content
    # Processes that write the same file at once do not meet.
    unfinished = path.with_name(f'{path.name}.{os.getpid()}.unfinished')
    try:
        with open(unfinished, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    if os.name == 'posix':  # Elsewhere folders cannot be opened, and need not be.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
