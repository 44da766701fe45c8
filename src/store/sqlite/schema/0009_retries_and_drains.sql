-- After which failures a job is run again, as text: read at a start for every unfinished job that may be. NULL for the many jobs
-- that are run again after any.
ALTER TABLE specs ADD COLUMN retry_on TEXT
    CONSTRAINT specs_retry_on_names_something CHECK (retry_on IS NULL OR retry_on <> '');

-- Nothing new starts until somebody ends that, also after a restart.
ALTER TABLE store ADD COLUMN drained INTEGER NOT NULL DEFAULT 0
    CONSTRAINT store_drained_is_a_flag CHECK (drained IN (0, 1));
ALTER TABLE store ADD COLUMN drain_reason TEXT
    CONSTRAINT store_only_a_drain_has_a_reason CHECK (drain_reason IS NULL OR drained = 1);
