"""Finished experiments on disk: a result and a model each."""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedlab.errors import InputError
from embedlab.files import replacing
from embedlab.tensor_files import read_tensors, write_tensors

logger = logging.getLogger(__name__)

PREFIX = "precomp_"


@dataclass(frozen=True)
class ExperimentFolder(Mapping[str, dict[str, Any]]):
    """Results by experiment, in files `precomp_<name>.json`, and models, in `precomp_<name>.pt`.

    Attributes:
        made_from: digest of the code and the data of the experiments that are not run again.
    """

    path: Path
    made_from: str = ""

    def __getitem__(self, name: str) -> dict[str, Any]:
        path = self._result(name)
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise KeyError(name) from None
        except ValueError as error:
            raise InputError(f"{path}: damaged ({error}); delete it and run rnd again") from error
        if not isinstance(result, dict):
            raise InputError(f"{path}: holds no result; delete it and run rnd again")
        return result

    def __iter__(self) -> Iterator[str]:
        files = sorted(self.path.glob(f"{PREFIX}*.json"))
        return (path.stem.removeprefix(PREFIX) for path in files)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def require(self, name: str) -> dict[str, Any]:
        """The result of an experiment.

        Raises:
            InputError: if it is not finished.
        """
        result = self._finished(name)
        if result is None:
            raise InputError(
                f"experiment {name} is not in {self.path}; run `kedro run --pipelines=rnd` again"
            )
        return result

    def model(self, name: str) -> dict[str, Any]:
        """The content of the model file of a finished experiment."""
        return read_tensors(self._model(name))

    def is_finished(self, name: str, identity: Mapping[str, str]) -> bool:
        """Whether the experiment is here with this identity; logs what has changed if not."""
        result = self._finished(name)
        if result is None:
            return False
        stale = [key for key, value in identity.items() if result.get(key) != value]
        if stale:
            logger.warning(
                "%s: %s changed; the experiment runs again",
                self._result(name),
                ", ".join(stale),
            )
        return not stale

    def save(self, name: str, result: Mapping[str, Any], model: dict[str, Any]) -> None:
        """Save an experiment: its result last, since that marks it as finished."""
        self._result(name).unlink(missing_ok=True)
        write_tensors(self._model(name), model)
        with replacing(self._result(name)) as temporary:
            content = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
            temporary.write_text(content, encoding="utf-8")

    def preview(self) -> dict[str, Any]:
        """The summary of every experiment."""
        return {name: result["summary"] for name, result in self.items()}

    def _finished(self, name: str) -> dict[str, Any] | None:
        result = self.get(name)
        return result if self._model(name).is_file() else None

    def _result(self, name: str) -> Path:
        return self.path / f"{PREFIX}{name}.json"

    def _model(self, name: str) -> Path:
        return self.path / f"{PREFIX}{name}.pt"
