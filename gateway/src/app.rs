//! Every long-lived handle that an operation may touch.
