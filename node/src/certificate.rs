//! When a certificate ends: the one thing in it that an operator must not find out too late. Reads
//! the few elements in front of it, by X.509's order, and nothing else.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When the first certificate in a PEM text ends, in seconds since 1970.
pub fn ends_in_pem(pem: &str) -> Option<u64> {
    ends(&CertificateDer::from_pem_slice(pem.as_bytes()).ok()?)
}

/// When a certificate ends, in seconds since 1970. `None` for what is none.
pub fn ends(der: &[u8]) -> Option<u64> {
    let mut outer = Elements(der);
    let mut certificate = Elements(outer.next_of(SEQUENCE)?);
    let mut fields = Elements(certificate.next_of(SEQUENCE)?);
    if fields.0.first() == Some(&VERSION) {
        fields.next()?;
    }
    let (_serial, _algorithm, _issuer) = (fields.next()?, fields.next()?, fields.next()?);
    let mut validity = Elements(fields.next_of(SEQUENCE)?);
    validity.next()?;
    let (tag, text) = validity.next()?;
    seconds(tag, std::str::from_utf8(text).ok()?)
}

/// Elements of DER, one behind the other.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The contents of the next one, which must have this tag.
    fn next_of(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, contents)| contents)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            // A length of more than four bytes is no certificate's.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, contents))
    }
}

/// `YYMMDDhhmmssZ` or, from 2050 on, `YYYYMMDDhhmmssZ`.
fn seconds(tag: u8, text: &str) -> Option<u64> {
    let digits = text.strip_suffix('Z')?;
    let two = |at: usize| digits.get(at..at + 2)?.parse::<u64>().ok();
    let (year, at) = match tag {
        UTC_TIME => (two(0)? + if two(0)? < 50 { 2000 } else { 1900 }, 2),
        GENERALIZED_TIME => (two(0)? * 100 + two(2)?, 4),
        _ => return None,
    };
    let days = days_since_1970(year, two(at)?, two(at + 2)?)?;
    Some(((days * 24 + two(at + 4)?) * 60 + two(at + 6)?) * 60 + two(at + 8)?)
}

fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let by = |number| year.is_multiple_of(number);
    let is_leap = by(4) && (!by(100) || by(400));
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let before = BEFORE.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    let leap_day = u64::from(month > 2 && is_leap);
    let years = year.checked_sub(1970)? * 365 + leaps(year - 1) - leaps(1969);
    Some(years + before + leap_day + day.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::{GENERALIZED_TIME, UTC_TIME, ends, ends_in_pem, seconds};

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(seconds(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(seconds(UTC_TIME, "000229000000Z"), Some(951_782_400));
        assert_eq!(seconds(UTC_TIME, "240301123456Z"), Some(1_709_296_496));
        assert_eq!(seconds(GENERALIZED_TIME, "20991231235959Z"), Some(4_102_444_799));
        for wrong in ["240001000000Z", "241301000000Z", "2403", "240301123456", ""] {
            assert_eq!(seconds(UTC_TIME, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        for der in [&b""[..], b"\x30", b"\x30\x85\x01\x01\x01\x01\x01", b"\x30\x03\x02\x01\x01"] {
            assert_eq!(ends(der), None);
        }
        assert_eq!(ends_in_pem("no PEM"), None);
    }
}
