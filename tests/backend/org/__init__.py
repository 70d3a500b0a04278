"""Org files that are read and edited. TODO is a word of their language: here it is no note of ours."""
