"""The scheduler process: asks for the daily training."""

from recsvc.startup import imports_that_stay

with imports_that_stay():
    from jobs.processes import run_scheduler

if __name__ == "__main__":
    run_scheduler()
