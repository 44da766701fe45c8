//! The digest of one file.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use blake3::Hasher;
use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};
use sha2::{Digest as _, Sha256};

use super::super::files::PIECE;
use super::{FileError, Found, Watch};

/// Both algorithms give as much.
pub(super) type Digest = [u8; 32];

/// The smallest part of a file that is a sub-job of its own: some hundred microseconds of work, far
/// more than a steal costs. A power of two, as BLAKE3's tree wants it.
const LEAF: u64 = 1 << 20;

/// Which digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Blake3,
    Sha256,
}

impl Algorithm {
    pub(super) const NAMES: &'static [&'static str] = &["blake3", "sha256"];

    pub(super) fn named(name: Option<&str>) -> Self {
        if name == Some("sha256") { Self::Sha256 } else { Self::Blake3 }
    }

    /// The digest of the file as it was found; an error if it changed meanwhile.
    pub(super) fn digest(self, found: &Found, watch: Watch<'_>) -> Result<Digest, FileError> {
        let (file, _) = found.open()?;
        let digest = match self {
            Self::Blake3 => Source { file: &file, found, watch }.blake3(LEAF),
            Self::Sha256 => sha256(&file, found, watch),
        }?;
        found.unchanged(&file)?;
        Ok(digest)
    }
}

/// A file under digestion.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a File,
    pub(super) found: &'a Found,
    pub(super) watch: Watch<'a>,
}

impl Source<'_> {
    /// The root of the tree, whose parts of at most `leaf` bytes are digested alone.
    pub(super) fn blake3(self, leaf: u64) -> Result<Digest, FileError> {
        let len = self.found.len;
        if len <= leaf {
            return Ok(*self.hasher(0, len)?.finalize().as_bytes());
        }
        let (left, right) = self.halves(0, len, leaf)?;
        Ok(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes())
    }

    fn subtree(self, offset: u64, len: u64, leaf: u64) -> Result<ChainingValue, FileError> {
        if len <= leaf {
            return Ok(self.hasher(offset, len)?.finalize_non_root());
        }
        let (left, right) = self.halves(offset, len, leaf)?;
        Ok(merge_subtrees_non_root(&left, &right, Mode::Hash))
    }

    /// Both parts of a subtree: the left one is the largest power of two that leaves something.
    fn halves(
        self,
        offset: u64,
        len: u64,
        leaf: u64,
    ) -> Result<(ChainingValue, ChainingValue), FileError> {
        let middle = left_subtree_len(len);
        let (left, right) = crate::pool::join(
            || self.subtree(offset, middle, leaf),
            || self.subtree(offset + middle, len - middle, leaf),
        );
        Ok((left?, right?))
    }

    /// Reads a part into a hasher that knows where in the file the part lies.
    fn hasher(self, offset: u64, len: u64) -> Result<Hasher, FileError> {
        let mut hasher = Hasher::new();
        hasher.set_input_offset(offset);
        let mut buffer = vec![0; PIECE.min(len as usize)];
        let (mut at, end) = (offset, offset + len);
        while at < end {
            let piece = &mut buffer[..(end - at).min(PIECE as u64) as usize];
            self.file.read_exact_at(piece, at).map_err(|source| self.found.unread(source))?;
            hasher.update(piece);
            at += piece.len() as u64;
            self.watch.advance(piece.len())?;
        }
        Ok(hasher)
    }
}

fn sha256(mut file: &File, found: &Found, watch: Watch<'_>) -> Result<Digest, FileError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; PIECE];
    loop {
        let read = file.read(&mut buffer).map_err(|source| found.unread(source))?;
        if read == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(&buffer[..read]);
        watch.advance(read)?;
    }
}
