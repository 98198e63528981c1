"""The sections of a spec, a file for each subject; `spec.schema` joins them."""
