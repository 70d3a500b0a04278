"""Tools for files in org-mode, of whose language TODO is a word: where it stands here, it is no note of ours."""
