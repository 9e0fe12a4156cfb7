"""`python -m recsvc.cli`: the command line where the project is not installed, as on Heroku."""

from recsvc.cli import main

if __name__ == "__main__":
    main()
