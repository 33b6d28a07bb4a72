"""From measurements to a profile: halves, search, refinement, posterior, profile file.

Imports the objective and its coordinates; imported by fit_report and the command line.
"""
