"""How extracted skills are matched and scored, and what they are compared with."""
