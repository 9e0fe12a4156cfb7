"""The worker process: trains."""

from jobs.processes import run_worker

if __name__ == "__main__":
    run_worker()
