//! The dialect of Python's former `pika` driver, alone and beside the `rabbit` dialect. The gate
//! runs these tests on one backend only, by the name of this module.

mod both;
mod edges;
mod pika_bad_input;
