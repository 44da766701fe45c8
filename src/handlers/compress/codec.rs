//! The two formats: how a part is compressed on its own, and how a sequence of parts is read.

use std::io::{self, BufReader, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use zstd::zstd_safe::CParameter;

/// Which format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Zstd,
    Gzip,
}

/// A format and how hard to try.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codec {
    algorithm: Algorithm,
    level: i32,
}

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "zstd" => Some(Self::Zstd),
            "gzip" => Some(Self::Gzip),
            _ => None,
        }
    }

    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }

    /// The highest level.
    pub(super) const fn levels(self) -> i64 {
        match self {
            Self::Zstd => 22,
            Self::Gzip => 9,
        }
    }

    /// The format that content beginning so has.
    pub(super) fn of_content(start: &[u8]) -> Option<Self> {
        match start {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            // A frame that decoders skip, which some tools put first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            _ => None,
        }
    }

    /// What reads a whole sequence of parts.
    pub(super) fn decoder<'a>(self, source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(source)?),
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(source))),
        })
    }
}

impl Codec {
    /// The format at this level, or at its usual one.
    pub(super) fn new(algorithm: Algorithm, level: Option<i64>) -> Self {
        let usual = match algorithm {
            Algorithm::Zstd => i64::from(zstd::DEFAULT_COMPRESSION_LEVEL),
            Algorithm::Gzip => 6,
        };
        let level = level.unwrap_or(usual).clamp(1, algorithm.levels()) as i32;
        Self { algorithm, level }
    }

    /// A part as a frame or member of its own. The same part always gives the same bytes.
    pub(super) fn encode(self, part: &[u8]) -> io::Result<Vec<u8>> {
        match self.algorithm {
            Algorithm::Zstd => {
                let mut compressor = zstd::bulk::Compressor::new(self.level)?;
                compressor.set_parameter(CParameter::ChecksumFlag(true))?;
                compressor.compress(part)
            }
            Algorithm::Gzip => {
                let room = part.len() / 2 + 64;
                let level = Compression::new(self.level as u32);
                let mut encoder = GzEncoder::new(Vec::with_capacity(room), level);
                encoder.write_all(part)?;
                encoder.finish()
            }
        }
    }
}
