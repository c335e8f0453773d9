//! Which directories hold the copies: on devices of their own, and the same ones again at the
//! next start.

use std::path::PathBuf;
use std::str::FromStr;

/// Which of the copies one is. It names the slot in the database, so that there are never more
/// slots than copies, whatever drives come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat(u8);

impl Seat {
    /// All there are: what is lost with two drives at once, any copy more would hardly save.
    pub const ALL: [Self; 2] = [Self(1), Self(2)];

    /// The seat of that number.
    pub(super) fn numbered(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|seat| u64::from(seat.0) == number)
    }

    /// Its number, from 1.
    pub(super) fn number(self) -> u8 {
        self.0
    }

    /// The name of its slot and of its receiver.
    pub(super) fn slot(self) -> String {
        format!("sixfold_copy_{}", self.0)
    }
}

/// Where copies are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyPolicy {
    /// On other devices than the database's; none where there are none.
    Auto,
    /// Nowhere.
    Off,
    /// Also on the database's own device, where folders stand for drives.
    Always,
}

impl FromStr for CopyPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            "always" => Ok(Self::Always),
            _ => Err("is none of auto, off and always".to_owned()),
        }
    }
}

/// A directory that could hold a copy.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// A DIR of the server; the copy is made below it.
    pub dir: PathBuf,
    /// Its device.
    pub device: u64,
    /// Which copy is there already.
    pub seat: Option<Seat>,
}

/// Where one copy is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The DIR.
    pub dir: PathBuf,
    /// Which copy.
    pub seat: Seat,
}

/// At most two directories: those that hold a copy first, then in the order given; on devices that
/// differ, unless the policy takes any and there are no others.
pub fn choose(candidates: &[Candidate], database_device: u64, policy: CopyPolicy) -> Vec<Place> {
    if policy == CopyPolicy::Off {
        return Vec::new();
    }
    let mut devices = vec![database_device];
    let mut chosen: Vec<Place> = Vec::new();
    let by_choice = |has_copy: bool| {
        candidates.iter().filter(move |candidate| candidate.seat.is_some() == has_copy)
    };
    let rounds: &[bool] = if policy == CopyPolicy::Always { &[true, false] } else { &[true] };
    for needs_device in rounds {
        for candidate in by_choice(true).chain(by_choice(false)) {
            let is_taken = chosen.iter().any(|place| place.dir == candidate.dir);
            if is_taken || *needs_device && devices.contains(&candidate.device) {
                continue;
            }
            let is_free = |seat: &Seat| chosen.iter().all(|place| place.seat != *seat);
            let own = candidate.seat.filter(is_free);
            // A copy whose seat is another's by now begins anew in the other seat.
            let Some(seat) = own.or_else(|| Seat::ALL.into_iter().find(is_free)) else { continue };
            devices.push(candidate.device);
            chosen.push(Place { dir: candidate.dir.clone(), seat });
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::{Candidate, CopyPolicy, Place, Seat, choose};

    const ONE: Seat = Seat(1);
    const TWO: Seat = Seat(2);

    /// A name, a device, and the number of the copy that is there (0: none).
    fn chosen(
        candidates: &[(&str, u64, u64)],
        database: u64,
        policy: CopyPolicy,
    ) -> Vec<(String, Seat)> {
        let candidates: Vec<_> = candidates
            .iter()
            .map(|(dir, device, seat)| Candidate {
                dir: dir.into(),
                device: *device,
                seat: Seat::numbered(*seat),
            })
            .collect();
        let places = choose(&candidates, database, policy);
        let name = |place: Place| (place.dir.to_str().unwrap().to_owned(), place.seat);
        places.into_iter().map(name).collect()
    }

    fn named(expected: &[(&str, Seat)]) -> Vec<(String, Seat)> {
        expected.iter().map(|(dir, seat)| ((*dir).to_owned(), *seat)).collect()
    }

    #[test]
    fn other_devices_are_taken_and_the_same_ones_again() {
        let auto = CopyPolicy::Auto;
        let drives = [("a", 1, 0), ("b", 2, 0), ("c", 3, 0), ("d", 4, 0)];
        assert_eq!(chosen(&drives, 1, auto), named(&[("b", ONE), ("c", TWO)]));
        let drives = [("a", 1, 0), ("b", 2, 0), ("c", 3, 1), ("d", 4, 2)];
        assert_eq!(chosen(&drives, 1, auto), named(&[("c", ONE), ("d", TWO)]));
        // One copy's drive is gone: another takes its seat.
        let drives = [("a", 1, 0), ("b", 2, 0), ("d", 4, 2)];
        assert_eq!(chosen(&drives, 1, auto), named(&[("d", TWO), ("b", ONE)]));
        // It is back, and its seat is taken.
        let drives = [("b", 2, 1), ("c", 3, 1), ("d", 4, 2)];
        assert_eq!(chosen(&drives, 9, auto), named(&[("b", ONE), ("c", TWO)]));
    }

    #[test]
    fn folders_on_one_device_hold_copies_only_when_told_to() {
        let folders = [("b", 1, 0), ("c", 1, 0), ("d", 1, 0)];
        assert_eq!(chosen(&folders, 1, CopyPolicy::Auto), []);
        assert_eq!(chosen(&folders, 1, CopyPolicy::Off), []);
        assert_eq!(chosen(&folders, 1, CopyPolicy::Always), named(&[("b", ONE), ("c", TWO)]));
        let mixed = [("b", 1, 0), ("c", 2, 0), ("d", 2, 0)];
        assert_eq!(chosen(&mixed, 1, CopyPolicy::Auto), named(&[("c", ONE)]));
        assert_eq!(chosen(&mixed, 1, CopyPolicy::Always), named(&[("c", ONE), ("b", TWO)]));
    }

    #[test]
    fn policies_are_read() {
        assert_eq!("auto".parse(), Ok(CopyPolicy::Auto));
        assert!("on".parse::<CopyPolicy>().is_err());
    }
}
