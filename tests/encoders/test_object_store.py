"""The store in a bucket, against moto's S3 server on this machine."""

import os
import pickle
import subprocess
import sys
import uuid

import numpy as np
import pytest

from embedlab.datasets.folder_handle import FolderHandleDataset
from embedlab.encoders.embed import embed
from embedlab.encoders.parameters import ExecutionParameters, HashingParameters
from embedlab.encoders.recipe import make_recipe
from embedlab.encoders.shard_folder import ObjectFolder
from embedlab.encoders.shards import Shard
from embedlab.encoders.store import VectorStore, text_keys
from embedlab.errors import InputError

EXECUTION = ExecutionParameters(shard_size=7)
TEXTS = [f"the text of item {i}" for i in range(600)]


@pytest.fixture(scope="module")
def server():
    reason = "needs the packages moto[server] and s3fs"
    moto = pytest.importorskip("moto.server", reason=reason)
    pytest.importorskip("s3fs", reason=reason)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """The URL of a bucket that this test alone has."""
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "anything")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    name = f"bucket-{uuid.uuid4()}"
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"


def recipe():
    return make_recipe(HashingParameters(kind="hashing"), "document", EXECUTION)


def test_vectors_are_encoded_once_into_a_bucket(bucket, tmp_path):
    store, local = VectorStore(f"{bucket}/store/"), VectorStore(tmp_path)
    expected, _ = embed([TEXTS], recipe(), local, EXECUTION)
    vectors, first = embed([TEXTS[:400]], recipe(), store, EXECUTION)
    again, second = embed([TEXTS[::-1]], recipe(), VectorStore(f"{bucket}/store"), EXECUTION)
    assert (first.misses, second.hits, second.misses) == (400, 400, 200)
    assert vectors.read().tobytes() == expected.read()[:400].tobytes()
    assert again.read().tobytes() == expected.read()[::-1].tobytes()


def test_an_object_that_lacks_vectors_is_named(monkeypatch):
    shard = Shard("a.safetensors", length=2, dimension=2, keys_at=0, vectors_at=64)
    monkeypatch.setattr(ObjectFolder, "read", lambda *_: [bytes(12)])
    with pytest.raises(InputError, match=r"s3://b/a\.safetensors: damaged shard \(it ends in its"):
        list(ObjectFolder("s3://b").vectors([(shard, np.array([0, 1]))]))


def test_a_catalog_entry_may_be_a_url(bucket):
    entry = FolderHandleDataset(
        filepath=f"{bucket}/store", opened_as="embedlab.encoders.store.VectorStore"
    )
    _, report = embed([TEXTS], recipe(), entry.load(), EXECUTION)
    assert (report.misses, embed([TEXTS], recipe(), entry.load(), EXECUTION)[1].hits) == (600, 600)


def test_a_copy_in_another_process_writes_to_the_same_bucket(bucket):
    cache = VectorStore(bucket).open("a" * 64, {})
    copy = pickle.loads(pickle.dumps(cache))
    list(copy.write(text_keys(["x"]), [([0], np.ones((1, 3), dtype=np.float32))], 1))
    cache.refresh()
    assert cache.read(text_keys(["x"])).tolist() == [[1.0, 1.0, 1.0]]


def test_a_killed_upload_leaves_no_shard(bucket):
    """Readers of a bucket see whole shards only, at any moment of a writer that is killed."""
    program = f"""
from pathlib import Path
import numpy as np
from embedlab.encoders.store import VectorStore, text_keys
cache = VectorStore({bucket!r}).open("a" * 64, {{}})
for number in range(1000):
    keys = text_keys([f"{{number}} {{i}}" for i in range(500)])
    vectors = np.full((500, 2000), number, dtype=np.float32)
    list(cache.write(keys, [(list(range(500)), vectors)], 500))
"""
    writer = subprocess.Popen([sys.executable, "-c", program], env=os.environ)
    cache = VectorStore(bucket).open("a" * 64, {})
    while len(cache.shards) < 3 and writer.poll() is None:
        cache.refresh()
    writer.kill()
    writer.wait()
    cache.refresh()
    for number in range(3):
        keys = text_keys([f"{number} {i}" for i in range(500)])
        assert (cache.read(keys) == number).all()


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("s3://no-such-bucket/store", r"^s3://no-such-bucket/store/\S+: .*bucket.*; check the "),
        ("sftp://host/store", r"^sftp://host/store/\S+: not a path, s3:// or gs://, which alone"),
    ],
)
def test_a_bucket_that_is_not_there_is_one_line(bucket, url, line):
    with pytest.raises(InputError, match=line) as caught:
        VectorStore(url).open("a" * 64, {})
    assert "\n" not in str(caught.value)


def test_a_server_that_does_not_answer_is_one_line(bucket, monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match=r"^s3://bucket/store/\S+: .*127\.0\.0\.1:1"):
        VectorStore("s3://bucket/store").open("a" * 64, {})


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match=r"^gs://bucket/\S+: .*gcs.*; pip install .*\[gcs\]"):
        VectorStore("gs://bucket").open("a" * 64, {})


def test_only_the_asked_rows_are_fetched(bucket, monkeypatch):
    cache = VectorStore(bucket).open("a" * 64, {})
    keys = text_keys(TEXTS)
    vectors = np.arange(600, dtype=np.float32).reshape(-1, 1)
    list(cache.write(keys, [(list(range(600)), vectors)], 600))
    cache.refresh()
    fetched = []
    read = ObjectFolder.read
    monkeypatch.setattr(
        ObjectFolder, "read", lambda self, parts: fetched.extend(parts) or read(self, parts)
    )
    assert cache.read(keys[[5, 3]]).tolist() == [[5.0], [3.0]]
    assert [stop - start for _, start, stop in fetched] == [3 * 4]
