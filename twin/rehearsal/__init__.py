"""Runs rehearsed on chips drawn from a profile, and what was measured beside what they predict.

Imports analysis/, mockhw/, runbooks/ and common/; imported by the command line.
"""
