"""What is known after a walk, and the files and lines that say it."""
