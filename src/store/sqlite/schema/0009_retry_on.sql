-- After which failures a job is run again, as text: read at a start for every unfinished job that may be. NULL for the many jobs
-- that are run again after any.
ALTER TABLE specs ADD COLUMN retry_on TEXT
    CONSTRAINT specs_retry_on_names_something CHECK (retry_on IS NULL OR retry_on <> '');
