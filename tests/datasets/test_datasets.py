import json
import shutil
from types import SimpleNamespace

import matplotlib.figure
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from kedro.io import DataCatalog, DatasetError
from support import new_embeddings

from embedlab.cli import one_line
from embedlab.datasets.arrow import ArrowDataset
from embedlab.datasets.atomic import FigureDataset, JSONDataset, JsonLinesDataset, ParquetDataset
from embedlab.datasets.embeddings import EmbeddingsDataset
from embedlab.datasets.ids import IdsDataset, read_ids
from embedlab.datasets.local import NpyDataset, TorchDataset
from embedlab.datasets.validators import TextColumns, check_embeddings
from embedlab.errors import InputError
from embedlab.files import disk_array, replacing, replacing_folder
from embedlab.text_table import as_ids

TABLE = pd.DataFrame(
    {
        "id": ["001", "2024-01-01", "1e5"],
        "text": ["naïve ☕", 'quote " and \\', "line\nbreak"],
        "prefix": [{"messages": [{"role": "user", "content": "hi"}]}] * 3,
    }
)


def test_json_lines_keep_text_as_text(tmp_path):
    dataset = JsonLinesDataset(filepath=str(tmp_path / "table.jsonl"))
    dataset.save(TABLE)
    pd.testing.assert_frame_equal(dataset.load(), TABLE, check_dtype=False)
    assert (tmp_path / "table.jsonl").read_text(encoding="utf-8").startswith('{"id":"001"')


@pytest.mark.parametrize(
    ("dataset", "good", "bad"),
    [
        (JSONDataset, {"a": 1}, {"a": object()}),
        (JsonLinesDataset, TABLE, "no table"),
        (ParquetDataset, pd.DataFrame({"a": [1.5]}), "no table"),
        (FigureDataset, matplotlib.figure.Figure(), "no figure"),
        (NpyDataset, np.ones(3), np.array([object()])),
        (TorchDataset, {"a": torch.ones(2)}, {"a": (i for i in range(3))}),
    ],
)
def test_a_failed_save_leaves_the_old_file(tmp_path, dataset, good, bad):
    path = tmp_path / "artifact.x"
    instance = dataset(filepath=str(path))
    instance.save(good)
    before = path.read_bytes()
    with pytest.raises(DatasetError):
        instance.save(bad)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_npy_is_a_read_only_memory_map(tmp_path):
    dataset = NpyDataset(filepath=str(tmp_path / "a" / "array.npy"))
    assert not dataset.exists()
    dataset.save(np.arange(6, dtype=np.float32).reshape(3, 2))
    array = dataset.load()
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    assert array[2, 1] == 5


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array at all, but some text"])
def test_a_damaged_npy_is_named(tmp_path, content):
    (tmp_path / "array.npy").write_bytes(content)
    with pytest.raises(DatasetError, match=r"array\.npy: damaged"):
        NpyDataset(filepath=str(tmp_path / "array.npy")).load()


def test_an_npy_of_objects_is_not_unpickled(tmp_path):
    np.save(tmp_path / "array.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(DatasetError, match="damaged"):
        NpyDataset(filepath=str(tmp_path / "array.npy")).load()


CORPUS = pa.table({"id": ["7", "d2"], "title": ["", "T"], "text": ["a ☕", "b"]})


def test_an_arrow_table_is_mapped_and_comes_back(tmp_path):
    dataset = ArrowDataset(filepath=str(tmp_path / "corpus.arrow"))
    for _ in range(2):  # the second time over the first
        dataset.save(CORPUS)
    before = pa.total_allocated_bytes()
    assert dataset.load() == CORPUS
    assert pa.total_allocated_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.arrow"]
    assert dataset.preview()["data"] == [["7", "", "a ☕"], ["d2", "T", "b"]]


def test_a_run_opens_an_arrow_table_once_and_a_new_one_after_a_save(tmp_path):
    dataset, other = (ArrowDataset(filepath=str(tmp_path / "corpus.arrow")) for _ in range(2))
    dataset.save(CORPUS)
    assert dataset.load() == CORPUS
    other.save(CORPUS.slice(1))
    assert dataset.load() == CORPUS
    dataset.release()
    assert dataset.load() == CORPUS.slice(1)
    dataset.save(CORPUS)
    assert dataset.load() == CORPUS


@pytest.mark.parametrize("keep", [0, 100, -20])
def test_a_damaged_arrow_table_is_named(tmp_path, keep):
    path = tmp_path / "corpus.arrow"
    dataset = ArrowDataset(filepath=str(path))
    dataset.save(CORPUS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError, match=r"corpus\.arrow: damaged"):
        dataset.load()


def test_an_arrow_table_that_is_not_there_is_not_called_damaged(tmp_path):
    with pytest.raises(DatasetError) as error:
        ArrowDataset(filepath=str(tmp_path / "corpus.arrow")).load()
    assert one_line(error.value).partition(": ")[2].startswith(f"{tmp_path}/corpus.arrow is not")


def test_a_column_that_is_no_text_or_has_gaps_is_named():
    validator = TextColumns(["id", "text"])
    assert validator.validate(CORPUS) is CORPUS
    for table, reason in (
        (CORPUS.drop_columns("text"), r"column\(s\) text missing"),
        (pa.table({"id": [1], "text": ["a"]}), "id is int64, not text"),
        (pa.table({"id": ["a", "b"], "text": ["a", None]}), "row 1: text is missing"),
    ):
        with pytest.raises(InputError, match=reason):
            validator.validate(table)


@pytest.mark.parametrize("ids", [[], ["a"], ["é", 'quote "', "line\nbreak", "]"] * 6000])
def test_ids_are_a_json_list_that_is_read_in_parts(tmp_path, ids):
    path = tmp_path / "ids.json"
    dataset = IdsDataset(filepath=str(path))
    dataset.save(as_ids(ids))
    assert json.loads(path.read_text(encoding="utf-8")) == ids
    assert dataset.load() == ids
    assert read_ids(path).num_chunks == max(1, -(-len(ids) // 10_000))
    path.write_text(json.dumps(ids, indent=2), encoding="utf-8")  # as another tool writes it
    assert dataset.load() == ids


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('["a"', "damaged"),
        ('[\n"a",\n"b"\n', "damaged"),
        ('[\n"a",\n7\n]\n', "position 1 is 7, not a string"),
        ('["a", null]', "position 1 is None, not a string"),
        ('[\n"a",\nnull\n]\n', "position 1 is None, not a string"),
        ('{"a": 1}', "expected a JSON list, found dict"),
    ],
)
def test_ids_that_are_no_list_of_texts_are_named(tmp_path, content, reason):
    path = tmp_path / "ids.json"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"ids\.json: {reason}"):
        read_ids(path)


