"""What stands between a column of the simulated board and its converter."""
