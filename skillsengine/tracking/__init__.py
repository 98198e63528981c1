"""What is told to the outside: Weights & Biases, reports, model cards."""
