-- Raven's schema, for MariaDB (load it as the schema's owner: mariadb raven < db.sql) and for SQLite.
-- What only MariaDB understands stands in its executable comments, which SQLite skips. INTEGER PRIMARY KEY has 63 bits in
-- SQLite by this very name, and 31 in MariaDB: hence the ALTER behind each table that grows.

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
    -- who shares the farm with whom: in MariaDB the account that inserts; owners get equal shares, see docs
    owner        VARCHAR(128) NOT NULL DEFAULT /*M! (SUBSTRING_INDEX(USER(), '@', 1)) COMMENT */ '',

    status       VARCHAR(16) NOT NULL DEFAULT 'new',  -- new, preparing, encoding, publishing, done, failed
    progress     DOUBLE NOT NULL DEFAULT 0,           -- 0 to 1
    message      TEXT,                                -- why it failed, or what a person should know
    url          VARCHAR(2048),                       -- of master.m3u8, once it plays; manifest.mpd beside it, once done
    metadata     MEDIUMTEXT,                          -- JSON: facts of the source
    duration     DOUBLE,                              -- seconds of the output
    created_at   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, -- UTC in SQLite, the session's zone in MariaDB
    started_at   TIMESTAMP NULL DEFAULT NULL,
    finished_at  TIMESTAMP NULL DEFAULT NULL
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;

/*M! ALTER TABLE tasks MODIFY id BIGINT AUTO_INCREMENT */;

CREATE INDEX IF NOT EXISTS tasks_status ON tasks (status);

-- From here on the watcher's own. Times are milliseconds since 1970, UTC.

