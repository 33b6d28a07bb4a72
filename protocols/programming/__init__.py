"""Bringing cells to target conductances: staircases, ISPP, read-verify.

Imports measure/, keeping/ and plan.
"""
