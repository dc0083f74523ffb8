import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def scifact_texts(shared_data: Path) -> list[str]:
    lines = (shared_data / "scifact" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    documents = map(json.loads, lines)
    return [f"{document['title']} {document['text']}".strip() for document in documents]
