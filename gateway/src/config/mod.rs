//! Every setting, its unit, default and reason; read once.
