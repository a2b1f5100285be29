//! The attribute `#[leveret::endpoint]`: an endpoint written as an `impl` block.
//!
//! Reached through `leveret`, whose types the generated code names. What is wrong with a signature
//! is said where it stands, in words; what is wrong with types is left to the compiler.

mod expand;
mod method;
mod options;

use proc_macro::TokenStream;

/// Makes the methods of an `impl` block those of an endpoint, their arguments by name, and
/// implements `From<Type>` for `leveret::Endpoint`.
///
/// `namespace = "…"` and `version = "1.2"` are as `with_namespace` and `with_version`. Every
/// function with `&self` is offered; it takes the context by reference, then its arguments, owned,
/// and returns a `Result` whose error converts into a `Failure`. An argument of type `Option` may
/// be left out; one that is not there is refused, as by Python. `#[expose]` and
/// `#[expected_exceptions("KeyError")]` before a method are as `exposed` and `expecting`.
/// Functions without `&self`, and those of other `impl` blocks, are not offered.
#[proc_macro_attribute]
pub fn endpoint(options: TokenStream, block: TokenStream) -> TokenStream {
    expand::endpoint(options.into(), block.into())
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}
