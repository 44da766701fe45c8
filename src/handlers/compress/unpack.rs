//! Decompressing one file.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use super::super::files::PIECE;
use super::{Algorithm, FileError, Found, Replacement, Watch};

/// As many bytes as tell the formats apart.
const START: usize = 4;

/// Writes the file's content; without an algorithm the file's first bytes say which it is.
pub(super) fn unpack(
    source: &Found,
    out: &mut Replacement,
    algorithm: Option<Algorithm>,
    watch: Watch<'_>,
) -> Result<Metadata, FileError> {
    let (file, _) = source.open()?;
    let algorithm = match algorithm {
        Some(algorithm) => algorithm,
        None => recognise(&file, source)?,
    };
    let target = out.target().to_owned();
    let broken = |error: io::Error| FileError::Content {
        path: source.shown.clone(),
        problem: format!("cannot be decompressed: {error}"),
    };
    let mut content = algorithm.decoder(Counted { file: &file, watch }).map_err(broken)?;
    let mut buffer = vec![0; PIECE];
    loop {
        let read = content.read(&mut buffer).map_err(broken);
        // Asked first: a decoder that was stopped reports what looks like broken content.
        watch.advance(0)?;
        match read? {
            0 => return source.unchanged(&file),
            read => {
                let written = out.file().write_all(&buffer[..read]);
                written.map_err(FileError::io("write", &target))?;
            }
        }
    }
}

fn recognise(file: &File, source: &Found) -> Result<Algorithm, FileError> {
    let mut start = [0; START];
    let read = file.read_at(&mut start, 0).map_err(|error| source.unread(error))?;
    Algorithm::of_content(&start[..read]).ok_or_else(|| FileError::Content {
        path: source.shown.clone(),
        problem: "is neither zstd nor gzip".to_owned(),
    })
}

/// Tells progress in bytes of the compressed file, whose length is known.
struct Counted<'a> {
    file: &'a File,
    watch: Watch<'a>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.watch.advance(read).map_err(io::Error::other)?;
        Ok(read)
    }
}
