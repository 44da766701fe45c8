"""The parts of the end-to-end benchmark: figures, instruments, one module for each section."""
