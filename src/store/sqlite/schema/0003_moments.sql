-- The time before which a job may not start, while it is held or waits for others: a scheduled job has it in its own row, and
-- most held and waiting jobs have none.
CREATE TABLE moments (
    job      INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    boot     INTEGER NOT NULL,
    boot_ns  INTEGER NOT NULL,
    wall_us  INTEGER NOT NULL,
    delay_ns INTEGER NOT NULL
) STRICT;
