"""Numbers with intervals from arrays.

Imports nothing of ours but common/.
"""
