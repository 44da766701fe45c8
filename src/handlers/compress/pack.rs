//! Compressing one file, window by window.
//!
//! While the parts of one window are compressed, the window before is written, so neither the cores
//! nor the disk wait for the other.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::super::files::PIECE;
use super::{Codec, FileError, Found, Replacement, Watch, split};

/// The part of a file that is compressed on its own. So large that cutting costs below one percent of
/// the ratio, so small that a file of moderate size already keeps every core busy.
pub(super) const PART: u64 = 4 << 20;

/// Parts in flight for each core: one under work and one ready to be taken.
const PARTS_PER_CORE: usize = 2;
/// The most parts in flight: with input, output and the window before, about 12 MiB each.
const MOST_PARTS: usize = 32;

/// Writes the file's compressed form.
pub(super) fn pack(
    source: &Found,
    out: &mut Replacement,
    codec: Codec,
    watch: Watch<'_>,
) -> Result<Metadata, FileError> {
    let window = (num_cpus::get() * PARTS_PER_CORE).clamp(PARTS_PER_CORE, MOST_PARTS);
    pack_parts(source, out, codec, watch, PART, window)
}

/// The same with parts of `part` bytes, `window` of them in flight.
pub(super) fn pack_parts(
    source: &Found,
    out: &mut Replacement,
    codec: Codec,
    watch: Watch<'_>,
    part: u64,
    window: usize,
) -> Result<Metadata, FileError> {
    let (file, _) = source.open()?;
    let target = out.target().to_owned();
    let encode = |offset: &u64| encode_at(&file, source, *offset, part, codec, watch);
    // An empty file has one empty part: the format's own empty file.
    let count = source.len.div_ceil(part).max(1);
    let offsets: Vec<u64> = (0..count).map(|number| number * part).collect();
    let mut ready: Vec<Vec<u8>> = Vec::new();
    for window in offsets.chunks(window) {
        let growing = out.file();
        let (encoded, written) =
            crate::pool::join(|| split::map(window, &encode), || write(growing, &ready));
        written.map_err(FileError::io("write", &target))?;
        ready = encoded.into_iter().collect::<Result<_, _>>()?;
    }
    write(out.file(), &ready).map_err(FileError::io("write", &target))?;
    source.unchanged(&file)
}

fn write(file: &mut File, parts: &[Vec<u8>]) -> io::Result<()> {
    parts.iter().try_for_each(|part| file.write_all(part))
}

fn encode_at(
    file: &File,
    source: &Found,
    offset: u64,
    part: u64,
    codec: Codec,
    watch: Watch<'_>,
) -> Result<Vec<u8>, FileError> {
    watch.advance(0)?;
    let mut content = vec![0; (source.len - offset).min(part) as usize];
    for (number, piece) in content.chunks_mut(PIECE).enumerate() {
        let at = offset + (number * PIECE) as u64;
        file.read_exact_at(piece, at).map_err(|error| source.unread(error))?;
    }
    let encoded = codec.encode(&content).map_err(|error| FileError::Content {
        path: source.shown.clone(),
        problem: format!("cannot be compressed: {error}"),
    })?;
    watch.advance(content.len())?;
    Ok(encoded)
}
