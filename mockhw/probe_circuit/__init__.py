"""Cables, relays and sources around a passive chip.

Imports instrument and passive_chip/; imported by the simulated probe instruments.
"""
