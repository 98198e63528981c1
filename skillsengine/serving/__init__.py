"""From a registered adapter to the skills of a text."""
