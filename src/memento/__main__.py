"""`python -m memento` is the command line."""

from memento.cli import main

if __name__ == "__main__":
    main()
