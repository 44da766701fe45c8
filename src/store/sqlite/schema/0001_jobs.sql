-- The first schema. Times are microseconds since 1970 (_at, _us) or nanoseconds (_ns).
-- Numbers that stand for names (state, class, lane, outcome) are told in sqlite/codes.rs.

-- One row: who this store is and how far its counters went.
CREATE TABLE store (
    one      INTEGER PRIMARY KEY CONSTRAINT store_is_one_row CHECK (one = 1),
    store_id INTEGER NOT NULL,
    -- Daemon starts so far. Raised and synced before a start may do anything.
    life     INTEGER NOT NULL,
    -- 1 while no daemon uses the store and the last one left in order.
    clean    INTEGER NOT NULL CONSTRAINT store_clean_is_a_flag CHECK (clean IN (0, 1)),
    -- The next id that no job ever had; removed jobs never give theirs back.
    next_job INTEGER NOT NULL CONSTRAINT store_next_job_is_an_id CHECK (next_job >= 1),
    -- The kernel's name for the boot of the last start, and how many different ones there were.
    boot_id  TEXT    NOT NULL,
    boot     INTEGER NOT NULL
) STRICT;

-- Names of queues and kinds, so that a job row carries a small number. Never collected.
CREATE TABLE words (
    id   INTEGER PRIMARY KEY,
    word TEXT    NOT NULL CONSTRAINT words_are_distinct UNIQUE
) STRICT;

-- Work, shared by the jobs of an array or of a run of equal submissions. What scheduling needs has its own column;
-- the rest is JSON, read when the job's turn comes near, and stands last so that a scan passes over it.
CREATE TABLE specs (
    id               INTEGER PRIMARY KEY,
    uses             INTEGER NOT NULL CONSTRAINT specs_are_used CHECK (uses > 0),
    kind             INTEGER NOT NULL,
    name             TEXT,
    class            INTEGER NOT NULL CONSTRAINT specs_class_is_known CHECK (class BETWEEN 0 AND 3),
    priority         INTEGER NOT NULL,
    cpus             INTEGER NOT NULL CONSTRAINT specs_take_a_core CHECK (cpus >= 1),
    retries          INTEGER NOT NULL,
    backoff_first_ns INTEGER NOT NULL,
    -- NULL: the pause is the same each time.
    backoff_most_ns  INTEGER,
    at_most_once     INTEGER NOT NULL CONSTRAINT specs_at_most_once_is_a_flag CHECK (at_most_once IN (0, 1)),
    rest             TEXT    NOT NULL
) STRICT;

-- Selecting by name reads this instead of every spec. Specs without a name cost nothing here.
CREATE INDEX specs_by_name ON specs (name) WHERE name IS NOT NULL;

-- Surroundings of submitters, one row for equal ones.
CREATE TABLE contexts (
    id   INTEGER PRIMARY KEY,
    uses INTEGER NOT NULL CONSTRAINT contexts_uses_are_counted CHECK (uses >= 0),
    hash BLOB    NOT NULL CONSTRAINT contexts_are_distinct UNIQUE,
    body TEXT    NOT NULL
) STRICT;

