"""Where artifacts live (store), what is known about them (catalog), and the dated slices of a source (partitions)."""
