"""What processes that are started here write to standard error: shown, and its last line kept."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker


class LastLine:
    """The last whole line that processes have written to standard error.

    Progress bars, which return to the start of their line, do not count.
    """

    def __init__(self) -> None:
        self._line = ""
        self._reader: threading.Thread | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the processes that are started in this context, for as long as they live."""
        # A process that outlives the others, and is none of them, must not keep the pipe open.
        resource_tracker.ensure_running()
        sys.stderr.flush()
        source, sink = os.pipe()
        shown = os.dup(2)
        self._reader = threading.Thread(target=self._read, args=(source, shown), daemon=True)
        self._reader.start()
        os.dup2(sink, 2)
        os.close(sink)
        try:
            yield
        finally:
            os.dup2(shown, 2)

    def wait(self) -> str:
        """Wait until the processes have ended, then return the line, or the empty string."""
        if self._reader is not None:
            self._reader.join(timeout=10)
        return self._line

    def _read(self, source: int, shown: int) -> None:
        rest = b""
        while block := os.read(source, 65536):
            with suppress(OSError):  # nobody looks any more
                os.write(shown, block)
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if line.strip() and b"\r" not in line:
                    self._line = line.decode(errors="replace").strip()
        os.close(source)
        os.close(shown)
