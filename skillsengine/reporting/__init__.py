"""What people look at: the figures of an experiment, and the pages and reports that are made of them. No heavy imports."""
