"""Where ads are: files, folders, object stores and data sets of the Hub; which partitions they have; how they are read."""
