"""What an experiment is: the sections of a spec, and how YAML text becomes one."""
