"""What is known after a run, and the files and lines that report it."""

import fixtures  # noqa: F401  # first of all it checks this Python
