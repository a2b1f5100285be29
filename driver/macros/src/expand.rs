//! Expands the attribute: the `impl` block without our attributes, and the conversion into an
//! endpoint.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ImplItem, ItemImpl, Result};

use crate::method::Method;
use crate::options::Options;

/// Returns the block and the conversion.
pub(crate) fn endpoint(options: TokenStream, block: TokenStream) -> Result<TokenStream> {
    let options: Options = syn::parse2(options)?;
    let mut block: ItemImpl = syn::parse2(block)?;
    if let Some((_, of_trait, _)) = &block.trait_ {
        let text = "an endpoint is written as `impl Type { … }`, without a trait";
        return Err(Error::new_spanned(of_trait, text));
    }
    let mut methods = Vec::new();
    for item in &mut block.items {
        if let ImplItem::Fn(function) = item {
            methods.extend(Method::read(function)?);
        }
    }
    let served = &block.self_ty;
    let (generics, _, bounds) = block.generics.split_for_impl();
    let registrations = methods.iter().map(Method::registration);
    let namespace = options.namespace.map(|name| quote!(.with_namespace(#name)));
    let version = options
        .version
        .map(|(major, minor)| quote!(.with_version(::leveret::Version::new(#major, #minor))));
    Ok(quote! {
        #block

        impl #generics ::std::convert::From<#served> for ::leveret::Endpoint #bounds {
            fn from(served: #served) -> Self {
                let served = ::std::sync::Arc::new(served);
                let endpoint = ::leveret::Endpoint::new() #namespace #version;
                #(#registrations)*
                endpoint
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(options: &str, block: &str) -> Result<String> {
        let tokens = endpoint(options.parse().unwrap(), block.parse().unwrap())?;
        syn::parse2::<syn::File>(tokens.clone()).expect("what is generated is Rust");
        Ok(tokens.to_string())
    }

    #[test]
    fn functions_with_self_become_methods_of_the_endpoint() {
        let block = "impl C { fn new() -> Self { C } \
            #[expose] fn a(&self, c: &Context, r#type: i64) -> Result<(), F> { Ok(()) } \
            #[expected_exceptions(\"KeyError\")] async fn b(&self, c: &Context) -> R { x() } }";
        let text = expanded("namespace = \"ns\", version = \"1.2\"", block).unwrap();
        assert!(text.contains("endpoint . method (\"a\""), "{text}");
        assert!(text.contains("endpoint . async_method (\"b\""), "{text}");
        assert!(text.contains("new (1u32 , 2u32)") && text.contains("\"ns\""), "{text}");
        assert_eq!(text.matches("exposed ()").count(), 1);
        assert!(!text.contains("\"new\"") && !text.contains("# [expose]"), "{text}");
    }

    #[test]
    fn wrong_signatures_are_reported_in_plain_words() {
        for (options, function, expected) in [
            ("", "fn a(&mut self, c: &Context) -> R { x() }", "take `&self`"),
            ("", "fn a(self, c: &Context) -> R { x() }", "take `&self`"),
            ("", "fn a(&self) -> R { x() }", "is the context: `context: &Context`"),
            ("", "fn a(&self, value: i64) -> R { x() }", "is the context: `context: &Context`"),
            ("", "fn a(&self, c: &Context, n: &str) -> R { x() }", "arguments are owned"),
            ("", "fn a(&self, c: &Context, (x, y): (i8, i8)) -> R { x() }", "by its name"),
            ("", "fn a<T>(&self, c: &Context, t: T) -> R { x() }", "it is not generic"),
            ("", "fn a(&self, c: &Context) { x() }", "returns a `Result`"),
            ("version = \"1\"", "", "`major.minor`"),
            ("name = \"x\"", "", "an endpoint has `namespace"),
        ] {
            let error = expanded(options, &format!("impl C {{ {function} }}")).unwrap_err();
            assert!(error.to_string().contains(expected), "{function}: {error}");
        }
        let error = expanded("", "impl T for C {}").unwrap_err();
        assert!(error.to_string().contains("without a trait"), "{error}");
    }
}
