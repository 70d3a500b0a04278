"""Tools for files in org-mode. TODO is a word of its language: here it is never a note of ours."""
