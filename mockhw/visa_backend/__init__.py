"""PyVISA finds this package by its name; the library itself lives in ``xbarlab.mockhw.visa_library``."""
