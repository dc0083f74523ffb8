"""Records: a record never vouches for content that it does not describe."""

import json
import os
import shutil

import numpy as np
import pytest

from embedlab import digests
from embedlab.digests import file_digest, hashed_file
from embedlab.errors import InputError
from embedlab.files import replacing, replacing_folder, set_witness
from embedlab.records import Cause, content_digest, read_record, record_path, write_record

CAUSE = Cause("make", "code", {"group": {"k": 20}}, {"input": "digest"})


@pytest.fixture(autouse=True)
def recording():
    set_witness(lambda fresh, artifact: write_record(fresh, artifact, CAUSE, {"numpy": "2"}))
    yield
    set_witness(None)


def write(path, text):
    with replacing(path) as temporary:
        temporary.write_text(text)


def test_a_file_and_its_record_are_written_together(tmp_path):
    write(tmp_path / "a.txt", "one")
    record = read_record(tmp_path / "a.txt")
    assert record.cause == CAUSE
    assert record.digest == content_digest(tmp_path / "a.txt") == file_digest(tmp_path / "a.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.txt.lineage.json", "a.txt"]


def test_a_folder_has_its_record_inside(tmp_path):
    with replacing_folder(tmp_path / "model") as folder:
        (folder / "weights").write_text("1")
        (folder / "deep").mkdir()
        (folder / "deep" / "config").write_text("2")
    record = read_record(tmp_path / "model")
    assert sorted(record.files) == ["deep/config", "weights"]
    assert record.digest == content_digest(tmp_path / "model")
    (tmp_path / "model" / "deep" / "config").write_text("3")
    assert record.digest != content_digest(tmp_path / "model")


def test_changed_content_has_another_digest_until_it_is_put_back(tmp_path):
    path = tmp_path / "a.txt"
    write(path, "one")
    path.write_text("two")
    assert content_digest(path) != read_record(path).digest
    path.write_text("one")
    assert content_digest(path) == read_record(path).digest


def test_a_crash_between_record_and_file_leaves_a_record_of_other_content(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write(path, "old")
    rename = type(path).replace

    def crash(source, target):
        if target == path:
            raise KeyboardInterrupt
        return rename(source, target)

    monkeypatch.setattr(type(path), "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        write(path, "new")
    assert path.read_text() == "old"
    assert read_record(path).digest != content_digest(path)


def test_unchanged_content_is_not_read_again(tmp_path, monkeypatch):
    write(tmp_path / "a.txt", "one")
    expected = content_digest(tmp_path / "a.txt")
    monkeypatch.setattr(digests, "_known", {})
    read_record(tmp_path / "a.txt")
    monkeypatch.setattr(digests.hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert content_digest(tmp_path / "a.txt") == expected


def test_a_copy_is_what_its_record_says_whatever_its_times(tmp_path):
    write(tmp_path / "a.txt", "one")
    shutil.copytree(tmp_path, tmp_path / "copy", copy_function=shutil.copyfile)
    copy = tmp_path / "copy" / "a.txt"
    os.utime(copy, (0, 0))
    assert read_record(copy).digest == content_digest(copy)


def test_an_array_is_hashed_while_it_is_written(tmp_path, monkeypatch):
    array = np.arange(10_000, dtype=np.float32).reshape(100, 100)
    with hashed_file(tmp_path / "a.npy") as file:
        np.save(file, array)
    np.save(tmp_path / "b.npy", array)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    expected = file_digest(tmp_path / "b.npy")
    monkeypatch.setattr(digests.hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert file_digest(tmp_path / "a.npy") == expected


def test_without_a_record_there_is_no_cause(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert read_record(tmp_path / "mine.txt") is None


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"cause": 1}'])
def test_a_damaged_record_is_named(tmp_path, content):
    write(tmp_path / "a.txt", "one")
    record_path(tmp_path / "a.txt").write_text(content)
    with pytest.raises(InputError, match=r"\.a\.txt\.lineage\.json: damaged record .*; delete it"):
        read_record(tmp_path / "a.txt")


def test_records_are_readable_json(tmp_path):
    write(tmp_path / "a.txt", "one")
    content = json.loads(record_path(tmp_path / "a.txt").read_text())
    assert content["cause"]["parameters"] == {"group": {"k": 20}}
    assert content["libraries"] == {"numpy": "2"}
