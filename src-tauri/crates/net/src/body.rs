//! A body as it arrives: decompressed, counted and stopped in time.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::MultiGzDecoder;

/// What to do with a body that is larger than allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It is an error.
    #[default]
    Fail,
    /// Keep the beginning.
    Cut,
}

/// How often larger than what was sent a body may become, once it is larger than [`BOMB_MIN`].
pub(crate) const BOMB_RATIO: u64 = 100;
const BOMB_MIN: u64 = 1 << 20;
/// The encodings that [`Decoder`] knows, as a request header.
pub(crate) const ACCEPT_ENCODING: &str = "gzip, br";

/// Why no more of a body is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The limit is reached.
    Full,
    /// It expands beyond reason.
    Bomb,
    /// The compressed data is wrong.
    Corrupt(String),
    /// The compressed data ended early.
    CutOff,
}

#[derive(Debug)]
struct Sink {
    bytes: Vec<u8>,
    limit: usize,
    received: u64,
    stopped: Option<Stop>,
}

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.stopped.is_some() {
            return Err(io::ErrorKind::Other.into());
        }
        let room = self.limit - self.bytes.len();
        self.bytes.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            self.stopped = Some(Stop::Full);
        }
        let size = self.bytes.len() as u64;
        if size > BOMB_MIN && size > self.received.saturating_mul(BOMB_RATIO) {
            self.stopped = Some(Stop::Bomb);
        }
        if self.stopped.is_some() {
            return Err(io::ErrorKind::Other.into());
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Format {
    Plain(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
    Brotli(Box<DecompressorWriter<Sink>>),
}

/// Takes a body part by part; never holds more than the limit.
pub(crate) struct Decoder {
    format: Format,
    empty: bool,
}

impl Decoder {
    /// For a body with these `Content-Encoding` headers.
    ///
    /// # Errors
    /// Says what is wrong with the encoding.
    pub(crate) fn new<'a>(
        encodings: impl Iterator<Item = &'a str>,
        limit: usize,
    ) -> Result<Self, String> {
        let sink = Sink { bytes: Vec::new(), limit, received: 0, stopped: None };
        let named: Vec<String> = encodings
            .flat_map(|header| header.split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty() && name != "identity")
            .collect();
        let format = match named.as_slice() {
            [] => Format::Plain(sink),
            [one] if one == "gzip" || one == "x-gzip" => {
                Format::Gzip(Box::new(MultiGzDecoder::new(sink)))
            }
            [one] if one == "br" => {
                Format::Brotli(Box::new(DecompressorWriter::new(sink, 8 << 10)))
            }
            [one] => {
                return Err(format!(
                    "it is sent as `{}`, which was not asked for",
                    one.chars().take(40).collect::<String>()
                ));
            }
            _ => return Err("it is compressed more than once".to_owned()),
        };
        Ok(Self { format, empty: true })
    }

    /// Whether the bytes are taken as they come, so that their announced length is the length.
    pub(crate) const fn is_plain(&self) -> bool {
        matches!(self.format, Format::Plain(_))
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// Why nothing more is taken. What was decoded so far is still there.
    pub(crate) fn push(&mut self, part: &[u8]) -> Result<(), Stop> {
        self.empty &= part.is_empty();
        self.sink().received += part.len() as u64;
        let written = match &mut self.format {
            Format::Plain(sink) => sink.write_all(part),
            Format::Gzip(decoder) => decoder.write_all(part).and_then(|()| decoder.flush()),
            Format::Brotli(decoder) => decoder.write_all(part),
        };
        match written {
            Ok(()) => Ok(()),
            Err(error) => {
                Err(self.sink().stopped.clone().unwrap_or_else(|| Stop::Corrupt(error.to_string())))
            }
        }
    }

    /// How many bytes have come out of it.
    pub(crate) fn len(&mut self) -> usize {
        self.sink().bytes.len()
    }

    /// What was decoded so far.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.sink().bytes)
    }

    /// The whole body.
    ///
    /// # Errors
    /// If it ended before the compressed data did.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Stop> {
        if self.empty {
            return Ok(Vec::new());
        }
        match self.format {
            Format::Plain(_) => {}
            Format::Gzip(ref mut decoder) => {
                if decoder.try_finish().is_err() {
                    return Err(self.sink().stopped.clone().unwrap_or(Stop::CutOff));
                }
            }
            Format::Brotli(decoder) => {
                let sink =
                    decoder.into_inner().map_err(|sink| sink.stopped.unwrap_or(Stop::CutOff))?;
                return Ok(sink.bytes);
            }
        }
        Ok(self.take())
    }

    fn sink(&mut self) -> &mut Sink {
        match &mut self.format {
            Format::Plain(sink) => sink,
            Format::Gzip(decoder) => decoder.get_mut(),
            Format::Brotli(decoder) => decoder.get_mut(),
        }
    }
}
