"""Can this environment run what stands in `experiments/`? Each finding says what was looked at, and how to mend it."""
