"""What the lab can do: the array capability, drivers, limits, chip files and stations."""
