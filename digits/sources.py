"""Code that runs, in the reader's sight."""

import ast
import inspect


def show_source(*functions):
    """Shows the code of functions or classes as a notebook's output, with the first line of each docstring.

    Args:
        *functions: functions or classes that were written in Python.
    """
    from IPython.display import Markdown

    return Markdown('```python\n' + '\n\n\n'.join(map(_source, functions)) + '\n```')


def _source(function):
    source = inspect.getsource(function)
    documented = ast.parse(source).body[0]
    docstring = ast.get_docstring(documented)
    if docstring is None:
        return source.rstrip()
    lines, first = source.rstrip().split('\n'), documented.body[0]
    summary = ' ' * first.col_offset + f'"""{docstring.splitlines()[0]}"""'
    return '\n'.join([*lines[:first.lineno - 1], summary, *lines[first.end_lineno:]])
