-- How often the daemon died while the job ran inside it, and how often of these nothing else did, since an attempt last ended
-- otherwise. Nearly always zero, which takes no room in a row.
ALTER TABLE jobs ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN crashes_alone INTEGER NOT NULL DEFAULT 0
    CONSTRAINT jobs_alone_are_crashes CHECK (crashes_alone BETWEEN 0 AND crashes);
