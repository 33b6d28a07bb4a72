"""Data of any bench analysed like a run's: the same numbers with intervals, figures, tables and page.

Imports measured_data/, measurements/ and report/.
"""
