-- What jobs require of others before they may start.
CREATE TABLE requirements (
    job       INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    -- No reference: the job may be removed once nobody waits for it, and the requirement then says what it was.
    requires  INTEGER NOT NULL,
    condition INTEGER NOT NULL CONSTRAINT requirements_condition_is_known CHECK (condition BETWEEN 0 AND 2),
    -- 1 once the job has gone on: what has been passed is not looked at again.
    passed    INTEGER NOT NULL CONSTRAINT requirements_passed_is_a_flag CHECK (passed IN (0, 1)),
    CONSTRAINT requirements_name_each_job_once PRIMARY KEY (job, requires),
    CONSTRAINT requirements_name_others CHECK (requires <> job)
) STRICT, WITHOUT ROWID;

-- Who waits for a job: before it is removed, when those it had skipped are revived, and for graphs.
CREATE INDEX requirements_by_required ON requirements (requires);
