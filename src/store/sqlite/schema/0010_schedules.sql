-- Schedules: the same work again and again. Few, so work and surroundings stand here whole, as JSON; the job of each run
-- shares rows with others as every job does.
CREATE TABLE schedules (
    id           INTEGER PRIMARY KEY,
    owner        INTEGER NOT NULL,
    name         TEXT    NOT NULL CONSTRAINT schedules_have_a_name CHECK (name <> ''),
    -- As it was written: a calendar pattern or a span.
    every        TEXT    NOT NULL,
    zone         TEXT    NOT NULL,
    overlap      INTEGER NOT NULL CONSTRAINT schedules_overlap_is_known CHECK (overlap BETWEEN 0 AND 2),
    on_missed    INTEGER NOT NULL CONSTRAINT schedules_missed_is_known CHECK (on_missed BETWEEN 0 AND 1),
    paused       INTEGER NOT NULL CONSTRAINT schedules_paused_is_a_flag CHECK (paused IN (0, 1)),
    reason       TEXT,
    created_at   INTEGER NOT NULL,
    spec         TEXT    NOT NULL CONSTRAINT schedules_spec_is_json CHECK (json_valid(spec)),
    context      TEXT    NOT NULL CONSTRAINT schedules_context_is_json CHECK (json_valid(context)),
    -- Raised by one with each moment that is decided on, together with the job of its run: none is decided on twice.
    turn         INTEGER NOT NULL CONSTRAINT schedules_turns_are_counted CHECK (turn >= 0),
    -- The next moment, as the deadline of a job: boot 0 stands for one that follows the wall clock.
    next_boot     INTEGER,
    next_boot_ns  INTEGER,
    next_wall_us  INTEGER,
    next_delay_ns INTEGER,
    -- No reference: the job of the latest run may be forgotten before the schedule is.
    last_job     INTEGER,
    runs         INTEGER NOT NULL CONSTRAINT schedules_runs_are_turns CHECK (runs BETWEEN 0 AND turn),
    skipped      INTEGER NOT NULL CONSTRAINT schedules_skipped_are_turns CHECK (skipped BETWEEN 0 AND turn),
    missed       INTEGER NOT NULL CONSTRAINT schedules_missed_are_counted CHECK (missed >= 0),
    CONSTRAINT schedules_names_are_an_owners_own UNIQUE (owner, name),
    CONSTRAINT schedules_paused_have_no_next CHECK (paused = 0 OR next_boot IS NULL),
    CONSTRAINT schedules_next_is_whole CHECK (
        (next_boot IS NULL) = (next_boot_ns IS NULL)
        AND (next_boot IS NULL) = (next_wall_us IS NULL)
        AND (next_boot IS NULL) = (next_delay_ns IS NULL)
    )
) STRICT;

-- Which run of which schedule a job is. Jobs that are none cost nothing here.
CREATE TABLE runs (
    job      INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    schedule INTEGER NOT NULL,
    -- The schedule's name, which outlives it here.
    name     TEXT    NOT NULL,
    slot_us  INTEGER NOT NULL
) STRICT;

-- Lists by schedule, and the unfinished runs at a start.
CREATE INDEX runs_by_name ON runs (name);

-- The next number that no schedule ever had.
ALTER TABLE store ADD COLUMN next_schedule INTEGER NOT NULL DEFAULT 1
    CONSTRAINT store_next_schedule_is_a_number CHECK (next_schedule >= 1);
