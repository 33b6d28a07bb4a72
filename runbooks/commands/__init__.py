"""What the command line offers beside running a runbook.

Imports runner/ and stations/; imported by cli.
"""
