"""What was measured of a chip in the formats of other programs: conversions of tables, no files."""
