"""Solvers of the lasso for ../lasso.py: a module each, and in each a class `Solver`."""
