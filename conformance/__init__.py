"""Holds any array, ours or a stranger's, to the contract of ``CrossbarArray`` and its abilities.

``pytest --pyargs xbarlab.conformance --station FILE`` runs every check; ``xbarlab station check FILE --full`` takes some.
Imports ``instruments`` and ``common``; nothing here knows what is behind an array.
"""
