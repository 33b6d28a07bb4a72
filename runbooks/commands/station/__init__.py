"""``xbarlab station check``: is a bench fit to touch a chip, and, in full, is it as good as its word?

Imports ``conformance``, ``protocols``, ``instruments``, ``analysis``, and the runner.
"""
