"""What a fit came to, for people: tables, words, figures.

Imports fitting/; imported by the command line.
"""
