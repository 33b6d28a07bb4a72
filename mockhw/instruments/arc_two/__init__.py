"""A stand-in for ``pyarc2`` in front of a mock chip, written from pyarc2's public documentation.

Its names, arguments and order are those of pyarc2 0.6.0; a test holds them against the installed package.
Imports passive_chip/ and sim_clock.
"""