-- waiting -> queued -> running -> done | failed | cancelled; a lapse or a transient failure: waiting, attempt + 1.
CREATE TABLE IF NOT EXISTS jobs (
    id          INTEGER PRIMARY KEY /*M! AUTO_INCREMENT */,
    task_id     BIGINT NOT NULL,
    kind        VARCHAR(16) NOT NULL,                 -- prepare, encode, second, audio, text, announce, publish, purge
    position    INTEGER NOT NULL,                     -- chunk or track number, from 0
    state       VARCHAR(16) NOT NULL DEFAULT 'waiting',
    attempt     INTEGER NOT NULL DEFAULT 1,           -- fences late reports
    failures    INTEGER NOT NULL DEFAULT 0,           -- attempts that failed or lapsed, against the budget
    not_before  BIGINT NOT NULL DEFAULT 0,            -- back-off
    changed_at  BIGINT NOT NULL DEFAULT 0,            -- when the state was entered
    lease_until BIGINT NOT NULL DEFAULT 0,            -- a running job without a report by then is given to another
    node        VARCHAR(255),
    instance    VARCHAR(16),                          -- which run of the node's daemon
    done        BIGINT NOT NULL DEFAULT 0,            -- frames or samples so far
    speed       DOUBLE NOT NULL DEFAULT 0,            -- multiple of real time
    seconds     DOUBLE NOT NULL DEFAULT 0,
    message     TEXT,
    result      MEDIUMTEXT,                           -- JSON
    lane        VARCHAR(16) NOT NULL,                 -- the queue that it goes by; of a purge put off: none
    owner       VARCHAR(128) NOT NULL DEFAULT '',     -- the task's
    priority    INTEGER NOT NULL DEFAULT 0,           -- the task's
    deadline    BIGINT NOT NULL DEFAULT 0,            -- among equals the earliest goes first
    frames      BIGINT NOT NULL DEFAULT 0,            -- of a chunk
    moved_at    BIGINT NOT NULL DEFAULT 0,            -- when `done` grew last
    faults      TEXT,                                 -- JSON: on which nodes it failed
    passes      INTEGER NOT NULL DEFAULT 0,           -- how often a node gave it back unbegun
    UNIQUE (task_id, kind, position)
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;

/*M! ALTER TABLE jobs MODIFY id BIGINT AUTO_INCREMENT */;

-- the next job of a share; what is in use; lapsed leases; a task's jobs in numbers; tasks: none may cost a scan
CREATE INDEX IF NOT EXISTS jobs_waiting ON jobs (lane, state, priority, owner, deadline, task_id, position);
CREATE INDEX IF NOT EXISTS jobs_state ON jobs (state, lease_until);
CREATE INDEX IF NOT EXISTS jobs_task ON jobs (task_id, kind, state, position);
CREATE INDEX IF NOT EXISTS jobs_kind ON jobs (kind, task_id);

-- Hosts that run daemons, by what their daemons say of themselves. One run of a daemon is one row for a day.
CREATE TABLE IF NOT EXISTS nodes (
    name         VARCHAR(255) NOT NULL,               -- need not be unique
    role         VARCHAR(16) NOT NULL,                -- master, worker
    instance     VARCHAR(16) NOT NULL,                -- the run of the daemon
    slots        INTEGER NOT NULL,                    -- that take jobs now
    light        INTEGER NOT NULL DEFAULT 0,          -- slots for light jobs
    build        VARCHAR(64) NOT NULL,                -- Raven's version
    ffmpeg       VARCHAR(128) NOT NULL DEFAULT '',    -- its version line
    cpus         INTEGER NOT NULL DEFAULT 0,
    load_1m      DOUBLE NOT NULL DEFAULT 0,
    memory_total BIGINT NOT NULL DEFAULT 0,           -- bytes
    memory_free  BIGINT NOT NULL DEFAULT 0,
    disk_free    BIGINT NOT NULL DEFAULT 0,           -- where temporary files lie
    state        VARCHAR(255) NOT NULL DEFAULT '',    -- why it takes no jobs
    blames       INTEGER NOT NULL DEFAULT 0,          -- jobs in a row that failed here and were done elsewhere
    lost         INTEGER NOT NULL DEFAULT 0,          -- 1: it fell silent over such a job
    fault        VARCHAR(255) NOT NULL DEFAULT '',    -- of the last one of these
    seen_at      BIGINT NOT NULL,
    PRIMARY KEY (name, role, instance)
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;

-- What keeps nodes from taking jobs: `raven nodes drain`, or the watcher where jobs fail on one node and nowhere else.
CREATE TABLE IF NOT EXISTS holds (
    name     VARCHAR(255) NOT NULL,
    role     VARCHAR(16) NOT NULL DEFAULT '',         -- empty: all
    instance VARCHAR(16) NOT NULL DEFAULT '',         -- empty: all, those to come too
    reason   VARCHAR(255) NOT NULL,
    since    BIGINT NOT NULL,
    PRIMARY KEY (name, role, instance)
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;

-- What happened, for people. scrub.py removes what is older than history_days.
CREATE TABLE IF NOT EXISTS history (
    id      INTEGER PRIMARY KEY /*M! AUTO_INCREMENT */,
    task_id BIGINT NOT NULL,
    job_id  BIGINT,
    at      BIGINT NOT NULL,
    event   VARCHAR(32) NOT NULL,
    node    VARCHAR(255),
    message TEXT
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;

/*M! ALTER TABLE history MODIFY id BIGINT AUTO_INCREMENT */;

CREATE INDEX IF NOT EXISTS history_task ON history (task_id);
CREATE INDEX IF NOT EXISTS history_at ON history (at);

-- What is told to the callback_url and notify_email of tasks, and to operators: what is to be sent, and the log of it.
CREATE TABLE IF NOT EXISTS notices (
    id         INTEGER PRIMARY KEY /*M! AUTO_INCREMENT */,
    task_id    BIGINT NOT NULL,
    event      VARCHAR(16) NOT NULL,                  -- the task's state; alarm, of task 0
    url        VARCHAR(2048) NOT NULL,                -- the task's callback_url, or mailto: and an address
    host       VARCHAR(255) NOT NULL,                 -- of it, so that those that hang can be left out of a look
    body       MEDIUMTEXT NOT NULL,                   -- JSON, as it was at the task's end
    state      VARCHAR(16) NOT NULL DEFAULT 'waiting', -- waiting -> sent | refused | given up; by hand: waiting again
    attempts   INTEGER NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    due_at     BIGINT NOT NULL,                       -- the next attempt
    until      BIGINT NOT NULL,                       -- then it is given up
    tried_at   BIGINT,
    code       INTEGER,                               -- status of the last answer, by HTTP or SMTP
    message    VARCHAR(1000)                          -- what came of the last attempt
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;

/*M! ALTER TABLE notices MODIFY id BIGINT AUTO_INCREMENT */;

CREATE INDEX IF NOT EXISTS notices_due ON notices (state, due_at);
CREATE INDEX IF NOT EXISTS notices_task ON notices (task_id, state);

-- The version of this schema: the highest row counts. An older database is brought up by `raven migrate`, not by this
-- file, which leaves alone what is there.
CREATE TABLE IF NOT EXISTS schema_version (
    version INTEGER PRIMARY KEY,
    since   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;

INSERT INTO schema_version (version) SELECT 3 FROM (SELECT COUNT(*) AS n FROM schema_version) AS known WHERE n = 0;
