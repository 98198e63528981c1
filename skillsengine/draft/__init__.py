"""The first draft of a spec: look at someone's data, guess what its columns are, explain each guess, show what comes of it."""
