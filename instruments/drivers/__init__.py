"""One file per instrument of the shelf, each a thin subclass of QCoDeS's own.

Imports wire/ and the records; imported by probe/.
"""
