"""The work of each stage. Heavy imports live here and below, and are imported only when a stage runs."""
