"""The worker process: trains."""

from recsvc.startup import imports_that_stay

with imports_that_stay():
    from jobs.processes import run_worker

if __name__ == "__main__":
    run_worker()
