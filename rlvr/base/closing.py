"""A base class for context managers that close at the end of a `with` block."""

from __future__ import annotations

from typing import Self


class Closing:
    """Makes a class with a `close` method a context manager."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
