//! The circles of today, which are to be cut.

pub(super) const KNOWN: &[&[&str]] = &[&[
    "driver/src/config/mod.rs",
    "driver/src/config/check.rs",
    "driver/src/config/choices/mod.rs",
    "driver/src/config/choices/dialects.rs",
    "driver/src/config/dialects.rs",
    "driver/src/config/factory.rs",
    "driver/src/config/layers.rs",
    "driver/src/config/meaning.rs",
    "driver/src/config/options/mod.rs",
    "driver/src/config/options/pika.rs",
    "driver/src/config/pika.rs",
    "driver/src/config/profile.rs",
    "driver/src/config/resolve/mod.rs",
    "driver/src/config/settings.rs",
    "driver/src/config/value.rs",
]];
