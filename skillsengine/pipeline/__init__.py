"""What an experiment does: stages, digests, the plan, and the one door through which a stage runs."""
