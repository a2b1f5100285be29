//! Methods of serializers that accept few kinds of values.

/// Declares methods of a `serde` serializer that return an error.
macro_rules! refuse {
    ($error:expr => $($method:ident($($kind:ty),*) $(-> $result:ty)?;)*) => {
        $(fn $method(self, $(_: $kind),*) -> refuse!(@result $($result)?) { Err($error) })*
    };
    (@result) => { Result<(), crate::codec::error::WriteError> };
    (@result $result:ty) => { Result<$result, crate::codec::error::WriteError> };
}

pub(crate) use refuse;
