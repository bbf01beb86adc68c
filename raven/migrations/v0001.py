"""Version 1, the first released one, of a database that was made by a db.sql from before there were versions."""

from __future__ import annotations

from raven.migrations.tools import add_columns, columns
from raven.ports import Database

_LANES = {
    "master": ("prepare",),
    "master.light": ("announce", "publish", "purge"),
    "worker": ("encode",),
    "worker.light": ("audio", "text"),
}
_TASKS = {"owner": "VARCHAR(128) NOT NULL DEFAULT ''"}
_JOBS = {
    "instance": "VARCHAR(16)",
    "lane": "VARCHAR(16) NOT NULL DEFAULT ''",
    "owner": "VARCHAR(128) NOT NULL DEFAULT ''",
    "priority": "INTEGER NOT NULL DEFAULT 0",
    "deadline": "BIGINT NOT NULL DEFAULT 0",
    "frames": "BIGINT NOT NULL DEFAULT 0",
    "moved_at": "BIGINT NOT NULL DEFAULT 0",
    "faults": "TEXT",
    "passes": "INTEGER NOT NULL DEFAULT 0",
}
_TYPES = """
/*M! ALTER TABLE tasks MODIFY metadata MEDIUMTEXT */;
/*M! ALTER TABLE tasks MODIFY owner VARCHAR(128) NOT NULL DEFAULT (SUBSTRING_INDEX(USER(), '@', 1)) COMMENT '' */;
/*M! ALTER TABLE jobs MODIFY lane VARCHAR(16) NOT NULL */;
DROP INDEX IF EXISTS jobs_state /*M! ON jobs */;
"""
_TABLES = """
CREATE TABLE IF NOT EXISTS nodes (
    name         VARCHAR(255) NOT NULL,
    role         VARCHAR(16) NOT NULL,
    instance     VARCHAR(16) NOT NULL,
    slots        INTEGER NOT NULL,
    light        INTEGER NOT NULL DEFAULT 0,
    build        VARCHAR(64) NOT NULL,
    ffmpeg       VARCHAR(128) NOT NULL DEFAULT '',
    cpus         INTEGER NOT NULL DEFAULT 0,
    load_1m      DOUBLE NOT NULL DEFAULT 0,
    memory_total BIGINT NOT NULL DEFAULT 0,
    memory_free  BIGINT NOT NULL DEFAULT 0,
    disk_free    BIGINT NOT NULL DEFAULT 0,
    state        VARCHAR(255) NOT NULL DEFAULT '',
    blames       INTEGER NOT NULL DEFAULT 0,
    lost         INTEGER NOT NULL DEFAULT 0,
    fault        VARCHAR(255) NOT NULL DEFAULT '',
    seen_at      BIGINT NOT NULL,
    PRIMARY KEY (name, role, instance)
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;
CREATE TABLE IF NOT EXISTS holds (
    name     VARCHAR(255) NOT NULL,
    role     VARCHAR(16) NOT NULL DEFAULT '',
    instance VARCHAR(16) NOT NULL DEFAULT '',
    reason   VARCHAR(255) NOT NULL,
    since    BIGINT NOT NULL,
    PRIMARY KEY (name, role, instance)
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;
CREATE INDEX IF NOT EXISTS jobs_waiting ON jobs (lane, state, priority, owner, deadline, task_id, position);
CREATE INDEX IF NOT EXISTS jobs_state ON jobs (state, lease_until);
CREATE INDEX IF NOT EXISTS jobs_task ON jobs (task_id, kind, state, position);
CREATE INDEX IF NOT EXISTS jobs_kind ON jobs (kind, task_id);
CREATE TABLE IF NOT EXISTS schema_version (
    version INTEGER PRIMARY KEY,
    since   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;
"""


def is_older(database: Database) -> bool:
    """Whether columns of version 1 are missing, which an older db.sql has made; loading a newer one adds none."""
    return not (
        _JOBS.keys() <= columns(database, "jobs")
        and _TASKS.keys() <= columns(database, "tasks")
        and "instance" in columns(database, "nodes")
    )


def upgrade(database: Database) -> None:
    add_columns(database, "tasks", _TASKS)
    add_columns(database, "jobs", _JOBS)
    for lane, kinds in _LANES.items():
        marks = ", ".join("?" for _ in kinds)
        database.execute(f"UPDATE jobs SET lane = ? WHERE lane = '' AND kind IN ({marks})", (lane, *kinds))
    if "instance" not in columns(database, "nodes"):
        database.execute("DROP TABLE IF EXISTS nodes")  # all that live say so again within seconds
    database.script(_TYPES)
    database.script(_TABLES)
