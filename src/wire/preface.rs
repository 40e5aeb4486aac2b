//! The first eight bytes each way, which settle the version before anything else is looked at (protocol.md
//! section 3). Their layout never changes, whatever versions come.

use crate::code::{Code, Violation};

/// Opens every native connection. No UTF-8 text contains the byte F5, so no HTTP request or PROXY line starts with
/// it, and neither a TLS record (16) nor an MQTT CONNECT (10) does.
pub const MAGIC: [u8; 4] = [0xF5, b'F', b'W', b'R'];
/// The oldest version spoken here.
pub const VERSION_MIN: u8 = 1;
/// The newest version spoken here.
pub const VERSION_MAX: u8 = 1;
/// Bytes of either preface.
pub const PREFACE_BYTES: usize = 8;

/// What a client sends first: `magic, version_min u8, version_max u8, reserved u16 = 0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientPreface {
    /// The oldest version the client speaks.
    pub version_min: u8,
    /// The newest version the client speaks.
    pub version_max: u8,
}

impl ClientPreface {
    /// The preface of this build.
    pub const OURS: ClientPreface = ClientPreface { version_min: VERSION_MIN, version_max: VERSION_MAX };

    /// Reads a preface off the front of `bytes`. A wrong magic is told as soon as its first wrong byte is there;
    /// `None` when more bytes are needed.
    pub fn decode(bytes: &[u8]) -> Result<Option<ClientPreface>, Violation> {
        if bytes.iter().zip(MAGIC).any(|(got, want)| *got != want) {
            return Err(Violation(Code::BadMagic));
        }
        let Some(&[_, _, _, _, version_min, version_max, reserved_low, reserved_high]) =
            bytes.first_chunk::<PREFACE_BYTES>()
        else {
            return Ok(None);
        };
        if version_min == 0 || version_min > version_max {
            return Err(Violation(Code::UnsupportedVersion));
        }
        // Checked after the range: a client of a later version may have given the reserved bytes a meaning.
        let preface = ClientPreface { version_min, version_max };
        preface.choose()?;
        if reserved_low != 0 || reserved_high != 0 {
            return Err(Violation(Code::ReservedBits));
        }
        Ok(Some(preface))
    }

    /// The highest version both sides speak.
    pub fn choose(self) -> Result<u8, Violation> {
        let highest = self.version_max.min(VERSION_MAX);
        if highest < self.version_min.max(VERSION_MIN) {
            return Err(Violation(Code::UnsupportedVersion));
        }
        Ok(highest)
    }

    /// The eight bytes.
    pub const fn encode(self) -> [u8; PREFACE_BYTES] {
        [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], self.version_min, self.version_max, 0, 0]
    }
}

/// What a server answers first: `magic, version_min u8, version_max u8, code u16` (0: go on).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerPreface {
    /// The oldest version the server speaks.
    pub version_min: u8,
    /// The newest version the server speaks.
    pub version_max: u8,
    /// 0 when the handshake goes on, else the number of the [`Code`] it ends with.
    pub code: u16,
}

impl ServerPreface {
    /// The preface of this build: go on, or the refusal.
    pub const fn ours(refusal: Option<Code>) -> ServerPreface {
        let code = match refusal {
            Some(code) => code.number(),
            None => 0,
        };
        ServerPreface { version_min: VERSION_MIN, version_max: VERSION_MAX, code }
    }

    /// Reads a preface off the front of `bytes`; `None` when more bytes are needed.
    pub fn decode(bytes: &[u8]) -> Result<Option<ServerPreface>, Violation> {
        if bytes.iter().zip(MAGIC).any(|(got, want)| *got != want) {
            return Err(Violation(Code::BadMagic));
        }
        let Some(&[_, _, _, _, version_min, version_max, code_low, code_high]) = bytes.first_chunk::<PREFACE_BYTES>()
        else {
            return Ok(None);
        };
        Ok(Some(ServerPreface { version_min, version_max, code: u16::from_le_bytes([code_low, code_high]) }))
    }

    /// The eight bytes.
    pub const fn encode(self) -> [u8; PREFACE_BYTES] {
        let code = self.code.to_le_bytes();
        [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], self.version_min, self.version_max, code[0], code[1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_settled_before_the_reserved_bytes() {
        let mut later = ClientPreface { version_min: 9, version_max: 12 }.encode();
        later[6] = 1;
        assert_eq!(ClientPreface::decode(&later), Err(Violation(Code::UnsupportedVersion)));
        let mut ours = ClientPreface::OURS.encode();
        assert_eq!(ClientPreface::decode(&ours), Ok(Some(ClientPreface::OURS)));
        ours[7] = 1;
        assert_eq!(ClientPreface::decode(&ours), Err(Violation(Code::ReservedBits)));
    }

    #[test]
    fn a_wrong_magic_is_told_at_its_first_wrong_byte() {
        assert_eq!(ClientPreface::decode(b"G"), Err(Violation(Code::BadMagic)));
        assert_eq!(ClientPreface::decode(&MAGIC[..3]), Ok(None));
        assert_eq!(ClientPreface::decode(&[0xF5, b'F', b'X']), Err(Violation(Code::BadMagic)));
    }

    #[test]
    fn a_range_that_overlaps_chooses_the_highest_common_version() {
        assert_eq!(ClientPreface { version_min: 1, version_max: 200 }.choose(), Ok(VERSION_MAX));
        assert_eq!(
            ClientPreface { version_min: 2, version_max: 200 }.choose(),
            Err(Violation(Code::UnsupportedVersion))
        );
    }
}
