"""One file per measurement: its quantities and its figures.

Imports estimates/ and plots/.
"""
