"""The command line: `app` is the tree of verbs, one module for each group of them, `show` what humans read."""
