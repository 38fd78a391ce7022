"""What is known after a state, and the files and lines that say it."""
