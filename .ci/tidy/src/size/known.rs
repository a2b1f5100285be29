//! Files that are too long and folders that are too full today.

/// With their lines of code.
pub(super) const LONG_FILES: &[(&str, usize)] = &[];

/// With the number of their modules.
pub(super) const FULL_FOLDERS: &[(&str, usize)] = &[];
