//! The attribute `#[leveret::endpoint]`: an endpoint written as an `impl` block.
//!
//! Use it through `leveret`, whose types the generated code names. The macro reports errors in
//! signatures at their span; the compiler reports errors in types.

mod expand;
mod method;
mod options;

use proc_macro::TokenStream;

/// Implements `From<Type>` for `leveret::Endpoint`, with the methods of an `impl` block as the
/// methods of the endpoint. Callers pass arguments by name.
///
/// `namespace = "…"` and `version = "1.2"` have the effect of `with_namespace` and `with_version`.
/// Every function with `&self` becomes a method of the endpoint. It takes the context by reference,
/// then its arguments, owned, and returns a `Result` whose error converts into a `Failure`. A
/// caller may omit an argument of type `Option`; a request with an unknown argument fails, as in
/// Python. `#[expose]` and `#[expected_exceptions("KeyError")]` before a method have the effect of
/// `exposed` and `expecting`. Functions without `&self`, and those of other `impl` blocks, are not
/// methods of the endpoint.
#[proc_macro_attribute]
pub fn endpoint(options: TokenStream, block: TokenStream) -> TokenStream {
    expand::endpoint(options.into(), block.into())
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}
