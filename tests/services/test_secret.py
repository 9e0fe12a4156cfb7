"""The secret that versions are signed with: the setting's, or one that the processes of a machine share."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

from recsvc.config import Config
from recsvc.services.secret import secret_keys

READ = """
import sys
from pathlib import Path
from recsvc.config import Config
from recsvc.services.secret import secret_keys
print(secret_keys(Config(instance_dir=Path(sys.argv[1])))[0])
"""


def test_one_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    config = Config(instance_dir=tmp_path)

    (made,) = secret_keys(config)

    assert len(made) == 64
    assert secret_keys(config) == [made]
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_processes_that_start_together_share_one(tmp_path):
    command = [sys.executable, "-c", READ, str(tmp_path)]
    root = Path(__file__).parents[2]
    started = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(6)]

    told = {process.communicate()[0].strip() for process in started}

    assert len(told) == 1
    assert secret_keys(Config(instance_dir=tmp_path)) == list(told)


def test_what_settings_say_comes_first_and_makes_no_file(tmp_path):
    config = Config(instance_dir=tmp_path, secret_key="new" * 8, secret_key_fallbacks=("old" * 8,))

    assert secret_keys(config) == ["new" * 8, "old" * 8]
    assert list(tmp_path.iterdir()) == []
