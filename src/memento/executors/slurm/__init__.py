"""Slurm: a few jobs of ours, each a pilot, that run a grid's tasks and then leave."""
