"""What is known after a run, and the files and lines that report it."""
