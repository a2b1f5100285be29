//! The options of the attribute: `namespace = "…", version = "1.2"`.

use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, LitStr, Result, Token};

/// The namespace and version of the endpoint.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) namespace: Option<LitStr>,
    pub(crate) version: Option<(u32, u32)>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let value: LitStr = input.parse()?;
            if key == "namespace" {
                options.namespace = Some(value);
            } else if key == "version" {
                options.version = Some(version(&value)?);
            } else {
                let text = "an endpoint has `namespace = \"…\"` and `version = \"1.0\"`";
                return Err(Error::new(key.span(), text));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

fn version(text: &LitStr) -> Result<(u32, u32)> {
    let value = text.value();
    let parts = value.split_once('.');
    parts
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
        .ok_or_else(|| Error::new(text.span(), "an endpoint's version is `major.minor`"))
}
