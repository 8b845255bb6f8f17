"""What the end of a `with` block closes."""

from __future__ import annotations

from typing import Self


class Closing:
    """A class with a `close` that is a context manager by it."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
