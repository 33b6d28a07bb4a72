"""A station file becomes a bench: locks, accounts, safe exits.

The top floor of the room; imported by runbooks.
"""
