"""Each message that the page on troubleshooting explains is one that the code can say."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
OWN, FOREIGN = ((ROOT / 'docs' / 'troubleshooting.md').read_text(encoding='utf-8')
                .split('\n## Messages of other libraries\n'))


def heads(markdown):
    """The messages at the beginning of paragraphs, bold and in backticks."""
    return [' '.join(head.split()) for paragraph in re.findall(r'^\*\*`.*?(?=\n\n)', markdown, re.DOTALL | re.MULTILINE)
            for head in re.findall(r'\*\*`(.+?)`\*\*', paragraph, re.DOTALL)]


def literal(node):
    """The text of a string in the code, with … for what is filled in; None if it is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r'%[sdrg]', '…', node.value)
    if isinstance(node, ast.JoinedStr):
        return ''.join(literal(part) or '…' for part in node.values)
    return None


@pytest.fixture(scope='module')
def messages():
    """All strings of the code, one a line."""
    files = [path for folder in ('latent_search', 'networks', 'digits', 'molecules', 'models', '.')
             for path in ROOT.glob(f'{folder}/*.py')] + [ROOT / 'notebooks' / 'run.py']
    assert len(files) >= 10
    sources = [path.read_text(encoding='utf-8') for path in files]
    sources += [cell.source for path in ROOT.glob('notebooks/*.ipynb')
                for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == 'code']
    texts = [text for source in sources for node in ast.walk(ast.parse(source)) if (text := literal(node))]
    return '\n'.join(' '.join(text.split()) for text in texts) + '\n' + (ROOT / 'Makefile').read_text(encoding='utf-8')


def occurs(head, messages):
    # Each part of the head that stands between two … has to be there, in this order and in one message.
    return re.search('.*'.join(re.escape(part) for part in head.split('…')), messages) is not None


@pytest.mark.parametrize('head', heads(OWN))
def test_message_is_in_the_code(head, messages):
    assert len(re.findall(r'\w', head)) >= 4
    assert occurs(head, messages)


def test_page_has_messages():
    assert len(heads(OWN)) >= 20
    assert len(heads(FOREIGN)) == 2


def test_search_for_messages_can_fail(messages):
    assert occurs('NOT MNIST. …', messages)
    assert not occurs('NOT MNIST, …', messages)
    assert not occurs('NOT MNIST. … is in use by another process', messages)
