"""What may stand behind a board's columns besides linear converters: circuits that saturate, ramps made of cells."""
