"""What is measured: each side writes the same rows to a file, in a process of its own."""
