"""What changes the digest of a function's code, and what does not."""

import importlib

import pytest

from embedlab.lineage import code

FILES = {
    "nodes.py": '''
"""Nodes."""
from embedlab.losses import loss
from embedlab import shapes

SIZE = 3

def node(x):
    """Compute."""
    from embedlab.late import late
    return loss(x) + shapes.area(x) + _own(x) + late(x)

def _own(x):
    return SIZE * x

def other(x):
    return x
''',
    "losses.py": "from embedlab.shapes import side\n\ndef loss(x):\n    return side(x)\n",
    "shapes.py": "def area(x):\n    return x\n\ndef side(x):\n    return x\n",
    "late.py": "def late(x):\n    return x\n",
    "unused.py": "def unused(x):\n    return x\n",
}


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """Gives the digest of `node` after a replacement in one of the files."""
    monkeypatch.setattr(code, "_package_folder", lambda: tmp_path)

    def node(x):
        return x

    node.__module__, node.__qualname__ = "embedlab.nodes", "node"

    def after(file="nodes.py", old="", new=""):
        for name, content in FILES.items():
            changed = content.replace(old, new, 1) if name == file else content
            assert changed != content or name != file or old == new
            (tmp_path / name).write_text(changed)
        for cached in (code._digest_of, code._used_by, code._text_of, code._module, code._path):
            cached.cache_clear()
        return code.code_digest(node)

    yield after
    for cached in (code._digest_of, code._used_by, code._text_of, code._module, code._path):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("nodes.py", "+ _own(x)", "- _own(x)"),
        ("nodes.py", "SIZE = 3", "SIZE = 4"),
        ("nodes.py", "SIZE * x", "SIZE / x"),
        ("losses.py", "return side(x)", "return -side(x)"),
        ("shapes.py", "def area(x):\n    return x", "def area(x):\n    return -x"),
        ("shapes.py", "def side(x):\n    return x", "def side(x):\n    return -x"),
        ("late.py", "return x", "return -x"),
    ],
)
def test_what_the_function_uses_changes_its_digest(digest, file, old, new):
    assert digest(file, old, new) != digest()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("nodes.py", "Compute.", "Compute it."),
        ("nodes.py", "SIZE = 3", "SIZE = 3  # of something"),
        ("nodes.py", "def other(x):\n    return x", "def other(x):\n    return -x"),
        ("losses.py", "def loss", "\n\n\ndef loss"),
        ("unused.py", "return x", "return -x"),
    ],
)
def test_the_rest_does_not(digest, file, old, new):
    assert digest(file, old, new) == digest()


def test_every_node_of_the_project_has_a_digest():
    module = importlib.import_module("embedlab.pipelines.density.nodes")
    functions = (module.weigh_prefixes, module.fit_reward_models, module.plot_density)
    digests = {code.code_digest(function) for function in functions}
    assert len(digests) == len(functions)
    used = {name for _, name in code._used_by((module.__name__, "fit_reward_models"))}
    assert "train_reward_models" in used
