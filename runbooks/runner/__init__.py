"""Carries runbooks out: reads and checks them, runs, keeps, resumes.

Imported by commands/ and cli.
"""
