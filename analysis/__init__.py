"""Pure functions from tables and arrays to numbers, figures and a report."""
