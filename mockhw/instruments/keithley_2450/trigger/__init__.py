"""The trigger model of the simulated 2450: blocks, what they recall, and the commands that put them together."""
