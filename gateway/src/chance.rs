//! Where ids come from: the one source of random numbers for what is stored. A simulation puts a
//! seeded one in its place.

use uuid::Uuid;

/// 64 random bits.
pub(crate) fn number() -> u64 {
    #[cfg(all(test, feature = "simulation"))]
    if let Some(number) = crate::simulation::seeded_number() {
        return number;
    }
    rand::random()
}

/// A random id.
pub(crate) fn uuid() -> Uuid {
    let random = (u128::from(number()) << 64) | u128::from(number());
    uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid()
}
