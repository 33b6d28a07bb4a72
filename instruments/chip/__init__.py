"""The chip under test: its file, its line map and the account of what its cells have borne.

Imports the records only.
"""
