"""PyVISA finds this package by its name; the library itself lives in ``xbarlab.mockhw.front_ends.visa_library``."""

from xbarlab.mockhw.front_ends.visa_library import WRAPPER_CLASS  # pyright: ignore[reportMissingImports]

__all__ = ["WRAPPER_CLASS"]
