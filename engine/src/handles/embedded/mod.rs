//! Shards on threads of the caller: in their own loop, or beside the tasks of a runtime.

mod attach;
mod hosted;
