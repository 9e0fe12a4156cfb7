"""The scheduler process: asks for the daily training."""

from jobs.processes import run_scheduler

if __name__ == "__main__":
    run_scheduler()
