-- Raven's schema, for MariaDB (load it as the schema's owner: mariadb raven < db.sql) and for SQLite.
-- What only MariaDB understands stands in its executable comments, which SQLite skips.

-- The public interface. A client INSERTs a row to submit (source alone is enough), SELECTs to follow, DELETEs to
-- cancel or to remove the outputs. It never updates. The first group of columns is the client's, the second Raven's.
CREATE TABLE IF NOT EXISTS tasks (
    id           INTEGER PRIMARY KEY /*M! AUTO_INCREMENT */,
    source       VARCHAR(4096) NOT NULL,              -- path of a file under an allowed root of the master
    profile      VARCHAR(64) NOT NULL DEFAULT 'default',
    priority     INTEGER NOT NULL DEFAULT 0,          -- -100 to 100, higher goes first
    options      TEXT,                                -- JSON object, see docs/design.md
    callback_url VARCHAR(2048),
    notify_email VARCHAR(320),
    keep_hours   INTEGER,                             -- how long the outputs are kept once done; NULL: for ever
    reference    VARCHAR(255),                        -- the client's own id

    status       VARCHAR(16) NOT NULL DEFAULT 'new',  -- new, preparing, encoding, publishing, done, failed
    progress     DOUBLE NOT NULL DEFAULT 0,           -- 0 to 1
    message      TEXT,                                -- why it failed, or what a person should know
    url          VARCHAR(2048),                       -- of master.m3u8, once done; manifest.mpd lies beside it
    metadata     TEXT,                                -- JSON: facts of the source
    duration     DOUBLE,                              -- seconds of the output
    created_at   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, -- UTC in SQLite, the session's zone in MariaDB
    started_at   TIMESTAMP NULL DEFAULT NULL,
    finished_at  TIMESTAMP NULL DEFAULT NULL
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;

CREATE INDEX IF NOT EXISTS tasks_status ON tasks (status);

-- From here on the watcher's own. Times are milliseconds since 1970, UTC.

-- waiting -> queued -> running -> done | failed | cancelled; a lapse or a transient failure: waiting, attempt + 1.
CREATE TABLE IF NOT EXISTS jobs (
    id          INTEGER PRIMARY KEY /*M! AUTO_INCREMENT */,
    task_id     INTEGER NOT NULL,
    kind        VARCHAR(16) NOT NULL,                 -- prepare, encode, audio, publish, purge
    position    INTEGER NOT NULL,                     -- chunk or track number, from 0
    state       VARCHAR(16) NOT NULL DEFAULT 'waiting',
    attempt     INTEGER NOT NULL DEFAULT 1,           -- fences late reports
    failures    INTEGER NOT NULL DEFAULT 0,           -- attempts that failed or lapsed, against the budget
    not_before  BIGINT NOT NULL DEFAULT 0,            -- back-off
    changed_at  BIGINT NOT NULL DEFAULT 0,            -- when the state was entered
    lease_until BIGINT NOT NULL DEFAULT 0,            -- a running job without a report by then is given to another
    node        VARCHAR(255),
    done        BIGINT NOT NULL DEFAULT 0,            -- frames or samples so far
    speed       DOUBLE NOT NULL DEFAULT 0,            -- multiple of real time
    seconds     DOUBLE NOT NULL DEFAULT 0,
    message     TEXT,
    result      MEDIUMTEXT,                           -- JSON
    UNIQUE (task_id, kind, position)
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;

CREATE INDEX IF NOT EXISTS jobs_state ON jobs (state, kind);

CREATE TABLE IF NOT EXISTS nodes (
    name    VARCHAR(255) NOT NULL,
    role    VARCHAR(16) NOT NULL,
    slots   INTEGER NOT NULL,
    build   VARCHAR(64) NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (name, role)
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;

-- What happened, for people: never read by the watcher.
CREATE TABLE IF NOT EXISTS history (
    id      INTEGER PRIMARY KEY /*M! AUTO_INCREMENT */,
    task_id INTEGER NOT NULL,
    job_id  INTEGER,
    at      BIGINT NOT NULL,
    event   VARCHAR(32) NOT NULL,
    node    VARCHAR(255),
    message TEXT
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;

CREATE INDEX IF NOT EXISTS history_task ON history (task_id);
