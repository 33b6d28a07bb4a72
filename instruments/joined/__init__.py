"""Several arrays as one, on the diagonal.

Imports chip/ and the records; imported by station/.
"""
