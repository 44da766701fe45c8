"""The parts of the end-to-end benchmark: its figures, its instruments, and one module for each section."""
