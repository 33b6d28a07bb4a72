"""Cables, relays and sources around a passive chip, and what source-measure units of every make share.

Imports instrument, scpi/ and passive_chip/; imported by the simulated probe instruments.
"""
