"""Experiments that are commands: a program that is run for each task."""
