//! Background work: a name, a unit of work, a pace.