-- moved_at is the moment the job came to the state it is in; for a final state that is when it finished. One column that
-- always has a value keeps the row at one size for life, so that ending a job never splits a page.
CREATE TABLE jobs (
    id           INTEGER PRIMARY KEY CONSTRAINT jobs_id_is_exact_in_json CHECK (id BETWEEN 1 AND 9007199254740991),
    state        INTEGER NOT NULL CONSTRAINT jobs_state_is_known CHECK (state BETWEEN 0 AND 8),
    attempts     INTEGER NOT NULL CONSTRAINT jobs_attempts_are_counted CHECK (attempts >= 0),
    cancel_asked INTEGER NOT NULL CONSTRAINT jobs_cancel_asked_is_a_flag CHECK (cancel_asked IN (0, 1)),
    moved_at     INTEGER NOT NULL,
    submitted_at INTEGER NOT NULL,
    queue        INTEGER NOT NULL,
    spec         INTEGER NOT NULL,
    context      INTEGER NOT NULL,
    owner        INTEGER NOT NULL,
    submission   INTEGER NOT NULL CONSTRAINT jobs_submission_came_first CHECK (submission <= id),
    array        INTEGER CONSTRAINT jobs_array_came_first CHECK (array <= id),
    array_index  INTEGER,
    -- Not before: in which boot it was made, and the three figures of a deadline.
    due_boot     INTEGER,
    due_boot_ns  INTEGER,
    due_wall_us  INTEGER,
    due_delay_ns INTEGER,
    reason       TEXT,
    CONSTRAINT jobs_scheduled_have_a_time CHECK ((state = 0) = (due_boot IS NOT NULL)),
    CONSTRAINT jobs_time_is_whole CHECK (
        (due_boot IS NULL) = (due_boot_ns IS NULL)
        AND (due_boot IS NULL) = (due_wall_us IS NULL)
        AND (due_boot IS NULL) = (due_delay_ns IS NULL)
    ),
    CONSTRAINT jobs_place_is_whole CHECK ((array IS NULL) = (array_index IS NULL)),
    CONSTRAINT jobs_running_have_an_attempt CHECK (state <> 4 OR attempts > 0),
    CONSTRAINT jobs_only_running_are_asked CHECK (cancel_asked = 0 OR state = 4)
) STRICT;

-- Lists by state, newest first, and the unfinished jobs at a start. Succeeded jobs (5), the bulk of an old store, are left out:
-- ending one only takes its entry away.
CREATE INDEX jobs_by_state ON jobs (state) WHERE state <> 5;

-- Retention asks for what finished before a moment; without this each look would read every job.
CREATE INDEX jobs_by_finish ON jobs (moved_at) WHERE state >= 5;

-- Array elements by index, each at most once. Jobs outside arrays cost nothing here.
CREATE UNIQUE INDEX jobs_by_place ON jobs (array, array_index) WHERE array IS NOT NULL;

-- There is no index by owner, queue or submission on purpose: lists go newest first through the ids and stop when the page is
-- full, and each index would be paid at every submit.

-- Runs of jobs. The latest of a job is the one numbered jobs.attempts.
CREATE TABLE attempts (
    job         INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL CONSTRAINT attempts_are_numbered_from_1 CHECK (number >= 1),
    life        INTEGER NOT NULL,
    counter     INTEGER NOT NULL,
    lane        INTEGER NOT NULL CONSTRAINT attempts_lane_is_known CHECK (lane IN (0, 1)),
    class       INTEGER NOT NULL CONSTRAINT attempts_class_is_decided CHECK (class BETWEEN 0 AND 2),
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    outcome     INTEGER CONSTRAINT attempts_outcome_is_known CHECK (outcome BETWEEN 0 AND 9),
    -- The exit code or the signal.
    detail      INTEGER,
    message     TEXT,
    cpu_ns      INTEGER,
    wall_ns     INTEGER,
    max_rss     INTEGER,
    CONSTRAINT attempts_are_numbered_once PRIMARY KEY (job, number),
    CONSTRAINT attempts_token_is_unique UNIQUE (life, counter),
    CONSTRAINT attempts_end_is_whole CHECK (
        (finished_at IS NULL) = (outcome IS NULL)
        AND (finished_at IS NULL) = (cpu_ns IS NULL)
        AND (finished_at IS NULL) = (wall_ns IS NULL)
    )
) STRICT, WITHOUT ROWID;

-- Queues that were given settings of their own; jobs may stand in queues that are not here.
CREATE TABLE queues (
    name   TEXT    PRIMARY KEY,
    max    INTEGER,
    weight INTEGER NOT NULL CONSTRAINT queues_have_a_share CHECK (weight >= 1),
    paused INTEGER NOT NULL CONSTRAINT queues_paused_is_a_flag CHECK (paused IN (0, 1)),
    reason TEXT
) STRICT, WITHOUT ROWID;

-- How many jobs stand where. Written once a commit, so that counting a million jobs reads a handful of rows.
CREATE TABLE tallies (
    queue INTEGER NOT NULL,
    state INTEGER NOT NULL,
    jobs  INTEGER NOT NULL CONSTRAINT tallies_are_never_below_zero CHECK (jobs >= 0),
    PRIMARY KEY (queue, state)
) STRICT, WITHOUT ROWID;
