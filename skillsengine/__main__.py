"""`python -m skillsengine`."""

from skillsengine.cli import main

main()
