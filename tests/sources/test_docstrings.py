"""Docstrings are read from source files: public ones, usable ones, once each, importing nothing."""

import importlib
import sys
from textwrap import dedent, indent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedlab.sources import docstrings
from embedlab.sources.docstring_parser import (
    MAX_BODY_CHARACTERS,
    documented_objects,
    is_usable,
    split_docstring,
)
from embedlab.sources.docstrings import MAX_REPEATS, extract_docs, public_modules

BODY = "It walks over every item of the given sequence and adds its value to a running total."


def definition(name, summary=None, body=BODY, keyword="def"):
    """The source of one documented class or function."""
    summary = summary or f"Add up the values of {name} here."
    head = f"{keyword} {name}:" if keyword == "class" else f"{keyword} {name}():"
    return f'{head}\n    """{summary}\n\n{indent(body, "    ")}\n    """\n'


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write files below a folder that is on the import path."""
    monkeypatch.syspath_prepend(tmp_path)

    def write_files(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        importlib.invalidate_caches()

    return write_files


def test_summary_and_body_of_classes_methods_and_functions(write):
    method = indent(definition("total", "Return the sum of all of the values."), "    ")
    write(
        {
            "toybox/__init__.py": definition("Pile", keyword="class") + method,
            "toybox/tools.py": definition("add", "Add up all\n    of the values.")
            + definition("wait", keyword="async def"),
        }
    )
    docs = extract_docs(["toybox"])
    assert docs[["library", "name", "kind"]].to_numpy().tolist() == [
        ["toybox", "toybox.Pile", "class"],
        ["toybox", "toybox.Pile.total", "function"],
        ["toybox", "toybox.tools.add", "function"],
        ["toybox", "toybox.tools.wait", "function"],
    ]
    assert docs.loc[2, "summary"] == "Add up all of the values."
    assert docs.loc[2, "body"] == BODY


def test_nothing_is_imported(write):
    alarm = "raise RuntimeError('imported')\n"
    write({"toyalarm/__init__.py": alarm, "toyalarm/bells.py": alarm + definition("ring")})
    modules = set(sys.modules)
    assert extract_docs(["toyalarm"])["name"].tolist() == ["toyalarm.bells.ring"]
    assert extract_docs(["toyalarm.bells"]).empty
    assert set(sys.modules) == modules


def test_private_names_and_copies_and_tests_are_left_out(write):
    inner = indent(definition("inside"), "    ")
    write(
        {
            "toyhouse/__init__.py": "",
            "toyhouse/door.py": definition("enter")
            + definition("_sneak")
            + definition("_Cellar", keyword="class")
            + inner
            + "def outer():\n"
            + inner,
            "toyhouse/_attic.py": definition("climb"),
            "toyhouse/__main__.py": definition("main"),
            "toyhouse/_vendor/lock.py": definition("lock"),
            "toyhouse/externals/key.py": definition("key"),
            "toyhouse/tests/door.py": definition("knock"),
            "toyhouse/test_door.py": definition("push"),
            "toyhouse/not-a-module/file.py": definition("unreachable"),
        }
    )
    assert extract_docs(["toyhouse"])["name"].tolist() == ["toyhouse.door.enter"]


def test_definitions_under_conditions_are_found_once(write):
    write(
        {
            "toyswitch.py": "if True:\n"
            + indent(definition("on"), "    ")
            + "else:\n"
            + indent(definition("on", "Add up nothing in this case."), "    ")
            + indent(definition("dim"), "    ")
            + "try:\n"
            + indent(definition("off"), "    ")
            + "finally:\n    pass\n"
        }
    )
    docs = extract_docs(["toyswitch"])
    assert docs["name"].tolist() == ["toyswitch.dim", "toyswitch.off", "toyswitch.on"]
    assert docs.loc[2, "summary"] == "Add up the values of on here."


def test_an_absent_library_is_skipped_and_logged(write, caplog):
    write({"toyhere.py": definition("stay"), "toyfolder/readme.txt": "no package"})
    docs = extract_docs(["no_such_library_at_all", "toyfolder", "toyhere"])
    assert docs["library"].tolist() == ["toyhere"]
    assert "no_such_library_at_all" in caplog.text
    assert "toyfolder" in caplog.text


def test_files_that_cannot_be_parsed_are_counted_and_harmless(write, recwarn):
    write(
        {
            "toywreck/__init__.py": "",
            "toywreck/broken.py": 'def f(:\n    """Never parsed."""\n',
            "toywreck/null.py": b'"""a"""\x00',
            "toywreck/latin.py": '"""é"""'.encode("latin-1"),
            "toywreck/escape.py": 'x = "\\d"\n' + definition("fine"),
        }
    )
    docs = extract_docs(["toywreck"])
    assert docs["name"].tolist() == ["toywreck.escape.fine"]
    assert docs.attrs == {"files_read": 5, "files_unparsable": 3}
    assert not [warning for warning in recwarn if "escape" in str(warning.message)]


def test_an_unreadable_file_is_not_parsed(tmp_path):
    assert documented_objects("gone", tmp_path / "gone.py") is None


def test_copies_are_merged_and_boilerplate_is_dropped(write):
    same = "Return the sum of the values."
    often = "Return the one thing that everything returns."
    bodies = [f"{BODY} It is number {i}." for i in range(MAX_REPEATS + 1)]
    write(
        {
            "toycopies.py": definition("first", same)
            + definition("again", same)
            + definition("other", same, bodies[0])
            + "".join(definition(f"f{i}", often, body) for i, body in enumerate(bodies))
        }
    )
    assert extract_docs(["toycopies"])["name"].tolist() == ["toycopies.again", "toycopies.other"]


def test_the_table_depends_neither_on_the_order_of_libraries_nor_on_processes(write, monkeypatch):
    write({f"toy{i}.py": definition(f"function{i}") for i in range(4)})
    docs = extract_docs(["toy0", "toy1", "toy2", "toy3"])
    monkeypatch.setattr(docstrings, "MIN_FILES_FOR_A_POOL", 0)
    assert extract_docs(["toy3", "toy1", "toy2", "toy0", "toy1"]).equals(docs)
    assert len(docs) == 4


def test_no_libraries_give_an_empty_table():
    assert extract_docs([]).columns.tolist() == ["library", "name", "kind", "summary", "body"]


def test_the_standard_library_has_no_prefix_and_no_site_packages():
    modules = {file.module for file in public_modules("stdlib")}
    assert {"json", "json.decoder", "argparse"} <= modules
    assert not any(name.startswith(("test.", "site-packages", "stdlib", "_")) for name in modules)


def test_a_real_library():
    docs = extract_docs(["kedro"]).set_index("name")
    assert len(docs) > 80
    assert docs.index.is_unique
    assert docs.loc["kedro.config.omegaconf_config.OmegaConfigLoader", "kind"] == "class"


def test_the_summary_ends_at_a_section_heading():
    text = dedent("""\
        Rescale an image by a factor.
        Args:
            factor: the scale.""")
    assert split_docstring(text) == (
        "Rescale an image by a factor.",
        "Args:\n    factor: the scale.",
    )


@given(st.text(max_size=3000))
def test_any_docstring_splits_into_one_line_and_a_text_that_files_can_hold(text):
    summary, body = split_docstring(text)
    assert len(summary.splitlines()) <= 1
    assert summary == " ".join(summary.split())
    assert len(body) <= MAX_BODY_CHARACTERS
    assert (summary + body).encode().decode() == summary + body


def test_lone_surrogates_are_dropped():
    assert split_docstring("a\ud800b\n\nc\udfffd") == ("ab", "cd")


@pytest.mark.parametrize(
    ("name", "summary", "body"),
    [
        ("m.f", "Add up four words.", BODY),
        ("m.f", "word " * 61, BODY),
        ("m.f", "Add up all of the values.", "Returns: None"),
        ("m.f", "f(x, y, z) -> the sum of all", BODY),
        ("m.f", "loss (`torch.Tensor` of shape `(1,)`, optional): the loss", BODY),
        ("m.f", "Deprecated: use another function for this.", BODY),
        ("m.f", "Add up all of the values.", f".. deprecated:: 1.0\n   {BODY}"),
        ("m.f", "Add up all of the values.", f"See Also\n--------\n{BODY}"),
        ("m.add_up_all_the_values", "Add up all the values.", BODY),
    ],
)
def test_what_says_nothing_is_not_usable(name, summary, body):
    assert not is_usable(name, summary, body)


def test_what_says_something_is_usable():
    assert is_usable("m.f", "Add up all of the values.", BODY)
    assert is_usable("m.f", "Returns the sum of all values.", BODY)
