"""These tests are run by `make docs`, on the site that it has built."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("mkdocs") else ["*"]
