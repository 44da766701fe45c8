//! What the writer remembers between statements: counters and the numbers of words.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use crate::job::StoreId;

/// The writer's memory. Whatever is rolled back in the file is forgotten here too.
#[derive(Debug)]
pub(super) struct Book {
    /// Who this store is.
    pub(super) store: StoreId,
    /// The number of the running boot, for deadlines.
    pub(super) boot: i64,
    /// The next id that no job ever had.
    pub(super) next_job: u64,
    /// What stands in the file for `next_job`.
    synced_next_job: u64,
    next_spec: i64,
    next_context: i64,
    words: HashMap<String, i64>,
}

/// Words are user input in the end; past this many the map is emptied rather than grown.
const MOST_WORDS: usize = 4096;

impl Book {
    /// Reads the counters of an open store.
    pub(super) fn open(
        conn: &Connection,
        store: StoreId,
        boot: i64,
        next_job: u64,
    ) -> rusqlite::Result<Self> {
        let highest = |table: &str| {
            conn.query_row(&format!("SELECT coalesce(max(id), 0) FROM {table}"), [], |row| {
                row.get::<_, i64>(0)
            })
        };
        Ok(Self {
            store,
            boot,
            next_job,
            synced_next_job: next_job,
            next_spec: highest("specs")? + 1,
            next_context: highest("contexts")? + 1,
            words: HashMap::new(),
        })
    }

    /// A number for a spec about to be written. Numbers are not reused within a life.
    pub(super) fn new_spec(&mut self) -> i64 {
        self.next_spec += 1;
        self.next_spec - 1
    }

    /// A number for a context about to be written.
    pub(super) fn new_context(&mut self) -> i64 {
        self.next_context += 1;
        self.next_context - 1
    }

    /// The number of a word, which is written if it is new.
    pub(super) fn word(&mut self, conn: &Connection, word: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.words.get(word) {
            return Ok(*id);
        }
        let known = known_word(conn, word)?;
        let id = match known {
            Some(id) => id,
            None => conn
                .prepare_cached("INSERT INTO words (word) VALUES (?1) RETURNING id")?
                .query_row([word], |row| row.get(0))?,
        };
        if self.words.len() >= MOST_WORDS {
            self.words.clear();
        }
        self.words.insert(word.to_owned(), id);
        Ok(id)
    }

    /// Forgets the words and puts the counter back: the change under way was rolled back.
    pub(super) fn take_back(&mut self, next_job: u64) {
        self.next_job = next_job;
        self.words.clear();
    }

    /// Forgets what the batch did: it was rolled back as a whole.
    pub(super) fn clear(&mut self) {
        self.take_back(self.synced_next_job);
    }

    /// Writes the counter if the batch moved it.
    pub(super) fn write(&self, conn: &Connection) -> rusqlite::Result<()> {
        if self.next_job != self.synced_next_job {
            conn.prepare_cached("UPDATE store SET next_job = ?1")?
                .execute([self.next_job as i64])?;
        }
        Ok(())
    }

    /// The batch was committed.
    pub(super) fn keep(&mut self) {
        self.synced_next_job = self.next_job;
    }
}

/// The number of a word, if it has one.
pub(super) fn known_word(conn: &Connection, word: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM words WHERE word = ?1")?
        .query_row([word], |row| row.get(0))
        .optional()
}
