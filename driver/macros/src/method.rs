//! One method of an endpoint: parses its signature and generates its registration.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt as _;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Error, FnArg, Ident, ImplItemFn, LitStr, Pat, Result, ReturnType, Token, Type};

/// A method of the endpoint.
pub(crate) struct Method {
    name: Ident,
    is_async: bool,
    names: Vec<Ident>,
    types: Vec<Type>,
    is_exposed: bool,
    expected: Vec<LitStr>,
}

impl Method {
    /// Parses a function of the block and removes our attributes from it. Returns `None` for a
    /// function without `self`.
    pub(crate) fn read(function: &mut ImplItemFn) -> Result<Option<Self>> {
        let signature = &function.sig;
        let Some(receiver) = signature.receiver() else { return Ok(None) };
        if receiver.reference.is_none() || receiver.mutability.is_some() {
            let text = "methods of an endpoint run side by side and take `&self`";
            return Err(Error::new(receiver.span(), text));
        }
        if !signature.generics.params.is_empty() {
            let text = "a method of an endpoint takes what JSON holds, so it is not generic";
            return Err(Error::new(signature.generics.span(), text));
        }
        if matches!(signature.output, ReturnType::Default) {
            let text = "a method of an endpoint returns a `Result`: `Result<(), Failure>`";
            return Err(Error::new(signature.ident.span(), text));
        }
        let mut inputs = signature.inputs.iter().skip(1);
        let context = inputs.next();
        if !matches!(context, Some(FnArg::Typed(typed)) if matches!(*typed.ty, Type::Reference(_)))
        {
            let span = context.map_or_else(|| signature.ident.span(), |input| input.span());
            let text = "the first parameter after `&self` is the context: `context: &Context`";
            return Err(Error::new(span, text));
        }
        let (mut names, mut types) = (Vec::new(), Vec::new());
        for input in inputs {
            let (name, of_type) = argument(input)?;
            names.push(name);
            types.push(of_type);
        }
        let mut method = Self {
            name: signature.ident.clone(),
            is_async: signature.asyncness.is_some(),
            names,
            types,
            is_exposed: false,
            expected: Vec::new(),
        };
        method.take_attributes(function)?;
        Ok(Some(method))
    }

    fn take_attributes(&mut self, function: &mut ImplItemFn) -> Result<()> {
        let mut others = Vec::new();
        for attribute in std::mem::take(&mut function.attrs) {
            if attribute.path().is_ident("expose") {
                attribute.meta.require_path_only()?;
                self.is_exposed = true;
            } else if attribute.path().is_ident("expected_exceptions") {
                let parse = Punctuated::<LitStr, Token![,]>::parse_terminated;
                self.expected.extend(attribute.parse_args_with(parse)?);
            } else {
                others.push(attribute);
            }
        }
        function.attrs = others;
        Ok(())
    }

    /// Generates the statement that adds the method of `served` to `endpoint`.
    pub(crate) fn registration(&self) -> TokenStream {
        let Self { name, names, types, expected, .. } = self;
        let text = name.unraw().to_string();
        let call = quote!(served.#name(&context, #(_args.#names),*));
        let add = if self.is_async {
            quote!(endpoint.async_method(#text, move |context: ::leveret::Context, _args: Args| {
                let served = ::std::sync::Arc::clone(&served);
                async move { #call.await }
            }))
        } else {
            quote!(endpoint.method(#text, move |context: ::leveret::Context, _args: Args| #call))
        };
        let exposed = self.is_exposed.then(|| quote!(.exposed()));
        let expecting = (!expected.is_empty()).then(|| quote!(.expecting([#(#expected),*])));
        quote! {
            let endpoint = {
                #[derive(::leveret::__private::serde::Deserialize)]
                #[serde(crate = "::leveret::__private::serde", deny_unknown_fields)]
                struct Args { #(#names: #types),* }
                let served = ::std::sync::Arc::clone(&served);
                #add #exposed #expecting
            };
        }
    }
}

fn argument(input: &FnArg) -> Result<(Ident, Type)> {
    let FnArg::Typed(typed) = input else {
        return Err(Error::new(input.span(), "`self` comes first"));
    };
    let Pat::Ident(pattern) = &*typed.pat else {
        let text = "an argument is passed by its name: write `name: Type`";
        return Err(Error::new(typed.pat.span(), text));
    };
    if let Type::Reference(reference) = &*typed.ty {
        let text = "arguments are owned: `String` instead of `&str`, `Vec<T>` instead of `&[T]`";
        return Err(Error::new(reference.span(), text));
    }
    Ok((pattern.ident.clone(), (*typed.ty).clone()))
}