def embeddings_of(count):
    vectors = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    return new_embeddings(vectors, [f"é{i}" for i in range(count)], {"model": "m"})


def test_embeddings_are_three_files_that_are_replaced_together(tmp_path):
    dataset = EmbeddingsDataset(filepath=str(tmp_path / "c"), name="encoder.collection")
    for count in (3, 2):
        dataset.save(embeddings_of(count))
    loaded = dataset.load()
    assert (loaded.encoder, loaded.collection) == ("encoder", "collection")
    assert isinstance(loaded.vectors, np.memmap)
    assert loaded.vectors.tolist() == [[0, 1], [2, 3]]
    assert loaded.ids.to_pylist() == ["é0", "é1"]
    norm = {"min": 1.0, "mean": (1 + 13**0.5) / 2, "max": 13**0.5, "std": (13**0.5 - 1) / 2}
    assert loaded.metadata.pop("norm") == pytest.approx(norm)
    assert loaded.metadata == {"n_items": 2, "embedding_dim": 2, "model": "m"}
    names = {"embeddings.npy", "ids.json", "embeddings_metadata.json"}
    assert {path.name for path in (tmp_path / "c").iterdir()} == names
    with pytest.raises(DatasetError):
        dataset.save(new_embeddings(np.ones((1, 1)), ["a"], {"model": object()}))
    assert len(dataset.load().ids) == 2


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("ids.json", '["a', r"ids\.json: damaged"),
        ("embeddings_metadata.json", "", r"embeddings_metadata\.json: damaged"),
        ("embeddings.npy", "", r"embeddings\.npy: damaged"),
    ],
)
def test_damaged_embeddings_are_named(tmp_path, file, content, reason):
    dataset = EmbeddingsDataset(filepath=str(tmp_path), name="encoder.collection")
    dataset.save(embeddings_of(2))
    (tmp_path / file).write_text(content)
    with pytest.raises(DatasetError, match=reason):
        dataset.load()


def test_the_row_of_a_new_vector_that_is_not_finite_is_named():
    vectors = np.zeros((20_000, 1), dtype=np.float32)
    vectors[17_000] = np.nan
    checked = check_embeddings(new_embeddings(vectors, map(str, range(20_000)), {}))
    with pytest.raises(InputError, match="row 17000 is not finite"):
        checked.vectors.read()


def test_an_array_that_the_disk_has_no_room_for_is_refused(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    assert disk_array((250, 1000), np.float32).shape == (250, 1000)
    with pytest.raises(InputError, match=r"no room for a file of 1004000 bytes; set TMPDIR"):
        disk_array((251, 1000), np.float32)


def test_replacing_a_folder_is_all_or_nothing(tmp_path):
    target = tmp_path / "folder"
    with replacing_folder(target) as folder:
        (folder / "file").write_text("old")
    with pytest.raises(FileNotFoundError), replacing_folder(target) as folder:
        (folder / "file").write_text((folder / "absent").read_text())
    assert (target / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_replacing_needs_no_existing_folder(tmp_path):
    with replacing(tmp_path / "a" / "b.json") as path:
        path.write_text(json.dumps({}))
    assert (tmp_path / "a" / "b.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array([[1.0, 2.0], [np.nan, 1.0]], dtype=np.float32), "row 1 is not finite"),
        (np.array([[np.inf]], dtype=np.float32), "row 0 is not finite"),
        (np.ones((2, 2)), r"expected float32 \(n, d\), found float64 \(2, 2\)"),
        (np.ones(3, dtype=np.float32), r"found float32 \(3,\)"),
        (np.ones((3, 2), dtype=np.float32).T, "not C-contiguous"),
    ],
)
def test_the_catalog_refuses_bad_embeddings(tmp_path, array, reason):
    path = tmp_path / "embeddings.npy"
    np.save(path, array)
    catalog = DataCatalog.from_config(
        {
            "embeddings": {
                "type": "embedlab.datasets.local.NpyDataset",
                "filepath": str(path),
                "validator": "embedlab.datasets.validators.check_vectors",
            }
        }
    )
    with pytest.raises(DatasetError, match=f"(?s)embeddings.*{reason}") as caught:
        catalog.load("embeddings")
    assert isinstance(caught.value.__cause__, InputError)
    assert str(path) in str(caught.value)
