"""Read the rows of a file, whatever its format: one at a time, in flat memory, and a bad row costs itself alone."""
