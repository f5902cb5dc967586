"""The layers of the code: which module may import which."""

import ast
from functools import cache

import pytest
from notebook_helpers import NOTEBOOKS, ROOT, code_cells, read

# From the bottom up. A file may import from its own layer and from those below.
LAYERS = (('latent_search',), ('networks',), ('digits',), ('vae_opt_util', 'gpyopt_support'),
          ('alternatives', 'comparison', 'molecules'), ('benchmarks', 'notebooks', 'models', 'explorer'))
SOURCES = sorted(path for layer in LAYERS for name in layer
                 for path in ([ROOT / f'{name}.py'] if (ROOT / f'{name}.py').exists() else (ROOT / name).rglob('*.py')))
# Where latent_search may import what is heavy.
ONLY_IN = {'GPyOpt': [], 'GPy': [], 'matplotlib': ['latent_search/figures.py']}


# Methods of named tuples.
PUBLIC = {'_replace', '_asdict', '_fields', '_make'}


@cache
def syntax(path):
    notebook = path.suffix == '.ipynb'
    return ast.parse('\n'.join(cell.source for cell in code_cells(read(path))) if notebook
                     else path.read_text(encoding='utf-8'))


def name_of(path):
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


def layer_of(name):
    return next((i for i, layer in enumerate(LAYERS) if name.split('.')[0] in layer), None)


@cache
def imports(path):
    """All modules that a file imports, in functions too, and the names that it takes from them."""
    found = []
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            found += [(node.module, alias.name) for alias in node.names]
    return found


def modules(path):
    """Our modules that a file imports: `from package import module` counts as that module."""
    ours = {name_of(source) for source in SOURCES}
    return {module if f'{module}.{name}' not in ours else f'{module}.{name}'
            for module, name in imports(path)} & ours - {name_of(path)}


def test_all_packages_and_modules_are_seen():
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == {
        'latent_search', 'networks', 'digits', 'molecules', 'vae_opt_util.py', 'gpyopt_support.py', 'alternatives.py',
        'comparison.py', 'benchmarks', 'notebooks', 'models', 'explorer'}


@pytest.mark.parametrize('path', SOURCES, ids=name_of)
def test_imports_go_down(path):
    upward = [module for module in modules(path) if layer_of(module) > layer_of(name_of(path))]

    assert upward == []


def test_no_circles():
    left = {name_of(path): modules(path) for path in SOURCES}
    while left:
        ground = {name for name, below in left.items() if not below & left.keys()}
        assert ground, f'circle among {sorted(left)}'
        left = {name: below for name, below in left.items() if name not in ground}


@cache
def public_names(module):
    """What others may take from one of our modules: its `__all__`, or else what it defines."""
    path, = (path for path in SOURCES if name_of(path) == module)
    defined = set()
    for statement in syntax(path).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            defined.add(statement.name)
        elif isinstance(statement, ast.Assign):
            names = {node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)}
            if '__all__' in names:
                return set(ast.literal_eval(statement.value))
            defined |= names
    return defined


@pytest.mark.parametrize('path', [*SOURCES, *NOTEBOOKS], ids=name_of)
def test_names_are_taken_from_where_they_are_defined(path):
    """Of our modules, those beside a script included, both `from module import name` and `module.name`."""
    ours = {name_of(source): name_of(source) for source in SOURCES}
    ours |= {source.stem: name_of(source) for source in path.parent.glob('*.py') if source in SOURCES}
    taken, modules = set(), {}
    for module, name in imports(path):
        if name is None and module in ours:
            modules[module] = module
        elif f'{module}.{name}' in ours:
            modules[name] = f'{module}.{name}'
        elif module in ours:
            taken.add((module, name))
    taken |= {(modules[node.value.id], node.attr) for node in ast.walk(syntax(path)) if isinstance(node, ast.Attribute)
              and isinstance(node.value, ast.Name) and node.value.id in modules and not node.attr.startswith('__')}

    assert [f'{module}.{name}' for module, name in sorted(taken) if name not in public_names(ours[module])] == []


@pytest.mark.parametrize('path', SOURCES, ids=name_of)
def test_nothing_private_is_taken_from_another_file(path):
    ours = {name_of(source) for source in SOURCES}
    imported = {(name or module).split('.')[-1] for module, name in imports(path) if module in ours
                or f'{module}.{name}' in ours}
    taken = [name for module, name in imports(path) if module in ours and name and name.startswith('_')]
    reached = [f'{node.value.id}.{node.attr}' for node in ast.walk(syntax(path))
               if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
               and node.value.id in imported and node.attr.startswith('_') and not node.attr.startswith('__')
               and node.attr not in PUBLIC]

    assert taken + reached == []


@pytest.mark.parametrize('path', SOURCES, ids=name_of)
def test_nothing_patches_another_module(path):
    ours = {name_of(source) for source in SOURCES}
    imported = {(name or module).split('.')[0] for module, name in imports(path)
                if module in ours or f'{module}.{name}' in ours}
    patched = [ast.unparse(target) for node in ast.walk(syntax(path))
               if isinstance(node, ast.Assign) for target in node.targets
               if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
               and target.value.id in imported]

    assert patched == []


@pytest.mark.parametrize('package', ONLY_IN)
def test_only_one_file_of_the_search_imports(package):
    importing = [str(path.relative_to(ROOT)) for path in SOURCES if path.relative_to(ROOT).parts[0] == 'latent_search'
                 and any(module.split('.')[0] == package for module, _ in imports(path)
                         if module is not None and module not in only_for_annotations(path))]

    assert importing == ONLY_IN[package]


@cache
def only_for_annotations(path):
    """The modules that a file imports only for its annotations."""
    return {node.module for branch in ast.walk(syntax(path)) if isinstance(branch, ast.If)
            and ast.unparse(branch.test) == 'TYPE_CHECKING' for node in branch.body if isinstance(node, ast.ImportFrom)}
