"""What brings the tables up to date. Jobs have no use for it, and spare themselves its import."""

from __future__ import annotations

from pathlib import Path

from flask_migrate import Migrate

from recsvc.extensions import db

migrate = Migrate(db=db, directory=str(Path(__file__).parents[1] / "migrations"))
