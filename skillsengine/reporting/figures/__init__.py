"""Figures: each module reads the catalog and the store and returns plain data, for a page, a report or a program.

Numbers are those of the catalog and of the artifacts, unrounded; nothing is measured here but the difference of two sets of
answers. A figure that cannot be made raises `FigureMissing` with the reason in a sentence.
"""
