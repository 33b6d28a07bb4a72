"""The array test board that speaks docs/board-protocol.md: its driver, codecs and settings.

Imports wire/, chip/ and the records; imported by station files.
"""
