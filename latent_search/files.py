"""Files that are written whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path


def replace_file(path: os.PathLike[str] | str, content: bytes | str) -> None:
    """Writes a file in one step: whoever reads it sees the old content or the new one, never a part.

    Args:
        path: of the file. Its folder must exist.
        content: bytes, or text that is written as UTF-8.

    Raises:
        OSError: the file cannot be written. What was there before is unchanged.
    """
    path = Path(path)
    unfinished = path.with_name(f'.{path.name}.{os.getpid()}.unfinished')
    try:
        with open(unfinished, 'wb') as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
