"""Files that are written completely or not at all."""

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def replace_file(path: os.PathLike[str] | str, content: bytes | str) -> None:
    """Writes a file in one step: after any interruption it has its old content or its new content, never a part.

    When this returns, the content is on the disk. It is written to a file beside it first, which is removed if that
    fails.

    Args:
        path: of the file, whose folder exists.
        content: text is written as UTF-8, its line ends as they are.

    Raises:
        OSError: the file cannot be written. Its old content, if any, is untouched.
    """
    replace_files({path: content})


def replace_files(contents: Mapping[os.PathLike[str] | str, bytes | str]) -> None:
    """Writes files that belong together, each as `replace_file` does. All are on the disk before the first is replaced.

    Args:
        contents: of each path, see `replace_file`.

    Raises:
        OSError: a file cannot be written, for example because the disk is full. All are untouched.
    """
    # Processes and threads that write the same file at once do not meet.
    suffix = f'.{os.getpid()}-{threading.get_ident()}.unfinished'
    files = {path: path.with_name(path.name + suffix) for path in map(Path, contents)}
    try:
        for unfinished, content in zip(files.values(), contents.values(), strict=True):
            with open(unfinished, 'wb') as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
        for path, unfinished in files.items():
            os.replace(unfinished, path)
    except BaseException:
        for unfinished in files.values():
            with suppress(OSError):
                unfinished.unlink()
        raise
    if os.name == 'posix':  # Elsewhere folders cannot be opened, and need not be.
        for parent in {path.parent for path in files}:
            folder = os.open(parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
