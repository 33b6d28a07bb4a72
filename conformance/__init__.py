"""Holds any array, ours or a stranger's, to the contract of ``CrossbarArray`` and its abilities.

``pytest --pyargs xbarlab.conformance --station FILE`` runs every check; so does ``xbarlab station check … --full``.
Imports ``instruments`` and ``common``; nothing here knows what is behind an array.
"""
